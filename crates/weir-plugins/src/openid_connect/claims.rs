//! What tokens claim, and when it is believed.
//!
//! Contract: nothing is believed before the signature is good, by a key of the provider and an algorithm that is allowed.
//! Symmetric algorithms never are: whoever verified could sign. Claims that name somebody else than is expected, or a time
//! that is over, refuse the token (RFC 7519, 4.1; OpenID Connect Core, 3.1.3.7; RFC 9068, 4).

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::provider::Known;
use crate::jws::{Algorithm, Compact, Members};

/// What a token claims, verified.
pub(super) type Claims = Map<String, Value>;

/// So many keys are tried for a token that names none.
const MAX_TRIES: usize = 8;

/// Why a token is refused. For logs: a client hears that it is, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejected {
    #[error("it is no signed token")]
    Form,
    #[error("its algorithm is not allowed")]
    Algorithm,
    #[error("the provider has no such key")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    #[error("the claim {0} is wrong")]
    Wrong(&'static str),
    #[error("it has expired")]
    Expired,
    #[error("its time has not come")]
    Early,
    #[error("the provider says that it is not active")]
    Inactive,
}

/// Whom tokens have to be from and for.
pub(super) struct Expected {
    pub(super) issuer: String,
    /// Issuers besides, of access tokens.
    pub(super) issuers: Vec<String>,
    pub(super) client_id: String,
    /// Audiences, one of which an access token must be for; each may be several, with spaces between. None: this client.
    pub(super) audience: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    /// Seconds by which clocks may differ.
    pub(super) leeway: f64,
}

/// A token whose signature is good.
pub(super) struct Signed {
    pub(super) claims: Claims,
    algorithm: Algorithm,
    /// Whether its header says that it is something else than an access token.
    is_typed_otherwise: bool,
}

/// Verifies the signature, by the keys that are known.
pub(super) fn verify(token: &str, known: &Known, expected: &Expected) -> Result<Signed, Rejected> {
    let token = Compact::parse(token).map_err(|_| Rejected::Form)?;
    let header = token.header().map_err(|_| Rejected::Form)?;
    let algorithm = header.algorithm().filter(|algorithm| !algorithm.is_symmetric());
    let algorithm = algorithm.filter(|one| expected.algorithms.contains(one)).ok_or(Rejected::Algorithm)?;
    let mut keys = known.keys.candidates(header.key_id(), algorithm).take(MAX_TRIES).peekable();
    if keys.peek().is_none() {
        return Err(Rejected::UnknownKey);
    }
    if !keys.any(|jwk| token.verify(&jwk.key, algorithm).is_ok()) {
        return Err(Rejected::Signature);
    }
    // Also refuses names that are there twice.
    let claims = token.claims().and_then(|claims| claims.build()).map_err(|_| Rejected::Form)?;
    let is_typed_otherwise = is_typed_otherwise(header.members());
    Ok(Signed { claims, algorithm, is_typed_otherwise })
}

/// Whether a header's `typ` is neither absent nor one of those that access tokens have (RFC 7519, 5.1; RFC 9068, 2.1).
fn is_typed_otherwise(header: &Members<'_>) -> bool {
    let known = ["JWT", "at+jwt", "application/at+jwt"];
    let is_known = |typ: &str| known.iter().any(|known| known.eq_ignore_ascii_case(typ));
    header.contains("typ") && !header.text("typ").is_some_and(is_known)
}

impl Expected {
    /// Whether an access token is good, `now` in epoch seconds (RFC 9068, 4).
    pub(super) fn check_access(&self, claims: &Claims, now: f64) -> Result<(), Rejected> {
        let issuer = text(claims, "iss")?;
        if issuer != self.issuer && !self.issuers.iter().any(|other| other == issuer) {
            return Err(Rejected::Wrong("iss"));
        }
        self.check_times(claims, now, true)?;
        let audience = list(claims.get("aud"));
        let is_for_us = match self.audience.is_empty() {
            true => {
                let is_ours = |name| claims.get(name).and_then(Value::as_str) == Some(&self.client_id);
                audience.contains(&self.client_id.as_str()) || is_ours("azp") || is_ours("client_id")
            }
            false => satisfies(&self.audience, &audience),
        };
        if is_for_us { Ok(()) } else { Err(Rejected::Wrong("aud")) }
    }

