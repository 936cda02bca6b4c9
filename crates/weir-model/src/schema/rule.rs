//! Constraints on one value: what they mean, what they say when they fail, how `/schemas` shows them.

use serde_json::{Map, Value, json};

use crate::errors::Errors;
use crate::lua::Pattern;

/// A constraint on one value.
pub enum Rule {
    /// Equal to this.
    Eq(Value),
    /// One of these.
    OneOf(Vec<Value>),
    /// None of these.
    NotOneOf(Vec<Value>),
    /// A number in this range, both ends included.
    Between(i64, i64),
    /// A number greater than this.
    Gt(i64),
    /// An array or a set with this in it.
    Contains(&'static str),
    /// Exactly this long.
    LenEq(usize),
    /// At least this long: bytes of a text, members of an array, set or map.
    LenMin(usize),
    /// A UUID in its canonical form.
    Uuid,
    /// A text that matches.
    Match(Pattern),
    /// A text that matches none of these; each with what to say.
    MatchNone(Vec<(Pattern, &'static str)>),
    /// A text that matches all of these; each with what to say.
    MatchAll(Vec<(Pattern, &'static str)>),
    /// A text that matches one of these, with what to say.
    MatchAny(Vec<Pattern>, &'static str),
    /// A text that starts so.
    StartsWith(&'static str),
    /// A regular expression.
    IsRegex,
    /// Nothing, whatever its kind; with what to say. Not shown.
    Unset(String),
    /// Anything but this; with what to say. Not shown.
    Not(Value, String),
    /// Members from only one of these groups.
    MutuallyExclusiveSubsets(Vec<Vec<&'static str>>),
}

impl Rule {
    /// Applies the rule to a value of the kind it is meant for.
    pub fn apply(&self, value: &Value) -> Result<(), Errors> {
        let text = value.as_str().unwrap_or_default();
        let failed: Option<String> = match self {
            Self::Eq(want) => (value != want).then(|| format!("value must be {}", bare(want))),
            Self::OneOf(list) => {
                (!list.contains(value)).then(|| format!("expected one of: {}", bare_list(list)))
            }
            Self::NotOneOf(list) => {
                list.contains(value).then(|| format!("must not be one of: {}", bare_list(list)))
            }
            Self::Between(low, high) => {
                let inside = value.as_f64().is_some_and(|v| v >= *low as f64 && v <= *high as f64);
                (!inside).then(|| format!("value should be between {low} and {high}"))
            }
            Self::Gt(limit) => {
                let greater = value.as_f64().is_some_and(|v| v > *limit as f64);
                (!greater).then(|| format!("value must be greater than {limit}"))
            }
            Self::Contains(want) => {
                let has = value.as_array().is_some_and(|items| items.iter().any(|item| item == want));
                (!has).then(|| format!("expected to contain: {want}"))
            }
            Self::LenEq(want) => (length(value) != *want).then(|| format!("length must be {want}")),
            Self::LenMin(least) => {
                (length(value) < *least).then(|| format!("length must be at least {least}"))
            }
            Self::Uuid => (!is_uuid(text)).then(|| "expected a valid UUID".to_owned()),
            Self::Match(pattern) => (!(pattern.matches)(text)).then(|| format!("invalid value: {text}")),
            Self::MatchNone(list) => first(list, |p| (p.matches)(text)),
            Self::MatchAll(list) => first(list, |p| !(p.matches)(text)),
            Self::MatchAny(list, say) => (!list.iter().any(|p| (p.matches)(text))).then(|| (*say).to_owned()),
            Self::StartsWith(want) => (!text.starts_with(want)).then(|| format!("should start with: {want}")),
            Self::IsRegex => regex::Regex::new(text).err().map(|_| format!("'{text}' is not a valid regex")),
            Self::Unset(say) => (!super::is_empty(value)).then(|| say.clone()),
            Self::Not(unwanted, say) => (value == unwanted).then(|| say.clone()),
            Self::MutuallyExclusiveSubsets(groups) => exclusive(groups, value),
        };
        failed.map_or(Ok(()), |say| Err(say.into()))
    }

    /// Adds the rule to a definition as `/schemas` shows it.
    pub fn describe(&self, out: &mut Map<String, Value>) {
        let with_err = |list: &[(Pattern, &str)]| -> Value {
            list.iter().map(|(pattern, err)| json!({"pattern": pattern.lua, "err": err})).collect()
        };
        let (name, value) = match self {
            Self::Eq(want) => ("eq", want.clone()),
            Self::OneOf(list) => ("one_of", json!(list)),
            Self::NotOneOf(list) => ("not_one_of", json!(list)),
            Self::Between(low, high) => ("between", json!([low, high])),
            Self::Gt(limit) => ("gt", json!(limit)),
            Self::Contains(want) => ("contains", json!(want)),
            Self::LenEq(want) => ("len_eq", json!(want)),
            Self::LenMin(least) => ("len_min", json!(least)),
            Self::Uuid => ("uuid", json!(true)),
            Self::Match(pattern) => ("match", json!(pattern.lua)),
            Self::MatchNone(list) => ("match_none", with_err(list)),
            Self::MatchAll(list) => ("match_all", with_err(list)),
            Self::MatchAny(list, err) => {
                let patterns: Vec<&str> = list.iter().map(|p| p.lua).collect();
                match *err {
                    "" => ("match_any", json!({"patterns": patterns})),
                    err => ("match_any", json!({"patterns": patterns, "err": err})),
                }
            }
            Self::StartsWith(want) => ("starts_with", json!(want)),
            Self::IsRegex => ("is_regex", json!(true)),
            Self::Unset(_) | Self::Not(..) => return,
            Self::MutuallyExclusiveSubsets(groups) => ("mutually_exclusive_subsets", json!(groups)),
        };
        out.insert(name.to_owned(), value);
    }
}

/// Whether a text is a UUID as Kong takes them: hexadecimal, either case, hyphens in their places.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn first(list: &[(Pattern, &'static str)], fails: impl Fn(&Pattern) -> bool) -> Option<String> {
    list.iter().find(|(pattern, _)| fails(pattern)).map(|(_, say)| (*say).to_owned())
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    }
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bare_list(list: &[Value]) -> String {
    list.iter().map(bare).collect::<Vec<_>>().join(", ")
}

/// Names the groups that the members come from, in the order in which members name them.
fn exclusive(groups: &[Vec<&'static str>], value: &Value) -> Option<String> {
    let members = value.as_array()?;
    let mut used: Vec<&Vec<&str>> = Vec::new();
    for member in members.iter().filter_map(Value::as_str) {
        let group = groups.iter().find(|group| group.contains(&member))?;
        if !used.iter().any(|u| std::ptr::eq(*u, group)) {
            used.push(group);
        }
    }
    (used.len() > 1).then(|| {
        let named: Vec<String> = used.iter().map(|group| format!("('{}')", group.join("', '"))).collect();
        format!("these sets are mutually exclusive: {}", named.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong() {
        let fail = |rule: &Rule, value: Value| match rule.apply(&value) {
            Err(Errors::Text(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(fail(&Rule::Between(0, 9), json!(10)), "value should be between 0 and 9");
        assert_eq!(fail(&Rule::Gt(0), json!(0)), "value must be greater than 0");
        assert_eq!(fail(&Rule::Eq(Value::Null), json!(1)), "value must be null");
        assert_eq!(fail(&Rule::OneOf(vec![json!("a"), json!(2)]), json!("b")), "expected one of: a, 2");
        assert_eq!(fail(&Rule::Uuid, json!("zz")), "expected a valid UUID");
        assert_eq!(fail(&Rule::IsRegex, json!("(")), "'(' is not a valid regex");
        let groups =
            Rule::MutuallyExclusiveSubsets(vec![vec!["http", "https"], vec!["tcp"], vec!["tls_passthrough"]]);
        assert_eq!(
            fail(&groups, json!(["tls_passthrough", "tcp"])),
            "these sets are mutually exclusive: ('tls_passthrough'), ('tcp')"
        );
        assert!(groups.apply(&json!(["http", "https"])).is_ok());
    }
}
