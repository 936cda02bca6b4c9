//! The commands of `weir` as a user runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this crate is a test"
)]

mod command;
mod doctor;
mod mint;
mod operation;
