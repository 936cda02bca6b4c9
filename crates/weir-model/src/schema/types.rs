//! Fields that several entities and plugins have in common, and the checks behind them.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::field::{Auto, Field, array, boolean, integer, set, string, text};
use super::rule::Rule;
use crate::errors::Errors;
use crate::lua;

/// The protocols that routes and services know, sorted.
pub const PROTOCOLS: [&str; 8] = ["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"];

/// The protocols of HTTP plugins.
const HTTP_PROTOCOLS: [&str; 4] = ["grpc", "grpcs", "http", "https"];

/// An entity's primary key.
pub fn id() -> Field {
    text().rule(Rule::Uuid).auto(Auto::Uuid)
}

/// The time of creation, epoch seconds.
pub fn created_at() -> Field {
    integer().auto(Auto::CreatedAt)
}

/// The time of the last change, epoch seconds.
pub fn updated_at() -> Field {
    integer().auto(Auto::UpdatedAt)
}

/// A name in URLs: letters, digits, `.`, `-`, `_`, `~`, and whatever is not ASCII.
pub fn name() -> Field {
    text().check(|value| {
        let text = as_text(value);
        let fine = text.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || ".-_~".contains(c));
        if fine {
            return Ok(());
        }
        Err(format!(
            "invalid value '{text}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
        )
        .into())
    })
}

/// Labels that entities are grouped by.
pub fn tags() -> Field {
    set(text().required().check(|value| {
        let text = as_text(value);
        if text.chars().any(|c| c == ',' || c == '/' || c.is_ascii_control()) {
            let say = format!(
                "invalid tag '{text}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
            );
            return Err(say.into());
        }
        Ok(())
    }))
}

/// A host name or address without a port.
pub fn host() -> Field {
    text().check(|value| {
        let text = as_text(value);
        match split_port(text) {
            _ if is_host(text, false) => Ok(()),
            (host, Some(_)) if is_host(host, false) => Err("must not have a port".into()),
            _ => Err(format!("invalid value: {text}").into()),
        }
    })
}

/// A port.
pub fn port() -> Field {
    integer().between(0, 65535)
}

/// Milliseconds.
pub fn timeout_ms() -> Field {
    integer().between(1, i64::from(i32::MAX) - 1)
}

/// An absolute path, as in a URL.
pub fn path() -> Field {
    text()
        .rule(Rule::StartsWith("/"))
        .rule(Rule::MatchNone(vec![(lua::EMPTY_SEGMENT, "must not have empty segments")]))
        .check(|value| check_path(as_text(value)))
}

/// The protocols of a plugin that works on HTTP.
pub(super) fn http_protocols() -> Field {
    protocols(&HTTP_PROTOCOLS)
}

/// The protocols of a plugin that works on streams too.
pub(super) fn any_protocols() -> Field {
    protocols(&PROTOCOLS)
}

fn protocols(known: &[&'static str]) -> Field {
    let element = text().required().one_of(known.iter().copied());
    set(element).required().default(json!(HTTP_PROTOCOLS))
}

/// A reference that must not lead anywhere.
pub(super) fn null_reference(to: &'static str) -> Field {
    super::field::foreign(to).rule(Rule::Eq(Value::Null))
}

/// The name of an HTTP header. Kong takes letters, digits, `_` and `-`.
pub fn header_name() -> Field {
    string().check(|value| check_header_name(as_text(value)))
}

/// What [`header_name`] checks.
///
/// # Errors
/// When the text is no header name.
pub fn check_header_name(text: &str) -> Result<(), Errors> {
    let fine = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fine {
        return Ok(());
    }
    Err(format!("bad header name '{text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'").into())
}

/// How a plugin reaches a Redis server.
pub fn redis() -> Field {
    super::field::record([
        ("host", string().check(|value| host().check.map_or(Ok(()), |check| check(value)))),
        ("port", port().default(6379)),
        ("timeout", integer().between(0, i64::from(i32::MAX) - 1).default(2000)),
        ("username", string().show("referenceable", true)),
        (
            "password",
            string().rule(Rule::LenMin(0)).secret().show("referenceable", true).show("encrypted", true),
        ),
        ("database", integer().default(0)),
        ("ssl", boolean().optional().default(false)),
        ("ssl_verify", boolean().optional().default(false)),
        ("server_name", string().optional()),
    ])
    .required()
}

/// An array of texts.
pub fn strings() -> Field {
    array(string())
}

/// The text of a value whose kind was checked.
pub fn as_text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Splits `host:port`; an IPv6 address without brackets has no port.
pub fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((host, after)) = rest.split_once(']')
    {
        return (host, after.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

/// Whether a text is an IP address or a host name; `wildcard` allows `*` as the first or last label.
pub fn is_host(text: &str, wildcard: bool) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let inner = match (wildcard, text.strip_prefix("*."), text.strip_suffix(".*")) {
        (true, Some(rest), _) | (true, None, Some(rest)) => rest,
        _ => text,
    };
    let inner = inner.strip_suffix('.').unwrap_or(inner);
    !inner.is_empty()
        && inner.len() <= 253
        && inner.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// Checks a path's characters and its percent-encoding, not its form.
pub(crate) fn check_path(text: &str) -> Result<(), Errors> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    if !text.chars().all(|c| allowed(c) || !c.is_ascii()) {
        let say =
            format!("invalid path: '{text}' (characters outside of the reserved list of RFC 3986 found)");
        return Err(say.into());
    }
    match bad_escape(text) {
        Some(escape) => Err(format!("invalid url-encoded value: '{escape}'").into()),
        None => Ok(()),
    }
}

/// The first `%` that two hexadecimal digits do not follow, with up to two characters after it.
fn bad_escape(text: &str) -> Option<String> {
    text.match_indices('%').find_map(|(at, _)| {
        let digits: String = text.get(at + 1..)?.chars().take(2).collect();
        let good = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        (!good).then(|| format!("%{digits}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["a", "a.test", "1.2.3.4", "::1", "a-b.c_d", "example.com."] {
            assert!(is_host(good, false), "{good}");
        }
        for bad in ["", "a b", "*.a", "a..b", "a/b", ".a"] {
            assert!(!is_host(bad, false), "{bad}");
        }
        assert!(is_host("*.a.test", true) && is_host("a.*", true));
        assert_eq!(split_port("[::1]:80"), ("::1", Some("80")));
        assert_eq!(split_port("::1"), ("::1", None));
    }

    #[test]
    fn paths() {
        assert!(check_path("/a%2Fb").is_ok());
        assert_eq!(check_path("/a%zz"), Err("invalid url-encoded value: '%zz'".into()));
        assert!(check_path("/a b").is_err());
    }
}
