//! Completes what a client sent: shorthands, defaults, values that come of themselves, merging into what is stored.

use serde_json::{Map, Value};

use super::field::{Auto, Field, Fields, Kind};
use super::shorthand::{Rewrite, Shorthand};
use super::{Record, Source, SourceError, validate};
use crate::errors::Violations;

/// Rewrites shorthands of a record in place. What is wrong with a shorthand's own value is an error under its name.
pub(super) fn rewrite(fields: &Fields, record: &mut Record, prefix: &str, errors: &mut Violations) {
    for shorthand in &fields.shorthands {
        let Some(given) = record.shift_remove(shorthand.name) else { continue };
        let name = if prefix.is_empty() {
            shorthand.name.to_owned()
        } else {
            format!("{prefix}.{}", shorthand.name)
        };
        if let Err(error) = validate::value(&shorthand.field, &given) {
            errors.add(&name, error);
            continue;
        }
        match shorthand.rewrite {
            Rewrite::Expand(expand) => {
                if !given.is_null() {
                    record.extend(expand(&given));
                }
            }
            Rewrite::Renamed(path) => match super::check::get(record, &path.join(".")) {
                Value::Null => set_at(record, path, given),
                new if given.is_null() || *new == given => {}
                new => {
                    let (old, path) = (shorthand.name, path.join("."));
                    let say = "both deprecated and new field are used but their values mismatch";
                    errors.add(&name, format!("{say}: {old} = {given} vs {path} = {new}"));
                }
            },
        }
    }
}

/// Adds old names beside new ones, as answers show them.
pub(super) fn show_old_names(fields: &Fields, record: &mut Record) {
    for Shorthand { name, rewrite, .. } in &fields.shorthands {
        if let Rewrite::Renamed(path) = rewrite {
            let value = super::check::get(record, &path.join(".")).clone();
            record.insert((*name).to_owned(), value);
        }
    }
}

fn set_at(record: &mut Record, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        record.insert((*first).to_owned(), value);
        return;
    }
    let node = record.entry((*first).to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = node {
        set_at(inner, rest, value);
    }
}

/// A record with every field of `fields`, in their order: what was given, else the default, else null.
/// Unknown members are kept at the end, for validation to refuse.
pub(super) fn complete<'a>(fields: impl Iterator<Item = (&'a str, &'a Field)>, mut given: Record) -> Record {
    let mut out = Record::new();
    for (name, field) in fields {
        let value = given.shift_remove(name);
        out.insert(name.to_owned(), complete_value(field, value));
    }
    out.extend(given);
    out
}

fn complete_value(field: &Field, given: Option<Value>) -> Value {
    match (given, &field.kind) {
        (Some(value), _) => normalize(field, value),
        (None, _) if field.default.is_some() => field.default.clone().unwrap_or_default(),
        (None, Kind::Record(fields)) if field.is_required() => {
            Value::Object(complete_fields(fields, Map::new()))
        }
        (None, _) => Value::Null,
    }
}

fn complete_fields(fields: &Fields, given: Record) -> Record {
    complete(fields.list.iter().map(|(name, field)| (*name, field)), given)
}

/// Gives members to the records in a stored record that lack them, where the definition is not the one that they were
/// stored under: a plugin's configuration when the plugin becomes another.
pub(super) fn complete_records<'a>(record: &mut Record, find: &dyn Fn(&str) -> Option<&'a Field>) {
    for (name, value) in record.iter_mut() {
        if let Some(field @ Field { kind: Kind::Record(_), .. }) = find(name) {
            *value = normalize(field, value.take());
        }
    }
}

/// A given value in the one form that is stored: sets without repetition, records complete, whole numbers as integers,
/// and an empty JSON object or array as whichever of the two the field is.
pub(super) fn normalize(field: &Field, value: Value) -> Value {
    match (&field.kind, value) {
        (Kind::Array(_) | Kind::Set(_), Value::Object(map)) if map.is_empty() => Value::Array(Vec::new()),
        (Kind::Map(..) | Kind::Abstract, Value::Array(items)) if items.is_empty() => {
            Value::Object(Map::new())
        }
        (Kind::Record(fields), Value::Array(items)) if items.is_empty() => {
            Value::Object(complete_fields(fields, Map::new()))
        }
        (Kind::Record(fields), Value::Object(map)) => Value::Object(complete_fields(fields, map)),
        (Kind::Array(elements), Value::Array(items)) => {
            items.into_iter().map(|item| normalize(elements, item)).collect()
        }
        (Kind::Set(elements), Value::Array(items)) => {
            let mut out: Vec<Value> = Vec::with_capacity(items.len());
            for item in items.into_iter().map(|item| normalize(elements, item)) {
                if !out.contains(&item) {
                    out.push(item);
                }
            }
            Value::Array(out)
        }
        (Kind::Map(_, values), Value::Object(map)) => {
            map.into_iter().map(|(key, item)| (key, normalize(values, item))).collect()
        }
        (Kind::Integer | Kind::Number, Value::Number(number)) => whole(number),
        (_, value) => value,
    }
}

/// `80.0` is the integer 80, as in Lua.
fn whole(number: serde_json::Number) -> Value {
    match number.as_f64() {
        Some(v) if !number.is_i64() && !number.is_u64() && v.fract() == 0.0 && v.abs() < 9e15 => {
            Value::from(v as i64)
        }
        _ => Value::Number(number),
    }
}

/// Gives values to the fields that come of themselves, those of records within records too: a plugin's configuration.
///
/// # Errors
/// When no id or secret can be minted.
pub(super) fn autos<'a>(
    fields: impl Iterator<Item = (&'a str, &'a Field)>,
    record: &mut Record,
    source: &dyn Source,
) -> Result<(), SourceError> {
    for (name, field) in fields {
        if let (Kind::Record(inner), Some(Value::Object(map))) = (&field.kind, record.get_mut(name)) {
            autos_of(inner, map, source)?;
        }
        let Some(auto) = field.auto else { continue };
        let is_ours = matches!(auto, Auto::UpdatedAt | Auto::CertificateDigest(_));
        if !is_ours && record.get(name).is_some_and(|value| !value.is_null()) {
            continue;
        }
        let value = match auto {
            Auto::Uuid => Value::String(source.uuid()?),
            Auto::Token => Value::String(source.token()?),
            // What is no certificate is for validation to refuse.
            Auto::CertificateDigest(of) => {
                record.get(of).and_then(Value::as_str).and_then(crate::x509::digest).into()
            }
            Auto::CreatedAt | Auto::UpdatedAt => Value::from(source.now()),
        };
        record.insert(name.to_owned(), value);
    }
    Ok(())
}

fn autos_of(fields: &Fields, record: &mut Record, source: &dyn Source) -> Result<(), SourceError> {
    autos(fields.list.iter().map(|(name, field)| (*name, field)), record, source)
}

/// Puts `changes` over a stored record: records are merged field by field, everything else is replaced.
/// `find` gives the definition that holds for a top-level field.
pub(super) fn merge<'a>(stored: &mut Record, changes: Record, find: &dyn Fn(&str) -> Option<&'a Field>) {
    for (name, value) in changes {
        match (find(&name), stored.get_mut(&name), value) {
            (
                Some(Field { kind: Kind::Record(fields), .. }),
                Some(Value::Object(old)),
                Value::Object(new),
            ) => {
                merge(old, new, &|inner| fields.get(inner));
            }
            (Some(field), _, value) => {
                stored.insert(name, normalize(field, value));
            }
            (None, _, value) => {
                stored.insert(name, value);
            }
        }
    }
}
