//! `jwt`: finds out by a JSON Web Token who sends a request.
//!
//! Phase: access. Fails closed: without a token that the holder of a known key signed, by the one algorithm that this key
//! is for, the answer is 401. There is no backend that could fail.
//!
//! RSA keys need 2048 to 8192 bits and EdDSA is Ed25519; a credential with another key is refused, and the log says so once.
//! Secrets of HS256 and its like may be as short as people chose them.
//!
//! ```yaml
//! plugins:
//! - name: jwt
//!   config: {claims_to_verify: [exp], maximum_expiration: 3600}
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use weir_mint::Secret;
use weir_model::PluginSchema;
use weir_model::schema::{Condition, Conditional, EntityCheck, Rule, boolean, number, record, set, string};
use weir_model::typed::{Consumer, JwtCredential};
use weir_plugin::{Answer, BuildError, Credential, Ctx, Env, Flow, Kind, Phases, Plugin};
use zeroize::Zeroizing;

use crate::auth::{Attempts, Gate, Refusal, challenge};
use crate::jws::{Algorithm, Compact, Header, Key, Members};
use crate::{authorization, config, query};

const NAME: &str = "jwt";
/// What every public key and certificate begins with, in PEM (RFC 7468, 2), and no secret does.
const PEM: &str = "-----BEGIN";
const JSON: &str = "application/json; charset=utf-8";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    uri_param_names: Option<Vec<String>>,
    cookie_names: Option<Vec<String>>,
    key_claim_name: Option<String>,
    secret_is_base64: bool,
    claims_to_verify: Option<Vec<Claim>>,
    anonymous: Option<String>,
    run_on_preflight: bool,
    maximum_expiration: Option<f64>,
    header_names: Option<Vec<String>>,
    realm: Option<String>,
}

/// A claim that is verified.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Claim {
    Exp,
    Nbf,
}

struct Instance {
    gate: Gate,
    config: Config,
    /// For whoever shows nothing,
    challenge: String,
    /// and for whoever shows something wrong (RFC 6750, 3).
    challenge_invalid: String,
}

/// What is kept of a credential: its keys, parsed. Which of two texts a secret stands for, an instance says.
struct Keys {
    /// The one algorithm of the credential.
    algorithm: Option<Algorithm>,
    current: Pair,
    previous: Option<(Pair, i64)>,
}

/// One secret or public key, as it is and decoded.
struct Pair {
    plain: Option<Key>,
    decoded: Option<Key>,
}

impl Keys {
    fn of(credential: &JwtCredential) -> Self {
        let algorithm = Algorithm::parse(&credential.algorithm);
        let id = credential.id;
        let secret = |secret: &Secret| Pair::of_secret(secret.expose());
        let public = |pem: &str| Pair::of_public_key(pem, algorithm, id);
        let symmetric = algorithm.is_some_and(Algorithm::is_symmetric);
        let current = match (symmetric, &credential.secret, &credential.public_key) {
            (true, Some(kept), _) => secret(kept),
            (false, _, Some(pem)) => public(pem),
            _ => Pair { plain: None, decoded: None },
        };
        // A credential whose algorithm was changed has a text of another kind from before: a public key, which anybody may have,
        // must never serve as a secret.
        let same_kind = |text: &str| text.contains(PEM) != symmetric;
        let previous = credential.previous.as_ref().filter(|previous| same_kind(previous.secret.expose()));
        let previous = previous.map(|previous| {
            let pair = if symmetric { secret(&previous.secret) } else { public(previous.secret.expose()) };
            (pair, previous.until_ms)
        });
        Self { algorithm, current, previous }
    }
}

impl Pair {
    fn of_secret(secret: &str) -> Self {
        let key = |bytes: &[u8]| (!bytes.is_empty()).then(|| Key::from_secret(bytes));
        let decoded = decode_secret(secret);
        Self { plain: key(secret.as_bytes()), decoded: decoded.and_then(|bytes| key(&bytes)) }
    }

