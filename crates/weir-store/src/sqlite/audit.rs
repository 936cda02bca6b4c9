//! The audit log of credentials, and when they were last used.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, SqlitePool};
use weir_mint::Uuid;
use weir_model::{Audit, Entity, Page};

use super::{read, rows};
use crate::{Actor, AuditEntry, Error, Listing, Result};

/// What is to be written of a change; `None` when nothing is.
pub(super) fn entry(
    actor: &Actor,
    action: &str,
    entity: &Entity,
    id: Uuid,
    consumer: Option<Uuid>,
) -> Option<AuditEntry> {
    let name = match (entity.audit, actor) {
        (Audit::Always | Audit::Operators, Actor::Operator(name)) => name.clone(),
        (Audit::Always, Actor::Gateway(part)) => format!("gateway ({part})"),
        (Audit::Never, _) | (Audit::Operators, Actor::Gateway(_)) => return None,
    };
    let (action, entity) = (action.to_owned(), entity.name.to_owned());
    Some(AuditEntry { sequence: 0, at_ms: read::now_ms(), actor: name, action, entity, id, consumer })
}

/// Writes an entry, which from then on is neither changed nor deleted.
pub(super) async fn write(connection: &mut SqliteConnection, entry: &AuditEntry) -> Result<()> {
    let sql = "INSERT INTO credential_audit (at_ms, actor, action, entity, id, consumer_id) VALUES ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(entry.at_ms)
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.entity)
        .bind(entry.id.as_bytes().to_vec())
        .bind(entry.consumer.map(|id| id.as_bytes().to_vec()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Tells the log of what is durable by now.
pub(super) fn tell(entry: &AuditEntry) {
    let consumer = entry.consumer.map(|id| id.to_string());
    tracing::info!(actor = entry.actor, entity = entry.entity, id = %entry.id, consumer, "credential {}", entry.action);
}

/// A page of the log.
pub(super) async fn page(
    connection: &mut SqliteConnection,
    about: Option<Uuid>,
    page: &Page,
) -> Result<Listing<AuditEntry>> {
    let after: i64 = match &page.after {
        Some(text) => text.parse().map_err(|_| Error::Corrupt("a page begins after no entry".to_owned()))?,
        None => 0,
    };
    let columns = "sequence, at_ms, actor, action, entity, id, consumer_id";
    let about_one = "(id = $3 OR consumer_id = $3) AND";
    let condition = if about.is_some() { about_one } else { "" };
    let sql = format!(
        "SELECT {columns} FROM credential_audit WHERE {condition} sequence > $1 ORDER BY sequence LIMIT $2"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(i64::try_from(page.size + 1)?);
    let query = match about {
        Some(id) => query.bind(id.as_bytes().to_vec()),
        None => query,
    };
    let found = query.fetch_all(connection).await?;
    let members = found.iter().map(decode).collect::<Result<Vec<_>>>()?;
    Ok(read::cut(members, page.size, |entry| entry.sequence.to_string()))
}

fn decode(row: &SqliteRow) -> Result<AuditEntry> {
    let consumer: Option<&[u8]> = row.try_get("consumer_id")?;
    Ok(AuditEntry {
        sequence: row.try_get("sequence")?,
        at_ms: row.try_get("at_ms")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        entity: row.try_get("entity")?,
        id: rows::uuid(row.try_get("id")?)?,
        consumer: consumer.map(rows::uuid).transpose()?,
    })
}

/// When a credential was last used, as far as it is written down.
pub(super) async fn last_used(connection: &mut SqliteConnection, credential: Uuid) -> Result<Option<i64>> {
    let sql = "SELECT last_used_ms FROM credential_usage WHERE id = $1";
    let query = sqlx::query_scalar(sql).bind(credential.as_bytes().to_vec());
    Ok(query.fetch_optional(connection).await?)
}

/// Writes down when credentials were last used, so many in a transaction that others need not wait long.
pub(super) async fn put_last_used(writer: &SqlitePool, used: &[(Uuid, i64)]) -> Result<()> {
    const BATCH: usize = 2000;
    let sql = "INSERT INTO credential_usage (id, last_used_ms) VALUES ($1, $2) \
               ON CONFLICT (id) DO UPDATE SET last_used_ms = max(last_used_ms, $2)";
    for batch in used.chunks(BATCH) {
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        for (id, at_ms) in batch {
            sqlx::query(sql).bind(id.as_bytes().to_vec()).bind(at_ms).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// Forgets when a credential that is gone was used.
pub(super) async fn drop_last_used(connection: &mut SqliteConnection, credential: Uuid) -> Result<()> {
    let sql = "DELETE FROM credential_usage WHERE id = $1";
    sqlx::query(sql).bind(credential.as_bytes().to_vec()).execute(connection).await?;
    Ok(())
}
