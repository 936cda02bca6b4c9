//! What consumers sign their JSON Web Tokens with.

use serde_json::Value;

use super::{Audit, Entity, Rotation, previous};
use crate::errors::Errors;
use crate::lua;
use crate::schema::{
    Auto, Condition, Conditional, EntityCheck, Fields, Rule, Schema, Variant, owned_by, text, types,
};

/// The algorithms of RFC 7518 (3.1) and RFC 8037 that a token may be signed by.
pub const ALGORITHMS: [&str; 13] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384",
    "PS512", "EdDSA",
];

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("consumer", owned_by("consumers").required()),
            ("key", text().optional().unique().auto(Auto::Token)),
            ("secret", text().auto(Auto::Token).secret()),
            ("rsa_public_key", text().check(public_key)),
            ("algorithm", text().default("HS256").one_of(ALGORITHMS)),
            ("tags", types::tags()),
            previous(),
        ],
        checks: vec![EntityCheck::Conditional(Conditional {
            if_field: "algorithm",
            if_match: Condition::rule(Rule::MatchAny(with_a_public_key(), "")),
            then_field: "rsa_public_key",
            then_match: Condition::required(Vec::new()),
            then_err: None,
        })],
        ..Fields::default()
    };
    Entity {
        name: "jwt_secrets",
        path: Some("jwts"),
        singular: "jwt_secret",
        nested: &[("consumers", "jwt")],
        key: Some("key"),
        unique_together: &[],
        ttl: false,
        audit: Audit::Always,
        rotation: Rotation::Secret("secret"),
        schema: Schema { fields, variant: Variant::None },
    }
}

/// The algorithms that are no use without a public key. Kong leaves ES256 and its like out.
fn with_a_public_key() -> Vec<lua::Pattern> {
    macro_rules! exactly {
        ($($name:literal),*) => {
            vec![$(lua::Pattern { lua: concat!("^", $name, "$"), matches: |text| text == $name }),*]
        };
    }
    exactly!("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")
}

/// A public key or a certificate in PEM, by its frame. Whether it is one of the right kind shows when it is used.
fn public_key(value: &Value) -> Result<(), Errors> {
    let text = value.as_str().unwrap_or_default().trim();
    let framed = |label: &str| {
        let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
        text.strip_prefix(&*begin).and_then(|rest| rest.strip_suffix(&*end)).is_some_and(|body| {
            let good = |c: char| c.is_ascii_alphanumeric() || "+/= \t\r\n".contains(c);
            !body.trim().is_empty() && body.chars().all(good)
        })
    };
    if ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"].into_iter().any(framed) {
        return Ok(());
    }
    Err("invalid key".into())
}
