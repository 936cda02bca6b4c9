//! What the crate says, against published results.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "all of this crate is a test")]

mod battery;
mod oracles;
mod sp800_22;
mod sp800_90b;
mod sp800_90b_iid;
