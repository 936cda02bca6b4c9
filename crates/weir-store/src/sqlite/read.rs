//! Reading: look-ups and pages.

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row};
use weir_mint::Uuid;
use weir_model::{Entity, Page, Record, Tags};

use super::rows::{self, Codec};
use crate::table::{self, Column};
use crate::{Error, Filter, Listing, Result, Stored, Tagging};

/// Epoch milliseconds.
pub(super) fn now_ms() -> i64 {
    weir_kernel::clock::unix_ms() as i64
}

fn alive(stored: &Stored, now: i64) -> bool {
    stored.expires_at_ms.is_none_or(|end| end > now)
}

/// An entity by its primary key.
pub(super) async fn get(
    connection: &mut SqliteConnection,
    codec: &Codec,
    entity: &'static Entity,
    id: Uuid,
) -> Result<Option<Stored>> {
    let query = sqlx::query(&*table::table(entity).get).bind(id.as_bytes().to_vec());
    one(query.fetch_optional(connection).await?, codec, entity)
}

/// An entity by a unique field.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    codec: &Codec,
    entity: &'static Entity,
    field: &str,
    value: &str,
) -> Result<Option<Stored>> {
    let table = table::table(entity);
    let column = table
        .unique(field)
        .ok_or_else(|| Error::Corrupt(format!("{field} of {} is not looked up", entity.name)))?;
    let query = sqlx::query(AssertSqlSafe(table.by(column)));
    let query = match column {
        Column::Digest(_) => query.bind(codec.sealer.digest(value).to_vec()),
        _ => query.bind(value.to_owned()),
    };
    one(query.fetch_optional(connection).await?, codec, entity)
}

/// An entity by the fields that are unique together.
pub(super) async fn find_together(
    connection: &mut SqliteConnection,
    codec: &Codec,
    entity: &'static Entity,
    fields: &Record,
) -> Result<Option<Stored>> {
    let sql = table::table(entity).by(Column::Together);
    let query = sqlx::query(AssertSqlSafe(sql)).bind(table::together(entity, fields));
    one(query.fetch_optional(connection).await?, codec, entity)
}

fn one(row: Option<SqliteRow>, codec: &Codec, entity: &'static Entity) -> Result<Option<Stored>> {
    let stored = row.map(|row| codec.decode(entity, &row)).transpose()?;
    Ok(stored.filter(|s| alive(s, now_ms())))
}

/// A page of a collection.
pub(super) async fn list(
    connection: &mut SqliteConnection,
    codec: &Codec,
    entity: &'static Entity,
    filter: &Filter,
    page: &Page,
) -> Result<Listing<Stored>> {
    let mut conditions = Conditions::default();
    if let Some((field, id)) = &filter.belonging_to {
        conditions.add(|place| format!("e.{field}_id = {place}"), id.as_bytes().to_vec())?;
    }
    if let Some((field, value)) = &filter.equal {
        conditions.add(|place| format!("e.{field} = {place}"), value.clone())?;
    }
    if let Some(tags) = &filter.tags {
        conditions.tags(entity, tags)?;
    }
    if entity.ttl {
        conditions
            .add(|place| format!("(e.expires_at_ms IS NULL OR e.expires_at_ms > {place})"), now_ms())?;
    }
    if let Some(after) = &page.after {
        conditions.add(|place| format!("e.id > {place}"), rows::parse(after)?.as_bytes().to_vec())?;
    }
    let sql = conditions.select(&table::table(entity).select, "e.id", page.size + 1);
    let found = sqlx::query_with(AssertSqlSafe(sql), conditions.values).fetch_all(connection).await?;
    let members = found.iter().map(|row| codec.decode(entity, row)).collect::<Result<Vec<_>>>()?;
    Ok(cut(members, page.size, |stored| stored.id.to_string()))
}

