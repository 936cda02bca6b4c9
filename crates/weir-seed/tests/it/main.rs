//! What a user of the crate relies on, through its public interface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this crate is a test"
)]

mod fetch;
mod lint;
mod new;
mod push;
mod serve;
mod verify;
