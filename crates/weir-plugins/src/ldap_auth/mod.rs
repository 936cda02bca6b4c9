//! `ldap-auth`: finds out by a username and a password, which a directory server vouches for, who sends a request.
//!
//! Phase: access. Fails closed: without a password that the server accepts the answer is 401, and 500 while the server
//! cannot be asked. It waits for the server no longer than `timeout`, and remembers who was accepted for `cache_ttl`.
//!
//! A password is verified by a bind (RFC 4511 4.2) as `attribute=username,base_dn`. An empty one is never sent: servers
//! take such a bind for an anonymous one and accept it (RFC 4513 5.1.2).
//!
//! ```yaml
//! plugins:
//! - name: ldap-auth
//!   config: {ldap_host: ldap.example.com, ldaps: true, ldap_port: 636, verify_ldap_host: true,
//!            base_dn: "ou=people,dc=example,dc=com", attribute: uid, header_type: basic}
//! ```

mod message;
mod server;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_mint::Secret;
use weir_model::PluginSchema;
use weir_model::schema::{
    Condition, Conditional, EntityCheck, Rule, boolean, integer, number, record, string,
};
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Kind, Phases, Plugin, Resume};
use zeroize::Zeroizing;

use self::server::{Failure, Security, Server};
use crate::auth::{Attempts, Gate, Refusal, challenge};
use crate::config;
use crate::connect::Tls;
use crate::recent::{Key, Recent};

const NAME: &str = "ldap-auth";
const FIELDS: [&str; 2] = ["Proxy-Authorization", "Authorization"];
/// Nobody has a longer username and password.
const MAX_CREDENTIALS: usize = 4096;
/// How long the server may take where the configuration does not say.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    ldap_host: String,
    ldap_port: u16,
    ldaps: bool,
    start_tls: bool,
    verify_ldap_host: bool,
    base_dn: String,
    attribute: String,
    cache_ttl: f64,
    hide_credentials: bool,
    timeout: Option<f64>,
    keepalive: Option<f64>,
    anonymous: Option<String>,
    header_type: Option<String>,
    realm: Option<String>,
}

struct Instance(Arc<Inner>);

struct Inner {
    gate: Gate,
    server: Server,
    base: String,
    attribute: String,
    timeout: Duration,
    scheme: String,
    challenge: String,
    hide: bool,
    life: Duration,
    accepted: Recent<()>,
}

/// What a client shows.
struct Credentials {
    username: String,
    password: Secret,
}

/// What a header field holds.
enum Shown {
    /// Credentials of another scheme: not for this plugin.
    Other,
    /// Nothing that could be a username and a password.
    Malformed,
    Credentials(Credentials),
}

impl Inner {
    fn unauthorized(&self) -> Answer {
        Answer::message(StatusCode::UNAUTHORIZED, "Unauthorized").header("WWW-Authenticate", &self.challenge)
    }

    /// The credentials that the request shows, the first first.
    fn credentials(&self, ctx: &Ctx<'_>) -> Result<Vec<Credentials>, Refusal> {
        let (mut found, mut malformed) = (Vec::new(), false);
        for field in FIELDS {
            let mut values = ctx.headers.get_all(field);
            let Some(value) = values.next() else { continue };
            match shown(value, &self.scheme) {
                // Whoever reads the fields after us may choose the other one.
                _ if values.next().is_some() => malformed = true,
                Shown::Other => {}
                Shown::Malformed => malformed = true,
                Shown::Credentials(credentials) => found.push(credentials),
            }
        }
        match (found.is_empty(), malformed) {
            (false, _) => Ok(found),
            (true, true) => Err(Refusal::Wrong(self.unauthorized())),
            (true, false) => Err(Refusal::Missing(self.unauthorized())),
        }
    }

    fn key(&self, credentials: &Credentials) -> Option<Key> {
        self.accepted.key(&[credentials.username.as_bytes(), credentials.password.expose().as_bytes()])
    }

    /// The first of these that the server accepts.
    async fn ask(&self, all: Vec<Credentials>) -> Result<Option<String>, Failure> {
        for credentials in all {
            let name = message::name(&self.attribute, &credentials.username, &self.base);
            if self.server.accepts(&name, credentials.password.expose().as_bytes()).await? {
                if let Some(key) = self.key(&credentials) {
                    self.accepted.put(key, (), self.life);
                }
                return Ok(Some(credentials.username));
            }
        }
        Ok(None)
    }

