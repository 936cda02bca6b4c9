//! Many sequences of one source: section 4.2.
//!
//! Of the p-values of a healthy source, a hundredth is below 0.01, and all are spread evenly. Both are judged for each p-value
//! of the suite over all sequences: the proportion that passes by three standard deviations (4.2.1), the spread by
//! chi-square over ten classes (4.2.2), which the standard wants for 55 sequences and more and finds uneven below 0.0001.

use serde::Serialize;

use super::{Bits, Parameters, Test, TestResult, assess};
use crate::probability::{binomial_at_least, igamc};

/// The level at which one p-value fails (4.2.1).
pub const LEVEL: f64 = 0.01;
/// Fewer sequences say nothing about the spread.
pub const LEAST_FOR_SPREAD: usize = 55;
/// Where p-values are called unevenly spread.
pub const UNEVEN: f64 = 0.0001;

/// One p-value of the suite over all sequences to which its test applied.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Of which test.
    #[serde(rename = "name")]
    pub test: Test,
    /// Which of its p-values, counted from 0.
    pub index: usize,
    /// Sequences.
    pub sequences: usize,
    /// Of them, those whose p-value is at least [`LEVEL`].
    pub passed: usize,
    /// The probability that at least as many fail, for a healthy source.
    pub proportion_p: f64,
    /// The least number that is within three standard deviations.
    pub least: usize,
    /// The p-value of the p-values, from [`LEAST_FOR_SPREAD`] sequences on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniformity_p: Option<f64>,
}

/// Runs the suite over each of `count` sequences of `length` bits, and hands each result to `progress`.
pub fn assess_streams(
    bytes: &[u8],
    length: usize,
    count: usize,
    parameters: &Parameters,
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Vec<TestResult>> {
    let bits = Bits::new(bytes);
    let mut streams = Vec::with_capacity(count);
    for at in 0..count {
        let piece = bits.to_bytes(at * length, length);
        streams.push(assess(Bits::new(&piece).first(length), parameters, threads, &|_| ()));
        progress(at + 1);
    }
    streams
}

/// Section 4.2 for each p-value.
pub fn spreads(streams: &[Vec<TestResult>]) -> Vec<Spread> {
    let mut spreads = Vec::new();
    for (at, test) in Test::ALL.into_iter().enumerate() {
        let results = || streams.iter().filter_map(|results| results.get(at));
        let most = results().map(|result| result.p_values.len()).max().unwrap_or(0);
        for index in 0..most {
            let p_values: Vec<f64> =
                results().filter_map(|result| result.p_values.get(index).copied()).collect();
            spreads.push(spread(test, index, &p_values));
        }
    }
    spreads
}

fn spread(test: Test, index: usize, p_values: &[f64]) -> Spread {
    let sequences = p_values.len();
    let passed = p_values.iter().filter(|p_value| **p_value >= LEVEL).count();
    let n = sequences as f64;
    let least = n * (1.0 - LEVEL) - 3.0 * (n * LEVEL * (1.0 - LEVEL)).sqrt();
    Spread {
        test,
        index,
        sequences,
        passed,
        proportion_p: binomial_at_least((sequences - passed) as u64, sequences as u64, LEVEL),
        least: least.max(0.0).ceil() as usize,
        uniformity_p: (sequences >= LEAST_FOR_SPREAD).then(|| uniformity(p_values)),
    }
}

/// 4.2.2.
fn uniformity(p_values: &[f64]) -> f64 {
    let mut counts = [0u32; 10];
    for p_value in p_values {
        counts[((p_value * 10.0) as usize).min(9)] += 1;
    }
    let chi_square = super::chi_square(&counts, &[0.1; 10], p_values.len() as f64);
    igamc(4.5, chi_square / 2.0)
}
