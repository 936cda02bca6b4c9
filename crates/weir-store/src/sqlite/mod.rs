//! The store of one machine: a SQLite database in WAL mode with full synchronisation, so that what was committed
//! survives a crash and the loss of power. One connection writes; a few read beside it.

mod audit;
mod convert;
mod group;
mod load;
mod migrations;
mod read;
mod rows;
mod write;

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlitePool};
use weir_mint::Uuid;
use weir_model::{Catalog, ENTITIES, Entity, Page, Record};

use crate::{
    Actor, AuditEntry, Change, Error, Filter, Listing, Loaded, Result, Sealer, SecretsAtRest, Store, Stored,
    Tagging, Transaction,
};
use group::Gathering;
use rows::Codec;

/// Connections that read.
const READERS: u32 = 2;
/// The page cache of a connection in KiB (negative: KiB, not pages).
const CACHE_KIB: &str = "-2000";
/// How long a connection waits for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(5);

/// A SQLite database.
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    gathering: Arc<Gathering>,
    codec: Codec,
}

impl Sqlite {
    /// Opens the database, and makes it or brings it up to date where needed.
    ///
    /// # Errors
    /// [`Error::Newer`] and [`Error::WrongKey`] when this Weir must not touch it, [`Error::Database`] when it cannot be
    /// used.
    pub async fn open(
        path: &Path,
        sealer: Arc<Sealer>,
        catalog: Arc<Catalog>,
        at_rest: SecretsAtRest,
    ) -> Result<Self> {
        Self::open_as_is(path, Codec { sealer, catalog, at_rest }).await.map_err(|error| match error {
            Error::Database(error) => {
                let why =
                    error.as_database_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
                Error::Unusable { path: path.display().to_string(), why }
            }
            other => other,
        })
    }

    async fn open_as_is(path: &Path, codec: Codec) -> Result<Self> {
        // The files beside it take over its mode.
        let made = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
        if let Err(error) = made.map(drop)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(Error::Unusable { path: path.display().to_string(), why: error.to_string() });
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("cache_size", CACHE_KIB)
            // What is deleted is overwritten: a digest or a sealed value does not outlive its row.
            .pragma("secure_delete", "ON");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            // A full disk makes SQLite end a transaction itself, and the client takes it for open ever after.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options.clone())
            .await?;
        let shown = path.display().to_string();
        {
            let mut connection = writer.acquire().await?;
            migrations::run(&mut connection, &shown).await?;
        }
        check_key(&writer, &codec.sealer, &shown).await?;
        convert::run(&writer, &codec).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "ON"));
        let gathering = Arc::new(Gathering::new(writer.clone()));
        Ok(Self { writer, readers, gathering, codec })
    }

    /// Closes all connections, and folds the write-ahead log into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Refuses a database whose secrets another key sealed; a new one is marked with this key.
async fn check_key(writer: &SqlitePool, sealer: &Sealer, path: &str) -> Result<()> {
    let found: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'key_check'").fetch_optional(writer).await?;
    match found {
        Some(check) if check == sealer.check() => Ok(()),
        Some(_) => Err(Error::WrongKey { path: path.to_owned(), key: sealer.path().display().to_string() }),
        None => {
            sqlx::query("INSERT INTO meta (name, value) VALUES ('key_check', $1)")
                .bind(sealer.check().to_vec())
                .execute(writer)
                .await?;
            Ok(())
        }
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn get(&self, entity: &'static Entity, id: Uuid) -> Result<Option<Stored>> {
        let mut connection = self.readers.acquire().await?;
        read::get(&mut connection, &self.codec, entity, id).await
    }

    async fn find(&self, entity: &'static Entity, field: &str, value: &str) -> Result<Option<Stored>> {
        let mut connection = self.readers.acquire().await?;
        read::find(&mut connection, &self.codec, entity, field, value).await
    }

    async fn find_together(&self, entity: &'static Entity, fields: &Record) -> Result<Option<Stored>> {
        let mut connection = self.readers.acquire().await?;
        read::find_together(&mut connection, &self.codec, entity, fields).await
    }

    async fn list(&self, entity: &'static Entity, filter: &Filter, page: &Page) -> Result<Listing<Stored>> {
        let mut connection = self.readers.acquire().await?;
        read::list(&mut connection, &self.codec, entity, filter, page).await
    }

    async fn load(&self, each: &mut (dyn FnMut(Loaded) + Send)) -> Result<()> {
        load::run(&self.readers, &self.codec, each).await
    }

    async fn tags(&self, tag: Option<&str>, page: &Page) -> Result<Listing<Tagging>> {
        let mut connection = self.readers.acquire().await?;
        read::tags(&mut connection, tag, page).await
    }

    async fn settle(&self) {
        self.gathering.settle().await;
    }

    fn follow(&self, follower: Arc<dyn Fn(Vec<Change>) + Send + Sync>) {
        self.gathering.follow(follower);
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    async fn begin(&self, actor: Actor) -> Result<Box<dyn Transaction>> {
        Ok(Box::new(write::Writing::new(self.gathering.turn().await?, self.codec.clone(), actor)))
    }

    async fn audit(&self, about: Option<Uuid>, page: &Page) -> Result<Listing<AuditEntry>> {
        let mut connection = self.readers.acquire().await?;
        audit::page(&mut connection, about, page).await
    }

    async fn last_used(&self, credential: Uuid) -> Result<Option<i64>> {
        let mut connection = self.readers.acquire().await?;
        audit::last_used(&mut connection, credential).await
    }

    async fn put_last_used(&self, used: &[(Uuid, i64)]) -> Result<()> {
        audit::put_last_used(&self.writer, used).await
    }

    async fn reap(&self, limit: usize) -> Result<Vec<Change>> {
        let now = read::now_ms();
        let mut over = Vec::new();
        for entity in ENTITIES.iter().filter(|entity| entity.ttl) {
            let mut connection = self.readers.acquire().await?;
            let expired = read::expired(&mut connection, entity, now, limit - over.len()).await?;
            over.extend(expired.into_iter().map(|id| (entity, id)));
        }
        // Nobody waits for the disk when there is nothing to write.
        if over.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin(Actor::Gateway(write::EXPIRY)).await?;
        for (entity, id) in over {
            transaction.delete(entity, id).await?;
        }
        transaction.commit().await
    }
}

impl From<std::num::TryFromIntError> for Error {
    fn from(error: std::num::TryFromIntError) -> Self {
        Self::Corrupt(error.to_string())
    }
}
