//! Where entities live.
//!
//! [`Store`] is what the rest of Weir sees: look-ups, pages, and transactions that end in a list of [`Change`]s.
//! [`sqlite`] is the store of one machine. A change that [`Transaction::commit`] returned is durable: it survives a
//! crash of the process and the loss of power.
//!
//! Secrets are sealed before they reach a backend ([`seal`]); the database files alone reveal none.
//!
//! Deliberately absent: validation (weir-model does it before a record gets here) and HTTP.

mod error;
pub mod seal;
pub mod sqlite;
mod table;

use std::sync::Arc;

use async_trait::async_trait;
use weir_mint::Uuid;
use weir_model::typed::{Consumer, KeyCredential};
use weir_model::{Entity, Page, Record, Tags};

pub use error::{Error, Result};
pub use seal::{Sealer, SecretsAtRest};

/// An entity as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its primary key.
    pub id: Uuid,
    /// Its fields.
    pub record: Record,
    /// When it ends of itself, epoch milliseconds.
    pub expires_at_ms: Option<i64>,
    /// The keyed digest of its unique secret, where its kind has one.
    pub digest: Option<Digest>,
}

/// A keyed digest of a secret, by which the secret is looked up.
pub type Digest = [u8; 32];

/// What changed. Changes come in the order in which they were committed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Grows with each change; may leave gaps.
    pub sequence: i64,
    /// The kind of entity.
    pub entity: &'static Entity,
    /// Its primary key.
    pub id: Uuid,
    /// The digest of its unique secret before, where it had one.
    pub before: Option<Digest>,
    /// What it is now; `None` when it was deleted.
    pub now: Option<Arc<Stored>>,
}

/// Which members of a collection are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that refer to this entity by this field.
    pub belonging_to: Option<(&'static str, Uuid)>,
    /// Those with this value of a unique field.
    pub equal: Option<(&'static str, String)>,
    /// Those that carry these tags.
    pub tags: Option<Tags>,
}

/// A page of a collection, in order of the primary key.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The members.
    pub members: Vec<T>,
    /// The key after which the next page begins; `None` on the last page.
    pub next: Option<String>,
}

/// On whose behalf a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The gateway itself, in the course of its work: this part of it.
    Gateway(&'static str),
    /// Somebody who uses the Admin API: who, as far as that is known.
    Operator(String),
}

/// What was done to a credential, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Grows with each entry.
    pub sequence: i64,
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// What: `created`, `changed`, `rotated`, `deleted`, `expired`.
    pub action: String,
    /// The kind of credential.
    pub entity: String,
    /// Its primary key.
    pub id: Uuid,
    /// Whose it was.
    pub consumer: Option<Uuid>,
}

/// An entity as a start reads it. Those that there may be very many of come with no more than look-ups need.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// A consumer.
    Consumer(Consumer),
    /// An API key that can be shown.
    Key {
        /// The key's credential.
        credential: KeyCredential,
        /// The keyed digest of the key.
        digest: Digest,
        /// When it ends of itself, epoch milliseconds.
        expires_at_ms: Option<i64>,
    },
    /// Any other, whole.
    Other(&'static Entity, Box<Stored>),
}

/// That an entity carries a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagging {
    /// The tag.
    pub tag: String,
    /// The kind of entity.
    pub entity: &'static str,
    /// Its primary key.
    pub id: Uuid,
}

/// A place where entities live. Reads see the last committed state; entities whose time is over are not seen.
#[async_trait]
pub trait Store: Send + Sync {
    /// An entity by its primary key.
    async fn get(&self, entity: &'static Entity, id: Uuid) -> Result<Option<Stored>>;

    /// An entity by a unique field.
    async fn find(&self, entity: &'static Entity, field: &str, value: &str) -> Result<Option<Stored>>;

    /// An entity by the fields that are unique together.
    async fn find_together(&self, entity: &'static Entity, fields: &Record) -> Result<Option<Stored>>;

    /// A page of a collection.
    async fn list(&self, entity: &'static Entity, filter: &Filter, page: &Page) -> Result<Listing<Stored>>;

    /// Everything, in an order in which each entity comes after those that it refers to.
    async fn load(&self, each: &mut (dyn FnMut(Loaded) + Send)) -> Result<()>;

    /// A page of tags: all, or those of this name.
    async fn tags(&self, tag: Option<&str>, page: &Page) -> Result<Listing<Tagging>>;

    /// Waits until what the last transactions saw of each other is durable and in force, or undone. Whoever failed in a
    /// transaction does so before it tells anybody why.
    async fn settle(&self);

    /// Says who puts committed changes in force: called with them in the order of commits, before those who made them are
    /// told. Only the first is listened to.
    fn follow(&self, follower: Arc<dyn Fn(Vec<Change>) + Send + Sync>);

    /// Whether the store answers.
    async fn ping(&self) -> Result<()>;

    /// Begins a transaction on somebody's behalf. Writers wait for each other; readers do not wait.
    async fn begin(&self, actor: Actor) -> Result<Box<dyn Transaction>>;

    /// Deletes entities whose time is over, at most `limit` of them.
    async fn reap(&self, limit: usize) -> Result<Vec<Change>>;

    /// A page of the audit log, in the order in which things happened: all of it, or what is about one credential or one
    /// consumer.
    async fn audit(&self, about: Option<Uuid>, page: &Page) -> Result<Listing<AuditEntry>>;

    /// When a credential was last good for something, epoch milliseconds, as far as it is written down.
    async fn last_used(&self, credential: Uuid) -> Result<Option<i64>>;

    /// Writes down when credentials were last good for something, epoch milliseconds.
    async fn put_last_used(&self, used: &[(Uuid, i64)]) -> Result<()>;
}

/// A set of changes that happen together or not at all. Dropped without a commit, it leaves no trace.
#[async_trait]
pub trait Transaction: Send {
    /// An entity by its primary key, as this transaction sees it.
    async fn get(&mut self, entity: &'static Entity, id: Uuid) -> Result<Option<Stored>>;

    /// An entity by a unique field, as this transaction sees it.
    async fn find(&mut self, entity: &'static Entity, field: &str, value: &str) -> Result<Option<Stored>>;

    /// A page of a collection, as this transaction sees it.
    async fn list(
        &mut self,
        entity: &'static Entity,
        filter: &Filter,
        page: &Page,
    ) -> Result<Listing<Stored>>;

    /// Adds an entity.
    ///
    /// # Errors
    /// [`Error::Unique`], [`Error::PrimaryKey`] or [`Error::Reference`] when it does not fit with what is there.
    async fn insert(
        &mut self,
        entity: &'static Entity,
        record: &Record,
        expires_at_ms: Option<i64>,
    ) -> Result<()>;

    /// An entity by the fields that are unique together, as this transaction sees it.
    async fn find_together(&mut self, entity: &'static Entity, fields: &Record) -> Result<Option<Stored>>;

    /// Replaces an entity.
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    async fn update(
        &mut self,
        entity: &'static Entity,
        record: &Record,
        expires_at_ms: Option<i64>,
    ) -> Result<()>;

    /// Deletes an entity, and those that go with it. Says whether it was there.
    ///
    /// # Errors
    /// [`Error::Referenced`] when others refer to it.
    async fn delete(&mut self, entity: &'static Entity, id: Uuid) -> Result<bool>;

    /// Says that what changes from here on is a rotation, for the audit log.
    fn rotating(&mut self);

    /// Makes the changes last, and in force; then gives them. Writers that wait for each other share one wait for the disk.
    async fn commit(self: Box<Self>) -> Result<Vec<Change>>;
}
