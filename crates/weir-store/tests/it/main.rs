//! What every store does, and what only SQLite's does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sqlite;
mod suite;
