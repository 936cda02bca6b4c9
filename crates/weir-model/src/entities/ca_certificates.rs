//! Certificates of authorities that vouch for clients.

use serde_json::Value;

use super::{Audit, Entity, Rotation};
use crate::schema::{Auto, EntityCheck, Fields, Record, Schema, Variant, text, types};
use crate::{Errors, x509};

pub(super) fn entity() -> Entity {
    let fields = Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("updated_at", types::updated_at()),
            ("cert", text().required().check(is_certificate)),
            ("cert_digest", text().unique().auto(Auto::CertificateDigest("cert"))),
            ("tags", types::tags()),
        ],
        checks: vec![EntityCheck::Custom {
            fields: vec!["cert"],
            run_with_missing_fields: false,
            check: is_authority,
        }],
        ..Fields::default()
    };
    Entity {
        name: "ca_certificates",
        path: Some("ca_certificates"),
        singular: "ca_certificate",
        nested: &[],
        key: None,
        unique_together: &[],
        ttl: false,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields, variant: Variant::None },
    }
}

fn is_certificate(value: &Value) -> Result<(), Errors> {
    x509::one(types::as_text(value)).map(drop).map_err(Into::into)
}

fn is_authority(record: &Record) -> Result<(), String> {
    match record.get("cert").and_then(Value::as_str) {
        Some(pem) => x509::check_authority(pem, weir_kernel::clock::unix_seconds()),
        None => Ok(()),
    }
}
