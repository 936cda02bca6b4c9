//! API keys of consumers.

use super::{Audit, Entity, Rotation};
use crate::schema::{Auto, Fields, Schema, Variant, owned_by, text, types};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("consumer", owned_by("consumers").required()),
            ("key", text().optional().unique().auto(Auto::Token).verifiable()),
            ("tags", types::tags()),
        ],
        ..Fields::default()
    };
    Entity {
        name: "keyauth_credentials",
        path: Some("key-auths"),
        singular: "keyauth_credential",
        nested: &[("consumers", "key-auth")],
        key: Some("key"),
        unique_together: &[],
        ttl: true,
        audit: Audit::Always,
        rotation: Rotation::Successor("key"),
        schema: Schema { fields, variant: Variant::None },
    }
}
