//! Other ways of writing a record's fields: an address for its parts, a field's old name for its new one.

use serde_json::{Map, Value, json};

use super::field::Field;

/// How a shorthand is rewritten, and whether it is shown back.
pub enum Rewrite {
    /// Expands to several fields, which replace what was given beside it. Not shown in answers.
    Expand(fn(&Value) -> Map<String, Value>),
    /// An old name of the field at this path within the record, shown in answers beside the new one.
    Renamed(&'static [&'static str]),
}

/// One shorthand.
pub struct Shorthand {
    /// Its name.
    pub name: &'static str,
    /// What it must hold.
    pub field: Field,
    /// What becomes of it.
    pub rewrite: Rewrite,
    /// The deprecation notice that `/schemas` shows, if any.
    pub notice: Option<&'static str>,
}

impl Shorthand {
    /// An old name for the field at `path`.
    pub fn renamed(
        name: &'static str,
        field: Field,
        path: &'static [&'static str],
        notice: &'static str,
    ) -> Self {
        Self { name, field, rewrite: Rewrite::Renamed(path), notice: Some(notice) }
    }

    /// A value that stands for several fields.
    pub fn expand(name: &'static str, field: Field, expand: fn(&Value) -> Map<String, Value>) -> Self {
        Self { name, field, rewrite: Rewrite::Expand(expand), notice: None }
    }

    pub(super) fn describe(&self) -> Value {
        let mut out = self.field.describe();
        if let (Value::Object(map), Rewrite::Renamed(path), Some(notice)) =
            (&mut out, &self.rewrite, self.notice)
        {
            map.insert(
                "deprecation".to_owned(),
                json!({"message": notice, "removal_in_version": "4.0", "replaced_with": [{"path": path}]}),
            );
        }
        json!({self.name: out})
    }
}
