//! The versions of the database, in order. Forward only: a version, once released, is never edited.

use sqlx::{Executor, SqliteConnection};

use crate::{Error, Result};

/// What each version adds. The number of a version is its place in this list, from one.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
];

/// The newest version that this Weir knows.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Brings a database to the newest version, each step in a transaction of its own.
pub(super) async fn run(connection: &mut SqliteConnection, path: &str) -> Result<()> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    if found > NEWEST {
        return Err(Error::Newer { path: path.to_owned(), found, known: NEWEST });
    }
    for (sql, version) in MIGRATIONS.iter().zip(1i64..).filter(|(_, version)| *version > found) {
        let step = format!("BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {version};\nCOMMIT;");
        if let Err(error) = connection.execute(sqlx::AssertSqlSafe(step)).await {
            // The error that matters is the first one; a rollback can only fail when nothing was begun.
            let _ = connection.execute("ROLLBACK").await;
            return Err(error.into());
        }
    }
    Ok(())
}
