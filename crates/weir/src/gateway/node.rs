//! The running gateway, as the Admin API sees it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Map, Value, json};
use weir_admin::Node;
use weir_kernel::Purpose;
use weir_mint::Uuid;
use weir_plugin::Kind;
use weir_plugins::auth::Attempts;
use weir_plugins::prometheus::Registry;
use weir_proxy::{Builder, Error, Gateway, Listen, Listeners, Settings, Stats, Usage};
use weir_store::Change;

use super::changes;
use super::log::Levels;

/// The configuration in force, and those who make it so.
pub(crate) struct Force {
    builder: Mutex<Builder>,
    /// Gone once the gateway has ended.
    gateway: RwLock<Option<Gateway>>,
    usage: Arc<Usage>,
}

impl Force {
    pub(super) fn new(builder: Builder, gateway: Gateway) -> Self {
        let usage = Arc::clone(gateway.usage());
        Self { builder: Mutex::new(builder), gateway: RwLock::new(Some(gateway)), usage }
    }

    /// Changes the configuration and puts it in force.
    fn change(&self, change: impl FnOnce(&mut Builder)) {
        let mut builder = self.builder.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut builder);
        let snapshot = builder.snapshot();
        if let Some(gateway) = &*self.gateway.read().unwrap_or_else(PoisonError::into_inner) {
            gateway.publish(snapshot);
        }
    }

    /// Puts settings in force.
    pub(super) fn settings(&self, settings: Settings) {
        self.change(|builder| builder.set_settings(settings));
    }

    /// Listens here and nowhere else.
    pub(super) fn listen(&self, wanted: &[Listen]) -> Result<Listeners, Error> {
        match &mut *self.gateway.write().unwrap_or_else(PoisonError::into_inner) {
            Some(gateway) => gateway.listen(wanted),
            None => Ok(Listeners::default()),
        }
    }

    /// Ends the gateway. Says whether all requests ended in time.
    pub(super) async fn shutdown(&self, patience: Duration) -> bool {
        let gateway = self.gateway.write().unwrap_or_else(PoisonError::into_inner).take();
        match gateway {
            Some(gateway) => gateway.shutdown(patience).await,
            None => true,
        }
    }

    fn stats(&self) -> Stats {
        let gateway = self.gateway.read().unwrap_or_else(PoisonError::into_inner);
        gateway.as_ref().map(Gateway::stats).unwrap_or_default()
    }

    /// Which credentials were used since this was asked last.
    pub(super) fn take_usage(&self) -> Vec<(Uuid, i64)> {
        self.usage.take()
    }

    fn workers(&self) -> usize {
        let gateway = self.gateway.read().unwrap_or_else(PoisonError::into_inner);
        gateway.as_ref().map_or(0, Gateway::workers)
    }
}

/// Everything that the Admin API shows of the node.
pub(super) struct Running {
    pub(super) force: Arc<Force>,
    pub(super) kinds: Vec<Arc<dyn Kind>>,
    pub(super) metrics: Arc<Registry>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) levels: Levels,
    pub(super) node_id: String,
}

impl Node for Running {
    fn apply(&self, changes: Vec<Change>) {
        self.force.change(|builder| changes.iter().for_each(|change| changes::apply(builder, change)));
    }

    fn describe(&self) -> Value {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        json!({
            "hostname": hostname.trim(),
            "node_id": self.node_id,
            "pids": {"master": std::process::id()},
            "configuration": {"database": "sqlite", "router_flavor": "traditional_compatible", "log_level": self.levels.get()},
        })
    }

    fn server_status(&self) -> Value {
        let stats = self.force.stats();
        json!({
            "connections_active": stats.active,
            "connections_accepted": stats.accepted,
            "connections_handled": stats.accepted,
            "total_requests": stats.requests,
        })
    }

    fn randomness(&self) -> Value {
        let counts = weir_kernel::draws();
        let by_purpose: Map<String, Value> = Purpose::ALL
            .into_iter()
            .map(|purpose| {
                let drawn = counts.of(purpose);
                (purpose.name().to_owned(), json!({"draws": drawn.draws, "bytes": drawn.bytes}))
            })
            .collect();
        let total = counts.total();
        json!({
            "ready": weir_kernel::is_ready(),
            "way": way(),
            "generation": generation(),
            "draws": by_purpose,
            "total": {"draws": total.draws, "bytes": total.bytes},
            "failures": counts.failures(),
        })
    }

