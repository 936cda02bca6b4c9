//! Restart tests (3.1.4): whether a noise source begins each time as unpredictably as it goes on.
//!
//! The samples are a matrix: 1000 restarts, the first 1000 samples of each, a restart a row. A source that begins alike
//! shows in the columns.
//!
//! The sanity check's bound is computed exactly, where NIST's tool draws five million rows: the chance that no symbol of
//! a row comes more than x times, of the distribution with the given min-entropy that has the most symbols of the highest
//! probability.

use serde::Serialize;

use super::assessment::{Assessment, assess_literal};
use super::progress::{Cancelled, Progress};
use super::samples::Samples;

/// Restarts, and samples of each.
pub const RESTARTS: usize = 1000;

/// Why there is no restart assessment.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RestartError {
    /// Not 1000 rows of 1000 samples.
    #[error("{samples} samples are not {RESTARTS} of each of {RESTARTS} restarts")]
    Size {
        /// How many there are.
        samples: usize,
    },
    /// An initial estimate that no symbol of that width can have.
    #[error("symbols of {bits} bits have 0 to {bits} bits of min-entropy, not {entropy_bits}")]
    Initial {
        /// Bits of a symbol.
        bits: u32,
        /// What was given as the initial estimate.
        entropy_bits: f64,
    },
    /// Whoever watched stopped it.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What the restart tests found. As JSON, an object of these fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RestartAssessment {
    /// The initial estimate H_I that was given, bits a sample.
    pub h_initial: f64,
    /// Times that a symbol may come in one row or column (3.1.4.3).
    pub cutoff: u32,
    /// The most that a symbol comes in a row.
    pub most_in_row: u32,
    /// The most that a symbol comes in a column.
    pub most_in_column: u32,
    /// Whether both are at most the cutoff.
    pub sanity_passed: bool,
    /// Estimates over the samples row by row; nothing if the sanity check failed.
    pub rows: Option<Assessment>,
    /// Estimates over the samples column by column; nothing if the sanity check failed.
    pub columns: Option<Assessment>,
    /// Whether rows and columns both have at least half of the initial estimate (3.1.4.2).
    pub validated: bool,
    /// min(H_r, H_c, H_I), bits a sample; 0 if the source failed.
    pub assessed_min_entropy: f64,
}

/// Assesses a restart matrix, given row by row, against the initial estimate of the source (3.1.4).
///
/// # Errors
/// [`RestartError`] of another size, of an estimate that cannot be, or if `progress` says so.
pub fn restart(
    samples: &Samples<'_>,
    h_initial: f64,
    progress: &dyn Progress,
) -> Result<RestartAssessment, RestartError> {
    if samples.len() != RESTARTS * RESTARTS {
        return Err(RestartError::Size { samples: samples.len() });
    }
    let bits = samples.bits_per_symbol();
    if !(0.0..=f64::from(bits)).contains(&h_initial) {
        return Err(RestartError::Initial { bits, entropy_bits: h_initial });
    }
    let rows = samples.raw();
    let columns = transposed(rows);
    let mut found = RestartAssessment {
        h_initial,
        cutoff: restart_cutoff(h_initial),
        most_in_row: most_in_row(rows),
        most_in_column: most_in_row(&columns),
        sanity_passed: false,
        rows: None,
        columns: None,
        validated: false,
        assessed_min_entropy: 0.0,
    };
    found.sanity_passed = found.most_in_row.max(found.most_in_column) <= found.cutoff;
    if found.sanity_passed {
        let rows = assess_literal(samples, progress)?;
        let columns = assess_literal(&samples.reordered(&columns), progress)?;
        let lower = rows.h_original.min(columns.h_original);
        found.validated = lower >= h_initial / 2.0;
        if found.validated {
            found.assessed_min_entropy = lower.min(h_initial);
        }
        (found.rows, found.columns) = (Some(rows), Some(columns));
    }
    Ok(found)
}

fn transposed(rows: &[u8]) -> Vec<u8> {
    let column = |index: usize| rows.iter().skip(index).step_by(RESTARTS).copied();
    (0..RESTARTS).flat_map(column).collect()
}

fn most_in_row(rows: &[u8]) -> u32 {
    let most = |row| super::most_common::counts(row).into_iter().max().unwrap_or(0);
    rows.chunks(RESTARTS).map(most).max().unwrap_or(0) as u32
}

