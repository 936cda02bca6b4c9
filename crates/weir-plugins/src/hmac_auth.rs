//! `hmac-auth`: finds out by a signature over parts of the request who sends it.
//!
//! Phase: access. Fails closed: without a signature by a known secret, and a date within the clock skew that is itself
//! signed, the answer is 401. There is no backend that could fail.
//!
//! What is signed can be sent again by whoever overhears it, until its date is older than `clock_skew`: no longer, since
//! the date that counts must be among the signed fields. Where bodies are validated, the digest must be as well.
//!
//! ```yaml
//! plugins:
//! - name: hmac-auth
//!   config: {clock_skew: 60, enforce_headers: [date, request-line], validate_request_body: true}
//! ```

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_model::PluginSchema;
use weir_model::schema::{Rule, array, boolean, number, record, string};
use weir_model::typed::{Consumer, HmacCredential};
use weir_plugin::{Answer, BuildError, Credential, Ctx, Env, Flow, Kept, Kind, Phases, Plugin};

use crate::auth::{Attempts, Gate, Refusal, challenge};
use crate::authorization::{self, REQUEST_LINE, REQUEST_TARGET, Signed};
use crate::config;

const NAME: &str = "hmac-auth";
const FIELDS: [&str; 2] = ["Proxy-Authorization", "Authorization"];
const DATES: [&str; 2] = ["x-date", "date"];
/// Seconds, where the configuration says nothing.
const CLOCK_SKEW: f64 = 300.0;

const BAD_DATE: &str =
    "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication";
const CANNOT_BE_VERIFIED: &str = "HMAC signature cannot be verified";
const DOES_NOT_MATCH: &str = "HMAC signature does not match";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    hide_credentials: bool,
    clock_skew: Option<f64>,
    anonymous: Option<String>,
    validate_request_body: bool,
    enforce_headers: Option<Vec<String>>,
    algorithms: Option<Vec<Algorithm>>,
    realm: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
enum Algorithm {
    #[serde(rename = "hmac-sha1")]
    Sha1,
    #[serde(rename = "hmac-sha256")]
    Sha256,
    #[serde(rename = "hmac-sha384")]
    Sha384,
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("hmac-sha1", Algorithm::Sha1),
    ("hmac-sha256", Algorithm::Sha256),
    ("hmac-sha384", Algorithm::Sha384),
    ("hmac-sha512", Algorithm::Sha512),
];

struct Instance {
    gate: Gate,
    config: Config,
    challenge: String,
}

/// A secret, as each algorithm begins with it.
#[derive(Default)]
struct Keys([OnceLock<Box<hmac::Key>>; 4]);

impl Keys {
    fn get(&self, algorithm: Algorithm, secret: &str) -> &hmac::Key {
        let (at, digest) = match algorithm {
            // HMAC asks less of a hash function than signatures do: SHA-1 still serves here, and clients exist.
            Algorithm::Sha1 => (0, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Sha256 => (1, hmac::HMAC_SHA256),
            Algorithm::Sha384 => (2, hmac::HMAC_SHA384),
            Algorithm::Sha512 => (3, hmac::HMAC_SHA512),
        };
        self.0[at].get_or_init(|| Box::new(hmac::Key::new(digest, secret.as_bytes())))
    }
}

impl Instance {
    fn unauthorized(&self, message: &'static str) -> Answer {
        Answer::message(StatusCode::UNAUTHORIZED, message).header("WWW-Authenticate", &self.challenge)
    }

    fn wrong(&self, message: &'static str) -> Refusal {
        Refusal::Wrong(self.unauthorized(message))
    }