    fn accept(&self, ctx: &mut Ctx<'_>, username: String) -> Flow {
        if self.hide {
            for field in FIELDS {
                ctx.headers.remove(field);
            }
        }
        ctx.authenticate_subject(username);
        Flow::Continue
    }

    fn conclude(&self, ctx: &mut Ctx<'_>, answer: Result<Option<String>, Failure>) -> Flow {
        // Of many guesses at once, some have failed while this one waited: whom they locked out is not told the rest.
        if answer.is_ok()
            && let Some(flow) = self.gate.locked_out(ctx)
        {
            return flow;
        }
        let refusal = match answer {
            Ok(Some(username)) => return self.accept(ctx, username),
            Ok(None) => Refusal::Wrong(self.unauthorized()),
            Err(error) => {
                let request_id = ctx.id.as_str();
                tracing::error!(plugin = NAME, id = %self.gate.id(), request_id, %error, "cannot ask the directory server");
                Refusal::Unknown(Answer::message(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "An unexpected error occurred",
                ))
            }
        };
        self.gate.refuse(ctx, refusal)
    }
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        let inner = &self.0;
        if let Some(flow) = inner.gate.before(ctx) {
            return flow;
        }
        let mut all = match inner.credentials(ctx) {
            Ok(all) => all,
            Err(refusal) => return inner.gate.refuse(ctx, refusal),
        };
        let known = |credentials: &Credentials| {
            inner.key(credentials).is_some_and(|key| inner.accepted.get(&key).is_some())
        };
        // Only the first: the others' turn comes when the server has refused it.
        if known(&all[0]) {
            let username = std::mem::take(&mut all[0].username);
            return inner.accept(ctx, username);
        }
        let inner = Arc::clone(inner);
        Flow::Wait(Box::pin(async move {
            let answer = tokio::time::timeout(inner.timeout, inner.ask(all)).await;
            let answer = answer.unwrap_or(Err(Failure::Slow));
            Box::new(move |ctx: &mut Ctx<'_>| inner.conclude(ctx, answer)) as Resume
        }))
    }
}

/// Reads `scheme base64(username:password)`, after RFC 7617.
fn shown(value: &[u8], scheme: &str) -> Shown {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let rest = match value.split_at_checked(scheme.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme.as_bytes()) => rest,
        _ => return Shown::Other,
    };
    let text = rest.trim_ascii();
    if !rest.is_empty() && !rest[0].is_ascii_whitespace() {
        return Shown::Other;
    }
    if text.len() > MAX_CREDENTIALS * 4 / 3 {
        return Shown::Malformed;
    }
    // Large enough from the beginning, so that no part of a password is left behind in memory.
    let mut bytes = Zeroizing::new(vec![0; MAX_CREDENTIALS + 4]);
    let decoded = BASE64.decode_slice(text, &mut bytes).ok();
    let pair = decoded.and_then(|length| std::str::from_utf8(&bytes[..length]).ok()?.split_once(':'));
    match pair {
        Some((username, password)) if is_good(username, password) => Shown::Credentials(Credentials {
            username: username.to_owned(),
            password: Secret::new(password.to_owned()),
        }),
        _ => Shown::Malformed,
    }
}

/// Neither is empty, and the username may stand in a header field.
fn is_good(username: &str, password: &str) -> bool {
    !username.is_empty() && !password.is_empty() && !username.chars().any(char::is_control)
}

/// The kind of plugin.
pub(crate) struct LdapAuth(pub(crate) Arc<Attempts>);