/// A page of tags.
pub(super) async fn tags(
    connection: &mut SqliteConnection,
    tag: Option<&str>,
    page: &Page,
) -> Result<Listing<Tagging>> {
    let mut conditions = Conditions::default();
    if let Some(tag) = tag {
        conditions.add(|place| format!("e.tag = {place}"), tag.to_owned())?;
    }
    if let Some(after) = &page.after {
        let [tag, entity, id] = split_cursor(after)?;
        let tag = conditions.place(tag)?;
        let entity = conditions.place(entity)?;
        let id = conditions.place(rows::parse(&id)?.as_bytes().to_vec())?;
        conditions.parts.push(format!("(e.tag, e.entity, e.id) > ({tag}, {entity}, {id})"));
    }
    let sql =
        conditions.select("SELECT e.tag, e.entity, e.id FROM tags e", "e.tag, e.entity, e.id", page.size + 1);
    let found = sqlx::query_with(AssertSqlSafe(sql), conditions.values).fetch_all(connection).await?;
    let members = found.iter().map(tagging).collect::<Result<Vec<_>>>()?;
    Ok(cut(members, page.size, |t| serde_json::json!([t.tag, t.entity, t.id.to_string()]).to_string()))
}

fn tagging(row: &SqliteRow) -> Result<Tagging> {
    let name: &str = row.try_get("entity")?;
    let entity =
        weir_model::entity(name).ok_or_else(|| Error::Corrupt(format!("tags of unknown entity {name}")))?;
    Ok(Tagging { tag: row.try_get("tag")?, entity: entity.name, id: rows::uuid(row.try_get("id")?)? })
}

fn split_cursor(cursor: &str) -> Result<[String; 3]> {
    serde_json::from_str(cursor).map_err(|_| Error::Corrupt("a page of tags begins after no tag".to_owned()))
}

/// The ids of entities whose time is over.
pub(super) async fn expired(
    connection: &mut SqliteConnection,
    entity: &'static Entity,
    now: i64,
    limit: usize,
) -> Result<Vec<Uuid>> {
    let sql = format!("SELECT id FROM {} WHERE expires_at_ms <= $1 LIMIT $2", entity.name);
    let found: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(now)
        .bind(i64::try_from(limit)?)
        .fetch_all(connection)
        .await?;
    found.iter().map(|bytes| rows::uuid(bytes)).collect()
}

/// The first `size` of the members found, and the key of the last of them when there were more.
pub(super) fn cut<T>(mut members: Vec<T>, size: usize, key: impl Fn(&T) -> String) -> Listing<T> {
    let more = members.len() > size;
    members.truncate(size);
    let next = if more { members.last().map(key) } else { None };
    Listing { members, next }
}

/// Conditions of a query, with the values that they compare.
#[derive(Default)]
struct Conditions {
    parts: Vec<String>,
    values: SqliteArguments,
    count: usize,
}

impl Conditions {
    fn place<T>(&mut self, value: T) -> Result<String>
    where
        T: for<'q> sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + 'static,
    {
        self.values.add(value).map_err(|e| Error::Corrupt(e.to_string()))?;
        self.count += 1;
        Ok(format!("${}", self.count))
    }

    fn add<T>(&mut self, part: impl Fn(&str) -> String, value: T) -> Result<()>
    where
        T: for<'q> sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + 'static,
    {
        let place = self.place(value)?;
        self.parts.push(part(&place));
        Ok(())
    }

    fn tags(&mut self, entity: &Entity, tags: &Tags) -> Result<()> {
        let (list, all) = match tags {
            Tags::All(list) => (list, true),
            Tags::Any(list) => (list, false),
        };
        let mut list = list.clone();
        list.sort_unstable();
        list.dedup();
        let name = self.place(entity.name.to_owned())?;
        let places = list.iter().map(|tag| self.place(tag.clone())).collect::<Result<Vec<_>>>()?.join(", ");
        let whole =
            if all { format!(" GROUP BY id HAVING COUNT(*) = {}", list.len()) } else { String::new() };
        self.parts.push(format!(
            "e.id IN (SELECT id FROM tags WHERE entity = {name} AND tag IN ({places}){whole})"
        ));
        Ok(())
    }

    fn select(&self, select: &str, order: &str, limit: usize) -> String {
        let conditions = if self.parts.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", self.parts.join(" AND "))
        };
        format!("{select}{conditions} ORDER BY {order} LIMIT {limit}")
    }
}
