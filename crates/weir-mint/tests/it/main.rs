//! What weir-mint promises: shapes, uniformity, and that nothing is ever minted twice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this crate is a test")]

mod formats;
mod uniformity;
