//! The daemon as operators run it: the program, its units, its sandbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod program;
mod sandbox;
mod units;
