//! What is wrong with an entity, and how the Admin API says it.
//!
//! Errors form a tree of the shape of the input. Kong's clients parse both renderings, so they are exact: `fields` is
//! the tree as JSON; `message` flattens two levels of it and prints what lies deeper as a Lua table.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::lua;

/// The key under which errors of a whole entity stand, beside those of its fields.
pub(crate) const ENTITY: &str = "@entity";

/// One node of the tree of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errors {
    /// What is wrong with this value.
    Text(String),
    /// What is wrong with an array's elements, by position; `None` where nothing is.
    List(Vec<Option<Errors>>),
    /// What is wrong with a record's fields.
    Fields(BTreeMap<String, Errors>),
}

impl Errors {
    /// The node as JSON, as it stands in an answer's `fields`.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::List(items) => {
                items.iter().map(|e| e.as_ref().map_or(Value::Null, Self::to_json)).collect()
            }
            Self::Fields(fields) => fields.iter().map(|(k, e)| (k.clone(), e.to_json())).collect(),
        }
    }

    fn entries(&self) -> Vec<(String, &Self)> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::List(items) => {
                (1..).zip(items).filter_map(|(i, e)| e.as_ref().map(|e| (i.to_string(), e))).collect()
            }
            Self::Fields(fields) => fields.iter().map(|(k, e)| (k.clone(), e)).collect(),
        }
    }
}

impl From<&str> for Errors {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Errors {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Everything that is wrong with one entity. Never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    fields: BTreeMap<String, Errors>,
}

impl Violations {
    /// A single field's error.
    pub fn field(name: &str, error: impl Into<Errors>) -> Self {
        let mut all = Self::default();
        all.add(name, error);
        all
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether the field at this dotted path has an error of its own.
    pub fn has(&self, path: &str) -> bool {
        let mut parts = path.split('.');
        let mut node = parts.next().and_then(|first| self.fields.get(first));
        for part in parts {
            node = match node {
                Some(Errors::Fields(fields)) => fields.get(part),
                _ => return node.is_some(),
            };
        }
        node.is_some()
    }

    /// Sets the error of the field at a dotted path, unless it has one already.
    pub fn add(&mut self, path: &str, error: impl Into<Errors>) {
        add_at(&mut self.fields, path, error.into());
    }

    /// Adds an error of the entity as a whole.
    pub fn add_entity(&mut self, error: impl Into<Errors>) {
        let list = self.fields.entry(ENTITY.to_owned()).or_insert_with(|| Errors::List(Vec::new()));
        if let Errors::List(items) = list {
            items.push(Some(error.into()));
        }
    }

    /// The tree itself, by field.
    pub(crate) fn into_fields(self) -> BTreeMap<String, Errors> {
        self.fields
    }

    /// The tree as JSON.
    pub fn to_json(&self) -> Value {
        self.fields.iter().map(|(name, error)| (name.clone(), error.to_json())).collect()
    }

    /// The one-line summary: entity errors first, then fields in order of their names.
    pub fn message(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        if let Some(entity) = self.fields.get(ENTITY) {
            parts.extend(entity.entries().into_iter().map(|(_, error)| text(error)));
        }
        for (name, error) in self.fields.iter().filter(|(name, _)| *name != ENTITY) {
            match error {
                Errors::Text(text) => parts.push(format!("{name}: {text}")),
                _ => parts
                    .extend(error.entries().into_iter().map(|(sub, e)| format!("{name}.{sub}: {}", text(e)))),
            }
        }
        match parts.as_slice() {
            [one] => format!("schema violation ({one})"),
            many => format!("{} schema violations ({})", many.len(), many.join("; ")),
        }
    }
}

fn add_at(fields: &mut BTreeMap<String, Errors>, path: &str, error: Errors) {
    let Some((first, rest)) = path.split_once('.') else {
        fields.entry(path.to_owned()).or_insert(error);
        return;
    };
    let node = fields.entry(first.to_owned()).or_insert_with(|| Errors::Fields(BTreeMap::new()));
    if let Errors::Fields(inner) = node {
        add_at(inner, rest, error);
    }
}

fn text(error: &Errors) -> String {
    match error {
        Errors::Text(text) => text.clone(),
        other => lua::pretty(&other.to_json()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_and_several() {
        let mut all = Violations::field("host", "required field missing");
        assert_eq!(all.message(), "schema violation (host: required field missing)");
        all.add_entity("pick one");
        all.add("paths", Errors::List(vec![None, Some("bad".into())]));
        assert_eq!(
            all.message(),
            "3 schema violations (pick one; host: required field missing; paths.2: bad)"
        );
        assert_eq!(
            all.to_json(),
            json!({"@entity": ["pick one"], "host": "required field missing", "paths": [null, "bad"]})
        );
    }

    #[test]
    fn deep_errors_print_as_tables() {
        let mut all = Violations::default();
        all.add("config.redis.host", "required field missing");
        assert_eq!(
            all.message(),
            "schema violation (config.redis: {\n  host = \"required field missing\"\n})"
        );
        assert!(all.has("config.redis.host"));
        assert!(all.has("config.redis"));
        assert!(!all.has("config.policy"));
    }
}
