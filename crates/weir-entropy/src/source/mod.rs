//! Noise sources: what there is, and the one way to open it.
//!
//! A source is one file in this folder and one entry in [`KINDS`]; flags, documents, metrics and status are derived
//! from that list.
//!
//! Contract of a [`Source`]: [`Source::sample`] hands out raw samples, one symbol a byte, before any conditioning, and
//! comes back at its deadline at the latest; what it says is tested by [`crate::health`], not by itself (an exception
//! are constants that only the CPU's whole words show).
//!
//! Absent on purpose: credit. A [`Claim`] is a number with a reason; whether it is believed is for the tests to say.

mod command;
mod cpu;
mod device;
mod hwrng;
pub mod jitter;
mod kernel;
mod spec;
mod timer;
pub mod tpm;
mod waiting;

use std::time::Instant;
use std::{error, fmt, io};

pub use spec::{Spec, SpecError};

use crate::health::Failure;

/// What a source is said to be worth, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// Bits of min-entropy a sample, at most. A source may know of itself that it is worth less ([`Source::claim`]).
    pub min_entropy_bits: f64,
    /// The reason for the number.
    pub reason: &'static str,
}

/// How a source is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Thousands of samples in milliseconds. Takes its start-up test in one go, and again after each rest.
    Fast,
    /// A few samples at a time. Asked once a batch if others suffice; its start-up test goes on over several batches
    /// and outlasts a rest.
    Slow {
        /// How long it may take when it is asked. It holds up the batch, also at boot.
        patience_ms: u64,
    },
}

/// A kind of source: an entry of [`KINDS`].
#[derive(Debug)]
pub struct Kind {
    /// The word for it in flags, status and metrics.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// What has to follow the name and a colon, such as `PATH`.
    pub argument: Option<&'static str>,
    /// Bits a raw sample has; samples come one a byte.
    pub bits_per_sample: u8,
    /// What it is said to be worth.
    pub claim: Claim,
    /// The entropy a sample, in bits, for which the continuous tests are set: the claim, or more where a healthy
    /// source gives more than it is credited for, so that the tests are sharper.
    pub tested_bits: f64,
    /// Whether samples are differences of time, which get the tests for those too.
    pub timing: bool,
    /// How it is asked.
    pub pace: Pace,
    /// When it is among the sources that nobody named.
    pub default: Use,
    pub(crate) open: fn(&Spec) -> Result<Box<dyn Source>, SourceError>,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// When a kind is used without being named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Always; where it does not exist, the status says so.
    Always,
    /// Where the kind of this name cannot be opened.
    Without(&'static str),
    /// Only if it is named.
    Named,
    /// Never; it is listed so that a reader finds out why.
    Never,
}

/// All kinds of sources.
pub const KINDS: &[Kind] = &[
    jitter::KIND,
    cpu::RDSEED,
    cpu::RDRAND,
    cpu::RNDR,
    hwrng::KIND,
    tpm::KIND,
    device::FILE,
    device::FIFO,
    command::KIND,
    kernel::KIND,
];

/// A noise source that has been opened.
pub trait Source: Send {
    /// How whoever configured it named it.
    fn name(&self) -> &str;

    /// Its entry in [`KINDS`].
    fn kind(&self) -> &'static Kind;

    /// Bits of min-entropy that a sample of this very source is said to hold: never above the kind's claim.
    fn claim(&self) -> f64 {
        self.kind().claim.min_entropy_bits
    }

    /// Fills the start of `out` with raw samples, one a byte, and says how many they are: one at least. Comes back at
    /// the deadline, or soon after.
    ///
    /// # Errors
    /// [`SourceError`]; `out` holds nothing of use then.
    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError>;
}

/// Opens a source.
///
/// # Errors
/// [`SourceError`], [`SourceError::Absent`] most often.
pub fn open(spec: &Spec) -> Result<Box<dyn Source>, SourceError> {
    (spec.kind().open)(spec)
}

/// Why a source gives no samples.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// This machine does not have it.
    Absent(&'static str),
    /// It must not be used, whoever asks.
    Refused(&'static str),
    /// Nothing came before the deadline.
    Dry,
    /// It is at its end.
    Ended,
    /// It answered something that makes no sense.
    Malformed(&'static str),
    /// Its own device says that it failed.
    Device {
        /// Which answer.
        what: &'static str,
        /// The device's code.
        code: u32,
    },
    /// What it gave is known to be bad.
    Unhealthy(Failure),
    /// The operating system's word.
    Os {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        error: io::Error,
    },
}

impl SourceError {
    /// Whether this machine lacks the source, or keeps this process from it, as opposed to a source that failed.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Absent(_) => true,
            Self::Os { error, .. } => {
                let missing = [libc::ENOENT, libc::ENODEV, libc::ENXIO, libc::EACCES, libc::EPERM];
                error.raw_os_error().is_some_and(|errno| missing.contains(&errno))
            }
            _ => false,
        }
    }

    pub(crate) fn last_os(what: &'static str) -> Self {
        Self::Os { what, error: io::Error::last_os_error() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(why) | Self::Refused(why) => f.write_str(why),
            Self::Dry => f.write_str("it gave nothing in the time it had"),
            Self::Ended => f.write_str("it is at its end"),
            Self::Malformed(why) => write!(f, "its answer makes no sense: {why}"),
            Self::Device { what, code } => write!(f, "{what} {code} ({code:#x})"),
            Self::Unhealthy(failure) => failure.fmt(f),
            Self::Os { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl error::Error for SourceError {}

impl From<Failure> for SourceError {
    fn from(failure: Failure) -> Self {
        Self::Unhealthy(failure)
    }
}
