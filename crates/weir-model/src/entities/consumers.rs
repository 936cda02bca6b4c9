//! Consumers: who sends requests.

use super::{Audit, Entity, Rotation};
use crate::schema::{EntityCheck, Fields, Schema, Variant, text, types};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("updated_at", types::updated_at()),
            ("username", text().unique()),
            ("custom_id", text().unique()),
            ("tags", types::tags()),
        ],
        checks: vec![EntityCheck::AtLeastOneOf(vec!["custom_id", "username"])],
        ..Fields::default()
    };
    Entity {
        name: "consumers",
        path: Some("consumers"),
        singular: "consumer",
        nested: &[],
        key: Some("username"),
        unique_together: &[],
        ttl: false,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::None },
    }
}
