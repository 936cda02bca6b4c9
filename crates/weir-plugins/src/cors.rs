//! `cors`: lets pages of other origins use a service (the Fetch standard, 3.2, "CORS protocol").
//!
//! Phases: access answers preflight requests; header_filter adds to every other answer.
//!
//! ```yaml
//! plugins:
//! - name: cors
//!   config: {origins: ["https://app.example.com"], credentials: true, max_age: 600}
//! ```

use std::sync::Arc;

use http::{Method, StatusCode};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::PluginSchema;
use weir_model::schema::{Rule, array, boolean, number, record, string, types};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Headers, Kind, Phases, Plugin};

use crate::config;

const NAME: &str = "cors";
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const METHODS: [&str; 9] = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
/// How large a pattern may become when it is compiled.
const PATTERN_LIMIT: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    origins: Option<Vec<String>>,
    headers: Option<Vec<String>>,
    exposed_headers: Option<Vec<String>>,
    methods: Option<Vec<String>>,
    max_age: Option<f64>,
    credentials: bool,
    private_network: bool,
    preflight_continue: bool,
}

/// Which origins are let in.
enum Origins {
    /// All.
    Any,
    /// This one, shown whoever asks.
    One(String),
    /// The first that matches.
    List(Vec<Origin>),
}

enum Origin {
    Any,
    /// Scheme, host and port, all in normal form.
    Exact(String),
    /// A host of any scheme.
    Host(String),
    /// A pattern for the whole origin.
    Pattern(Regex),
    /// A pattern for the host and port alone.
    HostPattern(Regex),
}

struct Instance {
    config: Config,
    origins: Origins,
    allow_methods: String,
}

impl Instance {
    fn is_preflight(ctx: &Ctx<'_>) -> bool {
        ctx.method == Method::OPTIONS
            && ctx.headers.contains("Origin")
            && ctx.headers.contains("Access-Control-Request-Method")
    }

    /// Adds what says which origin is let in, and whether with credentials.
    fn origin_and_credentials(&self, ctx: &Ctx<'_>, response: &mut Headers) {
        let origin = ctx.headers.get_str("Origin");
        let any = match &self.origins {
            Origins::Any => {
                response.set(ALLOW_ORIGIN, "*");
                true
            }
            Origins::One(one) => {
                add_vary(response);
                response.set(ALLOW_ORIGIN, one);
                false
            }
            Origins::List(list) => {
                add_vary(response);
                let found = origin.and_then(|origin| list.iter().find(|one| one.matches(origin)));
                match (found, origin) {
                    (Some(Origin::Any), _) => response.set(ALLOW_ORIGIN, "*"),
                    (Some(_), Some(origin)) => response.set(ALLOW_ORIGIN, origin),
                    // What the service says of origins does not count: this plugin was put before it to say so.
                    _ => drop(response.remove(ALLOW_ORIGIN)),
                }
                matches!(found, Some(Origin::Any))
            }
        };
        if !self.config.credentials {
            return;
        }
        if any {
            // A wildcard does not go with credentials, so the origin that asks is named.
            let Some(origin) = origin else { return };
            add_vary(response);
            response.set(ALLOW_ORIGIN, origin);
        }
        response.set("Access-Control-Allow-Credentials", "true");
    }

    fn preflight(&self, ctx: &Ctx<'_>) -> Answer {
        let mut answer = Answer::empty(StatusCode::OK);
        let headers = &mut answer.headers;
        self.origin_and_credentials(ctx, headers);
        match &self.config.headers {
            Some(list) if !list.is_empty() => headers.set("Access-Control-Allow-Headers", list.join(",")),
            _ => {
                if let Some(asked) = ctx.headers.get("Access-Control-Request-Headers") {
                    headers.set("Access-Control-Allow-Headers", asked);
                }
            }
        }
        headers.set("Access-Control-Allow-Methods", &self.allow_methods);
        let asks_network = ctx.headers.get("Access-Control-Request-Private-Network") == Some(b"true");
        if self.config.private_network && asks_network {
            headers.set("Access-Control-Allow-Private-Network", "true");
        }
        if let Some(seconds) = self.config.max_age {
            headers.set("Access-Control-Max-Age", seconds.to_string());
        }
        answer
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, header_filter: true, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        if self.config.preflight_continue || !Self::is_preflight(ctx) {
            return Flow::Continue;
        }
        self.preflight(ctx).into()
    }

