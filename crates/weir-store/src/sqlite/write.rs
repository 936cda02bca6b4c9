//! Writing: one transaction at a time.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, SqliteConnection};
use weir_mint::Uuid;
use weir_model::{Audit, Entity, Page, Record};

use super::group::Turn;
use super::rows::{self, Codec};
use super::{audit, read};
use crate::table::{self, Column};
use crate::{Actor, AuditEntry, Change, Digest, Error, Filter, Listing, Result, Stored, Transaction};

/// How many changes are kept for those who follow them.
const CHANGES_KEPT: i64 = 10_000;

/// The part of the gateway that deletes what is over.
pub(super) const EXPIRY: &str = "expiry";

/// A transaction under way.
pub(super) struct Writing {
    turn: Turn,
    codec: Codec,
    changes: Vec<Change>,
    actor: Actor,
    rotating: bool,
    audited: Vec<AuditEntry>,
}

impl Writing {
    pub(super) fn new(turn: Turn, codec: Codec, actor: Actor) -> Self {
        Self { turn, codec, changes: Vec::new(), actor, rotating: false, audited: Vec::new() }
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection> {
        self.turn.connection()
    }

    /// Notes a change: in the feed, and for the one who commits.
    async fn note(
        &mut self,
        entity: &'static Entity,
        id: Uuid,
        before: Option<Digest>,
        now: Option<Arc<Stored>>,
    ) -> Result<()> {
        let sequence: i64 =
            sqlx::query_scalar("INSERT INTO changes (entity, id) VALUES ($1, $2) RETURNING sequence")
                .bind(entity.name)
                .bind(id.as_bytes().to_vec())
                .fetch_one(self.connection()?)
                .await?;
        // Now and then is often enough, and costs a write nothing the other times.
        if sequence % 1000 == 0 {
            sqlx::query("DELETE FROM changes WHERE sequence <= $1")
                .bind(sequence - CHANGES_KEPT)
                .execute(self.connection()?)
                .await?;
        }
        self.changes.push(Change { sequence, entity, id, before, now });
        Ok(())
    }

    /// Writes to the audit log what belongs there.
    async fn audit(
        &mut self,
        action: &str,
        entity: &'static Entity,
        id: Uuid,
        consumer: Option<Uuid>,
    ) -> Result<()> {
        let action = match (action, &self.actor) {
            ("changed", _) if self.rotating => "rotated",
            ("deleted", Actor::Gateway(EXPIRY)) => "expired",
            (action, _) => action,
        };
        let Some(entry) = audit::entry(&self.actor, action, entity, id, consumer) else { return Ok(()) };
        audit::write(self.connection()?, &entry).await?;
        self.audited.push(entry);
        Ok(())
    }

    /// Whose a credential is that is about to be deleted.
    async fn consumer_of(&mut self, entity: &'static Entity, id: Uuid) -> Result<Option<Uuid>> {
        if entity.audit == Audit::Never || entity.references().all(|(field, _, _)| field != "consumer") {
            return Ok(None);
        }
        let sql = format!("SELECT consumer_id FROM {} WHERE id = $1", entity.name);
        let found: Option<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(id.as_bytes().to_vec())
            .fetch_optional(self.connection()?)
            .await?;
        found.map(|bytes| rows::uuid(&bytes)).transpose()
    }

    /// The digest of an entity's unique secret, where its kind has one. Asked even of entities whose time is over.
    async fn digest_of(&mut self, entity: &'static Entity, id: Uuid) -> Result<Option<Digest>> {
        let column = table::table(entity).columns.iter().find(|column| matches!(column, Column::Digest(_)));
        let Some(column) = column else { return Ok(None) };
        let sql = format!("SELECT {} FROM {} WHERE id = $1", column.name(), entity.name);
        let found: Option<Option<Vec<u8>>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(id.as_bytes().to_vec())
            .fetch_optional(self.connection()?)
            .await?;
        Ok(found.flatten().and_then(|bytes| bytes.try_into().ok()))
    }

    /// Writes a row, its tags and its change.
    async fn put(
        &mut self,
        (action, sql): (&str, &'static str),
        entity: &'static Entity,
        id: Uuid,
        record: &Record,
        expires_at_ms: Option<i64>,
    ) -> Result<()> {
        let before = self.digest_of(entity, id).await?;
        self.check_references(entity, record).await?;
        self.check_unique(entity, id, record).await?;
        let body = self.codec.encode(entity, id, record)?;
        let query = sqlx::query(sql).bind(id.as_bytes().to_vec()).bind(body);
        let query = self.codec.bind(query, table::table(entity), record, expires_at_ms)?;
        query.execute(self.connection()?).await?;
        self.put_tags(entity, id, record).await?;
        let digest = entity
            .unique()
            .find(|u| u.secret)
            .and_then(|u| table::text(record, u.name))
            .map(|secret| self.codec.digest(secret));
        let consumer = table::reference(record, "consumer").map(rows::parse).transpose()?;
        self.audit(action, entity, id, consumer).await?;
        let stored = Stored { id, record: record.clone(), expires_at_ms, digest };
        self.note(entity, id, before, Some(Arc::new(stored))).await
    }

    async fn put_tags(&mut self, entity: &'static Entity, id: Uuid, record: &Record) -> Result<()> {
        if !entity.tagged() {
            return Ok(());
        }
        self.drop_tags(entity, id).await?;
        let tags = record.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for tag in tags.iter().filter_map(Value::as_str) {
            sqlx::query("INSERT INTO tags (tag, entity, id) VALUES ($1, $2, $3)")
                .bind(tag)
                .bind(entity.name)
                .bind(id.as_bytes().to_vec())
                .execute(self.connection()?)
                .await?;
        }
        Ok(())
    }

    async fn drop_tags(&mut self, entity: &'static Entity, id: Uuid) -> Result<()> {
        sqlx::query("DELETE FROM tags WHERE entity = $1 AND id = $2")
            .bind(entity.name)
            .bind(id.as_bytes().to_vec())
            .execute(self.connection()?)
            .await?;
        Ok(())
    }

    async fn check_references(&mut self, entity: &'static Entity, record: &Record) -> Result<()> {
        for (field, to, _) in entity.references() {
            let Some(id) = table::reference(record, field) else { continue };
            let there = match weir_model::entity(to) {
                Some(target) => self.get(target, rows::parse(id)?).await?.is_some(),
                None => false,
            };
            if !there {
                return Err(Error::Reference { field, entity: to, id: id.to_owned() });
            }
        }
        Ok(())
    }

    async fn check_unique(&mut self, entity: &'static Entity, id: Uuid, record: &Record) -> Result<()> {
        let table = table::table(entity);
        for column in &table.columns {
            let (key, fields): (Vec<u8>, Vec<&str>) = match column {
                Column::Text(field) => match table::text(record, field) {
                    Some(text) => (text.as_bytes().to_vec(), vec![*field]),
                    None => continue,
                },
                Column::Digest(field) => match table::text(record, field) {
                    Some(text) => (self.codec.digest(text).to_vec(), vec![*field]),
                    None => continue,
                },
                Column::Together => {
                    (table::together(entity, record).into_bytes(), entity.unique_together.to_vec())
                }
                Column::Reference(..) | Column::ExpiresAt => continue,
            };
            let Some(other) = self.holder(entity, *column, key).await? else { continue };
            if other == id {
                continue;
            }
            // One whose time is over holds its place no longer.
            if self.get(entity, other).await?.is_none() {
                self.delete(entity, other).await?;
                continue;
            }
            let values: Map<String, Value> = fields
                .iter()
                .map(|field| ((*field).to_owned(), record.get(*field).cloned().unwrap_or_default()))
                .collect();
            return Err(Error::Unique(values));
        }
        Ok(())
    }

    /// The id of the row that has this value in a unique column.
    async fn holder(
        &mut self,
        entity: &'static Entity,
        column: Column,
        key: Vec<u8>,
    ) -> Result<Option<Uuid>> {
        let sql = format!("SELECT id FROM {} WHERE {} = $1", entity.name, column.name());
        let query = sqlx::query_scalar::<_, Vec<u8>>(AssertSqlSafe(sql));
        let query = match column {
            Column::Digest(_) => query.bind(key),
            _ => query.bind(String::from_utf8_lossy(&key).into_owned()),
        };
        let found = query.fetch_optional(self.connection()?).await?;
        found.map(|bytes| rows::uuid(&bytes)).transpose()
    }

    /// The ids of the entities that refer to this one by a field.
    async fn referring(&mut self, from: &'static Entity, field: &str, to: Uuid) -> Result<Vec<Uuid>> {
        let sql = format!("SELECT id FROM {} WHERE {field}_id = $1", from.name);
        let found: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(to.as_bytes().to_vec())
            .fetch_all(self.connection()?)
            .await?;
        found.iter().map(|bytes| rows::uuid(bytes)).collect()
    }
}

#[async_trait]
impl Transaction for Writing {
    async fn get(&mut self, entity: &'static Entity, id: Uuid) -> Result<Option<Stored>> {
        read::get(self.turn.connection()?, &self.codec, entity, id).await
    }

    async fn find(&mut self, entity: &'static Entity, field: &str, value: &str) -> Result<Option<Stored>> {
        read::find(self.turn.connection()?, &self.codec, entity, field, value).await
    }

    async fn find_together(&mut self, entity: &'static Entity, fields: &Record) -> Result<Option<Stored>> {
        read::find_together(self.turn.connection()?, &self.codec, entity, fields).await
    }

    async fn list(
        &mut self,
        entity: &'static Entity,
        filter: &Filter,
        page: &Page,
    ) -> Result<Listing<Stored>> {
        read::list(self.turn.connection()?, &self.codec, entity, filter, page).await
    }

    async fn insert(
        &mut self,
        entity: &'static Entity,
        record: &Record,
        expires_at_ms: Option<i64>,
    ) -> Result<()> {
        let id = rows::id_of(record)?;
        if self.get(entity, id).await?.is_some() {
            return Err(Error::PrimaryKey(id.to_string()));
        }
        self.put(("created", &table::table(entity).insert), entity, id, record, expires_at_ms).await
    }

    async fn update(
        &mut self,
        entity: &'static Entity,
        record: &Record,
        expires_at_ms: Option<i64>,
    ) -> Result<()> {
        let id = rows::id_of(record)?;
        self.put(("changed", &table::table(entity).update), entity, id, record, expires_at_ms).await
    }

    async fn delete(&mut self, entity: &'static Entity, id: Uuid) -> Result<bool> {
        for (other, field, cascade) in entity.referrers() {
            let referring = self.referring(other, field, id).await?;
            if !cascade && !referring.is_empty() {
                return Err(Error::Referenced { by: other.name, entity: entity.name });
            }
            for child in referring {
                self.delete(other, child).await?;
            }
        }
        let before = self.digest_of(entity, id).await?;
        let consumer = self.consumer_of(entity, id).await?;
        let done = sqlx::query(&*table::table(entity).delete)
            .bind(id.as_bytes().to_vec())
            .execute(self.connection()?)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        self.drop_tags(entity, id).await?;
        if entity.audit != Audit::Never {
            audit::drop_last_used(self.connection()?, id).await?;
        }
        self.audit("deleted", entity, id, consumer).await?;
        self.note(entity, id, before, None).await?;
        Ok(true)
    }

    fn rotating(&mut self) {
        self.rotating = true;
    }

    async fn commit(self: Box<Self>) -> Result<Vec<Change>> {
        self.turn.commit(self.changes, self.audited).await
    }
}