    fn ready(&self) -> Result<(), String> {
        if self.force.workers() == 0 {
            return Err("the gateway is stopping".to_owned());
        }
        if !weir_kernel::is_ready() {
            return Err(
                "the kernel's random number generator is not ready: TLS and minting are refused".to_owned()
            );
        }
        Ok(())
    }

    fn last_used(&self, credential: Uuid) -> Option<i64> {
        self.force.usage.last(credential)
    }

    fn metrics(&self, out: &mut String) {
        let stats = self.force.stats();
        let node = format!("node_id=\"{}\"", self.node_id);
        let mut head = |name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head("kong_nginx_connections_total", "gauge", "Client connections");
        let _ = writeln!(
            out,
            "kong_nginx_connections_total{{{node},subsystem=\"http\",state=\"accepted\"}} {}",
            stats.accepted
        );
        let _ = writeln!(
            out,
            "kong_nginx_connections_total{{{node},subsystem=\"http\",state=\"active\"}} {}",
            stats.active
        );
        let mut single = |name: &str, kind: &str, help: &str, labels: &str, value: u64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}");
        };
        single(
            "kong_nginx_requests_total",
            "counter",
            "Requests begun",
            &format!("{{{node},subsystem=\"http\"}}"),
            stats.requests,
        );
        single(
            "weir_http_refused_total",
            "counter",
            "Requests refused because they were not HTTP, or beyond its limits",
            "",
            stats.refused,
        );
        single(
            "weir_random_ready",
            "gauge",
            "Whether the kernel's random number generator is ready",
            "",
            u64::from(weir_kernel::is_ready()),
        );
        let counts = weir_kernel::draws();
        single(
            "weir_random_failures_total",
            "counter",
            "Draws that the kernel refused",
            "",
            counts.failures(),
        );
        single("weir_random_way", "gauge", "How randomness is drawn", &format!("{{way=\"{}\"}}", way()), 1);
        for (name, help, bytes) in [
            ("weir_random_draws_total", "Draws from the kernel's random number generator", false),
            ("weir_random_bytes_total", "Bytes drawn from the kernel's random number generator", true),
        ] {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
            for purpose in Purpose::ALL {
                let drawn = counts.of(purpose);
                let value = if bytes { drawn.bytes } else { drawn.draws };
                let _ = writeln!(out, "{name}{{purpose=\"{}\"}} {value}", purpose.name());
            }
        }
        let _ = writeln!(
            out,
            "# HELP weir_http_answers_total Answers by the first digit of their status\n# TYPE weir_http_answers_total counter"
        );
        for (class, count) in (1..).zip(stats.answers) {
            let _ = writeln!(out, "weir_http_answers_total{{class=\"{class}xx\"}} {count}");
        }
        self.attempts.encode(out);
        self.metrics.encode(out);
    }

    fn plugin_priorities(&self) -> Vec<(&'static str, i32)> {
        self.kinds.iter().map(|kind| (kind.name(), kind.priority())).collect()
    }

    fn workers(&self) -> usize {
        self.force.workers()
    }

    fn log_level(&self) -> String {
        self.levels.get()
    }

    fn set_log_level(&self, level: &str) -> Result<(), String> {
        self.levels.set(level)
    }
}

fn way() -> &'static str {
    match weir_kernel::way() {
        weir_kernel::Way::Vdso => "vdso",
        weir_kernel::Way::Syscall => "syscall",
    }
}

/// Whether this machine was cloned while it ran, as far as it can tell.
fn generation() -> Value {
    use weir_kernel::Signal;
    let generation = weir_kernel::generation();
    match generation.signal {
        Signal::Counter(number) => json!({"source": "vmclock", "number": number}),
        Signal::Forks(number) => json!({"source": "kernel log", "number": number}),
        _ if generation.published.is_some() => {
            json!({"source": "weir-feed", "number": generation.published})
        }
        Signal::Denied => {
            json!({"source": "kernel log", "number": null, "why": "this process may not read it"})
        }
        _ => json!({"source": null, "number": null}),
    }
}
