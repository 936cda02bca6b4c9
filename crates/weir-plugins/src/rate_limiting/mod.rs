//! `rate-limiting`: so many requests in a second, a minute, an hour, a day, a month, a year.
//!
//! Phases: access counts and refuses. Counts are kept in memory, for all workers of this node together, and are exact: of
//! any number of requests at once, no more than the limit get through. Windows begin at full seconds, minutes and so on
//! (UTC), as Kong's do.
//!
//! The policies `cluster` and `redis` are accepted, so that configurations can be carried over, but this version counts
//! on each node alone; with `fault_tolerant: false` a limit that was to hold across nodes fails closed, with 500.
//!
//! ```yaml
//! plugins:
//! - name: rate-limiting
//!   config: {minute: 60, policy: local}
//! ```

mod counters;
mod window;

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use weir_model::PluginSchema;
use weir_model::lua::EMPTY_SEGMENT;
use weir_model::schema::{
    Condition, Conditional, EntityCheck, Field, Rule, Shorthand, boolean, integer, number, record, string,
    types,
};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Kind, Phases, Plugin};

use crate::config;
pub use counters::Counters;
use counters::{Key, Taken};
use window::Window;

const NAME: &str = "rate-limiting";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    second: Option<f64>,
    minute: Option<f64>,
    hour: Option<f64>,
    day: Option<f64>,
    month: Option<f64>,
    year: Option<f64>,
    limit_by: Option<LimitBy>,
    header_name: Option<String>,
    path: Option<String>,
    policy: Option<Policy>,
    fault_tolerant: bool,
    #[expect(dead_code, reason = "counts are kept on this node alone")]
    redis: Value,
    hide_client_headers: bool,
    error_code: Option<f64>,
    error_message: Option<String>,
    #[expect(dead_code, reason = "counts are kept on this node alone")]
    sync_rate: f64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LimitBy {
    Consumer,
    Credential,
    Ip,
    Service,
    Header,
    Path,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Policy {
    Local,
    Cluster,
    Redis,
}

struct Instance {
    config: Config,
    id: [u8; 16],
    limits: Vec<(Window, f64)>,
    status: StatusCode,
    counters: Arc<Counters>,
}

impl Instance {
    /// Whom a request counts for. What it is to be told apart by may be missing; then it is the client's address.
    fn key(&self, ctx: &Ctx<'_>) -> Key<'_> {
        let key = Key::new(&self.counters, &self.id);
        let by = self.config.limit_by.unwrap_or(LimitBy::Consumer);
        let identity = ctx.identity;
        let known = match by {
            LimitBy::Consumer => identity.map(|identity| key.id(identity.consumer.id.as_bytes())),
            LimitBy::Credential => identity
                .and_then(|identity| identity.credential)
                .map(|credential| key.id(credential.id.as_bytes())),
            LimitBy::Ip => None,
            LimitBy::Service => ctx.service.map(|service| key.id(service.id.as_bytes())),
            LimitBy::Header => {
                let name = self.config.header_name.as_deref().unwrap_or_default();
                ctx.headers.get(name).filter(|value| !value.is_empty()).map(|value| key.bytes(value))
            }
            LimitBy::Path => {
                let path = self.config.path.as_deref();
                path.filter(|path| *path == ctx.path()).map(|path| key.bytes(path.as_bytes()))
            }
        };
        known.unwrap_or_else(|| key.ip(ctx.client.ip))
    }

    /// Tells the client where it stands: each window, and the one that it will hit first. Gives how long that one lasts.
    fn tell(&self, ctx: &mut Ctx<'_>, taken: &Taken) -> u64 {
        let mut digits = itoa::Buffer::new();
        let mut tightest: Option<(f64, f64, Window)> = None;
        for ((window, limit), used) in self.limits.iter().zip(&taken.used) {
            let left = (limit - *used as f64).max(0.0);
            let tighter = tightest.is_none_or(|(_, other, before)| {
                left < other || (left == other && window.seconds() > before.seconds())
            });
            if tighter {
                tightest = Some((*limit, left, *window));
            }
            if !self.config.hide_client_headers {
                ctx.response.set(window.limit_header(), decimal(*limit, &mut digits));
                ctx.response.set(window.remaining_header(), decimal(left, &mut digits));
            }
        }
        let Some((limit, left, window)) = tightest else { return 1 };
        let reset = window.reset_seconds(ctx.started_ms);
        if !self.config.hide_client_headers {
            ctx.response.set("RateLimit-Limit", decimal(limit, &mut digits));
            ctx.response.set("RateLimit-Remaining", decimal(left, &mut digits));
            ctx.response.set("RateLimit-Reset", digits.format(reset));
        }
        reset
    }
}

/// A number as Lua writes it: without a fraction where it has none.
fn decimal(number: f64, digits: &mut itoa::Buffer) -> Cow<'_, [u8]> {
    match number.fract() == 0.0 {
        true => digits.format(number as i64).as_bytes().into(),
        false => number.to_string().into_bytes().into(),
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        if self.config.policy.is_some_and(|policy| policy != Policy::Local) && !self.config.fault_tolerant {
            return Answer::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred").into();
        }
        let key = self.key(ctx);
        let taken = self.counters.take(key, &self.limits, ctx.started_ms);
        let reset = self.tell(ctx, &taken);
        if !taken.refused {
            return Flow::Continue;
        }
        let message =
            self.config.error_message.clone().unwrap_or_else(|| "API rate limit exceeded".to_owned());
        let answer = Answer::message(self.status, message);
        // Whoever is told nothing of limits is not told when to come back either.
        if self.config.hide_client_headers {
            return answer.into();
        }
        answer.header("Retry-After", itoa::Buffer::new().format(reset)).into()
    }
}

/// The kind of plugin.
pub(crate) struct RateLimiting {
    counters: Arc<Counters>,
}

impl RateLimiting {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters }
    }
}