    /// Whether what the provider says of a token is good (RFC 7662, 2.2), beyond that it is active.
    pub(super) fn check_introspected(&self, claims: &Claims, now: f64) -> Result<(), Rejected> {
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(Rejected::Inactive);
        }
        if claims.get("iss").is_some_and(|issuer| {
            issuer.as_str().is_none_or(|issuer| {
                issuer != self.issuer && !self.issuers.iter().any(|other| other == issuer)
            })
        }) {
            return Err(Rejected::Wrong("iss"));
        }
        self.check_times(claims, now, false)?;
        match self.audience.is_empty() || satisfies(&self.audience, &list(claims.get("aud"))) {
            true => Ok(()),
            false => Err(Rejected::Wrong("aud")),
        }
    }

    /// Whether an ID token is good (OpenID Connect Core, 3.1.3.7). `nonce` is the login's; a refresh has none (12.2).
    pub(super) fn check_id(&self, signed: &Signed, nonce: Option<&str>, now: f64) -> Result<(), Rejected> {
        let claims = &signed.claims;
        if text(claims, "iss")? != self.issuer {
            return Err(Rejected::Wrong("iss"));
        }
        text(claims, "sub")?;
        let audience = list(claims.get("aud"));
        if !audience.contains(&self.client_id.as_str()) {
            return Err(Rejected::Wrong("aud"));
        }
        match claims.get("azp") {
            Some(azp) if azp.as_str() != Some(&self.client_id) => return Err(Rejected::Wrong("azp")),
            None if audience.len() > 1 => return Err(Rejected::Missing("azp")),
            _ => {}
        }
        self.check_times(claims, now, true)?;
        if claims.get("iat").is_none() {
            return Err(Rejected::Missing("iat"));
        }
        match nonce {
            Some(nonce) if text(claims, "nonce")? != nonce => Err(Rejected::Wrong("nonce")),
            _ => Ok(()),
        }
    }

    fn check_times(&self, claims: &Claims, now: f64, must_expire: bool) -> Result<(), Rejected> {
        let number = |name: &'static str| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Rejected::Wrong(name)),
        };
        match number("exp")? {
            None if must_expire => return Err(Rejected::Missing("exp")),
            Some(expires) if expires <= now - self.leeway => return Err(Rejected::Expired),
            _ => {}
        }
        for name in ["nbf", "iat"] {
            if number(name)?.is_some_and(|time| time > now + self.leeway) {
                return Err(Rejected::Early);
            }
        }
        Ok(())
    }
}

impl Signed {
    /// Whether it may be an access token, as far as it says what it is. An ID token tells its client who logged in and opens
    /// no door (RFC 9068, 5; RFC 8725, 3.11): it is known by what only ID tokens have.
    pub(super) fn check_is_access(&self) -> Result<(), Rejected> {
        if self.is_typed_otherwise || self.claims.get("typ").and_then(Value::as_str) == Some("ID") {
            return Err(Rejected::Wrong("typ"));
        }
        match ["nonce", "at_hash", "c_hash"].into_iter().find(|name| self.claims.contains_key(*name)) {
            Some(name) => Err(Rejected::Wrong(name)),
            None => Ok(()),
        }
    }

    /// Whether an ID token belongs to an access token or a code that came with it, where it says so (Core, 3.3.2.11: `at_hash`,
    /// `c_hash`): the left half of a digest by its own algorithm.
    pub(super) fn check_hash(&self, name: &'static str, text: &str) -> Result<(), Rejected> {
        let Some(hash) = self.claims.get(name) else { return Ok(()) };
        let algorithm = match self.algorithm {
            Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => &SHA384,
            Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Es512 | Algorithm::EdDsa => &SHA512,
            _ => &SHA256,
        };
        let digest = digest::digest(algorithm, text.as_bytes());
        let half = &digest.as_ref()[..algorithm.output_len() / 2];
        match hash.as_str() == Some(&URL_SAFE_NO_PAD.encode(half)) {
            true => Ok(()),
            false => Err(Rejected::Wrong(name)),
        }
    }
}

fn text<'c>(claims: &'c Claims, name: &'static str) -> Result<&'c str, Rejected> {
    match claims.get(name) {
        None => Err(Rejected::Missing(name)),
        Some(value) => value.as_str().filter(|text| !text.is_empty()).ok_or(Rejected::Wrong(name)),
    }
}

