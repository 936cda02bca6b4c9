//! Secrets that were kept in one way, when they are to be kept in another from now on.
//!
//! A batch of rows is a transaction, and a row that is done already stays as it is when it is done again: a conversion that
//! was cut off goes on at the next start. What only the digest is left of stays a digest.

use sqlx::{AssertSqlSafe, SqlitePool};
use weir_model::{ENTITIES, Entity, Page};

use super::read;
use super::rows::Codec;
use crate::{Filter, Result};

const BATCH: usize = 500;
const FACT: &str = "secrets_at_rest";

/// Converts what is there, if it was kept in another way until now.
pub(super) async fn run(writer: &SqlitePool, codec: &Codec) -> Result<()> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
        .bind(FACT)
        .fetch_optional(writer)
        .await?;
    let wanted = codec.at_rest.name();
    // Databases that say nothing are from when there was only one way.
    let before = found.as_deref().unwrap_or(b"encrypted");
    if before != wanted.as_bytes() {
        // From the first batch on it is a mixture, and whatever the next start wants has to go through all of it.
        note(writer, "converting").await?;
        let mut count = 0;
        for entity in ENTITIES.iter() {
            count += convert(writer, codec, entity).await?;
        }
        note(writer, wanted).await?;
        // What is in the log now goes into the database, over what was there before.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(writer).await?;
        let before = String::from_utf8_lossy(before);
        if count > 0 {
            tracing::info!(entities = count, %before, now = wanted, "secrets at rest were converted");
        }
    } else if found.is_none() {
        note(writer, wanted).await?;
    }
    Ok(())
}

/// Writes down how secrets are kept.
async fn note(writer: &SqlitePool, how: &str) -> Result<()> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
    sqlx::query(sql).bind(FACT).bind(how.as_bytes().to_vec()).execute(writer).await?;
    Ok(())
}

/// Writes the bodies of an entity's rows again, those that hold secrets.
async fn convert(writer: &SqlitePool, codec: &Codec, entity: &'static Entity) -> Result<usize> {
    let sql = format!("UPDATE {} SET body = $2 WHERE id = $1", entity.name);
    let mut page = Page { size: BATCH, after: None };
    let mut count = 0;
    loop {
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let listing = read::list(&mut transaction, codec, entity, &Filter::default(), &page).await?;
        for stored in &listing.members {
            let mut any = false;
            let mut record = stored.record.clone();
            entity.schema.secrets(&mut record, &codec.catalog, &mut |_, _, _| -> Result<()> {
                any = true;
                Ok(())
            })?;
            if !any {
                continue;
            }
            count += 1;
            sqlx::query(AssertSqlSafe(sql.clone()))
                .bind(stored.id.as_bytes().to_vec())
                .bind(codec.encode(entity, stored.id, &stored.record)?)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        match listing.next {
            Some(next) => page.after = Some(next),
            None => return Ok(count),
        }
    }
}