impl Kind for RateLimiting {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        910
    }

    fn schema(&self) -> PluginSchema {
        let limit = || number().rule(Rule::Gt(0));
        let path = string()
            .rule(Rule::StartsWith("/"))
            .rule(Rule::MatchNone(vec![(EMPTY_SEGMENT, "must not have empty segments")]));
        let config = record([
            ("second", limit()),
            ("minute", limit()),
            ("hour", limit()),
            ("day", limit()),
            ("month", limit()),
            ("year", limit()),
            ("limit_by", by().default("consumer")),
            ("header_name", string()),
            ("path", path),
            ("policy", string().rule(Rule::LenMin(0)).one_of(["local", "cluster", "redis"]).default("local")),
            ("fault_tolerant", boolean().required().default(true)),
            ("redis", types::redis()),
            ("hide_client_headers", boolean().required().default(false)),
            ("error_code", number().rule(Rule::Gt(0)).default(429)),
            ("error_message", string().default("API rate limit exceeded")),
            ("sync_rate", number().required().default(-1)),
        ])
        .shorthands(old_redis_names())
        .check(limits_in_order);
        PluginSchema::http(NAME, config).checks(checks())
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        // Old names of fields are shown beside the new ones, never stored.
        let config: Config = config::read(NAME, config)?;
        let windows = [
            (Window::Second, config.second),
            (Window::Minute, config.minute),
            (Window::Hour, config.hour),
            (Window::Day, config.day),
            (Window::Month, config.month),
            (Window::Year, config.year),
        ];
        let limits =
            windows.into_iter().filter_map(|(window, limit)| limit.map(|limit| (window, limit))).collect();
        let code = config.error_code.unwrap_or(429.0);
        // The schema lets any number through; HTTP does not.
        let status = StatusCode::from_u16(code as u16).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        if config.policy.is_some_and(|policy| policy != Policy::Local) {
            tracing::warn!(plugin = NAME, id = %env.id, "the policy asks for counts across nodes; this version counts on each node");
        }
        Ok(Arc::new(Instance {
            config,
            id: *env.id.as_bytes(),
            limits,
            status,
            counters: Arc::clone(&self.counters),
        }))
    }
}

