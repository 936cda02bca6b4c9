//! What a request asks for, out of its body: JSON, a form, or a form in parts.

pub mod form;
mod multipart;

use serde_json::Value;
use weir_model::Record;

/// A body, and how its values were written.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) fields: Record,
    /// Whether every value came as text, so that the schema has to say what it is.
    pub(crate) untyped: bool,
}

/// Why a body is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBody {
    /// It is not the JSON that it says it is.
    Json,
    /// It is not the form that it says it is.
    Form,
    /// It is of a type that nobody here knows.
    Type,
}

/// Reads a body of this content type.
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Args, BadBody> {
    let Some(kind) = content_type else {
        return if body.is_empty() { Ok(Args::default()) } else { Err(BadBody::Type) };
    };
    if kind.starts_with("application/json") {
        return match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Args { fields, untyped: false }),
            _ => Err(BadBody::Json),
        };
    }
    if kind.starts_with("application/x-www-form-urlencoded") {
        let text = std::str::from_utf8(body).map_err(|_| BadBody::Form)?;
        let fields = form::decode(text).map_err(|_| BadBody::Form)?;
        return Ok(Args { fields, untyped: true });
    }
    if kind.starts_with("multipart/form-data") {
        let pairs = multipart::decode(kind, body).ok_or(BadBody::Form)?;
        let fields = form::nest(pairs).map_err(|_| BadBody::Form)?;
        return Ok(Args { fields, untyped: true });
    }
    Err(BadBody::Type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_bodies() {
        assert!(read(None, b"").unwrap().fields.is_empty());
        assert_eq!(read(None, b"{}").unwrap_err(), BadBody::Type);
        assert_eq!(read(Some("Application/JSON"), b"{}").unwrap_err(), BadBody::Type);
        assert_eq!(read(Some("application/json"), b"").unwrap_err(), BadBody::Json);
        assert_eq!(read(Some("application/json"), b"{} x").unwrap_err(), BadBody::Json);
        assert_eq!(read(Some("application/json"), b"[]").unwrap_err(), BadBody::Json);
        assert_eq!(
            read(Some("application/json"), "[".repeat(100_000).as_bytes()).unwrap_err(),
            BadBody::Json
        );
        assert!(read(Some("application/json; charset=utf-8"), b"{\"a\":1}").is_ok());
        assert_eq!(read(Some("application/json"), b"{\"a\":\"\xff\"}").unwrap_err(), BadBody::Json);
    }
}
