//! How an entity's definition maps to a table, and the statements that follow from it.
//!
//! A table has the primary key, a column for each field that is looked up or refers to something, and the whole record
//! as JSON. The statements use nothing that SQLite and PostgreSQL do not both understand.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;
use weir_model::{ENTITIES, Entity, Record};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// The text of a unique field.
    Text(&'static str),
    /// The keyed digest of a unique field that is a secret.
    Digest(&'static str),
    /// The primary key of the entity that a field refers to.
    Reference(&'static str, &'static str),
    /// The values of fields that are unique together.
    Together,
    /// When the entity ends of itself.
    ExpiresAt,
}

impl Column {
    /// The column's name.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Text(field) => field.to_owned(),
            Self::Digest(field) => format!("{field}_digest"),
            Self::Reference(field, _) => format!("{field}_id"),
            Self::Together => "unique_together".to_owned(),
            Self::ExpiresAt => "expires_at_ms".to_owned(),
        }
    }
}

/// An entity's table: its columns, and the statements on it.
pub(crate) struct Table {
    pub(crate) entity: &'static Entity,
    pub(crate) columns: Vec<Column>,
    pub(crate) select: String,
    pub(crate) get: String,
    pub(crate) insert: String,
    pub(crate) update: String,
    pub(crate) delete: String,
}

static TABLES: LazyLock<HashMap<&'static str, Table>> =
    LazyLock::new(|| ENTITIES.iter().map(|entity| (entity.name, Table::new(entity))).collect());

/// The table of an entity.
pub(crate) fn table(entity: &'static Entity) -> &'static Table {
    &TABLES[entity.name]
}

impl Table {
    fn new(entity: &'static Entity) -> Self {
        let columns = columns(entity);
        let name = entity.name;
        let names: Vec<String> = columns.iter().map(|c| c.name()).collect();
        let expires = if entity.ttl { "expires_at_ms" } else { "NULL" };
        let digest = columns.iter().find(|column| matches!(column, Column::Digest(_)));
        let digest = digest.map_or_else(|| "NULL".to_owned(), |column| column.name());
        let select = format!("SELECT e.id, e.body, {expires} AS expires, {digest} AS digest FROM {name} e");
        let places: Vec<String> = (3..names.len() + 3).map(|i| format!(", ${i}")).collect();
        let sets: Vec<String> = names.iter().zip(3..).map(|(n, i)| format!(", {n} = ${i}")).collect();
        let listed: String = names.iter().map(|n| format!(", {n}")).collect();
        Self {
            get: format!("{select} WHERE e.id = $1"),
            insert: format!("INSERT INTO {name} (id, body{listed}) VALUES ($1, $2{})", places.concat()),
            update: format!("UPDATE {name} SET body = $2{} WHERE id = $1", sets.concat()),
            delete: format!("DELETE FROM {name} WHERE id = $1"),
            select,
            columns,
            entity,
        }
    }

    /// The statement that finds entities by this column.
    pub(crate) fn by(&self, column: Column) -> String {
        format!("{} WHERE {} = $1", self.select, column.name())
    }

    /// The column of a unique field.
    pub(crate) fn unique(&self, field: &str) -> Option<Column> {
        self.columns.iter().copied().find(|c| match c {
            Column::Text(name) | Column::Digest(name) => *name == field,
            _ => false,
        })
    }
}

fn columns(entity: &'static Entity) -> Vec<Column> {
    let unique =
        entity.unique().map(|u| if u.secret { Column::Digest(u.name) } else { Column::Text(u.name) });
    let references = entity
        .references()
        .filter(|(_, to, _)| weir_model::entity(to).is_some())
        .map(|(field, to, _)| Column::Reference(field, to));
    let mut columns: Vec<Column> = unique.chain(references).collect();
    if !entity.unique_together.is_empty() {
        columns.push(Column::Together);
    }
    if entity.ttl {
        columns.push(Column::ExpiresAt);
    }
    columns
}

/// The text of a field, if it holds one.
pub(crate) fn text<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    record.get(field).and_then(Value::as_str)
}

/// The primary key that a reference holds, as text.
pub(crate) fn reference<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    record.get(field).and_then(|value| value.get("id")).and_then(Value::as_str)
}

/// The values that are unique together, as one text. Null is a value like any other.
pub(crate) fn together(entity: &Entity, record: &Record) -> String {
    let values: Vec<&Value> =
        entity.unique_together.iter().map(|f| record.get(*f).unwrap_or(&Value::Null)).collect();
    serde_json::to_string(&values).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_follow_the_definition() {
        let keys = table(weir_model::entity("keyauth_credentials").unwrap());
        assert_eq!(
            keys.insert,
            "INSERT INTO keyauth_credentials (id, body, key_digest, consumer_id, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5)"
        );
        assert_eq!(keys.unique("key"), Some(Column::Digest("key")));
        let services = table(weir_model::entity("services").unwrap());
        assert_eq!(services.update, "UPDATE services SET body = $2, name = $3 WHERE id = $1");
    }
}