    fn of_public_key(pem: &str, algorithm: Option<Algorithm>, id: weir_mint::Uuid) -> Self {
        let plain = match Key::from_pem(pem) {
            Ok(key) if algorithm.is_some_and(|algorithm| key.fits(algorithm)) => Some(key),
            Ok(_) => {
                tracing::warn!(plugin = NAME, credential = %id, "the key is not one for the credential's algorithm");
                None
            }
            Err(error) => {
                tracing::warn!(plugin = NAME, credential = %id, %error, "the credential's key cannot be used");
                None
            }
        };
        Self { plain, decoded: None }
    }

    fn get(&self, decoded: bool) -> Option<&Key> {
        if decoded { self.decoded.as_ref() } else { self.plain.as_ref() }
    }
}

/// Decodes a secret in base64 or base64url, padded or not.
fn decode_secret(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let standard = Zeroizing::new(secret.replace('-', "+").replace('_', "/"));
    LENIENT.decode(standard.as_bytes()).ok().map(Zeroizing::new)
}

impl Instance {
    fn missing(&self) -> Refusal {
        Refusal::Missing(unauthorized(&json!({"message": "Unauthorized"}), &self.challenge))
    }

    fn wrong(&self, message: &str) -> Refusal {
        self.wrong_with(&json!({"message": message}))
    }

    fn wrong_with(&self, body: &Value) -> Refusal {
        Refusal::Wrong(unauthorized(body, &self.challenge_invalid))
    }

