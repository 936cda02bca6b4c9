//! Sessions of browsers, where they are kept here and not in a cookie.

use super::{Audit, Entity, Rotation};
use crate::schema::{Fields, Schema, Variant, integer, text, types};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("session_id", text().required().unique().verifiable()),
            ("expires", integer()),
            ("data", text().secret()),
            ("created_at", types::created_at()),
        ],
        ..Fields::default()
    };
    Entity {
        name: "sessions",
        path: None,
        singular: "session",
        nested: &[],
        key: None,
        unique_together: &[],
        ttl: true,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::None },
    }
}