/// The texts of a claim that is one or several.
pub(super) fn list(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The words of a claim that is a text of words, or an array of them.
pub(super) fn words(claim: Option<&Value>) -> Vec<&str> {
    list(claim).into_iter().flat_map(str::split_ascii_whitespace).collect()
}

/// Whether all the words of one of these are there.
pub(super) fn satisfies(required: &[String], there: &[&str]) -> bool {
    required.iter().any(|all| all.split_ascii_whitespace().all(|word| there.contains(&word)))
}

/// The claim at a path: a name in the claims, then names in what is there.
pub(super) fn at<'c>(claims: &'c Claims, path: &[String]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, name| value.get(name))
}

/// A claim as one text: a text as it is, a number or a truth as it is written.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && !text.chars().any(char::is_control) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected() -> Expected {
        Expected {
            issuer: "https://idp.test".into(),
            issuers: vec!["https://old.test".into()],
            client_id: "weir".into(),
            audience: Vec::new(),
            algorithms: vec![Algorithm::Rs256],
            leeway: 5.0,
        }
    }

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    /// Good claims with one changed, or without it when that is null.
    fn but(name: &str, value: Value) -> Claims {
        let mut all = claims(
            json!({"iss": "https://idp.test", "sub": "alice", "aud": "weir", "exp": 1000, "nbf": 900, "iat": 900, "nonce": "n"}),
        );
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.into(), value)),
        }
        all
    }

    fn signed(name: &str, value: Value) -> Signed {
        Signed { claims: but(name, value), algorithm: Algorithm::Rs256, is_typed_otherwise: false }
    }

    #[test]
    fn an_id_token_is_no_access_token() {
        let check = |name: &str, value: Value| {
            let mut signed = signed(name, value);
            if name != "nonce" {
                signed.claims.remove("nonce");
            }
            signed.check_is_access()
        };
        assert_eq!(check("x", json!(1)), Ok(()));
        assert_eq!(check("typ", json!("Bearer")), Ok(()));
        assert_eq!(check("typ", json!("ID")), Err(Rejected::Wrong("typ")));
        for name in ["nonce", "at_hash", "c_hash"] {
            assert_eq!(check(name, json!("x")), Err(Rejected::Wrong(name)));
        }
        let otherwise = Signed { is_typed_otherwise: true, ..signed("nonce", Value::Null) };
        assert_eq!(otherwise.check_is_access(), Err(Rejected::Wrong("typ")));
        let typ = |header: &str| is_typed_otherwise(&Members::parse(header.as_bytes()).unwrap());
        for good in [r#"{}"#, r#"{"typ":"JWT"}"#, r#"{"typ":"at+jwt"}"#, r#"{"typ":"application/at+JWT"}"#] {
            assert!(!typ(good), "{good}");
        }
        for bad in
            [r#"{"typ":"logout+jwt"}"#, r#"{"typ":"ID"}"#, r#"{"typ":""}"#, r#"{"typ":1}"#, r#"{"typ":null}"#]
        {
            assert!(typ(bad), "{bad}");
        }
    }

    #[test]
    fn access_tokens_are_of_this_issuer_for_us_and_now() {
        let check = |name, value| expected().check_access(&but(name, value), 950.0);
        assert_eq!(check("x", json!(1)), Ok(()));
        assert_eq!(check("iss", json!("https://old.test")), Ok(()));
        for bad in ["https://idp.test/", "https://IDP.test", "https://evil.test"] {
            assert_eq!(check("iss", json!(bad)), Err(Rejected::Wrong("iss")), "{bad}");
        }
        assert_eq!(check("iss", json!(["https://idp.test"])), Err(Rejected::Wrong("iss")));
        assert_eq!(check("iss", Value::Null), Err(Rejected::Missing("iss")));
        assert_eq!(check("exp", Value::Null), Err(Rejected::Missing("exp")));
        assert_eq!(check("exp", json!("1000")), Err(Rejected::Wrong("exp")));
        assert_eq!(check("exp", json!(945)), Err(Rejected::Expired));
        assert_eq!(check("exp", json!(946)), Ok(()));
        assert_eq!(check("nbf", json!(956)), Err(Rejected::Early));
        assert_eq!(check("iat", json!(956)), Err(Rejected::Early));
        assert_eq!(check("aud", json!(["a", "weir"])), Ok(()));
        assert_eq!(check("aud", json!("weirs")), Err(Rejected::Wrong("aud")));
        assert_eq!(check("aud", Value::Null), Err(Rejected::Wrong("aud")));
        let mut of_ours = but("aud", Value::Null);
        of_ours.insert("client_id".into(), json!("weir"));
        assert_eq!(expected().check_access(&of_ours, 950.0), Ok(()));
        let named = Expected { audience: vec!["api".into(), "x y".into()], ..expected() };
        for (audience, is_good) in
            [(json!("weir"), false), (json!("api"), true), (json!(["x"]), false), (json!(["y", "x"]), true)]
        {
            assert_eq!(named.check_access(&but("aud", audience), 950.0).is_ok(), is_good);
        }
    }

    #[test]
    fn id_tokens_are_for_this_client_and_this_login() {
        let check = |name, value, nonce| {
            let signed = signed(name, value);
            expected().check_id(&signed, nonce, 950.0)
        };
        assert_eq!(check("x", json!(1), Some("n")), Ok(()));
        assert_eq!(check("nonce", Value::Null, None), Ok(()));
        assert_eq!(check("nonce", json!("m"), Some("n")), Err(Rejected::Wrong("nonce")));
        assert_eq!(check("nonce", Value::Null, Some("n")), Err(Rejected::Missing("nonce")));
        assert_eq!(check("iss", json!("https://old.test"), Some("n")), Err(Rejected::Wrong("iss")));
        assert_eq!(check("sub", Value::Null, Some("n")), Err(Rejected::Missing("sub")));
        assert_eq!(check("iat", Value::Null, Some("n")), Err(Rejected::Missing("iat")));
        assert_eq!(check("aud", json!("other"), Some("n")), Err(Rejected::Wrong("aud")));
        assert_eq!(check("aud", json!(["weir", "other"]), Some("n")), Err(Rejected::Missing("azp")));
        assert_eq!(check("azp", json!("other"), Some("n")), Err(Rejected::Wrong("azp")));
        assert_eq!(check("azp", json!("weir"), Some("n")), Ok(()));
        assert_eq!(check("exp", json!(1), Some("n")), Err(Rejected::Expired));
    }

    #[test]
    fn hashes_bind_what_came_along() {
        // OpenID Connect Core 1.0, A.3: the access token and at_hash of its example; A.4: the code and c_hash.
        let signed = |name: &str, hash: &str| signed(name, json!(hash));
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(signed("at_hash", "77QmUPtjPfzWtF2AnpK9RQ").check_hash("at_hash", token), Ok(()));
        assert_eq!(
            signed("at_hash", "77QmUPtjPfzWtF2AnpK9RQ").check_hash("at_hash", "x"),
            Err(Rejected::Wrong("at_hash"))
        );
        let code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
        assert_eq!(signed("c_hash", "LDktKdoQak3Pk0cnXxCltA").check_hash("c_hash", code), Ok(()));
        assert_eq!(signed("x", "").check_hash("c_hash", code), Ok(()));
    }

    #[test]
    fn what_is_introspected_must_be_active() {
        let check = |value: Value| expected().check_introspected(&claims(value), 950.0);
        assert_eq!(check(json!({"active": true})), Ok(()));
        for bad in [json!({}), json!({"active": false}), json!({"active": "true"})] {
            assert_eq!(check(bad), Err(Rejected::Inactive));
        }
        assert_eq!(check(json!({"active": true, "exp": 900})), Err(Rejected::Expired));
        assert_eq!(check(json!({"active": true, "iss": "https://evil.test"})), Err(Rejected::Wrong("iss")));
    }

    #[test]
    fn claims_are_found_by_their_path() {
        let all = claims(json!({"realm": {"roles": ["a", "b c"]}, "scope": "x  y", "n": 7, "bad": "a\nb"}));
        let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(list(at(&all, &path(&["realm", "roles"]))), ["a", "b c"]);
        assert_eq!(words(all.get("scope")), ["x", "y"]);
        assert_eq!(at(&all, &path(&["realm", "roles", "0"])), None);
        assert_eq!(at(&all, &[]), None);
        assert_eq!(plain(&all["n"]).as_deref(), Some("7"));
        assert_eq!(plain(&all["bad"]), None);
        assert!(!satisfies(&[], &["a"]));
    }
}
