//! Chi-square tests (5.2): whether neighbours depend on each other, and whether the distribution changes on the way.

use serde::Serialize;

use super::super::most_common::counts;
use crate::probability::chi_square_above;

/// Chance of a false alarm that the verdict accepts (5.2.1 to 5.2.4).
const FALSE_ALARM: f64 = 0.001;
/// Least expectation of a bin.
const LEAST: f64 = 5.0;
/// Parts of the samples whose distributions are compared.
const PARTS: usize = 10;

/// A chi-square statistic and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChiSquare {
    /// The statistic T.
    pub score: f64,
    /// Degrees of freedom; 0 or less of samples that are too few to tell, which pass.
    pub df: i64,
    /// Chance of such a score or a higher one, of samples that are independent and identically distributed.
    pub p_value: f64,
    /// Whether that chance is at least 0.001.
    pub passed: bool,
}

impl ChiSquare {
    fn new(score: f64, df: i64) -> Self {
        let p_value = chi_square_above(score, df as f64);
        Self { score, df, p_value, passed: p_value >= FALSE_ALARM }
    }
}

/// Whether each symbol is independent of the one before it (5.2.1; for bits 5.2.3).
pub(super) fn independence(symbols: &[u8], alphabet: usize) -> ChiSquare {
    if alphabet == 2 { independence_of_bits(symbols) } else { independence_of_symbols(symbols, alphabet) }
}

/// Whether ten parts of the samples have one distribution (5.2.2; for bits 5.2.4).
pub(super) fn goodness_of_fit(symbols: &[u8], alphabet: usize) -> ChiSquare {
    if alphabet == 2 { fit_of_bits(symbols) } else { fit_of_symbols(symbols, alphabet) }
}

fn independence_of_symbols(symbols: &[u8], alphabet: usize) -> ChiSquare {
    let p = proportions(symbols, alphabet);
    let pairs = (symbols.len() / 2) as f64;
    let expected = p.iter().flat_map(|first| p.iter().map(move |second| first * second * pairs));
    let bins = Bins::of(expected.collect());
    let (observed, _) = symbols.as_chunks::<2>();
    let observed =
        observed.iter().map(|[first, second]| usize::from(*first) * alphabet + usize::from(*second));
    ChiSquare::new(bins.score(observed), bins.expected.len() as i64 - alphabet as i64)
}

fn fit_of_symbols(symbols: &[u8], alphabet: usize) -> ChiSquare {
    let part = symbols.len() / PARTS;
    let p = proportions(symbols, alphabet);
    let bins = Bins::of(p.iter().map(|p| p * part as f64).collect());
    let parts = symbols.chunks_exact(part).take(PARTS);
    let score = parts.map(|part| bins.score(part.iter().map(|symbol| usize::from(*symbol)))).sum();
    ChiSquare::new(score, (PARTS as i64 - 1) * (bins.expected.len() as i64 - 1))
}

/// The most bits of a tuple.
const MAX_TUPLE: i32 = 11;

fn independence_of_bits(bits: &[u8]) -> ChiSquare {
    let ones = counts(bits)[1] as f64 / bits.len() as f64;
    let zeros = 1.0 - ones;
    let rarer = ones.min(zeros);
    let enough = |width: &i32| rarer.powi(*width) * (bits.len() / *width as usize) as f64 >= LEAST;
    // Of single bits nothing can be said.
    let Some(width) = (2..=MAX_TUPLE).rev().find(enough) else { return ChiSquare::new(0.0, 0) };

    let mut observed = vec![0_u32; 1 << width];
    let tuples = bits.chunks_exact(width as usize);
    let count = tuples.len() as f64;
    for tuple in tuples {
        observed[tuple.iter().fold(0, |tuple, bit| tuple << 1 | usize::from(*bit))] += 1;
    }
    let deviations = observed.iter().enumerate().map(|(tuple, observed)| {
        let weight = tuple.count_ones() as i32;
        let expected = ones.powi(weight) * zeros.powi(width - weight) * count;
        deviation(f64::from(*observed), expected)
    });
    ChiSquare::new(deviations.sum(), (1 << width) - 2)
}

fn fit_of_bits(bits: &[u8]) -> ChiSquare {
    let part = bits.len() / PARTS;
    let p = counts(bits)[1] as f64 / bits.len() as f64;
    let (expected_zeros, expected_ones) = ((1.0 - p) * part as f64, p * part as f64);
    let deviations = bits.chunks_exact(part).take(PARTS).map(|bits| {
        let ones = counts(bits)[1] as f64;
        deviation(part as f64 - ones, expected_zeros) + deviation(ones, expected_ones)
    });
    ChiSquare::new(deviations.sum(), PARTS as i64 - 1)
}

fn deviation(observed: f64, expected: f64) -> f64 {
    (observed - expected).powi(2) / expected
}

/// The share of each symbol, added up sample by sample as NIST's tool does: the rounding of a million additions shows in
/// the scores' tenth digit.
pub(super) fn proportions(symbols: &[u8], alphabet: usize) -> Vec<f64> {
    let one = 1.0 / symbols.len() as f64;
    let add_up = |count: &u64| (0..*count).fold(0.0, |sum, _| sum + one);
    counts(symbols)[..alphabet].iter().map(add_up).collect()
}

/// Outcomes, put together until each bin expects enough.
struct Bins {
    /// By outcome: its bin.
    of: Vec<u32>,
    /// By bin.
    expected: Vec<f64>,
}

impl Bins {
    /// Takes outcomes from the least expected one on; what is left at the end joins the last full bin.
    fn of(expected: Vec<f64>) -> Self {
        let mut outcomes: Vec<usize> = (0..expected.len()).collect();
        outcomes.sort_by(|one, other| expected[*one].total_cmp(&expected[*other]).then(one.cmp(other)));
        let mut bins = Self { of: vec![0; expected.len()], expected: Vec::new() };
        let mut sum = 0.0;
        for outcome in outcomes {
            if sum >= LEAST {
                bins.expected.push(sum);
                sum = 0.0;
            }
            bins.of[outcome] = bins.expected.len() as u32;
            sum += expected[outcome];
        }
        match bins.expected.last_mut() {
            Some(last) if sum < LEAST => *last += sum,
            _ => bins.expected.push(sum),
        }
        bins
    }

    fn score(&self, observed: impl Iterator<Item = usize>) -> f64 {
        let mut counts = vec![0_u32; self.expected.len()];
        let last = counts.len() - 1;
        for outcome in observed {
            counts[(self.of[outcome] as usize).min(last)] += 1;
        }
        counts
            .iter()
            .zip(&self.expected)
            .map(|(count, expected)| deviation(f64::from(*count), *expected))
            .sum()
    }
}
