//! Documents that carry a seed to a machine, each in the form that the machine's first programs read.
//!
//! A document is made once, without a seed, as a [`Template`]; each machine's own seed goes into it last, by
//! [`Template::fill`]. So what is checked (that a merge added one thing and changed no other) is checked before there is a
//! secret, and fifty machines cost one check.
//!
//! - [`user_data`]: what cloud-init reads, new or merged into what there is already: cloud-config, MIME, scripts, …
//! - [`ignition`]: what Ignition reads, the same.
//! - [`meta_data`]: what cloud-init's data sources read, for NoCloud and for OpenStack's config drive.
//! - [`iso9660`]: a volume that holds these as files.
//! - [`qemu`], [`esp`]: a virtual machine's arguments; systemd-boot's file.
//! - [`limit`]: how much user-data a provider takes; [`gzip`](gzip()) makes it shorter.
//! - [`files`]: all files of a run written, or none.
//!
//! Invariants: a merge changes no byte that it does not have to, and answers with an error and a place otherwise; nothing here
//! credits a seed, because whoever can read a document has what is in it. No hash table of the standard library: each draws
//! from the kernel by itself, and ends the program where that gives nothing.
//!
//! Absent on purpose: talking to a provider, and any YAML or MIME writer: what is there already is never written anew.

mod error;
pub mod esp;
pub mod files;
mod gzip;
pub mod ignition;
pub mod iso9660;
mod json;
pub mod limit;
pub mod meta_data;
mod mime;
pub mod qemu;
mod template;
mod unnamed;
pub mod user_data;
mod yaml;

pub use error::{MergeError, Place};
pub use gzip::gzip;
pub use template::Template;

/// The longest document that is merged into, in bytes: more than any provider takes.
pub const MAX_BYTES: usize = 1 << 20;

/// What a merge may do, and what the guest is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Put the new seed in the place of one that is there, instead of refusing.
    pub replace: bool,
    /// Have the guest's kernel take a new key at once, where the guest has what that takes.
    pub reseed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { replace: false, reseed: true }
    }
}
