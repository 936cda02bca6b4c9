//! Noise sources, their health tests, conditioning and credit.
//!
//! ```no_run
//! use std::time::Duration;
//! use weir_entropy::{Config, Gatherer};
//! use weir_kernel::ioctl::{Pool, Sample};
//!
//! let mut gatherer = Gatherer::new(Config::default());
//! let batch = gatherer.gather(256, Duration::from_secs(1));
//! let pool = Pool::open()?;
//! for block in batch.blocks() {
//!     pool.add(Sample::credited(block.bytes(), block.credit_bits())?)?;
//! }
//! gatherer.rest();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of a bit, each step in a module of its own:
//! - [`source`]: raw samples, one symbol a byte. [`source::KINDS`] is the one list of what there is.
//! - [`health`]: the start-up test and the continuous tests of SP 800-90B section 4, over raw samples. Only a source
//!   that passed them turns a number of samples into [`health::Assessed`] bits.
//! - [`condition`]: SHA-512 over all samples of a block, and SP 800-90B's formula for what comes out.
//! - [`gather`]: which source is asked when, which is set aside and when it may come back.
//!
//! Invariants: to *mix* takes bytes and gives no credit; to *credit* takes [`health::Assessed`], which nobody but a
//! health test can make. Credit is never above the assessed input nor above eight bits a byte. Every loop has a
//! deadline. Raw samples and what was conditioned from them are erased after use, but for the last few that a test
//! compares the next with; none of them can be printed.
//!
//! Absent on purpose: the kernel's pool (the caller feeds it), logs and metrics (the caller has [`Status`]), estimates
//! of entropy for a report (`weir-assess` is the judge and knows nothing of this crate), threads, anything async.

pub mod condition;
mod config;
pub mod gather;
pub mod health;
pub mod source;

pub use config::{Config, ConfigError, Credit};
pub use gather::{Batch, Block, Gatherer, Part, State, Status};
pub use source::{Claim, Kind, Pace, Source, SourceError, Spec, SpecError, open};
