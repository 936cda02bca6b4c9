//! Clients of OAuth 2.0, the codes and the tokens that they are given.

use serde_json::{Value, json};

use super::{Audit, Entity, Rotation, previous};
use crate::errors::Errors;
use crate::schema::{Auto, Fields, Schema, Variant, array, boolean, integer, owned_by, text, types};

pub(super) fn credentials() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("consumer", owned_by("consumers").required()),
            ("name", text().required()),
            ("client_id", text().optional().unique().auto(Auto::Token)),
            ("client_secret", text().optional().auto(Auto::Token).verifiable().show("encrypted", true)),
            ("hash_secret", boolean().required().default(false)),
            ("redirect_uris", array(text().required().check(redirect_uri)).optional()),
            ("tags", types::tags()),
            ("client_type", text().required().default("confidential").one_of(["confidential", "public"])),
            previous(),
        ],
        ..Fields::default()
    };
    Entity {
        name: "oauth2_credentials",
        path: Some("oauth2"),
        singular: "oauth2_credential",
        nested: &[("consumers", "oauth2")],
        key: Some("client_id"),
        unique_together: &[],
        ttl: false,
        audit: Audit::Always,
        rotation: Rotation::Secret("client_secret"),
        schema: Schema { fields, variant: Variant::None },
    }
}

pub(super) fn authorization_codes() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("service", owned_by("services").default(json!(null))),
            ("credential", owned_by("oauth2_credentials").required()),
            ("code", text().optional().unique().auto(Auto::Token).verifiable()),
            ("authenticated_userid", text().optional()),
            ("scope", text()),
            ("challenge", text().optional()),
            ("challenge_method", text().optional().one_of(["S256"])),
            ("plugin", owned_by("plugins").default(json!(null))),
            // Where the code was sent to, which its exchange must name again (RFC 6749, 4.1.3).
            ("redirect_uri", text().hidden()),
        ],
        ..Fields::default()
    };
    Entity {
        name: "oauth2_authorization_codes",
        path: None,
        singular: "oauth2_authorization_code",
        nested: &[],
        key: None,
        unique_together: &[],
        ttl: true,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::None },
    }
}

pub(super) fn tokens() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("service", owned_by("services").default(json!(null))),
            ("credential", owned_by("oauth2_credentials").required()),
            ("token_type", text().required().default("bearer").one_of(["bearer"])),
            ("expires_in", integer().required()),
            ("access_token", text().optional().unique().auto(Auto::Token).verifiable()),
            ("refresh_token", text().optional().unique().verifiable()),
            ("authenticated_userid", text().optional()),
            ("scope", text()),
        ],
        ..Fields::default()
    };
    Entity {
        name: "oauth2_tokens",
        path: Some("oauth2_tokens"),
        singular: "oauth2_token",
        nested: &[("oauth2_credentials", "oauth2_tokens")],
        key: Some("access_token"),
        unique_together: &[],
        ttl: true,
        audit: Audit::Operators,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::None },
    }
}

/// An absolute URI without a fragment (RFC 6749, 3.1.2).
fn redirect_uri(value: &Value) -> Result<(), Errors> {
    let text = value.as_str().unwrap_or_default();
    let letters = |scheme: &str| {
        let mut bytes = scheme.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    let absolute = text.split_once(':').is_some_and(|(scheme, rest)| letters(scheme) && !rest.is_empty());
    if !absolute || text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(format!("cannot parse '{text}'").into());
    }
    if text.contains('#') {
        return Err(format!("fragment not allowed in '{text}'").into());
    }
    Ok(())
}
