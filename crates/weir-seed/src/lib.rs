//! Seeds for new machines: from the operator's machine to the guest's generator.
//!
//! A seed is [`Seed`]: fresh bytes that nobody else has. Everything here is a way for one to reach a machine before that
//! makes its first key, or a way to see that it did.
//!
//! - [`document`]: documents that carry a seed: cloud-init's, Ignition's, a volume, files for QEMU and systemd-boot.
//! - [`ssh`]: a command on many hosts at once, through the system's own `ssh`.
//! - [`push`]: a fresh seed for each of many hosts, and [`push::print`], the same for an operator who has no Weir.
//! - [`record`]: what a host answers to a seed.
//! - `receive`: the receiving end, which mixes a seed into the kernel's pool and keeps a record of it.
//! - `pollen`, `serve`, `fetch`: seeds over HTTPS, in the protocol of `pollinate`: its words, a server, a client.
//! - `lint`: what in an image every machine made from it would share.
//! - [`tls`]: servers whose certificates are pinned, or only looked at.
//! - [`verify`]: whether machines made from one image differ, and whether their RSA keys have primes in common.
//!
//! Invariants: a seed is drawn by weir-kernel, one for each machine; it is never in an argument, a log, an error message, a
//! temporary file or anything that prints; to *mix* one is always allowed, to *credit* one takes an authenticated channel
//! and somebody who asked for it.
//!
//! The feature `host`, on by default, is what runs on a Linux host. Without it the crate is the operator's side, which builds
//! on other systems too.
//!
//! Absent on purpose: cryptography of our own on the way (ssh and TLS have it), and the gateway.

mod core_dump;
pub mod document;
#[cfg(feature = "host")]
pub mod fetch;
#[cfg(feature = "host")]
pub mod lint;
#[cfg(feature = "host")]
pub mod pollen;
pub mod push;
#[cfg(feature = "host")]
pub mod receive;
pub mod record;
mod seed;
#[cfg(feature = "host")]
pub mod serve;
pub mod ssh;
pub mod tls;
pub mod verify;

pub use core_dump::no_core_dumps;
pub use record::Record;
pub use seed::{Seed, SeedError};