    /// The one token that the request shows.
    fn token<'r>(&'r self, ctx: &'r Ctx<'_>) -> Result<Cow<'r, str>, Refusal> {
        let mut found: Option<Cow<'r, str>> = None;
        let mut several = false;
        let mut add = |token: Cow<'r, str>| match &found {
            _ if token.is_empty() => {}
            Some(other) => several |= *other != token,
            None => found = Some(token),
        };
        if let Some(query) = ctx.query() {
            for name in names(&self.config.uri_param_names) {
                query::values(query, name).for_each(&mut add);
            }
        }

        for name in names(&self.config.cookie_names) {
            let values = ctx.headers.get_all("Cookie").flat_map(|value| authorization::cookies(value, name));
            values.for_each(|value| add(Cow::Borrowed(value)));
        }
        for name in names(&self.config.header_names) {
            let tokens = ctx.headers.get_all(name).filter_map(authorization::bearer);
            tokens.for_each(|token| add(Cow::Borrowed(token)));
        }
        match found {
            Some(_) if several => Err(self.wrong("Multiple tokens provided")),
            Some(token) => Ok(token),
            None => Err(self.missing()),
        }
    }

    /// Who signed the token, with what.
    fn verify<'a>(&self, ctx: &Ctx<'a>) -> Result<(&'a Consumer, &'a JwtCredential), Refusal> {
        let text = self.token(ctx)?;
        let bad = |why: &str| self.wrong(&format!("Bad token; {why}"));
        let token = Compact::parse(&text).map_err(|_| bad("invalid JSON"))?;
        let header = token.header().map_err(|error| match error {
            crate::jws::Error::Critical => bad("invalid crit"),
            _ => bad("invalid JSON"),
        })?;
        let claims = token.claims().map_err(|_| bad("invalid JSON"))?;
        let is_jwt = |kind: &str| kind.eq_ignore_ascii_case("JWT");
        if header.members().contains("typ") && !header.members().text("typ").is_some_and(is_jwt) {
            return Err(bad("invalid typ"));
        }
        let algorithm = header.algorithm().ok_or_else(|| bad("invalid alg"))?;

        let key = self.key_claim(&header, &claims)?;
        let directory = ctx.directory;
        let credential = directory
            .jwt(key)
            .ok_or_else(|| self.wrong(&format!("No credentials found for given '{}'", self.claim_name())))?;
        let keys = credential.prepared(Keys::of);
        // The credential says by which algorithm its tokens are signed. What the token says of that must be the same.
        let keys = keys.filter(|keys| keys.algorithm == Some(algorithm));
        let keys = keys.ok_or_else(|| self.wrong("Invalid algorithm"))?;
        let decoded = self.config.secret_is_base64 && algorithm.is_symmetric();
        let current = keys.current.get(decoded).ok_or_else(|| self.wrong("Invalid key/secret"))?;
        let previous = keys.previous.as_ref().filter(|(_, until_ms)| *until_ms > ctx.started_ms as i64);
        let previous = previous.and_then(|(pair, _)| pair.get(decoded));
        let verifies = |key: &Key| token.verify(key, algorithm).is_ok();
        if !verifies(current) && !previous.is_some_and(verifies) {
            return Err(self.wrong("Invalid signature"));
        }
        self.verify_times(&claims, ctx.started_ms as f64 / 1000.0)?;
        // A credential without its consumer can only be seen while both are being deleted.
        let consumer = directory.consumer(&credential.consumer);
        consumer.map(|consumer| (consumer, &***credential)).ok_or_else(|| self.wrong("Unauthorized"))
    }

    fn claim_name(&self) -> &str {
        self.config.key_claim_name.as_deref().unwrap_or("iss")
    }

    /// What names the key: a claim, or a field of the header with the same name.
    fn key_claim<'m>(&self, header: &'m Header<'_>, claims: &'m Members<'_>) -> Result<&'m str, Refusal> {
        let name = self.claim_name();
        let key = match (claims.contains(name), header.members().contains(name)) {
            (true, _) => claims.text(name),
            (false, true) => header.members().text(name),
            (false, false) => return Err(self.wrong(&format!("No mandatory '{name}' in claims"))),
        };
        key.filter(|key| !key.is_empty()).ok_or_else(|| self.wrong(&format!("Invalid '{name}' in claims")))
    }

    /// Whether the token is good at this time, epoch seconds.
    fn verify_times(&self, claims: &Members<'_>, now: f64) -> Result<(), Refusal> {
        let mut errors = Map::new();
        for claim in self.config.claims_to_verify.iter().flatten() {
            let (name, error) = match claim {
                Claim::Exp => ("exp", claims.number("exp").map(|at| (at <= now, "token expired"))),
                Claim::Nbf => ("nbf", claims.number("nbf").map(|at| (at > now, "token not valid yet"))),
            };
            match error {
                None => drop(errors.insert(name.to_owned(), "must be a number".into())),
                Some((true, error)) => drop(errors.insert(name.to_owned(), error.into())),
                Some((false, _)) => {}
            }
        }
        if errors.is_empty()
            && let Some(longest) = self.config.maximum_expiration.filter(|longest| *longest > 0.0)
            && claims.number("exp").is_none_or(|at| at - now > longest)
        {
            errors.insert("exp".to_owned(), "exceeds maximum allowed expiration".into());
        }
        if errors.is_empty() { Ok(()) } else { Err(self.wrong_with(&Value::Object(errors))) }
    }
}

fn unauthorized(body: &Value, challenge: &str) -> Answer {
    Answer::exact(StatusCode::UNAUTHORIZED, JSON, body.to_string()).header("WWW-Authenticate", challenge)
}

fn names(list: &Option<Vec<String>>) -> impl Iterator<Item = &str> {
    list.iter().flatten().map(String::as_str)
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        if let Some(flow) = self.gate.before(ctx) {
            return flow;
        }
        match self.verify(ctx) {
            Ok((consumer, credential)) => {
                ctx.authenticate(consumer, Some(Credential { id: credential.id, consumer: consumer.id }));
                ctx.headers.set("X-Credential-Identifier", credential.key.as_bytes());
                Flow::Continue
            }
            Err(refusal) => self.gate.refuse(ctx, refusal),
        }
    }
}

