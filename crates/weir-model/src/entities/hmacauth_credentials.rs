//! Usernames of consumers, and the secrets that they sign requests with.

use super::{Audit, Entity, Rotation, previous};
use crate::schema::{Auto, Fields, Schema, Variant, owned_by, text, types};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("consumer", owned_by("consumers").required()),
            ("username", text().required().unique()),
            ("secret", text().auto(Auto::Token).secret()),
            ("tags", types::tags()),
            previous(),
        ],
        ..Fields::default()
    };
    Entity {
        name: "hmacauth_credentials",
        path: Some("hmac-auths"),
        singular: "hmacauth_credential",
        nested: &[("consumers", "hmac-auth")],
        key: Some("username"),
        unique_together: &[],
        ttl: false,
        audit: Audit::Always,
        rotation: Rotation::Secret("secret"),
        schema: Schema { fields, variant: Variant::None },
    }
}