    /// Who signed the request.
    fn verify<'a>(
        &self,
        ctx: &Ctx<'a>,
        signed: Option<&Signed<'_>>,
    ) -> Result<(&'a Consumer, &'a HmacCredential), Refusal> {
        if !FIELDS.into_iter().any(|field| ctx.headers.contains(field)) {
            return Err(Refusal::Missing(self.unauthorized("Unauthorized")));
        }
        // Who speaks of something else shows nothing to this plugin, whatever is wrong with the date.
        let refuse = |message| match signed {
            Some(_) => self.wrong(message),
            None => Refusal::Missing(self.unauthorized(message)),
        };
        let dates = DATES.map(|field| self.is_fresh(ctx, field).then_some(field));
        if dates == [None; 2] {
            return Err(refuse(BAD_DATE));
        }
        let signed = signed.ok_or_else(|| refuse(CANNOT_BE_VERIFIED))?;
        let enforced = || self.config.enforce_headers.iter().flatten();
        if !enforced().all(|field| signed.signs(field)) {
            return Err(self.wrong(CANNOT_BE_VERIFIED));
        }
        let algorithm =
            ALGORITHMS.iter().find(|(name, _)| *name == signed.algorithm).map(|(_, found)| *found);
        let allowed =
            |algorithm: &Algorithm| self.config.algorithms.iter().flatten().any(|own| own == algorithm);
        let algorithm = algorithm.filter(allowed).ok_or_else(|| self.wrong(CANNOT_BE_VERIFIED))?;
        // A date that is not signed can be any date.
        if !dates.into_iter().flatten().any(|field| signed.signs(field)) {
            return Err(self.wrong(BAD_DATE));
        }

        let directory = ctx.directory;
        let credential = directory.hmac(signed.username).ok_or_else(|| self.wrong(CANNOT_BE_VERIFIED))?;
        if !is_signature(ctx, signed, algorithm, credential) || !self.is_body_whole(ctx, signed) {
            return Err(self.wrong(DOES_NOT_MATCH));
        }
        // A secret without its consumer can only be seen while both are being deleted.
        let consumer = directory.consumer(&credential.consumer);
        consumer.map(|consumer| (consumer, &***credential)).ok_or_else(|| self.wrong("Unauthorized"))
    }

    /// Whether a field has one date, and that is close enough to now.
    fn is_fresh(&self, ctx: &Ctx<'_>, field: &str) -> bool {
        let mut values = ctx.headers.get_all(field);
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let date = std::str::from_utf8(value).ok().and_then(|text| httpdate::parse_http_date(text).ok());
        let Some(date) = date else { return false };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(ctx.started_ms);
        let apart = match now.duration_since(date) {
            Ok(past) => past,
            Err(future) => future.duration(),
        };
        // Dates are whole seconds.
        apart.as_secs() as f64 <= self.config.clock_skew.unwrap_or(CLOCK_SKEW)
    }

    /// Whether the body is what the digest says that was signed (RFC 3230), if that is to be looked at. No body needs no
    /// digest.
    fn is_body_whole(&self, ctx: &Ctx<'_>, signed: &Signed<'_>) -> bool {
        if !self.config.validate_request_body {
            return true;
        }
        // A body that was not read is longer than what is read into memory.
        let Some(body) = &ctx.body else { return false };
        let mut values = ctx.headers.get_all("Digest");
        match (values.next(), values.next()) {
            (None, _) => body.is_empty(),
            (Some(_), Some(_)) => false,
            (Some(value), None) => {
                let is_sha256 =
                    |text: &&[u8]| text.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"SHA-256="));
                let wanted = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).find(is_sha256);
                let wanted = wanted.and_then(|text| STANDARD.decode(&text[8..]).ok());
                let is = digest::digest(&digest::SHA256, body);
                wanted.is_some_and(|wanted| wanted == is.as_ref())
                    && (signed.signs("digest") || body.is_empty())
            }
        }
    }
}

/// Whether the signature is one by the credential's secret, or by the one before while that is still good.
fn is_signature(
    ctx: &Ctx<'_>,
    signed: &Signed<'_>,
    algorithm: Algorithm,
    credential: &Kept<HmacCredential>,
) -> bool {
    let Ok(signature) = STANDARD.decode(signed.signature) else { return false };
    let Some(keys) = credential.prepared(|_| <[Keys; 2]>::default()) else { return false };
    let current = keys[0].get(algorithm, credential.secret.expose());
    let previous = credential.previous.as_ref().filter(|previous| previous.until_ms > ctx.started_ms as i64);
    let previous = previous.map(|previous| keys[1].get(algorithm, previous.secret.expose()));
    let is_signed = |version| {
        let text = signing_string(ctx, signed, version);
        let verifies = |key: &hmac::Key| hmac::verify(key, &text, &signature).is_ok();
        verifies(current) || previous.is_some_and(verifies)
    };
    // A proxy on the way may speak another version than the client: the line is the same but for it.
    match signed.names().any(|name| name == REQUEST_LINE) {
        true => ["1.1", "2.0", "1.0"].into_iter().any(is_signed),
        false => is_signed(""),
    }
}

