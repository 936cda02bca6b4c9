//! The daemon as operators run it (the program, its units, its sandbox), and on real kernels.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "all of this crate is a test"
)]

mod clones;
mod deterministic;
mod guests;
mod kernels;
mod program;
mod sandbox;
mod units;
