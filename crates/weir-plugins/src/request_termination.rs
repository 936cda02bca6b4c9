//! `request-termination`: answers every request itself.
//!
//! Phase: access.
//!
//! ```yaml
//! plugins:
//! - name: request-termination
//!   config: {status_code: 503, message: "closed for maintenance"}
//! ```

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::PluginSchema;
use weir_model::schema::{boolean, integer, record, string};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Kind, Phases, Plugin};

use crate::{config, query};

const NAME: &str = "request-termination";
const JSON: &str = "application/json; charset=utf-8";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    status_code: u16,
    message: Option<String>,
    content_type: Option<String>,
    body: Option<String>,
    echo: bool,
    trigger: Option<String>,
}

struct Instance {
    config: Config,
    status: StatusCode,
}

impl Instance {
    /// Whether this request is one to answer: all are, unless a header field or an argument has to ask for it.
    fn applies(&self, ctx: &Ctx<'_>) -> bool {
        self.config.trigger.as_deref().is_none_or(|trigger| {
            ctx.headers.contains(trigger) || ctx.query().is_some_and(|query| query::contains(query, trigger))
        })
    }

    fn message(&self) -> Option<&str> {
        self.config.message.as_deref().or(match self.config.status_code {
            401 => Some("Unauthorized"),
            404 => Some("Not found"),
            405 => Some("Method not allowed"),
            500 => Some("An unexpected error occurred"),
            502 => Some("Bad Gateway"),
            503 => Some("Service unavailable"),
            _ => None,
        })
    }

    fn answer(&self, ctx: &Ctx<'_>) -> Answer {
        if self.config.echo {
            return Answer::exact(self.status, JSON, self.echo(ctx).to_string());
        }
        if let Some(body) = &self.config.body {
            let mut answer = Answer::exact(self.status, "", body.clone());
            match &self.config.content_type {
                Some(kind) => answer.headers.set("Content-Type", kind),
                None => drop(answer.headers.remove("Content-Type")),
            }
            return answer;
        }
        match self.message() {
            Some(message) => Answer::exact(self.status, JSON, json!({"message": message}).to_string()),
            None => Answer::empty(self.status),
        }
    }

    /// What the gateway made of the request, for whoever looks for a fault.
    fn echo(&self, ctx: &Ctx<'_>) -> Value {
        let headers: Value = ctx
            .headers
            .iter()
            .map(|(name, value)| {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                (name, json!(String::from_utf8_lossy(value)))
            })
            .collect();
        let body = ctx.body.as_deref().map(String::from_utf8_lossy);
        json!({
            "message": self.message(),
            "request": {
                "scheme": ctx.client.scheme.as_str(),
                "host": ctx.host,
                "port": ctx.client.port,
                "method": ctx.method.as_str(),
                "path": ctx.path(),
                "query": ctx.query(),
                "headers": headers,
                "raw_body": body,
            },
            "matched_route": ctx.route.map(|route| json!({"id": route.id.to_string(), "name": route.name})),
            "matched_service": ctx.service.map(|service| json!({"id": service.id.to_string(), "name": service.name})),
            "request_id": ctx.id.as_str(),
        })
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, body: self.config.echo, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        if self.applies(ctx) { self.answer(ctx).into() } else { Flow::Continue }
    }
}

/// The kind of plugin.
pub(crate) struct RequestTermination;

impl Kind for RequestTermination {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        2
    }

    fn schema(&self) -> PluginSchema {
        let config = record([
            ("status_code", integer().between(100, 599).required().default(503)),
            ("message", string()),
            ("content_type", string()),
            ("body", string()),
            ("echo", boolean().required().default(false)),
            ("trigger", string()),
        ]);
        let config = config.check(|config| {
            let set = |name: &str| config.get(name).is_some_and(|value| !value.is_null());
            if set("message") && (set("content_type") || set("body")) {
                return Err("message cannot be used with content_type or body".into());
            }
            if set("content_type") && !set("body") {
                return Err("content_type requires a body".into());
            }
            Ok(())
        });
        PluginSchema::http(NAME, config)
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let mut config: Config = config::read(NAME, config)?;
        if config.status_code < 200 {
            let said = config.status_code;
            tracing::warn!(plugin = NAME, id = %env.id, "{said} announces an answer and is none: it is 503 instead");
            config.status_code = 503;
        }
        let status = StatusCode::from_u16(config.status_code)
            .map_err(|error| BuildError { plugin: NAME, why: error.to_string() })?;
        Ok(Arc::new(Instance { config, status }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        test::matches_recording(&RequestTermination);
        test::build(&RequestTermination, json!({}));
        let refused = |config| test::complete(&RequestTermination, config).unwrap_err();
        assert!(refused(json!({"content_type": "a/b"})).contains("config: content_type requires a body"));
        assert!(refused(json!({"message": "a", "body": "b"})).contains("message cannot be used with"));
    }
}
