//! Checks a complete record against its fields.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field::{Field, Fields, Kind};
use super::{Record, Rule, check};
use crate::errors::{Errors, Violations};

/// Checks every field of a record that `fields` defines, and that there are no others.
/// `find` gives the definition that holds for a top-level field.
pub(super) fn validate<'a>(
    record: &Record,
    find: impl Fn(&str) -> Option<&'a Field>,
    names: impl Iterator<Item = &'a str>,
    errors: &mut Violations,
) {
    for name in names {
        let Some(field) = find(name) else { continue };
        if let Err(error) = value(field, record.get(name).unwrap_or(&Value::Null)) {
            errors.add(name, error);
        }
    }
    for name in record.keys().filter(|name| find(name).is_none()) {
        errors.add_name(name, "unknown field");
    }
}

/// Whether a value counts as nothing where a check asks for something: null, or of no length.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Checks one value against its definition.
pub(super) fn value(field: &Field, value: &Value) -> Result<(), Errors> {
    if value.is_null() {
        // What comes of itself is missing only where nothing is minted: when a definition is tried out.
        let missing = field.is_required() && field.auto.is_none();
        return if missing { Err("required field missing".into()) } else { Ok(()) };
    }
    // What must not be set says so whatever it was given, before its kind is looked at.
    if let Some(rule @ (Rule::Eq(Value::Null) | Rule::Unset(_))) = field.rules.first() {
        return rule.apply(value);
    }
    of_kind(&field.kind, value)?;
    for rule in &field.rules {
        rule.apply(value)?;
    }
    field.check.map_or(Ok(()), |check| check(value))
}

fn of_kind(kind: &Kind, value: &Value) -> Result<(), Errors> {
    match (kind, value) {
        (Kind::String, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Number, Value::Number(_)) => Ok(()),
        (Kind::Integer, Value::Number(n)) if whole(n) => Ok(()),
        (Kind::Array(elements) | Kind::Set(elements), Value::Array(items)) => members(elements, items),
        (Kind::Map(keys, values), Value::Object(map)) => entries(keys, values, map),
        // Lua has one type for arrays and maps: the first key of a non-empty array is the number one.
        (Kind::Map(keys, _), Value::Array(_)) => self::value(keys, &Value::from(1)),
        (Kind::Record(fields), Value::Object(map)) => nested(fields, map),
        (Kind::Abstract, Value::Object(_)) => Ok(()),
        (Kind::Foreign(_), value) => reference(value),
        (Kind::String, _) => Err("expected a string".into()),
        (Kind::Boolean, _) => Err("expected a boolean".into()),
        (Kind::Number, _) => Err("expected a number".into()),
        (Kind::Integer, _) => Err("expected an integer".into()),
        (Kind::Array(_), _) => Err("expected an array".into()),
        (Kind::Set(_), _) => Err("expected a set".into()),
        (Kind::Map(..), _) => Err("expected a map".into()),
        (Kind::Record(_) | Kind::Abstract, _) => Err("expected a record".into()),
    }
}

fn whole(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|v| v.fract() == 0.0)
}

fn members(elements: &Field, items: &[Value]) -> Result<(), Errors> {
    let mut list: Vec<Option<Errors>> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let Err(error) = value(elements, item) {
            list.resize(index, None);
            list.push(Some(error));
        }
    }
    if list.is_empty() { Ok(()) } else { Err(Errors::List(list)) }
}

/// The first key or value that is wrong speaks for the map.
fn entries(keys: &Field, values: &Field, map: &Record) -> Result<(), Errors> {
    for (key, item) in map {
        value(keys, &Value::String(key.clone()))?;
        value(values, item)?;
    }
    Ok(())
}

fn nested(fields: &Fields, map: &Record) -> Result<(), Errors> {
    let mut errors = Violations::default();
    validate(map, |name| fields.get(name), fields.list.iter().map(|(name, _)| *name), &mut errors);
    check::run(&fields.checks, map, "", false, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(Errors::Fields(errors.into_fields())) }
}

/// A reference is `{"id": uuid}`; the store says whether it leads anywhere.
fn reference(value: &Value) -> Result<(), Errors> {
    let missing = || Errors::Fields(BTreeMap::from([("id".to_owned(), "missing primary key".into())]));
    let map = value.as_object().ok_or_else(missing)?;
    let mut errors = BTreeMap::new();
    for (name, item) in map {
        let wrong = match (name.as_str(), item) {
            ("id", Value::String(text)) if super::is_uuid(text) => continue,
            ("id", Value::String(_)) => "expected a valid UUID",
            ("id", Value::Null) => return Err(missing()),
            ("id", _) => "expected a string",
            // A reference by unique key that nothing resolved.
            ("name" | "username" | "custom_id" | "instance_name", _) => return Err(missing()),
            _ => "unknown field",
        };
        errors.insert(name.clone(), wrong.into());
    }
    if !errors.is_empty() {
        return Err(Errors::Fields(errors));
    }
    if map.contains_key("id") { Ok(()) } else { Err(missing()) }
}
