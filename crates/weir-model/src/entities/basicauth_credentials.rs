//! Usernames and passwords of consumers.

use super::{Audit, Entity, Rotation, previous};
use crate::schema::{EntityCheck, Fields, Schema, Variant, owned_by, text, types};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("consumer", owned_by("consumers").required()),
            ("username", text().required().unique()),
            ("password", text().required().password().show("encrypted", true)),
            ("tags", types::tags()),
            previous(),
        ],
        // Kong salts a password with its consumer's id, and so misses the consumer in two ways.
        checks: vec![EntityCheck::Together("password", "consumer.id")],
        ..Fields::default()
    };
    Entity {
        name: "basicauth_credentials",
        path: Some("basic-auths"),
        singular: "basicauth_credential",
        nested: &[("consumers", "basic-auth")],
        key: Some("username"),
        unique_together: &[],
        ttl: false,
        audit: Audit::Always,
        rotation: Rotation::Secret("password"),
        schema: Schema { fields, variant: Variant::None },
    }
}
