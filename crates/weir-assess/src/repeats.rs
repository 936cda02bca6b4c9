//! Does a stream repeat itself? In constant memory, at any distance.
//!
//! Values of 64 bits are remembered if their hash is small, so a value that comes again is remembered again, however long
//! after. When the memory is full, the bound is halved and what lies above it is forgotten.
//!
//! The odds: of `n` independent uniform values, a pair is equal with probability 2^-64; each of the n(n-1)/2 pairs is seen
//! only if its value is remembered. The number of values seen again is therefore stochastically smaller than a Poisson variable with
//! mean n²/2^65, up to a relative 1/n, and [`Repeats::odds`] is its tail: an upper bound.
//!
//! Deliberately absent: near-repeats, and repeats at distances that are no multiple of the value's length but for those that
//! become one (a period of p bytes is, after eight of them, one of 8p).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::probability::poisson_at_least;

/// As many values are remembered at most: a megabyte.
const CAPACITY: usize = 1 << 16;

/// Finds values that come again.
#[derive(Debug)]
pub struct Repeats {
    seen: HashSet<u64, BuildHasherDefault<AsItIs>>,
    /// The largest hash that is remembered.
    bound: u64,
    values: u64,
    repeated: u64,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { seen: HashSet::default(), bound: u64::MAX, values: 0, repeated: 0 }
    }
}

impl Repeats {
    /// Takes the next value.
    #[inline]
    pub fn push(&mut self, value: u64) {
        self.values += 1;
        let hash = mix(value);
        if hash <= self.bound {
            self.remember(hash);
        }
    }

    fn remember(&mut self, hash: u64) {
        if !self.seen.insert(hash) {
            self.repeated += 1;
        } else if self.seen.len() >= CAPACITY {
            self.bound /= 2;
            let bound = self.bound;
            self.seen.retain(|hash| *hash <= bound);
        }
    }

    /// How many values were taken.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// How often a value came that was remembered.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The probability that independent, uniform values are repeated as often, or an upper bound of it.
    pub fn odds(&self) -> f64 {
        let values = self.values as f64;
        poisson_at_least(self.repeated, values * (values - 1.0).max(0.0) / 2f64.powi(65))
    }
}

/// The finisher of SplitMix64 (Steele, Lea and Flood 2014), a bijection.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Keys are hashes already; of small ones, the high bits say least.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // The table takes its index from the low bits and its tags from the high ones.
        self.0 = value ^ value << 57;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_found_at_any_distance() {
        for period in [1u64, 1000, 1_000_000] {
            let mut repeats = Repeats::default();
            for at in 0..3 * period {
                repeats.push(mix(at % period));
            }
            assert!(repeats.repeated() > 0, "period {period}");
            assert!(repeats.odds() < 1e-6, "period {period}");
            assert!(repeats.seen.len() < CAPACITY);
        }
    }

    #[test]
    fn distinct_values_are_no_repeats() {
        let mut repeats = Repeats::default();
        for at in 0..2_000_000 {
            repeats.push(at);
        }
        assert_eq!((repeats.repeated(), repeats.odds()), (0, 1.0));
        assert_eq!(Repeats::default().odds(), 1.0);
    }
}