/// The kind of plugin.
pub(crate) struct Jwt(pub(crate) Arc<Attempts>);

impl Kind for Jwt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1450
    }

    fn schema(&self) -> PluginSchema {
        let claim = string().required().rule(Rule::LenMin(1)).one_of(["exp", "nbf"]);
        let config = record([
            ("uri_param_names", set(string()).default(json!(["jwt"]))),
            ("cookie_names", set(string()).default(json!([]))),
            ("key_claim_name", string().default("iss")),
            ("secret_is_base64", boolean().required().default(false)),
            ("claims_to_verify", set(claim)),
            ("anonymous", string()),
            ("run_on_preflight", boolean().required().default(true)),
            ("maximum_expiration", number().default(0).between(0, 31_536_000)),
            ("header_names", set(string()).default(json!(["authorization"]))),
            ("realm", string().optional()),
        ]);
        PluginSchema::http(NAME, config).no_consumer().checks([EntityCheck::Conditional(Conditional {
            if_field: "config.maximum_expiration",
            if_match: Condition::rule(Rule::Gt(0)),
            then_field: "config.claims_to_verify",
            then_match: Condition::rule(Rule::Contains("exp")),
            then_err: None,
        })])
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        let config: Config = config::read(NAME, config)?;
        let gate = Gate::new(NAME, env.id, config.anonymous.clone(), config.run_on_preflight, &self.0);
        let challenge = challenge("Bearer", config.realm.as_deref());
        let challenge_invalid = format!("{challenge} error=\"invalid_token\"");
        Ok(Arc::new(Instance { gate, config, challenge, challenge_invalid }))
    }
}

#[cfg(test)]
mod tests {
    use weir_mint::Uuid;
    use weir_model::typed::Previous;

    use super::*;
    use crate::config::test;
    use crate::fixture::{self, ALICE, Became, Known, NOW_MS, Request};

    #[test]
    fn schema_and_type_agree() {
        let kind = Jwt(Arc::default());
        test::matches_recording(&kind);
        test::build(
            &kind,
            json!({"realm": "r", "claims_to_verify": ["exp", "nbf"], "maximum_expiration": 60}),
        );
        assert!(test::complete(&kind, json!({"claims_to_verify": ["iat"]})).is_err());
        let error = test::complete(&kind, json!({"claims_to_verify": ["nbf"], "maximum_expiration": 60}));
        assert!(error.is_err_and(|error| error.contains("expected to contain: exp")));
    }

    #[test]
    fn a_secret_may_be_written_in_either_base64() {
        for text in ["-_8=", "-_8", "+/8=", "+/8", "-/9"] {
            assert_eq!(decode_secret(text).as_deref().map(Vec::as_slice), Some(&[0xfb, 0xff][..]), "{text}");
        }
        assert_eq!(decode_secret("a secret"), None);
    }

    const NOW: u64 = NOW_MS / 1000;
    const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    fn known(
        algorithm: &str,
        secret: &str,
        public_key: Option<&str>,
        previous: Option<(&str, u64)>,
    ) -> Known {
        let previous = previous.map(|(secret, until_ms)| Previous {
            secret: Secret::new(secret.to_owned()),
            until_ms: until_ms as i64,
        });
        let credential = JwtCredential {
            id: Uuid::from_bytes([2; 16]),
            consumer: ALICE,
            key: "iss1".into(),
            secret: Some(Secret::new(secret.to_owned())),
            public_key: public_key.map(Into::into),
            algorithm: algorithm.into(),
            previous,
        };
        Known { jwt: Some(Arc::new(weir_plugin::Kept::new(credential))), ..Known::default() }
    }

    fn token(secret: &str, header: &str, claims: &str) -> String {
        Key::from_secret(secret.as_bytes()).sign(Algorithm::Hs256, header, claims).unwrap()
    }

