//! What an estimator found: its min-entropy, and the figures on the way to it under the names that NIST's tool prints.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::samples::{Sequence, Stream};

/// Quantile of the standard normal distribution at 0.995: every upper bound of section 6.3 is of 99 % confidence.
pub(super) const Z_ALPHA: f64 = 2.575_829_303_548_901;

/// A figure on the way to an estimate.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Figure {
    /// Something counted.
    Count(u64),
    /// Something computed.
    Real(f64),
}

impl Figure {
    /// The figure as a number, whichever it is.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Real(real) => real,
        }
    }
}

impl From<u64> for Figure {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Figure {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<f64> for Figure {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

/// What one estimator says of one stream.
///
/// As JSON an object of `name`, `stream`, `min_entropy` and each figure under its own name.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The estimator, as NIST's tool calls it: "Most Common Value Estimate".
    pub name: &'static str,
    /// Which stream it looked at.
    pub stream: Stream,
    /// Intermediate results, in the order of computation, under the names that NIST's tool gives them.
    pub figures: Vec<(&'static str, Figure)>,
    /// Bits a symbol of the stream; from 0 to the width of a symbol.
    pub min_entropy: f64,
}

impl Estimate {
    pub(super) fn new(
        name: &'static str,
        sequence: &Sequence<'_>,
        figures: Vec<(&'static str, Figure)>,
        min_entropy: f64,
    ) -> Self {
        // The logarithm of 1 comes out as -0, which a report should not show.
        Self { name, stream: sequence.stream(), figures, min_entropy: min_entropy.max(0.0) + 0.0 }
    }

    /// The figure of that name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<Figure> {
        self.figures.iter().find(|(known, _)| *known == name).map(|(_, figure)| *figure)
    }
}

impl Serialize for Estimate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3 + self.figures.len()))?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("stream", &self.stream)?;
        map.serialize_entry("min_entropy", &self.min_entropy)?;
        for (name, figure) in &self.figures {
            map.serialize_entry(name, figure)?;
        }
        map.end()
    }
}

/// Why an estimator has nothing to say of a stream. It then does not count, as in NIST's tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEstimated {
    /// The estimator is defined for bits only.
    #[error("the estimator is defined for two symbols only")]
    NotBinary,
    /// The estimator needs more symbols.
    #[error("the estimator needs at least {needed} symbols")]
    TooShort {
        /// How many it needs.
        needed: usize,
    },
    /// No string of symbols occurs 35 times, so that 6.3.5 has nothing to count.
    #[error("no string of symbols occurs 35 times")]
    NothingFrequent,
    /// Every string that occurs twice occurs 35 times, so that 6.3.6 has nothing to count.
    #[error("no string of symbols occurs at least twice and less than 35 times")]
    NothingRare,
}

/// Upper end of the 99 % confidence interval of a probability that was seen as `p` in `n` trials (6.3.1 step 2).
pub(super) fn upper_bound(p: f64, n: usize) -> f64 {
    (p + Z_ALPHA * (p * (1.0 - p) / (n as f64 - 1.0)).sqrt()).min(1.0)
}

pub(super) fn require_bits(sequence: &Sequence<'_>) -> Result<(), NotEstimated> {
    if sequence.alphabet() == 2 { Ok(()) } else { Err(NotEstimated::NotBinary) }
}

pub(super) fn require_length(sequence: &Sequence<'_>, needed: usize) -> Result<(), NotEstimated> {
    if sequence.symbols().len() >= needed { Ok(()) } else { Err(NotEstimated::TooShort { needed }) }
}
