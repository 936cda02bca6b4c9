//! Seeds for new machines: from the operator's machine to the guest's generator.
//!
//! A seed is [`Seed`]: fresh bytes that nobody else has. Everything here is a way for one to reach a machine before that
//! makes its first key, or a way to see that it did.
//!
//! - [`lint`]: a look at an image before machines are cloned from it.
//! - [`ssh`]: a command on many hosts at once, through the system's own `ssh`.
//! - [`receive`](mod@receive): the receiving end, which mixes a seed into the kernel's pool and keeps a record of it.
//!
//! Invariants: a seed is drawn by weir-kernel, one for each machine; it is never in an argument, a log, an error message, a
//! temporary file or anything that prints; to *mix* one is always allowed, to *credit* one takes an authenticated channel
//! and somebody who asked for it.
//!
//! Absent on purpose: cryptography of our own on the way (ssh and TLS have it), and the gateway.

pub mod lint;
pub mod receive;
mod seed;
pub mod ssh;

pub use seed::{Seed, SeedError};
