//! Verdicts on recorded hosts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "all of this crate is a test")]

mod documentation;
mod golden;
mod verdicts;