    fn header_filter(&self, ctx: &mut Ctx<'_>, response: &mut Headers) {
        if !self.config.preflight_continue && Self::is_preflight(ctx) {
            // The preflight's answer is complete, if it was ours; if another plugin's came first, this is not one.
            if response.contains("Access-Control-Allow-Methods") {
                return;
            }
        }
        self.origin_and_credentials(ctx, response);
        if let Some(list) = self.config.exposed_headers.as_ref().filter(|list| !list.is_empty()) {
            response.set("Access-Control-Expose-Headers", list.join(","));
        }
    }
}

/// Says that the answer depends on the origin.
fn add_vary(response: &mut Headers) {
    match response.get_str("Vary") {
        Some(vary) if vary.split(',').any(|name| name.trim().eq_ignore_ascii_case("origin")) => {}
        Some(vary) => {
            let vary = format!("{vary}, Origin");
            response.set("Vary", vary);
        }
        None => response.append("Vary", "Origin"),
    }
}

impl Origin {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if is_plain(text) {
            return Ok(match text.contains("://") {
                true => Self::Exact(normal(text)),
                false => Self::Host(text.to_ascii_lowercase()),
            });
        }
        // A pattern that ended early would let in whoever puts more after it.
        let pattern = RegexBuilder::new(&format!("(?:{text})$"))
            .case_insensitive(true)
            .size_limit(PATTERN_LIMIT)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(if text.contains('/') { Self::Pattern(pattern) } else { Self::HostPattern(pattern) })
    }

    fn matches(&self, origin: &str) -> bool {
        let host = || origin.split_once("://").map_or(origin, |(_, host)| host);
        match self {
            Self::Any => true,
            Self::Exact(exact) => normal(origin) == *exact,
            Self::Host(name) => host().eq_ignore_ascii_case(name),
            Self::Pattern(pattern) => pattern.is_match(origin),
            Self::HostPattern(pattern) => pattern.is_match(host()),
        }
    }
}

/// Whether a text is an origin and not a pattern for some.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:/-".contains(&b))
}

/// An origin in lower case, without the port that goes without saying.
fn normal(origin: &str) -> String {
    let lower = origin.to_ascii_lowercase();
    let lower = lower.strip_suffix('/').unwrap_or(&lower);
    let port = match lower.split_once("://") {
        Some(("http", _)) => ":80",
        Some(("https", _)) => ":443",
        _ => "",
    };
    lower.strip_suffix(port).unwrap_or(lower).to_owned()
}

/// The kind of plugin.
pub(crate) struct Cors;

impl Kind for Cors {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        2000
    }

    fn schema(&self) -> PluginSchema {
        let origin = string().check(|value| {
            let text = types::as_text(value);
            if text == "*" {
                return Ok(());
            }
            Rule::IsRegex.apply(value)
        });
        let config = record([
            ("origins", array(origin)),
            ("headers", types::strings()),
            ("exposed_headers", types::strings()),
            ("methods", array(string().one_of(METHODS)).default(json!(METHODS))),
            ("max_age", number()),
            ("credentials", boolean().required().default(false)),
            ("private_network", boolean().required().default(false)),
            ("preflight_continue", boolean().required().default(false)),
        ]);
        PluginSchema::http(NAME, config).no_consumer()
    }

    fn build(&self, config: &Value, _: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let wrong = |why| BuildError { plugin: NAME, why };
        let origins = match config.origins.as_deref() {
            None | Some([]) => Origins::Any,
            Some([one]) if one == "*" => Origins::Any,
            Some([one]) if is_plain(one) => Origins::One(one.clone()),
            Some(list) => {
                let parsed: Result<Vec<_>, _> = list.iter().map(|one| Origin::parse(one)).collect();
                Origins::List(parsed.map_err(wrong)?)
            }
        };
        let allow_methods = config.methods.as_ref().map(|list| list.join(",")).unwrap_or_default();
        Ok(Arc::new(Instance { config, origins, allow_methods }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        test::matches_recording(&Cors);
        test::build(&Cors, json!({"origins": ["*", "a.test", ".*\\.b\\.test"], "max_age": 5}));
        assert!(
            test::complete(&Cors, json!({"origins": ["("]}))
                .unwrap_err()
                .contains("'(' is not a valid regex")
        );
    }

    #[test]
    fn origins_match_whole() {
        let matches = |pattern: &str, origin: &str| Origin::parse(pattern).unwrap().matches(origin);
        assert!(matches("http://A.test:80", "http://a.TEST"));
        assert!(!matches("http://a.test", "https://a.test"));
        assert!(matches("a.test", "https://a.test"));
        assert!(matches(".*\\.a\\.test", "https://x.a.test"));
        assert!(matches("https?://.*\\.a\\.test", "https://x.a.test"));
        assert!(!matches("https?://.*\\.a\\.test", "https://x.a.test.evil.test"));
        assert!(!matches(".*\\.a\\.test", "https://xa.test"));
    }
}