    fn access_at(now_ms: u64, config: Value, known: &Known, token: &str) -> Became {
        let plugin = test::build(&Jwt(Arc::default()), config);
        let value = format!("Bearer {token}");
        let request = Request { headers: &[("Authorization", &value)], now_ms, ..Request::default() };
        fixture::access(&*plugin, known, &request, |ctx| {
            let shown = ctx.headers.get_str("X-Credential-Identifier");
            assert_eq!(shown, ctx.identity.map(|_| "iss1"));
        })
    }

    fn access(config: Value, known: &Known, token: &str) -> Became {
        access_at(NOW_MS, config, known, token)
    }

    fn refused(body: &Value) -> Became {
        Became::Answered(401, body.to_string())
    }

    fn says(message: &str) -> Became {
        refused(&json!({"message": message}))
    }

    #[test]
    fn the_secret_before_is_good_until_it_ends() {
        let old = token("old", HS256, r#"{"iss":"iss1"}"#);
        let rotated = |until_ms| known("HS256", "new", None, Some(("old", until_ms)));
        assert_eq!(access(json!({}), &rotated(NOW_MS + 1), &old), Became::Of(ALICE));
        assert_eq!(access(json!({}), &rotated(NOW_MS), &old), says("Invalid signature"));
        let new = token("new", HS256, r#"{"iss":"iss1"}"#);
        assert_eq!(access(json!({}), &rotated(NOW_MS), &new), Became::Of(ALICE));
    }

    #[test]
    fn a_public_key_from_before_is_no_secret() {
        let pem = include_str!("jws/vectors/rsa-spki.pem");
        let forged = token(pem, HS256, r#"{"iss":"iss1"}"#);
        let changed = known("HS256", "new", None, Some((pem, NOW_MS + 1)));
        assert_eq!(access(json!({}), &changed, &forged), says("Invalid signature"));
        let keys = |algorithm: &str, previous: &str| {
            let known = known(algorithm, "new", Some(pem), Some((previous, 0)));
            Keys::of(known.jwt.as_ref().unwrap()).previous.is_some()
        };
        assert!(keys("HS256", "old") && keys("RS256", pem));
        assert!(!keys("HS256", pem) && !keys("RS256", "old"));
    }

    #[test]
    fn the_credential_says_which_algorithm() {
        let good = token("s", HS256, r#"{"iss":"iss1"}"#);
        assert_eq!(access(json!({}), &known("HS256", "s", None, None), &good), Became::Of(ALICE));
        assert_eq!(access(json!({}), &known("HS384", "s", None, None), &good), says("Invalid algorithm"));
        for (header, why) in [
            (r#"{"alg":"none"}"#, "invalid alg"),
            (r#"{"alg":"hs256"}"#, "invalid alg"),
            (r#"{"alg":"HS256","typ":"JWE"}"#, "invalid typ"),
            (r#"{"alg":"HS256","crit":["exp"]}"#, "invalid crit"),
            (r#"{"alg":"HS256","alg":"HS256"}"#, "invalid JSON"),
        ] {
            let bad = token("s", header, r#"{"iss":"iss1"}"#);
            assert_eq!(
                access(json!({}), &known("HS256", "s", None, None), &bad),
                says(&format!("Bad token; {why}"))
            );
        }
        // Signed by the text of the public key, as if that were a secret.
        let pem = include_str!("jws/vectors/rsa-spki.pem");
        let forged = token(pem, HS256, r#"{"iss":"iss1"}"#);
        assert_eq!(
            access(json!({}), &known("RS256", pem, Some(pem), None), &forged),
            says("Invalid algorithm")
        );
        let claimed = token(pem, r#"{"alg":"RS256"}"#, r#"{"iss":"iss1"}"#);
        assert_eq!(
            access(json!({}), &known("RS256", pem, Some(pem), None), &claimed),
            says("Invalid signature")
        );
        // Keys that are missing, too short, or of another kind.
        let small = include_str!("jws/vectors/rsa1024-spki.pem");
        for key in [None, Some(small), Some(include_str!("jws/vectors/ec-spki.pem")), Some("-----BEGIN")] {
            let credential = known("RS256", pem, key, None);
            assert_eq!(access(json!({}), &credential, &claimed), says("Invalid key/secret"));
        }
        let empty = token("", HS256, r#"{"iss":"iss1"}"#);
        assert_eq!(access(json!({}), &known("HS256", "", None, None), &empty), says("Invalid key/secret"));
        let base64 = json!({"secret_is_base64": true});
        assert_eq!(
            access(base64, &known("HS256", "no base64!", None, None), &good),
            says("Invalid key/secret")
        );
    }

    #[test]
    fn times_are_verified_where_that_is_asked() {
        let known = known("HS256", "s", None, None);
        let claims = |more: &str| token("s", HS256, &format!(r#"{{"iss":"iss1"{more}}}"#));
        let exp = |at: u64| claims(&format!(",\"exp\":{at}"));
        let verified = || json!({"claims_to_verify": ["exp"]});
        assert_eq!(access(verified(), &known, &exp(NOW + 1)), Became::Of(ALICE));
        assert_eq!(access(verified(), &known, &exp(NOW)), refused(&json!({"exp": "token expired"})));
        assert_eq!(
            access(verified(), &known, &claims(",\"exp\":\"1\"")),
            refused(&json!({"exp": "must be a number"}))
        );
        let longest = || json!({"claims_to_verify": ["exp"], "maximum_expiration": 300});
        assert_eq!(access(longest(), &known, &exp(NOW + 300)), Became::Of(ALICE));
        let beyond = refused(&json!({"exp": "exceeds maximum allowed expiration"}));
        assert_eq!(access(longest(), &known, &exp(NOW + 301)), beyond);
        assert_eq!(access(longest(), &known, &claims(",\"exp\":1e300")), beyond);
        // A clock that was set back to the beginning of time makes no token good for longer than it may be.
        assert_eq!(access_at(0, longest(), &known, &exp(NOW + 1)), beyond);
        assert_eq!(
            access_at(u64::MAX, longest(), &known, &exp(NOW)),
            refused(&json!({"exp": "token expired"}))
        );
    }

    #[test]
    fn the_claim_that_names_the_key_is_a_text() {
        let known = known("HS256", "s", None, None);
        for claims in [r#"{"iss":7}"#, r#"{"iss":null}"#, r#"{"iss":["iss1"]}"#, r#"{"iss":""}"#] {
            assert_eq!(
                access(json!({}), &known, &token("s", HS256, claims)),
                says("Invalid 'iss' in claims")
            );
        }
        let nobodys = token("s", HS256, r#"{"iss":"iss1"}"#);
        let unknown = says("No credentials found for given 'iss'");
        assert_eq!(access(json!({}), &Known::default(), &nobodys), unknown);
    }

    #[test]
    fn a_token_shown_twice_is_one_token() {
        let plugin = test::build(&Jwt(Arc::default()), json!({"cookie_names": ["c"]}));
        let (one, two) =
            (token("s", HS256, r#"{"iss":"iss1"}"#), token("s", HS256, r#"{"iss":"iss1","n":2}"#));
        let access = |target: &str, cookie: &str| {
            let cookie = format!("a=b; c={cookie}");
            let authorization = format!("Bearer {one}");
            let request = Request {
                target,
                headers: &[("Authorization", &authorization), ("Cookie", &cookie)],
                ..Request::default()
            };
            fixture::access(&*plugin, &known("HS256", "s", None, None), &request, |_| ())
        };
        assert_eq!(access(&format!("/?jwt={one}&jwt="), &one), Became::Of(ALICE));
        assert_eq!(access("/", &two), says("Multiple tokens provided"));
        assert_eq!(access(&format!("/?jwt={one}&jwt={two}"), ""), says("Multiple tokens provided"));
    }
}
