//! Types for values that came as text, in a form: numbers, booleans, lists of one.

use serde_json::Value;

use super::field::{Field, Fields, Kind};

/// Gives every text in `value` the type that its field asks for, where it can have it. What cannot stays a text, for
/// validation to refuse. An empty text stands for null.
pub(super) fn infer(field: &Field, value: Value) -> Value {
    match (&field.kind, value) {
        (_, Value::String(text)) if text.is_empty() => Value::Null,
        (Kind::Array(elements) | Kind::Set(elements), Value::Array(items)) => {
            items.into_iter().map(|item| infer(elements, item)).collect()
        }
        (Kind::Array(elements) | Kind::Set(elements), Value::String(text)) => {
            Value::Array(vec![infer(elements, Value::String(text))])
        }
        (Kind::Integer | Kind::Number, Value::String(text)) => number(&text).unwrap_or(Value::String(text)),
        (Kind::Boolean, Value::String(text)) => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text),
        },
        (Kind::Map(_, values), Value::Object(map)) => {
            map.into_iter().map(|(key, item)| (key, infer(values, item))).collect()
        }
        (Kind::Record(fields), Value::Object(map)) => infer_fields(fields, map),
        (_, value) => value,
    }
}

/// Gives types to the members of a record.
pub(super) fn infer_fields(fields: &Fields, map: super::Record) -> Value {
    map.into_iter()
        .map(|(name, item)| {
            let shorthand = fields.shorthands.iter().find(|s| s.name == name).map(|s| &s.field);
            let item = match fields.get(&name).or(shorthand) {
                Some(field) => infer(field, item),
                None => item,
            };
            (name, item)
        })
        .collect()
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::from)
}