/// What was signed: a line for each field, in order. A field that is not there has no value, not even an empty one; one
/// that is there several times has all of its values.
fn signing_string(ctx: &Ctx<'_>, signed: &Signed<'_>, version: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    for name in signed.names() {
        if !text.is_empty() {
            text.push(b'\n');
        }
        match name {
            REQUEST_LINE => {
                for part in [ctx.method.as_str(), " ", &ctx.target, " HTTP/", version] {
                    text.extend_from_slice(part.as_bytes());
                }
            }
            REQUEST_TARGET => {
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(b": ");
                text.extend(ctx.method.as_str().bytes().map(|byte| byte.to_ascii_lowercase()));
                text.push(b' ');
                text.extend_from_slice(ctx.target.as_bytes());
            }
            _ => {
                text.extend_from_slice(name.as_bytes());
                text.push(b':');
                for (at, value) in ctx.headers.get_all(name).enumerate() {
                    text.extend_from_slice(if at == 0 { b" " } else { b", " });
                    text.extend_from_slice(value);
                }
            }
        }
    }
    text
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, body: self.config.validate_request_body, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        if let Some(flow) = self.gate.before(ctx) {
            return flow;
        }
        let shown = FIELDS.into_iter().find_map(|field| {
            let signed = ctx.headers.get(field).and_then(authorization::hmac)?;
            Some((field, signed))
        });
        let found = self.verify(ctx, shown.as_ref().map(|(_, signed)| signed));
        // What nobody signed is hidden as well.
        let hidden = shown.map(|(field, _)| field).filter(|_| self.config.hide_credentials);
        if let Some(field) = hidden {
            ctx.headers.remove(field);
        }
        match found {
            Ok((consumer, credential)) => {
                ctx.authenticate(consumer, Some(Credential { id: credential.id, consumer: consumer.id }));
                ctx.headers.set("X-Credential-Identifier", credential.username.as_bytes());
                Flow::Continue
            }
            Err(refusal) => self.gate.refuse(ctx, refusal),
        }
    }
}

/// The kind of plugin.
pub(crate) struct HmacAuth(pub(crate) Arc<Attempts>);

impl Kind for HmacAuth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1030
    }

    fn schema(&self) -> PluginSchema {
        let names = || ALGORITHMS.map(|(name, _)| name);
        let config = record([
            ("hide_credentials", boolean().required().default(false)),
            ("clock_skew", number().default(300).rule(Rule::Gt(0))),
            ("anonymous", string()),
            ("validate_request_body", boolean().required().default(false)),
            ("enforce_headers", array(string()).default(json!([]))),
            ("algorithms", array(string().one_of(names())).default(json!(names()))),
            ("realm", string().optional()),
        ]);
        PluginSchema::http(NAME, config).no_consumer()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let gate = Gate::new(NAME, env.id, config.anonymous.clone(), true, &self.0);
        let challenge = challenge("hmac", config.realm.as_deref());
        Ok(Arc::new(Instance { gate, config, challenge }))
    }
}

#[cfg(test)]
mod tests {
    use weir_mint::{Secret, Uuid};
    use weir_model::typed::Previous;

    use super::*;
    use crate::config::test;
    use crate::fixture::{self, ALICE, Became, Known, NOW_MS, Request};

    #[test]
    fn schema_and_type_agree() {
        let kind = HmacAuth(Arc::default());
        test::matches_recording(&kind);
        test::build(&kind, json!({"realm": "r", "clock_skew": 0.5, "enforce_headers": ["date"]}));
        assert!(test::complete(&kind, json!({"algorithms": ["hmac-md5"]})).is_err());
        assert!(test::complete(&kind, json!({"clock_skew": 0})).is_err());
    }

    const GOOD: Became = Became::Of(ALICE);

    fn refused(message: &str) -> Became {
        Became::Answered(401, message.to_owned())
    }

    fn known(secret: &str, previous: Option<(&str, u64)>) -> Known {
        let previous = previous.map(|(secret, until_ms)| Previous {
            secret: Secret::new(secret.to_owned()),
            until_ms: until_ms as i64,
        });
        let credential = HmacCredential {
            id: Uuid::from_bytes([2; 16]),
            consumer: ALICE,
            username: "bob".into(),
            secret: Secret::new(secret.to_owned()),
            previous,
        };
        Known { hmac: Some(Arc::new(Kept::new(credential))), ..Known::default() }
    }

