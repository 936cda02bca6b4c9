//! Groups that consumers are in.

use super::{Audit, Entity, Rotation};
use crate::schema::{Fields, Schema, Variant, owned_by, text, types};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("consumer", owned_by("consumers").required()),
            ("group", text().required()),
            ("tags", types::tags()),
        ],
        ..Fields::default()
    };
    Entity {
        name: "acls",
        path: Some("acls"),
        singular: "acl",
        nested: &[("consumers", "acls")],
        key: None,
        unique_together: &["consumer", "group"],
        ttl: false,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::None },
    }
}
