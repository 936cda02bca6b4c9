//! Whether machines that came from one image are different machines: their keys, their ids, what they draw.
//!
//! - [`survey`] looks: over ssh with one small script ([`answer`]), from without with ssh-keyscan, at TLS servers
//!   ([`tls`]), into files ([`bundle`]).
//! - [`judge`] compares, and says what is shared, what it means and what to do ([`report`], [`text()`]).
//! - RSA moduli from all of these are searched for primes in common ([`rsa`], [`batch_gcd`]).
//!
//! Invariants: nothing secret leaves a host: ids and seeds are hashed there, keys are public ones. Nothing is changed on a host,
//! but for a folder that is there for a moment where two hosts have to be told apart (`same`). Hosts may lie or send
//! anything: answers are bounded and made fit to be shown. A host that fails holds up no other.
//!
//! Deliberately absent: printing, and the primes that are found.

pub mod answer;
pub mod batch_gcd;
pub mod bundle;
mod der;
pub mod judge;
pub mod key;
pub mod report;
pub mod rsa;
mod same;
mod scan;
mod survey;
mod text;
pub mod tls;

pub use judge::{Evidence, KeyFile, Learnt, Machine, Server, judge};
pub use report::{Finding, Report};
pub use survey::{Ask, Doing, survey};
pub use text::text;
pub use weir_report::{Style, Verdict};