    /// The date, so many seconds from now.
    fn date(offset: i64) -> String {
        let seconds = (NOW_MS / 1000).saturating_add_signed(offset);
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn authorization(secret: &str, names: &str, lines: &[&str]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, lines.join("\n").as_bytes()));
        format!(r#"hmac username="bob", algorithm="hmac-sha256", headers="{names}", signature="{signature}""#)
    }

    fn access(config: Value, known: &Known, request: &Request<'_>) -> Became {
        let plugin = test::build(&HmacAuth(Arc::default()), config);
        fixture::access(&*plugin, known, request, |ctx| {
            let shown = ctx.headers.get_str("X-Credential-Identifier");
            assert_eq!(shown, ctx.identity.map(|_| "bob"));
        })
    }

    #[test]
    fn the_secret_before_is_good_until_it_ends() {
        let date = date(0);
        let line = format!("date: {date}");
        let old = authorization("old", "date", &[&line]);
        let access = |until_ms| {
            let headers = [("Authorization", &*old), ("Date", &*date)];
            access(
                json!({}),
                &known("new", Some(("old", until_ms))),
                &Request { headers: &headers, ..Request::default() },
            )
        };
        assert_eq!(access(NOW_MS + 1), GOOD);
        assert_eq!(access(NOW_MS), refused(DOES_NOT_MATCH));
    }

    #[test]
    fn only_a_date_that_is_signed_counts() {
        let (fresh, stale) = (date(-300), date(-301));
        let config = || json!({});
        let send = |names, lines: &[&str], more: &[(&str, &str)], now_ms| {
            let authorization = authorization("s", names, lines);
            let headers = [&[("Authorization", &*authorization)], more].concat();
            access(config(), &known("s", None), &Request { headers: &headers, now_ms, ..Request::default() })
        };
        let (fresh_line, stale_line) = (format!("date: {fresh}"), format!("date: {stale}"));
        assert_eq!(send("date", &[&fresh_line], &[("Date", &fresh)], NOW_MS), GOOD);
        // The clock runs on, or back, and what was overheard is of no use.
        assert_eq!(send("date", &[&fresh_line], &[("Date", &fresh)], NOW_MS + 1000), refused(BAD_DATE));
        assert_eq!(send("date", &[&fresh_line], &[("Date", &fresh)], NOW_MS - 602_000), refused(BAD_DATE));
        assert_eq!(send("date", &[&fresh_line], &[("Date", &fresh)], 0), refused(BAD_DATE));
        assert_eq!(send("date", &[&stale_line], &[("Date", &stale)], NOW_MS), refused(BAD_DATE));
        // Somebody put a fresh date beside the one that was signed, or in the place of one that was not.
        let both = [("Date", &*stale), ("X-Date", &*fresh)];
        assert_eq!(send("date", &[&stale_line], &both, NOW_MS), refused(BAD_DATE));
        let twice = [("Date", &*stale), ("Date", &*fresh)];
        assert_eq!(send("date", &[&stale_line], &twice, NOW_MS), refused(BAD_DATE));
        let target = ["@request-target: get /"];
        assert_eq!(send("@request-target", &target, &[("Date", &fresh)], NOW_MS), refused(BAD_DATE));
    }

    #[test]
    fn a_field_that_is_there_twice_is_signed_with_both_values() {
        let date = date(0);
        let line = format!("date: {date}");
        let send = |lines: &[&str], more: &[(&str, &str)]| {
            let authorization = authorization("s", "date x-a", lines);
            let headers = [&[("Authorization", &*authorization), ("Date", &*date)], more].concat();
            access(json!({}), &known("s", None), &Request { headers: &headers, ..Request::default() })
        };
        assert_eq!(send(&[&line, "x-a: 1, 2"], &[("X-A", "1"), ("X-A", "2")]), GOOD);
        assert_eq!(send(&[&line, "x-a: 1"], &[("X-A", "1"), ("X-A", "2")]), refused(DOES_NOT_MATCH));
        assert_eq!(send(&[&line, "x-a:"], &[]), GOOD);
        assert_eq!(send(&[&line, "x-a:"], &[("X-A", "")]), refused(DOES_NOT_MATCH));
    }

