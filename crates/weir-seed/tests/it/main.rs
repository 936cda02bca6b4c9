//! What a user of the crate relies on, through its public interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this crate is a test")]

mod lint;
