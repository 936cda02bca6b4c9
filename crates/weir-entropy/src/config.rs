//! Which sources are used, and which of them are believed less than they could be.

use std::str::FromStr;
use std::{error, fmt};

use crate::source::{KINDS, Spec, Use, open};

/// What a [`crate::Gatherer`] works with.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The sources, in the order in which they are asked.
    pub sources: Vec<Spec>,
    /// What some of them are worth at most.
    pub credit: Vec<Credit>,
}

impl Default for Config {
    /// All kinds that make sense by themselves. Those that this machine lacks are among them, so that the status says
    /// so; of two that stand for one another only the first that can be opened.
    fn default() -> Self {
        let usable = |name: &str| KINDS.iter().any(|kind| kind.name == name && open(&Spec::of(kind)).is_ok());
        let wanted = KINDS.iter().filter(|kind| match kind.default {
            Use::Always => true,
            Use::Without(other) => !usable(other) && usable(kind.name),
            Use::Named | Use::Never => false,
        });
        Self { sources: wanted.map(Spec::of).collect(), credit: Vec::new() }
    }
}

/// `SOURCE=BITS`: the source, a kind's name or a whole name, is worth so many bits a sample at most. It can only
/// lower: what a source is worth is bounded by its claim in any case.
#[derive(Debug, Clone, PartialEq)]
pub struct Credit {
    /// As in a source's name, or that of its kind.
    pub source: String,
    /// Bits of min-entropy a sample.
    pub bits: f64,
}

impl Credit {
    /// Whether this is about the source.
    #[must_use]
    pub fn is_about(&self, spec: &Spec) -> bool {
        self.source == spec.name() || self.source == spec.kind().name
    }
}

impl FromStr for Credit {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        // From the right: a command may have the sign in its arguments.
        let (source, bits) = text.rsplit_once('=').ok_or(ConfigError::NoCredit)?;
        let spec: Spec = match KINDS.iter().find(|kind| kind.name == source) {
            Some(kind) => Spec::of(kind),
            None => source.parse().map_err(ConfigError::Source)?,
        };
        let bits: f64 = bits.parse().ok().filter(|&bits| bits >= 0.0).ok_or(ConfigError::NoNumber)?;
        let claim = spec.kind().claim.min_entropy_bits;
        if bits > claim {
            return Err(ConfigError::Raises { source: spec.kind().name, claim });
        }
        Ok(Self { source: source.to_owned(), bits })
    }
}

/// Why a text is no [`Credit`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// No `=` in it.
    NoCredit,
    /// What stands before it is no source.
    Source(crate::SpecError),
    /// What stands behind it is no number, or below zero.
    NoNumber,
    /// More than the source's claim.
    Raises {
        /// The kind of source.
        source: &'static str,
        /// Its claim, in bits a sample.
        claim: f64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredit => f.write_str("a credit is SOURCE=BITS, such as jitter=0"),
            Self::Source(error) => error.fmt(f),
            Self::NoNumber => f.write_str("a credit's bits a sample are a number from 0"),
            Self::Raises { source, claim } => {
                write!(f, "a credit only lowers; {source} is worth {claim} bits a sample at most")
            }
        }
    }
}

impl error::Error for ConfigError {}