    #[test]
    fn the_version_of_the_request_line_is_the_clients() {
        let date = date(0);
        let line = format!("date: {date}");
        for (version, want) in [("1.1", GOOD), ("2.0", GOOD), ("1.0", GOOD), ("3.0", refused(DOES_NOT_MATCH))]
        {
            let request_line = format!("POST /a?b HTTP/{version}");
            let authorization = authorization("s", "date request-line", &[&line, &request_line]);
            let headers = [("Authorization", &*authorization), ("Date", &*date)];
            let request = Request {
                method: http::Method::POST,
                target: "/a?b",
                headers: &headers,
                ..Request::default()
            };
            assert_eq!(
                access(json!({"enforce_headers": ["date", "request-line"]}), &known("s", None), &request),
                want
            );
        }
    }

    #[test]
    fn enforced_fields_are_signed() {
        let date = date(0);
        let authorization = authorization("s", "date", &[&format!("date: {date}")]);
        let headers = [("Authorization", &*authorization), ("Date", &*date)];
        let request = Request { headers: &headers, ..Request::default() };
        assert_eq!(access(json!({"enforce_headers": ["Date"]}), &known("s", None), &request), GOOD);
        // A field of that name is not the request's line, which it leaves unsigned.
        let enforced = json!({"enforce_headers": ["date", "request-line"]});
        let named = self::authorization(
            "s",
            "date Request-Line",
            &[&format!("date: {date}"), "Request-Line: GET / HTTP/1.1"],
        );
        let fields = [("Authorization", &*named), ("Date", &*date), ("Request-Line", "GET / HTTP/1.1")];
        let other = Request { headers: &fields, ..Request::default() };
        assert_eq!(access(json!({}), &known("s", None), &other), GOOD);
        assert_eq!(access(enforced, &known("s", None), &other), refused(CANNOT_BE_VERIFIED));
        let config = json!({"enforce_headers": ["date", "host"]});
        assert_eq!(access(config, &known("s", None), &request), refused(CANNOT_BE_VERIFIED));
    }

    #[test]
    fn the_digest_of_a_body_is_signed() {
        let date = date(0);
        let line = format!("date: {date}");
        let of = |body: &[u8]| format!("SHA-256={}", STANDARD.encode(digest::digest(&digest::SHA256, body)));
        let send = |names, lines: &[&str], digest: Option<&str>, body: Option<&[u8]>| {
            let authorization = authorization("s", names, lines);
            let mut headers = vec![("Authorization", &*authorization), ("Date", &*date)];
            headers.extend(digest.map(|digest| ("Digest", digest)));
            let request = Request { headers: &headers, body, ..Request::default() };
            access(json!({"validate_request_body": true}), &known("s", None), &request)
        };
        let (is, other) = (of(b"hello"), of(b"other"));
        let signed = |digest: &str| format!("digest: {digest}");
        let bad = || refused(DOES_NOT_MATCH);
        assert_eq!(send("date digest", &[&line, &signed(&is)], Some(&is), Some(b"hello")), GOOD);
        assert_eq!(send("date digest", &[&line, &signed(&is)], Some(&is), Some(b"other")), bad());
        assert_eq!(send("date digest", &[&line, &signed(&is)], Some(&other), Some(b"other")), bad());
        // A digest that anybody can replace, none, one of another kind, and a body too long to be looked at.
        assert_eq!(send("date", &[&line], Some(&is), Some(b"hello")), bad());
        assert_eq!(send("date", &[&line], None, Some(b"hello")), bad());
        assert_eq!(
            send("date digest", &[&line, "digest: MD5=eA=="], Some("MD5=eA=="), Some(b"hello")),
            bad()
        );
        assert_eq!(send("date digest", &[&line, &signed(&is)], Some(&is), None), bad());
        let list = format!("MD5=eA==, sha-256={}", &is[8..]);
        assert_eq!(send("date digest", &[&line, &signed(&list)], Some(&list), Some(b"hello")), GOOD);
        assert_eq!(send("date", &[&line], None, Some(b"")), GOOD);
    }

    #[test]
    fn who_speaks_of_something_else_shows_nothing() {
        let anonymous = json!({"anonymous": "alice"});
        for value in ["Basic dTpw", "HMAC username=\"bob\"", "hmac", ""] {
            let request = Request { headers: &[("Authorization", value)], ..Request::default() };
            assert_eq!(access(json!({}), &known("s", None), &request), refused(BAD_DATE), "{value}");
            let plugin = test::build(&HmacAuth(Arc::default()), anonymous.clone());
            assert_eq!(fixture::access(&*plugin, &known("s", None), &request, |_| ()), GOOD);
        }
    }
}
