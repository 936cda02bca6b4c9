//! Forms: `a.b=1` is a member of a member, `a[]=1` and `a[1]=1` and `a=1&a=2` are lists.
//!
//! The result is what the same would be in JSON, with every value a text. Depth and number of arguments are bounded.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use weir_model::Record;

/// The most arguments that a form may have.
const MAX_ARGUMENTS: usize = 10_000;
/// The deepest that a name may lead.
const MAX_DEPTH: usize = 16;

/// A form that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadForm;

/// Reads a form as it is written in URLs.
///
/// # Errors
/// When it holds what is no text, or too much.
pub fn decode(text: &str) -> Result<Record, BadForm> {
    let pairs = || text.split('&').filter(|pair| !pair.is_empty());
    // Before any is decoded: a body of nothing but arguments would take many times its size.
    if pairs().nth(MAX_ARGUMENTS).is_some() {
        return Err(BadForm);
    }
    let pairs = pairs().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((plain(name)?, plain(value)?))
    });
    nest(pairs.collect::<Result<Vec<_>, _>>()?)
}

fn plain(text: &str) -> Result<String, BadForm> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(Into::into).map_err(|_| BadForm)
}

/// Puts arguments where their names lead.
pub(crate) fn nest(pairs: Vec<(String, String)>) -> Result<Record, BadForm> {
    if pairs.len() > MAX_ARGUMENTS {
        return Err(BadForm);
    }
    let mut record = Map::new();
    for (name, value) in pairs {
        let steps = steps(&name)?;
        put(&mut record, &steps, Value::String(value))?;
    }
    Ok(record)
}

/// A step into a value.
enum Step<'a> {
    /// To the member of this name.
    Name(&'a str),
    /// To the list's member at this place, from one, or to a new one at its end.
    Item(Option<usize>),
}

fn steps(name: &str) -> Result<Vec<Step<'_>>, BadForm> {
    let mut steps = Vec::new();
    for part in name.split('.') {
        let (name, mut rest) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        steps.push(Step::Name(name));
        while let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or(BadForm)?;
            steps.push(match (index, index.parse::<usize>()) {
                ("", _) => Step::Item(None),
                (_, Ok(index)) if (1..=MAX_ARGUMENTS).contains(&index) => Step::Item(Some(index)),
                (name, _) => Step::Name(name),
            });
            rest = after;
            if steps.len() > MAX_DEPTH {
                return Err(BadForm);
            }
        }
        if steps.len() > MAX_DEPTH {
            return Err(BadForm);
        }
    }
    Ok(steps)
}

fn put(record: &mut Record, steps: &[Step<'_>], value: Value) -> Result<(), BadForm> {
    let Some((Step::Name(name), rest)) = steps.split_first() else { return Err(BadForm) };
    match record.get_mut(*name) {
        None => {
            record.insert((*name).to_owned(), wrap(rest, value)?);
            Ok(())
        }
        Some(slot) => put_into(slot, rest, value),
    }
}

fn put_into(slot: &mut Value, steps: &[Step<'_>], value: Value) -> Result<(), BadForm> {
    match (steps.split_first(), slot) {
        // Given again: a list.
        (None, Value::Array(items)) => items.push(value),
        (None, slot) => *slot = Value::Array(vec![slot.take(), value]),
        (Some((Step::Name(name), rest)), Value::Object(map)) => match map.get_mut(*name) {
            Some(inner) => return put_into(inner, rest, value),
            None => drop(map.insert((*name).to_owned(), wrap(rest, value)?)),
        },
        (Some((Step::Item(index), rest)), Value::Array(items)) => {
            match index.and_then(|index| items.get_mut(index - 1)) {
                Some(inner) if !inner.is_null() => return put_into(inner, rest, value),
                Some(inner) => *inner = wrap(rest, value)?,
                None => {
                    // A hole would be a null, so the list may not grow by more than the next one.
                    if index.is_some_and(|index| index > items.len() + 1) {
                        return Err(BadForm);
                    }
                    items.push(wrap(rest, value)?);
                }
            }
        }
        // A text first, members of it then: they cannot both be.
        (Some(_), _) => return Err(BadForm),
    }
    Ok(())
}

/// The value at the end of steps that lead through nothing yet.
fn wrap(steps: &[Step<'_>], value: Value) -> Result<Value, BadForm> {
    match steps.split_first() {
        None => Ok(value),
        Some((Step::Name(name), rest)) => {
            Ok(Value::Object(Map::from_iter([((*name).to_owned(), wrap(rest, value)?)])))
        }
        Some((Step::Item(None | Some(1)), rest)) => Ok(Value::Array(vec![wrap(rest, value)?])),
        Some((Step::Item(Some(_)), _)) => Err(BadForm),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(text: &str) -> Value {
        Value::Object(decode(text).unwrap())
    }

    #[test]
    fn names_lead_into_values() {
        assert_eq!(form("a=1&b=x+y&c=%2Fz"), json!({"a": "1", "b": "x y", "c": "/z"}));
        assert_eq!(form("config.a.b=1&config.c=2"), json!({"config": {"a": {"b": "1"}, "c": "2"}}));
        assert_eq!(form("a[]=1&a[]=2"), json!({"a": ["1", "2"]}));
        assert_eq!(form("a[1]=1&a[2]=2"), json!({"a": ["1", "2"]}));
        assert_eq!(form("a=1&a=2&a=3"), json!({"a": ["1", "2", "3"]}));
        assert_eq!(form("tags%5B%5D=one"), json!({"tags": ["one"]}));
        assert_eq!(form("headers.x-a[]=1&headers.x-a[]=2"), json!({"headers": {"x-a": ["1", "2"]}}));
        assert_eq!(form("s[1].ip=a&s[1].port=2"), json!({"s": [{"ip": "a", "port": "2"}]}));
    }

    #[test]
    fn what_cannot_be_read() {
        for bad in ["a=%ff", "a[=1", "a=1&a.b=2", "a[9]=1", "a[1]=1&a[3]=2"] {
            assert_eq!(decode(bad), Err(BadForm), "{bad}");
        }
        assert_eq!(decode(&format!("{}=1", ["a"; 40].join("."))), Err(BadForm));
        assert_eq!(decode(&"a=1&".repeat(MAX_ARGUMENTS + 1)), Err(BadForm));
    }
}
