//! Plugins: what happens to requests, and to which. Each plugin's own configuration comes from the catalog.

use serde_json::json;

use super::{Audit, Entity, Rotation};
use crate::schema::{Fields, Schema, Variant, abstract_record, boolean, owned_by, set, string, text, types};

pub(super) fn entity() -> Entity {
    let protocols = set(string().one_of(types::PROTOCOLS)).required();
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("name", text().required()),
            ("instance_name", types::name().unique()),
            ("created_at", types::created_at()),
            ("updated_at", types::updated_at()),
            ("route", owned_by("routes").default(json!(null))),
            ("service", owned_by("services").default(json!(null))),
            ("consumer", owned_by("consumers").default(json!(null))),
            ("config", abstract_record()),
            ("protocols", protocols.default(json!(["grpc", "grpcs", "http", "https"]))),
            ("enabled", boolean().required().default(true)),
            ("tags", types::tags()),
        ],
        ..Fields::default()
    };
    Entity {
        name: "plugins",
        path: Some("plugins"),
        singular: "plugin",
        nested: &[("routes", "plugins"), ("services", "plugins"), ("consumers", "plugins")],
        key: Some("instance_name"),
        unique_together: &["name", "route", "service", "consumer"],
        ttl: false,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::Plugin },
    }
}
