//! `prometheus`: counts what services answer, how long they take and how much they send.
//!
//! Phase: log. What is counted is shown at `/metrics` of the Admin API and the status API, under the names that Kong's
//! plugin uses. Without any of its switches the plugin adds nothing to what the gateway shows of itself.
//!
//! ```yaml
//! plugins:
//! - name: prometheus
//!   config: {status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true}
//! ```

mod registry;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use weir_model::PluginSchema;
use weir_model::schema::{boolean, record};
use weir_plugin::{BuildError, Ctx, Env, Finished, Kind, Phases, Plugin};

use crate::config;
pub use registry::Registry;
use registry::Seen;

const NAME: &str = "prometheus";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    per_consumer: Option<bool>,
    status_code_metrics: Option<bool>,
    /// There are no AI plugins that this could count for.
    #[expect(dead_code, reason = "read so that the configuration is complete")]
    ai_metrics: Option<bool>,
    latency_metrics: Option<bool>,
    bandwidth_metrics: Option<bool>,
    /// There are no upstream entities yet whose health could be shown.
    #[expect(dead_code, reason = "read so that the configuration is complete")]
    upstream_health_metrics: Option<bool>,
}

struct Instance {
    per_consumer: bool,
    status_codes: bool,
    latency: bool,
    bandwidth: bool,
    registry: Arc<Registry>,
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { log: self.status_codes || self.latency || self.bandwidth, ..Phases::default() }
    }

    fn log(&self, ctx: &Ctx<'_>, finished: &Finished) {
        let consumer = if self.per_consumer { ctx.consumer() } else { None };
        self.registry.record(&Seen {
            route: ctx.route,
            service: ctx.service,
            consumer,
            finished,
            status_codes: self.status_codes,
            latency: self.latency,
            bandwidth: self.bandwidth,
        });
    }
}

/// The kind of plugin.
pub(crate) struct Prometheus {
    registry: Arc<Registry>,
}

impl Prometheus {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl Kind for Prometheus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        13
    }

    fn schema(&self) -> PluginSchema {
        let switch = || boolean().default(false);
        let config = record([
            ("per_consumer", switch()),
            ("status_code_metrics", switch()),
            ("ai_metrics", switch()),
            ("latency_metrics", switch()),
            ("bandwidth_metrics", switch()),
            ("upstream_health_metrics", switch()),
        ]);
        PluginSchema::any_protocol(NAME, config)
    }

    fn build(&self, config: &Value, _: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let on = |switch: Option<bool>| switch.unwrap_or(false);
        Ok(Arc::new(Instance {
            per_consumer: on(config.per_consumer),
            status_codes: on(config.status_code_metrics),
            latency: on(config.latency_metrics),
            bandwidth: on(config.bandwidth_metrics),
            registry: Arc::clone(&self.registry),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        let kind = Prometheus::new(Arc::default());
        test::matches_recording(&kind);
        assert!(!test::build(&kind, json!({})).phases().log);
        assert!(test::build(&kind, json!({"latency_metrics": true})).phases().log);
    }
}
