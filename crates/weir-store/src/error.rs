//! What can go wrong, and whose fault it is.

use serde_json::{Map, Value};

/// The result of a store's operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a store refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another entity has these values, which are unique. The client's fault.
    #[error("another entity has the same {}", .0.keys().cloned().collect::<Vec<_>>().join(", "))]
    Unique(Map<String, Value>),
    /// Another entity has this primary key. The client's fault.
    #[error("another entity has the primary key {0}")]
    PrimaryKey(String),
    /// A reference leads nowhere. The client's fault.
    #[error("{field}: there is no {entity} entity {id}")]
    Reference {
        /// The field that refers.
        field: &'static str,
        /// The kind of entity it refers to.
        entity: &'static str,
        /// The primary key that is not there.
        id: String,
    },
    /// Entities of another kind refer to the one to be deleted. The client's fault.
    #[error("{by} entities refer to this {entity} entity")]
    Referenced {
        /// The kind that refers.
        by: &'static str,
        /// The kind that was to be deleted.
        entity: &'static str,
    },
    /// The database was made by a newer Weir. The operator's.
    #[error(
        "the database {path} has version {found}, and this Weir knows versions up to {known}: start the newer Weir that made it"
    )]
    Newer {
        /// Where the database is.
        path: String,
        /// Its version.
        found: i64,
        /// The newest version that this Weir knows.
        known: i64,
    },
    /// The database's secrets were sealed with another key. The operator's.
    #[error(
        "the secrets in the database {path} were sealed with another key than {key}: put the key file back that belongs to it"
    )]
    WrongKey {
        /// Where the database is.
        path: String,
        /// Where the key is.
        key: String,
    },
    /// The key file is missing, unreadable or no key. The operator's.
    #[error("the key file {path}: {why}")]
    KeyFile {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A value in the database cannot be what Weir put there. The host's.
    #[error("the database holds a value that Weir did not put there: {0}")]
    Corrupt(String),
    /// The disk is full. The host's; retrying later may help.
    #[error("the disk is full")]
    Full,
    /// The database cannot be opened. The operator's.
    #[error(
        "the database {path} cannot be used: {why}; put a backup in its place, or move it away with its -wal and -shm files to begin anew"
    )]
    Unusable {
        /// Where the database is.
        path: String,
        /// What SQLite says of it.
        why: String,
    },
    /// The database cannot be used. The host's.
    #[error("the database cannot be used")]
    Database(#[source] sqlx::Error),
    /// The host's generator gave nothing. The host's; retrying later may help.
    #[error(transparent)]
    Random(#[from] weir_kernel::Error),
}

impl Error {
    /// The same again, for another who is to be told of it.
    pub(crate) fn same(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            other => Self::Database(sqlx::Error::Protocol(other.to_string())),
        }
    }
}

/// SQLITE_FULL, the primary result code (sqlite.org/rescode.html).
const SQLITE_FULL: &str = "13";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.code().as_deref() == Some(SQLITE_FULL) => Self::Full,
            _ => Self::Database(error),
        }
    }
}