/// The most that a symbol may come in 1000 samples of `h_initial` bits of min-entropy each, so that all of 1000 rows and
/// 1000 columns keep to it with a chance of 99 % (3.1.4.3).
///
/// `h_initial` is from 0 to 8.
#[must_use]
pub fn restart_cutoff(h_initial: f64) -> u32 {
    let rows = 2.0 * RESTARTS as f64;
    let alpha = -(0.99_f64.ln() / rows).exp_m1();
    let p = (-h_initial.clamp(0.0, 8.0)).exp2();
    let (mut too_low, mut enough) = (0, RESTARTS);
    while enough - too_low > 1 {
        let middle = usize::midpoint(too_low, enough);
        if chance_of_at_most(middle, p) >= 1.0 - alpha {
            enough = middle;
        } else {
            too_low = middle;
        }
    }
    enough as u32
}

/// Chance that no symbol comes more than `most` times in a row, where as many symbols as can be have probability `p` and
/// one has the rest.
///
/// Counts of a row are Poisson counts given their sum. So the chance is that of independent Poisson counts, each at most
/// `most`, with that sum, over the chance of the sum.
fn chance_of_at_most(most: usize, p: f64) -> f64 {
    let samples = RESTARTS as f64;
    let likeliest = (1.0 / p).floor();
    let rest = 1.0 - likeliest * p;
    let mut sums = power(&poisson(samples * p, most), likeliest as u32);
    // Where 1/p is whole, only rounding is left.
    if rest > 1e-9 {
        sums = product(&sums, &poisson(samples * rest, most));
    }
    let of_all = poisson(samples, RESTARTS);
    sums.get(RESTARTS).map_or(0.0, |sum| sum / of_all[RESTARTS])
}

/// Chances of 0 to `most` at that mean.
fn poisson(mean: f64, most: usize) -> Vec<f64> {
    let mut log_factorial = 0.0;
    let chance = |count: usize| {
        let count = count as f64;
        log_factorial += count.max(1.0).ln();
        (count * mean.ln() - mean - log_factorial).exp()
    };
    (0..=most).map(chance).collect()
}

/// Chances of the sum of `times` counts.
fn power(chances: &[f64], times: u32) -> Vec<f64> {
    let mut result = vec![1.0];
    let mut square = chances.to_vec();
    let mut left = times;
    while left > 0 {
        if left % 2 == 1 {
            result = product(&result, &square);
        }
        left /= 2;
        if left > 0 {
            square = product(&square, &square);
        }
    }
    result
}

/// Chances of the sum of two counts, as far as a row goes.
fn product(one: &[f64], other: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; (one.len() + other.len() - 1).min(RESTARTS + 1)];
    for (index, chance) in one.iter().enumerate().filter(|(_, chance)| **chance != 0.0) {
        for (sum, other) in sums.iter_mut().skip(index).zip(other) {
            *sum += chance * other;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_the_binomial() {
        // Two symbols of 1/2: at most x means x or fewer of one and of the other. C(1000, 500)/2^1000 = 0.025225018178...
        assert!((chance_of_at_most(500, 0.5) - 0.025_225_018_178_360_8).abs() < 1e-13);
        assert!((chance_of_at_most(1000, 0.5) - 1.0).abs() < 1e-10);
        assert_eq!(chance_of_at_most(499, 0.5), 0.0);
        // Three of 0.4, 0.4 and 0.2: certain.
        assert!((chance_of_at_most(1000, 0.4) - 1.0).abs() < 1e-10);
    }

    #[test]
    fn cutoffs_lie_where_deviations_of_rows_do() {
        // 4.57 deviations of 15.8 above 500, both sides: one in 200,000.
        assert_eq!(restart_cutoff(0.0), 1000);
        let fair = restart_cutoff(1.0);
        assert!((570..=575).contains(&fair), "{fair}");
        assert!((17..=22).contains(&restart_cutoff(8.0)));
        let cutoffs: Vec<u32> = (0..=80).map(|tenth| restart_cutoff(f64::from(tenth) / 10.0)).collect();
        assert!(cutoffs.is_sorted_by(|one, other| one >= other), "{cutoffs:?}");
    }
}
