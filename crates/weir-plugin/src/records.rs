//! What plugins may store: codes, tokens, sessions.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use weir_mint::Uuid;
use weir_model::Record;

/// What a store gives in time.
pub type Stored<T> = Pin<Box<dyn Future<Output = Result<T, RecordsError>> + Send>>;

/// The gateway's store, as plugins see it. Entities are named by their plural names, as in `/schemas`.
///
/// It waits for a disk: a phase asks it only through [`crate::Flow::Wait`]. What is changed is durable, and in force on
/// this node for every request that begins later, when the future ends.
pub trait Records: Send + Sync {
    /// An entity by its primary key, from the store.
    fn get(&self, entity: &'static str, id: Uuid) -> Stored<Option<Record>>;

    /// An entity by a unique field, from the store.
    fn find(&self, entity: &'static str, field: &'static str, value: String) -> Stored<Option<Record>>;

    /// Does all of these, or nothing. Gives the entities that were added and changed, in order.
    fn apply(&self, steps: Vec<Step>) -> Stored<Vec<Record>>;
}

/// One change.
#[derive(Clone, Debug)]
pub enum Step {
    /// Adds an entity. What its schema mints when it is left out (ids, tokens, codes) is minted.
    Insert {
        /// The kind of entity.
        entity: &'static str,
        /// Its fields, hidden ones among them.
        fields: Record,
        /// How long it lives; `None` for ever.
        life: Option<Duration>,
    },
    /// Changes some fields of an entity.
    Update {
        /// The kind of entity.
        entity: &'static str,
        /// Its primary key.
        id: Uuid,
        /// The fields that change, hidden ones among them.
        fields: Record,
        /// Only if this field still holds this text; [`RecordsError::Gone`] if it does not.
        only_if: Option<(&'static str, String)>,
        /// How long it lives from now; `None` as long as it would.
        life: Option<Duration>,
    },
    /// Deletes an entity. [`RecordsError::Gone`] when it is not there: of two who delete the same, one is told.
    Delete {
        /// The kind of entity.
        entity: &'static str,
        /// Its primary key.
        id: Uuid,
    },
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// What was to be changed or deleted is not there.
    #[error("it is not there any more")]
    Gone,
    /// It does not fit: a schema, a unique field, or a reference.
    #[error("{0}")]
    Refused(String),
    /// The host's generator is not ready, so nothing can be minted. Retrying later helps.
    #[error("the kernel's random number generator is not ready")]
    NotReady,
    /// The store failed. Retrying later may help.
    #[error("{0}")]
    Unavailable(String),
}

/// A store that has nothing and takes nothing: for instances that are built to be looked at.
pub struct NoRecords;

impl Records for NoRecords {
    fn get(&self, _: &'static str, _: Uuid) -> Stored<Option<Record>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn find(&self, _: &'static str, _: &'static str, _: String) -> Stored<Option<Record>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn apply(&self, _: Vec<Step>) -> Stored<Vec<Record>> {
        Box::pin(std::future::ready(Err(RecordsError::Unavailable("there is no store".to_owned()))))
    }
}
