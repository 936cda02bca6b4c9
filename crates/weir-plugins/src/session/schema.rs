//! What the configuration may be, and what it is read into.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use weir_mint::Secret;
use weir_model::schema::{Auto, Field, Shorthand, boolean, number, record, set, string};
use weir_model::{Errors, PluginSchema};

use super::cookie;

/// Which header fields tell of a session.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Tells {
    Id,
    Audience,
    Subject,
    Timeout,
    IdlingTimeout,
    RollingTimeout,
    AbsoluteTimeout,
}

/// Where it is kept whose session it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Storage {
    /// In the cookie.
    #[default]
    Cookie,
    /// In the gateway's store.
    Kong,
}

/// The configuration. Kong lets most fields be null; that stands for what a field is without being given, and for
/// timeouts that there are none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pub(super) secret: Secret,
    pub(super) storage: Option<Storage>,
    pub(super) audience: Option<String>,
    pub(super) idling_timeout: Option<f64>,
    pub(super) rolling_timeout: Option<f64>,
    pub(super) absolute_timeout: Option<f64>,
    pub(super) stale_ttl: Option<f64>,
    pub(super) cookie_name: Option<String>,
    pub(super) cookie_path: Option<String>,
    pub(super) cookie_domain: Option<String>,
    pub(super) cookie_same_site: Option<String>,
    pub(super) cookie_http_only: Option<bool>,
    pub(super) cookie_secure: Option<bool>,
    pub(super) remember: Option<bool>,
    pub(super) remember_cookie_name: Option<String>,
    pub(super) remember_rolling_timeout: Option<f64>,
    pub(super) remember_absolute_timeout: Option<f64>,
    pub(super) response_headers: Option<Vec<Tells>>,
    pub(super) request_headers: Option<Vec<Tells>>,
    pub(super) read_body_for_logout: Option<bool>,
    pub(super) logout_methods: Option<Vec<String>>,
    pub(super) logout_query_arg: Option<String>,
    pub(super) logout_post_arg: Option<String>,
}

const TOLD: [&str; 7] =
    ["id", "audience", "subject", "timeout", "idling-timeout", "rolling-timeout", "absolute-timeout"];

/// The definition of the configuration.
pub(super) fn schema() -> PluginSchema {
    let text = |default: &str| string().default(default);
    let seconds = |default: u32| number().default(default);
    let told = || set(string().one_of(TOLD));
    let secret = string().optional().auto(Auto::Token).secret().check(not_empty);
    let config = record([
        ("secret", secret.show("referenceable", true).show("encrypted", true)),
        ("storage", text("cookie").one_of(["cookie", "kong"])),
        ("audience", text("default")),
        ("idling_timeout", seconds(900)),
        ("rolling_timeout", seconds(3600)),
        ("absolute_timeout", seconds(86_400)),
        ("stale_ttl", seconds(10)),
        ("cookie_name", text("session").check(cookie_name)),
        ("cookie_path", text("/").check(cookie_attribute)),
        ("cookie_domain", string().check(cookie_attribute)),
        ("cookie_same_site", text("Strict").one_of(["Strict", "Lax", "None", "Default"])),
        ("cookie_http_only", boolean().default(true)),
        ("cookie_secure", boolean().default(true)),
        ("remember", boolean().default(false)),
        ("remember_cookie_name", text("remember").check(cookie_name)),
        ("remember_rolling_timeout", seconds(604_800)),
        ("remember_absolute_timeout", seconds(2_592_000)),
        ("response_headers", told()),
        ("request_headers", told()),
        ("read_body_for_logout", boolean().default(false)),
        (
            "logout_methods",
            set(string().one_of(["GET", "POST", "DELETE"])).default(json!(["POST", "DELETE"])),
        ),
        ("logout_query_arg", text("session_logout")),
        ("logout_post_arg", text("session_logout")),
    ]);
    PluginSchema::any_protocol(super::NAME, config.shorthands(old_names())).no_consumer()
}

/// The names that the fields had before Kong 3.2.
fn old_names() -> [Shorthand; 7] {
    let old = |name, field: Field, expand| Shorthand::expand(name, field, expand);
    [
        old("cookie_lifetime", number(), |value| one("absolute_timeout", value)),
        old("cookie_idletime", number(), |value| one("idling_timeout", value)),
        // Cookies are renewed in the last quarter of the rolling timeout, whatever this says.
        old("cookie_renew", number(), |_| Map::new()),
        old("cookie_discard", number(), |value| one("stale_ttl", value)),
        old("cookie_samesite", string(), |value| match value.as_str() {
            Some("off") => one("cookie_same_site", &json!("Default")),
            _ => one("cookie_same_site", value),
        }),
        old("cookie_httponly", boolean(), |value| one("cookie_http_only", value)),
        old("cookie_persistent", boolean(), |value| one("remember", value)),
    ]
}

fn one(name: &str, value: &Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value.clone())])
}

fn not_empty(value: &Value) -> Result<(), Errors> {
    if value.as_str().is_some_and(str::is_empty) { Err("must not be empty".into()) } else { Ok(()) }
}

fn cookie_name(value: &Value) -> Result<(), Errors> {
    if value.as_str().is_some_and(cookie::is_name) { Ok(()) } else { Err("is no name of a cookie".into()) }
}

fn cookie_attribute(value: &Value) -> Result<(), Errors> {
    if value.as_str().is_some_and(cookie::is_attribute) {
        Ok(())
    } else {
        Err("must be printable ASCII without ';'".into())
    }
}
