//! Services: where requests are sent.

use serde_json::{Map, Value, json};

use super::{Audit, Entity, Rotation};
use crate::schema::types::{self, PROTOCOLS};
use crate::schema::{
    Condition, Conditional, EntityCheck, Fields, Rule, Schema, Shorthand, Variant, array, boolean, foreign,
    integer, string, text,
};

pub(super) fn entity() -> Entity {
    Entity {
        name: "services",
        path: Some("services"),
        singular: "service",
        nested: &[],
        key: Some("name"),
        unique_together: &[],
        ttl: false,
        audit: Audit::Never,
        rotation: Rotation::None,
        schema: Schema { fields: fields(), variant: Variant::None },
    }
}

fn fields() -> Fields {
    Fields {
        list: vec![
            ("id", types::id()),
            ("created_at", types::created_at()),
            ("updated_at", types::updated_at()),
            ("name", types::name().unique()),
            ("retries", integer().between(0, 32767).default(5)),
            ("protocol", text().one_of(PROTOCOLS).required().default("http")),
            ("host", types::host().required()),
            ("port", types::port().required().default(80)),
            ("path", types::path()),
            ("connect_timeout", types::timeout_ms().default(60000)),
            ("write_timeout", types::timeout_ms().default(60000)),
            ("read_timeout", types::timeout_ms().default(60000)),
            ("tags", types::tags()),
            ("client_certificate", foreign("certificates")),
            ("tls_verify", boolean()),
            ("tls_verify_depth", integer().between(0, 64).default(Value::Null)),
            ("ca_certificates", array(text().required().rule(Rule::Uuid))),
            ("enabled", boolean().required().default(true)),
        ],
        checks: vec![
            must_be_null("path", Rule::OneOf(values(&["tcp", "tls", "udp", "grpc", "grpcs"]))),
            must_be_null("client_certificate", Rule::NotOneOf(values(&["https", "tls"]))),
            must_be_null("tls_verify", Rule::NotOneOf(values(&["https", "tls"]))),
            must_be_null("tls_verify_depth", Rule::NotOneOf(values(&["https", "tls"]))),
            must_be_null("ca_certificates", Rule::NotOneOf(values(&["https", "tls"]))),
        ],
        shorthands: vec![Shorthand::expand("url", string(), split_url)],
    }
}

fn values(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|t| json!(t)).collect()
}

fn must_be_null(field: &'static str, when_protocol: Rule) -> EntityCheck {
    EntityCheck::Conditional(Conditional {
        if_field: "protocol",
        if_match: Condition::rule(when_protocol),
        then_field: field,
        then_match: Condition::rule(Rule::Eq(Value::Null)),
        then_err: None,
    })
}

/// The parts of an address, as Kong's URL parser finds them: what has no scheme is all path. User, query and fragment
/// are dropped; the port is the scheme's own where none is given.
fn split_url(url: &Value) -> Map<String, Value> {
    let url = url.as_str().unwrap_or_default();
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let (authority, path) = match (scheme, rest.find('/')) {
        (None, _) => ("", Some(rest)),
        (Some(_), None) => (rest, None),
        (Some(_), Some(at)) => (&rest[..at], Some(&rest[at..])),
    };
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = types::split_port(authority);
    let port = match (port.and_then(|p| p.parse::<u32>().ok()), scheme) {
        (Some(port), _) => json!(port),
        (None, Some("http")) => json!(80),
        (None, Some("https")) => json!(443),
        (None, _) => Value::Null,
    };
    let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let mut out = Map::new();
    if let Some(scheme) = scheme {
        out.insert("protocol".to_owned(), json!(scheme));
    }
    out.insert("host".to_owned(), text(host));
    if !port.is_null() {
        out.insert("port".to_owned(), port);
    }
    out.insert("path".to_owned(), path.map_or(Value::Null, text));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let split = |url: &str| Value::Object(split_url(&json!(url)));
        assert_eq!(
            split("https://u:p@[::1]:8443/a?b#c"),
            json!({"protocol": "https", "host": "::1", "port": 8443, "path": "/a"})
        );
        assert_eq!(
            split("http://a.test"),
            json!({"protocol": "http", "host": "a.test", "port": 80, "path": null})
        );
        assert_eq!(split("a.test"), json!({"host": null, "path": "a.test"}));
        assert_eq!(split("http:///x"), json!({"protocol": "http", "host": null, "port": 80, "path": "/x"}));
    }
}
