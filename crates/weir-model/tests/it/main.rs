//! Tests of the entities' definitions from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod autos;
mod recorded_schemas;
mod records;
