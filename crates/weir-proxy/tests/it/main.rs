//! The proxy without a store and an Admin API: entities go in, requests go through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this crate is a test")]

mod evenly;
mod support;
mod waiting;
