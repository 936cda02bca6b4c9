//! Everything that a gateway has to know when it starts, as quickly as it can be read.
//!
//! There may be a million consumers with a key each. What look-ups need of them stands in columns of its own, so that no
//! body is parsed and no secret is opened for them; the rest is read as pages of whole entities.

use sqlx::{AssertSqlSafe, Row, SqliteConnection, SqlitePool};
use weir_mint::Uuid;
use weir_model::typed::{Consumer, KeyCredential};
use weir_model::{ENTITIES, Entity, Page};

use super::read;
use super::rows::Codec;
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

/// A row of the database comes through a channel and a lock or two; so many entities in one row pay for it together.
const ROWS: i64 = 1000;

/// Reads a table in the order of its rows: `columns` is an aggregate over `from`, whose value is text.
async fn aggregated(
    connection: &mut SqliteConnection,
    aggregate: &str,
    from: &str,
    mut each: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT max(r), count(*), {aggregate} FROM (SELECT rowid AS r, * FROM {from} WHERE rowid > $1 ORDER BY rowid LIMIT $2)"
    );
    let mut after = 0i64;
    loop {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(after).bind(ROWS);
        let row = query.fetch_one(&mut *connection).await?;
        let Some(last) = row.try_get::<Option<i64>, _>(0)? else { return Ok(()) };
        if let Some(text) = row.try_get::<Option<&str>, _>(2)? {
            each(text)?;
        }
        if row.try_get::<i64, _>(1)? < ROWS {
            return Ok(());
        }
        after = last;
    }
}

async fn consumers(connection: &mut SqliteConnection, each: &mut (dyn FnMut(Loaded) + Send)) -> Result<()> {
    let aggregate = "json_group_array(json_array(hex(id), username, custom_id))";
    aggregated(connection, aggregate, "consumers", |text| {
        type Row<'a> = (&'a str, Option<Box<str>>, Option<Box<str>>);
        let rows: Vec<Row<'_>> = serde_json::from_str(text).map_err(|e| Error::Corrupt(e.to_string()))?;
        for (id, username, custom_id) in rows {
            let id = Uuid::from_bytes(hex(id.as_bytes())?);
            each(Loaded::Consumer(Consumer { id, username, custom_id }));
        }
        Ok(())
    })
    .await
}

async fn keys(connection: &mut SqliteConnection, each: &mut (dyn FnMut(Loaded) + Send)) -> Result<()> {
    let now = read::now_ms();
    // A key set to null can be shown by nobody: the aggregate leaves nulls out.
    let aggregate = "group_concat(CASE WHEN key_digest IS NOT NULL THEN \
        hex(id) || hex(consumer_id) || hex(key_digest) || coalesce(expires_at_ms, '') END, ' ')";
    aggregated(connection, aggregate, "keyauth_credentials", |text| {
        for row in text.split_ascii_whitespace().map(str::as_bytes) {
            let wrong = || Error::Corrupt("an API key of another form".to_owned());
            let (id, rest) = row.split_at_checked(32).ok_or_else(wrong)?;
            let (consumer, rest) = rest.split_at_checked(32).ok_or_else(wrong)?;
            let (digest, end) = rest.split_at_checked(64).filter(|_| row.len() >= 128).ok_or_else(wrong)?;
            let expires_at_ms = match end {
                [] => None,
                end => Some(str::from_utf8(end).ok().and_then(|end| end.parse().ok()).ok_or_else(wrong)?),
            };
            if expires_at_ms.is_some_and(|end| end <= now) {
                continue;
            }
            let (id, consumer) = (Uuid::from_bytes(hex(id)?), Uuid::from_bytes(hex(consumer)?));
            let credential = KeyCredential { id, consumer };
            each(Loaded::Key { credential, digest: hex(digest)?, expires_at_ms });
        }
        Ok(())
    })
    .await
}

fn hex<const N: usize>(digits: &[u8]) -> Result<[u8; N]> {
    let wrong = || Error::Corrupt("an id or a digest of another length".to_owned());
    weir_mint::hex::decode(digits).ok_or_else(wrong)
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
