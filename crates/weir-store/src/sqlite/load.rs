//! Everything that a gateway has to know when it starts, as quickly as it can be read.
//!
//! There may be a million consumers with a key each. What look-ups need of them stands in columns of its own, so that no
//! body is parsed and no secret is opened for them; the rest is read as pages of whole entities.

use futures_util::TryStreamExt;
use sqlx::{Row, SqliteConnection, SqlitePool};
use weir_model::typed::{Consumer, KeyCredential};
use weir_model::{ENTITIES, Entity, Page};

use super::read;
use super::rows::{self, Codec};
use crate::{Error, Filter, Loaded, Result};

/// How many entities are read at once.
const BATCH: usize = 1000;

pub(super) async fn run(
    readers: &SqlitePool,
    codec: &Codec,
    each: &mut (dyn FnMut(Loaded) + Send),
) -> Result<()> {
    let mut connection = readers.acquire().await?;
    for entity in ENTITIES.iter() {
        match entity.name {
            "consumers" => consumers(&mut connection, each).await?,
            "keyauth_credentials" => keys(&mut connection, each).await?,
            _ => whole(&mut connection, codec, entity, each).await?,
        }
    }
    Ok(())
}

async fn consumers(connection: &mut SqliteConnection, each: &mut (dyn FnMut(Loaded) + Send)) -> Result<()> {
    let mut found = sqlx::query("SELECT id, username, custom_id FROM consumers").fetch(connection);
    while let Some(row) = found.try_next().await? {
        let text = |column: &str| -> Result<Option<Box<str>>> {
            Ok(row.try_get::<Option<&str>, _>(column)?.map(Into::into))
        };
        let id = rows::uuid(row.try_get("id")?)?;
        each(Loaded::Consumer(Consumer { id, username: text("username")?, custom_id: text("custom_id")? }));
    }
    Ok(())
}

async fn keys(connection: &mut SqliteConnection, each: &mut (dyn FnMut(Loaded) + Send)) -> Result<()> {
    let sql = "SELECT id, consumer_id, key_digest, expires_at_ms FROM keyauth_credentials \
               WHERE key_digest IS NOT NULL AND (expires_at_ms IS NULL OR expires_at_ms > $1)";
    let mut found = sqlx::query(sql).bind(read::now_ms()).fetch(connection);
    while let Some(row) = found.try_next().await? {
        let digest: &[u8] = row.try_get("key_digest")?;
        let digest =
            digest.try_into().map_err(|_| Error::Corrupt("a digest of another length".to_owned()))?;
        let id = rows::uuid(row.try_get("id")?)?;
        let consumer = rows::uuid(row.try_get("consumer_id")?)?;
        let expires_at_ms = row.try_get("expires_at_ms")?;
        each(Loaded::Key { credential: KeyCredential { id, consumer }, digest, expires_at_ms });
    }
    Ok(())
}

async fn whole(
    connection: &mut SqliteConnection,
    codec: &Codec,
    entity: &'static Entity,
    each: &mut (dyn FnMut(Loaded) + Send),
) -> Result<()> {
    let mut page = Page { size: BATCH, after: None };
    loop {
        let listing = read::list(connection, codec, entity, &Filter::default(), &page).await?;
        listing.members.into_iter().for_each(|stored| each(Loaded::Other(entity, Box::new(stored))));
        match listing.next {
            Some(next) => page.after = Some(next),
            None => return Ok(()),
        }
    }
}