fn by() -> Field {
    string().one_of(["consumer", "credential", "ip", "service", "header", "path"])
}

fn old_redis_names() -> Vec<Shorthand> {
    const PREFIX: &str = "rate-limiting: config.";
    macro_rules! old {
        ($name:literal, $new:literal, $field:expr) => {
            Shorthand::renamed(
                $name,
                $field,
                &["redis", $new],
                concat!(
                    "rate-limiting: config.",
                    $name,
                    " is deprecated, please use config.redis.",
                    $new,
                    " instead"
                ),
            )
        };
    }
    debug_assert!(PREFIX.starts_with(NAME), "notices name the plugin");
    vec![
        old!("redis_host", "host", string()),
        old!("redis_port", "port", integer()),
        old!("redis_password", "password", string().rule(Rule::LenMin(0))),
        old!("redis_username", "username", string()),
        old!("redis_ssl", "ssl", boolean()),
        old!("redis_ssl_verify", "ssl_verify", boolean()),
        old!("redis_server_name", "server_name", string()),
        old!("redis_timeout", "timeout", integer()),
        old!("redis_database", "database", integer()),
    ]
}

fn checks() -> Vec<EntityCheck> {
    let needed = || Condition::required(vec![Rule::LenMin(1)]);
    let redis = |field, then_match| {
        EntityCheck::Conditional(Conditional {
            if_field: "config.policy",
            if_match: Condition::rule(Rule::Eq("redis".into())),
            then_field: field,
            then_match,
            then_err: None,
        })
    };
    let by = |value: &str, field| {
        EntityCheck::Conditional(Conditional {
            if_field: "config.limit_by",
            if_match: Condition {
                rules: vec![Rule::Eq(value.into()), Rule::LenMin(1)],
                ..Condition::default()
            },
            then_field: field,
            then_match: needed(),
            then_err: None,
        })
    };
    vec![
        EntityCheck::AtLeastOneOf(vec![
            "config.second",
            "config.minute",
            "config.hour",
            "config.day",
            "config.month",
            "config.year",
        ]),
        redis("config.redis.host", needed()),
        redis("config.redis.port", Condition::required(vec![])),
        redis("config.redis.timeout", Condition::required(vec![])),
        by("header", "config.header_name"),
        by("path", "config.path"),
    ]
}

/// A longer window with a lower limit would make the shorter one's limit meaningless.
fn limits_in_order(config: &Value) -> Result<(), weir_model::Errors> {
    let mut before: Option<(&str, f64)> = None;
    for name in ["second", "minute", "hour", "day", "month", "year"] {
        let Some(limit) = config.get(name).and_then(Value::as_f64) else { continue };
        match before {
            Some((shorter, low)) if limit < low => {
                let say = format!(
                    "the limit for {name}({limit:.1}) cannot be lower than the limit for {shorter}({low:.1})"
                );
                return Err(say.into());
            }
            _ => before = Some((name, limit)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::test;

    fn kind() -> RateLimiting {
        RateLimiting::new(Arc::default())
    }

    #[test]
    fn schema_and_type_agree() {
        test::matches_recording(&kind());
        test::build(&kind(), json!({"minute": 5, "redis_host": "h", "policy": "redis"}));
        let refused = |config| test::complete(&kind(), config).unwrap_err();
        assert!(
            refused(json!({})).contains("at least one of these fields must be non-empty: 'config.second'")
        );
        let say = refused(json!({"minute": 9, "hour": 3}));
        assert!(
            say.contains("config: the limit for hour(3.0) cannot be lower than the limit for minute(9.0)"),
            "{say}"
        );
        let say = refused(json!({"minute": 1, "policy": "redis"}));
        assert!(say.contains("config.redis: {\n  host = \"required field missing\"\n}"), "{say}");
    }

    #[test]
    fn numbers_are_written_as_lua_does() {
        let mut digits = itoa::Buffer::new();
        assert_eq!(*decimal(5.0, &mut digits), *b"5");
        assert_eq!(*decimal(1.5, &mut digits), *b"1.5");
    }
}
