//! What can be configured, and how it becomes an instance. Fields bear the names of Kong Enterprise's plugin where they mean
//! the same.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use oauth2::RedirectUrl;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_kernel::Purpose;
use weir_mint::Secret;
use weir_model::PluginSchema;
use weir_model::schema::{
    Auto, EntityCheck, Record, array, boolean, integer, number, record, set, string, text, types,
};
use weir_plugin::{BuildError, Env};
use zeroize::Zeroizing;

use super::claims::Expected;
use super::provider::{Provider, Rules, is_safe};
use super::requests::{Auth, Client};
use super::seal::{Jar, Seal};
use super::session::Sessions;
use super::{Inner, MAX_ANSWER, Methods, NAME};
use crate::auth::{Attempts, Gate, challenge};
use crate::config;
use crate::fetch::Fetch;
use crate::jws::Algorithm;
use crate::recent::Recent;

/// The algorithms that a provider may sign by. HMAC is none of them, nor is `none`.
const ALGORITHMS: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/// By what a consumer is found.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConsumerBy {
    Username,
    CustomId,
    Id,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Bearer,
    Introspection,
    AuthorizationCode,
    Session,
    RefreshToken,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    issuer: String,
    client_id: String,
    client_secret: Option<Secret>,
    client_auth: Auth,
    auth_methods: Vec<Method>,
    redirect_uri: Option<String>,
    scopes: Vec<String>,
    response_mode: String,
    login_action: String,
    login_redirect_uri: Option<String>,
    logout_path: Option<String>,
    logout_methods: Vec<String>,
    logout_redirect_uri: Option<String>,
    logout_revoke: bool,
    session_secret: Option<Secret>,
    session_cookie_name: String,
    session_cookie_path: String,
    session_cookie_domain: Option<String>,
    session_cookie_same_site: String,
    session_absolute_timeout: u64,
    session_idling_timeout: u64,
    issuers_allowed: Option<Vec<String>>,
    audience_required: Option<Vec<String>>,
    scopes_required: Option<Vec<String>>,
    scopes_claim: Vec<String>,
    algorithms: Vec<String>,
    leeway: f64,
    consumer_claim: Option<Vec<String>>,
    consumer_by: Vec<ConsumerBy>,
    consumer_optional: bool,
    credential_claim: Vec<String>,
    authenticated_groups_claim: Option<Vec<String>>,
    upstream_headers_claims: Option<Vec<String>>,
    upstream_headers_names: Option<Vec<String>>,
    upstream_access_token_header: Option<String>,
    hide_credentials: bool,
    anonymous: Option<String>,
    run_on_preflight: bool,
    realm: Option<String>,
    timeout: f64,
    ssl_verify: bool,
    cache_ttl: f64,
    discovery_ttl: f64,
    rediscovery_lifetime: f64,
    stale_ttl: f64,
}

