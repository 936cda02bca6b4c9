//! Tests for sources that claim independent and identically distributed samples (section 5).
//!
//! Whoever passes may take the most common value's estimate for the min-entropy (3.1.3). Passing does not show
//! independence: each test only failed to see the opposite, at a false-alarm rate of about one in a thousand.
//!
//! Of much fewer samples than the standard's million, the chi-square test of 8-bit symbols refuses good ones too: most of
//! its bins then expect barely five, of which the statistic's distribution is not the one that it is held against.

mod chi_square;
mod compressed;
mod huffman;
mod longest_repeat;
mod permutation;
mod shuffle;
mod statistics;

use serde::Serialize;

pub use self::chi_square::ChiSquare;
pub use self::longest_repeat::LongestRepeat;
pub use self::permutation::Permutation;
use self::statistics::Statistics;
use super::estimate::Estimate;
use super::most_common::most_common_value;
use super::progress::{Cancelled, Progress};
use super::samples::Samples;

/// What the tests of section 5 found. As JSON, an object of these fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IidAssessment {
    /// How many samples were looked at.
    pub samples: usize,
    /// How many different symbols they have.
    pub distinct: usize,
    /// Bits of a symbol.
    pub bits_per_symbol: u32,
    /// min(`h_original`, `bits_per_symbol` × `h_bitstring`): bits of min-entropy a sample, if they are independent and
    /// identically distributed.
    pub assessed_min_entropy: f64,
    /// The most common value's estimate over the symbols, bits a symbol.
    pub h_original: f64,
    /// The same over the bits, bits a bit; nothing of samples with fewer than three different symbols.
    pub h_bitstring: Option<f64>,
    /// Both estimates with their figures.
    pub estimators: Vec<Estimate>,
    /// Mean of the samples.
    pub mean: f64,
    /// Median of the symbols, numbered densely; 0.5 of two symbols.
    pub median: f64,
    /// Whether neighbours are independent (5.2.1, 5.2.3).
    pub independence: ChiSquare,
    /// Whether ten parts are alike (5.2.2, 5.2.4).
    pub goodness_of_fit: ChiSquare,
    /// The longest string that comes twice (5.2.5).
    pub longest_repeat: LongestRepeat,
    /// Ranks among shuffles (5.1); none of constant samples, and none where another test has refuted already.
    pub permutations: Vec<Permutation>,
    /// Shuffles that were made: at most 10,000, fewer if all ranks were clear before.
    pub rounds: u32,
    /// Whether all tests passed.
    pub passed: bool,
}

/// Tests whether samples may be taken as independent and identically distributed (section 5).
///
/// `seed` decides the shuffles; the same seed gives the same result. Takes two threads, and a time that depends on how
/// soon the ranks are clear: 10,000 shuffles only of samples that fail.
///
/// # Errors
/// [`Cancelled`] if `progress` says so.
pub fn iid(
    samples: &Samples<'_>,
    seed: &[u8; 32],
    progress: &dyn Progress,
) -> Result<IidAssessment, Cancelled> {
    let literal = samples.literal();
    let (symbols, alphabet) = (literal.symbols(), literal.alphabet());
    let bits = f64::from(samples.bits_per_symbol());
    let of_symbols = most_common_value(&literal).ok();
    let of_bits = (alphabet > 2).then(|| most_common_value(&samples.bitstring()).ok()).flatten();
    let h_original = of_symbols.as_ref().map_or(bits, |estimate| estimate.min_entropy);
    let h_bitstring = of_bits.as_ref().map(|estimate| estimate.min_entropy);

    let statistics = Statistics::new(samples);
    let independence = chi_square::independence(symbols, alphabet);
    let goodness_of_fit = chi_square::goodness_of_fit(symbols, alphabet);
    let longest_repeat = longest_repeat::test(symbols, alphabet);
    let not_refuted = independence.passed && goodness_of_fit.passed && longest_repeat.passed;
    // All orders of a constant are one. And ten thousand shuffles of what is refuted already take hours and change nothing.
    let (permutations, rounds) = if alphabet > 1 && not_refuted {
        permutation::test(samples, &statistics, seed, progress)?
    } else {
        (Vec::new(), 0)
    };
    let passed = not_refuted && permutations.iter().all(|rank| rank.passed);
    Ok(IidAssessment {
        samples: samples.len(),
        distinct: samples.distinct(),
        bits_per_symbol: samples.bits_per_symbol(),
        assessed_min_entropy: h_bitstring.map_or(h_original, |bit| h_original.min(bits * bit)),
        h_original,
        h_bitstring,
        estimators: of_bits.into_iter().chain(of_symbols).collect(),
        mean: statistics.mean(),
        median: statistics.median(),
        independence,
        goodness_of_fit,
        longest_repeat,
        permutations,
        rounds,
        passed,
    })
}
