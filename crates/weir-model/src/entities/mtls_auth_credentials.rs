//! Names in certificates that consumers are known by.

use super::{Audit, Entity, Rotation};
use crate::schema::{Fields, Schema, Variant, foreign, owned_by, text, types};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("consumer", owned_by("consumers").required()),
            ("subject_name", text().required()),
            ("ca_certificate", foreign("ca_certificates")),
            ("tags", types::tags()),
        ],
        ..Fields::default()
    };
    Entity {
        name: "mtls_auth_credentials",
        path: Some("mtls-auths"),
        singular: "mtls_auth_credential",
        nested: &[("consumers", "mtls-auth")],
        key: None,
        unique_together: &["subject_name", "ca_certificate"],
        ttl: false,
        audit: Audit::Always,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::None },
    }
}
