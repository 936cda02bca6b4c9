//! The crate as a daemon uses it.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "all of this crate is a test")]

mod devices;
mod health;
mod live;
mod spec;