/// What a configuration may be.
pub(super) fn schema() -> PluginSchema {
    let texts = || array(text());
    let config = record([
        ("issuer", text().required()),
        ("client_id", text().required()),
        ("client_secret", text().secret().show("encrypted", true)),
        (
            "client_auth",
            string()
                .required()
                .one_of(["client_secret_basic", "client_secret_post", "none"])
                .default("client_secret_basic"),
        ),
        (
            "auth_methods",
            set(string().one_of([
                "bearer",
                "introspection",
                "authorization_code",
                "session",
                "refresh_token",
            ]))
            .required()
            .default(json!(["bearer"])),
        ),
        ("redirect_uri", text()),
        ("scopes", texts().required().default(json!(["openid"]))),
        ("response_mode", string().required().one_of(["query", "form_post"]).default("query")),
        ("login_action", string().required().one_of(["redirect", "upstream"]).default("redirect")),
        ("login_redirect_uri", text()),
        ("logout_path", types::path()),
        (
            "logout_methods",
            set(string().one_of(["GET", "POST", "DELETE"])).required().default(json!(["POST", "DELETE"])),
        ),
        ("logout_redirect_uri", text()),
        ("logout_revoke", boolean().required().default(true)),
        ("session_secret", string().auto(Auto::Token).secret().show("encrypted", true)),
        ("session_cookie_name", text().required().default("session")),
        ("session_cookie_path", types::path().required().default("/")),
        ("session_cookie_domain", types::host()),
        (
            "session_cookie_same_site",
            string().required().one_of(["Strict", "Lax", "None", "Default"]).default("Lax"),
        ),
        ("session_absolute_timeout", integer().between(0, i64::from(u32::MAX)).required().default(86400)),
        ("session_idling_timeout", integer().between(0, i64::from(u32::MAX)).required().default(900)),
        ("issuers_allowed", texts()),
        ("audience_required", texts()),
        ("scopes_required", texts()),
        ("scopes_claim", texts().required().default(json!(["scope"]))),
        (
            "algorithms",
            set(string().one_of(ALGORITHMS))
                .required()
                .default(json!(["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])),
        ),
        ("leeway", number().between(0, 600).required().default(5)),
        ("consumer_claim", texts()),
        (
            "consumer_by",
            array(string().one_of(["username", "custom_id", "id"]))
                .required()
                .default(json!(["username", "custom_id"])),
        ),
        ("consumer_optional", boolean().required().default(false)),
        ("credential_claim", texts().required().default(json!(["sub"]))),
        ("authenticated_groups_claim", texts()),
        ("upstream_headers_claims", texts()),
        ("upstream_headers_names", array(types::header_name())),
        ("upstream_access_token_header", types::header_name()),
        ("hide_credentials", boolean().required().default(false)),
        ("anonymous", string()),
        ("run_on_preflight", boolean().required().default(true)),
        ("realm", string()),
        ("timeout", number().between(1, 600_000).required().default(10_000)),
        ("ssl_verify", boolean().required().default(true)),
        ("cache_ttl", number().between(0, 86_400).required().default(60)),
        ("discovery_ttl", number().between(1, 31_536_000).required().default(3600)),
        ("rediscovery_lifetime", number().between(1, 86_400).required().default(30)),
        ("stale_ttl", number().between(0, 31_536_000).required().default(86_400)),
    ]);
    let fits = EntityCheck::Custom { fields: Vec::new(), run_with_missing_fields: true, check: fits };
    PluginSchema::http(NAME, config.checks([fits])).no_consumer()
}

/// What fields have to do with each other.
fn fits(config: &Record) -> Result<(), String> {
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    let has = |name: &str, value: &str| {
        config.get(name).and_then(Value::as_array).is_some_and(|list| list.iter().any(|one| one == value))
    };
    let count = |name: &str| config.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    if !is_issuer(text("issuer").unwrap_or_default()) {
        return Err(
            "issuer must be an https URL without query and fragment, or an http URL on loopback".to_owned()
        );
    }
    if has("auth_methods", "authorization_code") {
        let Some(redirect) = text("redirect_uri") else {
            return Err("redirect_uri is needed for authorization_code".to_owned());
        };
        if !is_redirect(redirect) {
            return Err("redirect_uri must be an absolute http or https URL without fragment".to_owned());
        }
        if !has("auth_methods", "session") && text("login_action") != Some("upstream") {
            return Err("a login without session is of no use unless login_action is 'upstream'".to_owned());
        }
    }
    if has("auth_methods", "introspection")
        && text("client_secret").is_none()
        && text("client_auth") != Some("none")
    {
        return Err("client_secret is needed for introspection".to_owned());
    }
    let name = text("session_cookie_name").unwrap_or_default();
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) || name.len() > 64 {
        return Err("session_cookie_name must be letters, digits, '-', '_' and '.', 64 at most".to_owned());
    }
    if text("session_cookie_path").is_some_and(|path| path.contains(';')) {
        return Err("session_cookie_path must not contain ';'".to_owned());
    }
    if count("upstream_headers_claims") != count("upstream_headers_names") {
        return Err("upstream_headers_claims and upstream_headers_names must be as many".to_owned());
    }
    Ok(())
}

fn is_issuer(url: &str) -> bool {
    is_safe(url, true) && !url.contains(['?', '#'])
}

fn is_redirect(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && !url.contains('#')
}

/// An instance with this configuration.
pub(super) fn build(config: &Value, env: &Env, attempts: &Arc<Attempts>) -> Result<Inner, BuildError> {
    let config: Config = config::read(NAME, config)?;
    let wrong = |why: String| BuildError { plugin: NAME, why };
    let fetch = Fetch::new(config.ssl_verify, MAX_ANSWER).map_err(|error| wrong(error.to_string()))?;
    let timeout = seconds(config.timeout / 1000.0);
    let rules = Rules {
        life: seconds(config.discovery_ttl),
        stale: seconds(config.stale_ttl),
        interval: seconds(config.rediscovery_lifetime),
        patience: timeout,
    };
    let has = |method| config.auth_methods.contains(&method);
    let methods = Methods {
        bearer: has(Method::Bearer),
        introspection: has(Method::Introspection),
        code: has(Method::AuthorizationCode),
        session: has(Method::Session),
        refresh: has(Method::RefreshToken),
    };
    let redirect = match &config.redirect_uri {
        Some(url) => Some(RedirectUrl::new(url.clone()).map_err(|error| wrong(error.to_string()))?),
        None => None,
    };
    let sessions =
        sessions(&config, methods).ok_or_else(|| wrong("no key for sessions can be made".to_owned()))?;
    let form_post = config.response_mode == "form_post";
    let secure = config.redirect_uri.as_deref().is_none_or(|url| url.starts_with("https:"));
    // A form that another site posts brings only cookies that are for all sites.
    let same_site = if form_post { "None" } else { "Lax" };
    let login_jar =
        Jar { path: "/".to_owned(), domain: config.session_cookie_domain.clone(), same_site, secure };
    let uri = config.redirect_uri.as_deref().and_then(|url| url.parse::<Uri>().ok());
    let claims = config.upstream_headers_claims.unwrap_or_default();
    let names = config.upstream_headers_names.unwrap_or_default();
    let anonymous = config.anonymous.filter(|name| !name.is_empty());
    let has_anonymous = anonymous.is_some();
    let challenge = challenge("Bearer", config.realm.as_deref());
    Ok(Inner {
        gate: Gate::new(NAME, env.id, anonymous, config.run_on_preflight, attempts),
        provider: Arc::new(Provider::new(config.issuer.clone(), fetch.clone(), rules)),
        expected: Expected {
            issuer: config.issuer,
            issuers: config.issuers_allowed.unwrap_or_default(),
            client_id: config.client_id.clone(),
            audience: config.audience_required.unwrap_or_default(),
            algorithms: config.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect(),
            leeway: config.leeway,
        },
        client: Client {
            id: config.client_id,
            secret: config.client_secret,
            auth: config.client_auth,
            redirect,
            scopes: config.scopes,
            form_post: form_post && methods.code,
            fetch,
        },
        sessions,
        login_jar,
        methods,
        accepted: Recent::default(),
        life: seconds(config.cache_ttl),
        timeout,
        challenge,
        redirect_path: uri.as_ref().map(|uri| uri.path().to_owned()),
        origin: uri.as_ref().map(origin).unwrap_or_default(),
        login_redirect: config.login_redirect_uri,
        login_upstream: config.login_action == "upstream",
        logout_path: config.logout_path,
        logout_methods: config.logout_methods,
        logout_redirect: config.logout_redirect_uri,
        logout_revoke: config.logout_revoke,
        scopes_required: config.scopes_required.unwrap_or_default(),
        scopes_claim: config.scopes_claim,
        consumer_claim: config.consumer_claim.unwrap_or_default(),
        consumer_by: config.consumer_by,
        consumer_optional: config.consumer_optional,
        credential_claim: config.credential_claim,
        groups_claim: config.authenticated_groups_claim.unwrap_or_default(),
        upstream: claims.into_iter().zip(names).collect(),
        upstream_access_token: config.upstream_access_token_header,
        hide: config.hide_credentials,
        has_anonymous,
    })
}

fn sessions(config: &Config, methods: Methods) -> Option<Sessions> {
    let seal = match &config.session_secret {
        Some(secret) => Seal::new(secret.expose().as_bytes())?,
        // Nobody shares what is drawn for this instance alone.
        None => {
            let mut secret = Zeroizing::new([0; 32]);
            weir_kernel::try_fill_for(Purpose::Key, secret.as_mut()).ok()?;
            Seal::new(secret.as_ref())?
        }
    };
    let jar = Jar {
        path: config.session_cookie_path.clone(),
        domain: config.session_cookie_domain.clone(),
        same_site: match config.session_cookie_same_site.as_str() {
            "Strict" => "Strict",
            "None" => "None",
            "Default" => "",
            _ => "Lax",
        },
        secure: config.redirect_uri.as_deref().is_none_or(|url| url.starts_with("https:")),
    };
    let keep = (
        config.upstream_access_token_header.is_some() || config.logout_revoke && config.logout_path.is_some(),
        methods.refresh,
        config.logout_path.is_some(),
    );
    Some(Sessions::new(
        seal,
        jar,
        config.session_cookie_name.clone(),
        (config.session_absolute_timeout, config.session_idling_timeout),
        [&config.issuer, &config.client_id],
        kept_claims(config),
        keep,
    ))
}

/// The claims that a session has to keep for what is configured.
fn kept_claims(config: &Config) -> Vec<String> {
    let paths = [
        config.consumer_claim.as_ref(),
        Some(&config.credential_claim),
        config.authenticated_groups_claim.as_ref(),
    ];
    let mut names = vec!["iss".to_owned(), "sub".to_owned()];
    names.extend(paths.into_iter().flatten().filter_map(|path| path.first().cloned()));
    names.extend(config.upstream_headers_claims.iter().flatten().cloned());
    if config.scopes_required.as_ref().is_some_and(|scopes| !scopes.is_empty()) {
        names.extend(config.scopes_claim.first().cloned());
    }
    names.sort();
    names.dedup();
    names
}

fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("https"))
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test;
    use crate::openid_connect::OpenidConnect;

    #[test]
    fn schema_and_type_agree() {
        let kind = OpenidConnect(Arc::default());
        let least = || json!({"issuer": "https://idp.test", "client_id": "weir"});
        test::build(&kind, least());
        let with = |more: Value| {
            let mut config = least();
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            test::complete(&kind, config)
        };
        let complete = with(json!({})).unwrap();
        assert_eq!(complete["session_secret"], "token", "minted when it is left out");
        for good in [
            json!({"issuer": "http://127.0.0.1:9"}),
            json!({"auth_methods": ["authorization_code", "session"], "redirect_uri": "https://a.test/cb"}),
        ] {
            assert!(with(good.clone()).is_ok(), "{good}: {:?}", with(good.clone()));
        }
        for (bad, why) in [
            (json!({"issuer": "http://idp.test"}), "issuer"),
            (json!({"issuer": "https://idp.test/?a"}), "issuer"),
            (json!({"auth_methods": ["authorization_code", "session"]}), "redirect_uri"),
            (
                json!({"auth_methods": ["authorization_code"], "redirect_uri": "https://a.test/cb"}),
                "login_action",
            ),
            (
                json!({"auth_methods": ["authorization_code", "session"], "redirect_uri": "/cb"}),
                "redirect_uri",
            ),
            (json!({"auth_methods": ["introspection"]}), "client_secret"),
            (json!({"algorithms": ["HS256"]}), "expected one of"),
            (json!({"algorithms": ["none"]}), "expected one of"),
            (json!({"session_cookie_name": "a;b"}), "session_cookie_name"),
            (json!({"upstream_headers_claims": ["email"]}), "upstream_headers"),
        ] {
            let error = with(bad.clone()).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
