//! A look at an image before machines are cloned from it: seeds, identities, keys and logs that every clone would share.
//!
//! [`Image::open`] takes a folder that holds an image, a tar of one, or a disk; [`Image::look`] applies the rules of
//! [`RULES`] to it, and [`Image::fix`] ends what they found.
//!
//! Invariants: whoever made the image may be hostile, so that no link leads out of it, nothing but a regular file is opened,
//! and all that is read and listed is bounded; no content of a file comes out of here, only whether it holds a thing; what
//! [`Image::fix`] does, it does again without finding anything, and when it is interrupted, what is done is done and
//! nothing is half-written.
//!
//! Absent on purpose: a judgement of how random something looks, accounts and passwords, and layers of containers.

mod archive;
#[cfg(unix)]
mod disk;
mod examine;
#[cfg(unix)]
mod folder;
#[cfg(unix)]
mod guest;
mod image;
mod pack;
mod pattern;
mod place;
mod report;
mod rules;
mod sniff;
mod text;
mod tree;

pub use archive::check as check_archive;
pub use image::{Access, Consent, Image, LintError, is_disk};
pub use place::Place;
pub use report::{Done, Finding, FixedBy, Report, SCHEMA, Terms, Unseen};
pub use rules::{Group, RULES, Rule, rule};
pub use sniff::check as check_content;
pub use text::{done_text, rules_text, text};
pub use weir_report::{Style, Verdict};
