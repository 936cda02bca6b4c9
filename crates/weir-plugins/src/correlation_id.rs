//! `correlation-id`: gives each request an id that the client, the gateway and the service all see.
//!
//! Phases: access sets the id on the request, unless the client sent one; header_filter shows it to the client.
//!
//! ```yaml
//! plugins:
//! - name: correlation-id
//!   config: {header_name: X-Request-ID, generator: uuid, echo_downstream: true}
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use weir_mint::Uuid;
use weir_model::PluginSchema;
use weir_model::schema::{boolean, record, string};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Headers, Kind, Phases, Plugin};

use crate::config;

const NAME: &str = "correlation-id";

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    header_name: Option<String>,
    generator: Generator,
    echo_downstream: bool,
}

#[derive(Clone, Copy, Deserialize)]
enum Generator {
    /// A random UUID for each request.
    #[serde(rename = "uuid")]
    Uuid,
    /// One random UUID for this process, and a number that counts up.
    #[serde(rename = "uuid#counter")]
    UuidCounter,
    /// Both ends of the connection, and the time.
    #[serde(rename = "tracker")]
    Tracker,
}

/// What this process's ids have in common.
struct Series {
    base: String,
    count: AtomicU64,
}

struct Instance {
    config: Config,
    header: String,
    series: Arc<Series>,
}

impl Instance {
    fn make(&self, ctx: &Ctx<'_>) -> Result<String, weir_kernel::Error> {
        Ok(match self.config.generator {
            Generator::Uuid => Uuid::v4()?.to_string(),
            Generator::UuidCounter => {
                let count = self.series.count.fetch_add(1, Ordering::Relaxed) + 1;
                format!("{}#{count}", self.series.base)
            }
            Generator::Tracker => {
                let (peer, port, pid) = (ctx.client.peer, ctx.client.port, std::process::id());
                let seconds = ctx.started_ms as f64 / 1000.0;
                let number = self.series.count.fetch_add(1, Ordering::Relaxed) + 1;
                format!("{}-{port}-{}-{pid}-{number}-{seconds:.3}", peer.ip(), peer.port())
            }
        })
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, header_filter: self.config.echo_downstream, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        if ctx.headers.get(&self.header).is_none_or(<[u8]>::is_empty) {
            match self.make(ctx) {
                Ok(id) => ctx.headers.set(&self.header, id),
                Err(error) => {
                    tracing::error!(%error, "no correlation id");
                    return Answer::message(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "An unexpected error occurred",
                    )
                    .into();
                }
            }
        }
        Flow::Continue
    }

    fn header_filter(&self, ctx: &mut Ctx<'_>, response: &mut Headers) {
        if let Some(id) = ctx.headers.get(&self.header) {
            response.set(&self.header, id);
        }
    }
}

/// The kind of plugin.
#[derive(Default)]
pub(crate) struct CorrelationId {
    series: std::sync::OnceLock<Arc<Series>>,
}

impl Kind for CorrelationId {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        100_001
    }

    fn schema(&self) -> PluginSchema {
        let generators = ["uuid", "uuid#counter", "tracker"];
        let config = record([
            ("header_name", string().default("Kong-Request-ID")),
            ("generator", string().one_of(generators).required().default("uuid#counter")),
            ("echo_downstream", boolean().required().default(false)),
        ]);
        PluginSchema::http(NAME, config)
    }

    fn build(&self, config: &Value, _: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let series = match self.series.get() {
            Some(series) => series,
            None => {
                let base = Uuid::v4().map_err(|error| BuildError { plugin: NAME, why: error.to_string() })?;
                self.series
                    .get_or_init(|| Arc::new(Series { base: base.to_string(), count: AtomicU64::new(0) }))
            }
        };
        let header = config.header_name.clone().unwrap_or_else(|| "Kong-Request-ID".to_owned());
        Ok(Arc::new(Instance { config, header, series: Arc::clone(series) }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        let kind = CorrelationId::default();
        test::matches_recording(&kind);
        for generator in ["uuid", "uuid#counter", "tracker"] {
            test::build(&kind, json!({"generator": generator}));
        }
    }
}
