//! The two places where Lua shows through Kong's answers: tables printed as text, and string patterns in schemas.

use serde_json::Value;

/// A JSON value as Penlight's `pretty.write` prints the Lua table it came from: two spaces an indent, names bare where
/// they are identifiers, array members without keys.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Array(items) if items.is_empty() => out.push_str("{}"),
        Value::Object(map) => {
            let members = map.iter().map(|(key, item)| (Some(key_text(key)), item));
            table(out, members, depth);
        }
        Value::Array(items) => {
            let dense = !items.contains(&Value::Null);
            let members = (1..).zip(items).filter(|(_, item)| !item.is_null()).map(|(position, item)| {
                let key = (!dense).then(|| format!("[{position}]"));
                (key, item)
            });
            table(out, members, depth);
        }
        Value::String(text) => out.push_str(&quote(text)),
        Value::Null => out.push_str("nil"),
        other => out.push_str(&other.to_string()),
    }
}

fn table<'a>(out: &mut String, members: impl Iterator<Item = (Option<String>, &'a Value)>, depth: usize) {
    out.push('{');
    for (index, (key, item)) in members.enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        indent(out, depth + 1);
        if let Some(key) = key {
            out.push_str(&key);
            out.push_str(" = ");
        }
        write(out, item, depth + 1);
    }
    out.push('\n');
    indent(out, depth);
    out.push('}');
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn key_text(key: &str) -> String {
    let identifier = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && key.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if identifier { key.to_owned() } else { format!("[{}]", quote(key)) }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A string pattern: how schemas show it, and what it means.
#[derive(Clone, Copy)]
pub struct Pattern {
    /// As `/schemas` shows it.
    pub lua: &'static str,
    /// Whether a text matches.
    pub matches: fn(&str) -> bool,
}

/// One upper-case word, as methods are written.
pub const UPPERCASE: Pattern =
    Pattern { lua: "^%u+$", matches: |s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_uppercase()) };

/// An empty path segment.
pub const EMPTY_SEGMENT: Pattern = Pattern { lua: "//", matches: |s| s.contains("//") };

/// A fixed path.
pub const FIXED_PATH: Pattern = Pattern { lua: "^/", matches: |s| s.starts_with('/') };

/// A path that is a regular expression.
pub const REGEX_PATH: Pattern = Pattern { lua: "^~/", matches: |s| s.starts_with("~/") };

/// At most one wildcard.
pub const ONE_WILDCARD: Pattern =
    Pattern { lua: "^[^*]*%*?[^*]*$", matches: |s| s.bytes().filter(|b| *b == b'*').count() <= 1 };

/// A wildcard as the leftmost label.
pub const LEFT_WILDCARD: Pattern = Pattern { lua: "^%*%.", matches: |s| s.starts_with("*.") };

/// A wildcard as the rightmost label.
pub const RIGHT_WILDCARD: Pattern = Pattern { lua: "%.%*$", matches: |s| s.ends_with(".*") };

/// No wildcard.
pub const NO_WILDCARD: Pattern = Pattern { lua: "^[^*]*$", matches: |s| !s.contains('*') };

/// The name of the Host header, in any case.
pub const HOST_NAME: Pattern =
    Pattern { lua: "^[Hh][Oo][Ss][Tt]$", matches: |s| s.eq_ignore_ascii_case("host") };

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables() {
        assert_eq!(pretty(&json!({"ip": "bad"})), "{\n  ip = \"bad\"\n}");
        assert_eq!(pretty(&json!(["a", "b"])), "{\n  \"a\",\n  \"b\"\n}");
        assert_eq!(pretty(&json!([null, "b"])), "{\n  [2] = \"b\"\n}");
        assert_eq!(pretty(&json!({"@entity": ["x"]})), "{\n  [\"@entity\"] = {\n    \"x\"\n  }\n}");
    }
}