impl Kind for LdapAuth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1200
    }

    fn schema(&self) -> PluginSchema {
        let config = record([
            ("ldap_host", string().required()),
            ("ldap_port", integer().between(0, 65535).required().default(389)),
            ("ldaps", boolean().required().default(false)),
            ("start_tls", boolean().required().default(false)),
            ("verify_ldap_host", boolean().required().default(false)),
            ("base_dn", string().required()),
            ("attribute", string().required()),
            ("cache_ttl", number().required().default(60)),
            ("hide_credentials", boolean().required().default(false)),
            ("timeout", number().default(10000)),
            ("keepalive", number().default(60000)),
            ("anonymous", string()),
            ("header_type", string().default("ldap")),
            ("realm", string().optional()),
        ]);
        let either = EntityCheck::Conditional(Conditional {
            if_field: "ldaps",
            if_match: Condition::rule(Rule::Eq(json!(true))),
            then_field: "start_tls",
            then_match: Condition::rule(Rule::Eq(json!(false))),
            then_err: Some("'ldaps' and 'start_tls' cannot be enabled simultaneously"),
        });
        PluginSchema::http(NAME, config.checks([either])).no_consumer()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let tls = || {
            Tls::new(config.verify_ldap_host)
                .map_err(|error| BuildError { plugin: NAME, why: error.to_string() })
        };
        let security = match (config.ldaps, config.start_tls) {
            (true, _) => Security::Ldaps(tls()?),
            (false, true) => Security::StartTls(tls()?),
            (false, false) => Security::Plain,
        };
        let keepalive = config.keepalive.and_then(ms).unwrap_or_default();
        let scheme =
            config.header_type.filter(|scheme| !scheme.is_empty()).unwrap_or_else(|| "ldap".to_owned());
        // Kong writes its own scheme in capitals, and others as they are configured.
        let name = if scheme == "ldap" { "LDAP" } else { &scheme };
        let challenge = challenge(name, config.realm.as_deref());
        let inner = Inner {
            gate: Gate::new(NAME, env.id, config.anonymous, true, &self.0),
            server: Server::new(config.ldap_host, config.ldap_port, security, keepalive),
            base: config.base_dn,
            attribute: config.attribute,
            timeout: config.timeout.and_then(ms).filter(|time| !time.is_zero()).unwrap_or(PATIENCE),
            challenge,
            scheme,
            hide: config.hide_credentials,
            life: Duration::try_from_secs_f64(config.cache_ttl).unwrap_or_default(),
            accepted: Recent::default(),
        };
        Ok(Arc::new(Instance(Arc::new(inner))))
    }
}

/// So many milliseconds, unless that is no time.
fn ms(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number / 1000.0).ok()
}

/// What the fuzz target calls.
pub(crate) fn fuzz(input: &[u8]) {
    let _ = message::read(input);
    if let Shown::Credentials(credentials) = shown(input, "ldap") {
        let name = message::name("uid", &credentials.username, "dc=a");
        // The value ends where the base begins: nothing before it ends it.
        let value = name.strip_prefix("uid=").and_then(|rest| rest.strip_suffix(",dc=a")).unwrap_or("+");
        let mut characters = value.chars();
        while let Some(character) = characters.next() {
            assert!(!matches!(character, ',' | '+' | ';' | '"' | '<' | '>'), "{name}");
            if character == '\\' {
                assert!(characters.next().is_some(), "{name}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test;

    #[test]
    fn schema_and_type_agree() {
        let kind = LdapAuth(Arc::default());
        test::matches_recording(&kind);
        let least = json!({"ldap_host": "h", "base_dn": "dc=a", "attribute": "cn"});
        test::build(&kind, least.clone());
        let mut both = least;
        both["ldaps"] = json!(true);
        test::build(&kind, both.clone());
        both["start_tls"] = json!(true);
        assert!(test::complete(&kind, both).unwrap_err().contains("cannot be enabled simultaneously"));
    }

    #[test]
    fn credentials_are_read_strictly() {
        let read = |value: &str, scheme: &str| match shown(value.as_bytes(), scheme) {
            Shown::Credentials(found) => format!("{} {}", found.username, found.password.expose()),
            Shown::Malformed => "malformed".to_owned(),
            Shown::Other => "other".to_owned(),
        };
        assert_eq!(read("ldap dTpw", "ldap"), "u p");
        assert_eq!(read("LDAP   dTpwOnE=  ", "ldap"), "u p:q");
        assert_eq!(read("Basic dTpwOnE", "basic"), "u p:q");
        for (value, want) in [
            ("Bearer dTpw", "other"),
            ("ldapx dTpw", "other"),
            ("", "other"),
            ("ldap", "malformed"),
            ("ldap dTpw!", "malformed"),
            ("ldap dQ==", "malformed"),     // u
            ("ldap dTo=", "malformed"),     // u:
            ("ldap OnA=", "malformed"),     // :p
            ("ldap dQ06cA==", "malformed"), // a carriage return in the username
            ("ldap /zpw", "malformed"),     // not UTF-8
        ] {
            assert_eq!(read(value, "ldap"), want, "{value}");
        }
        assert_eq!(read(&format!("ldap {}", "YTph".repeat(4096)), "ldap"), "malformed");
    }
}
