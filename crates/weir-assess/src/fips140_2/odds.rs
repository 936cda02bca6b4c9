//! How often a healthy source fails, and what that makes of the failures that were seen.
//!
//! The odds of one block of 20,000 independent fair bits:
//!
//! - monobit: the binomial distribution, summed;
//! - poker: the counts of the 16 nibbles are independent Poisson variables under the condition that their sum is 5,000; the
//!   distribution of the sum of squares by dynamic programming over the cells, exact (chi-square would say 1.02e-4);
//! - runs: the number of runs of one kind and length by dynamic programming over the bits, exact; then the sum over the
//!   twelve bounds, which is above the probability that any is broken;
//! - long run: 25 equal pairs in a row among 19,999 fair ones, by recurrence, exact;
//! - continuous run: 625 pairs of words, each equal with probability 2^-32.
//!
//! A block fails with at most the sum of them. The tests below repeat what can be repeated in a second.

use serde::Serialize;

use super::{Report, Tally, Test};
use crate::probability::binomial_at_least;

/// What a test finds in the blocks of a healthy source: its false-alarm odds per block.
pub const ODDS: [(Test, f64); 5] = [
    (Test::Monobit, 1.034_970_030e-4),
    (Test::Poker, 9.973_661_047e-5),
    (Test::Runs, 2.995_653_683e-4),
    (Test::LongRun, 2.976_214_110e-4),
    (Test::ContinuousRun, 1.455_191_523e-7),
];

/// The odds that a healthy block fails any test: at most their sum.
fn any() -> f64 {
    ODDS.iter().map(|(_, odds)| odds).sum()
}

/// The failures of a stream, judged together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether there were more failures, or more repeated blocks, than chance explains.
    pub found: bool,
    /// The odds at which a healthy source would be condemned: the `false_alarm` that was asked for.
    pub false_alarm: f64,
    /// The odds that a healthy block fails one test or more.
    pub odds_per_block: f64,
    /// The probability that a healthy source fails in as many blocks as were seen.
    pub p_value: f64,
    /// The same, test by test.
    pub p_values: [f64; 5],
    /// The same of blocks that came again.
    pub p_value_repeated: f64,
    /// The least number of failed blocks that would condemn.
    pub condemned_from: u64,
}

impl Verdict {
    /// All the p-values that the verdict rests on.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let tests = Test::ALL.iter().map(|test| test.name()).zip(self.p_values);
        [("Failed blocks", self.p_value), ("Repeated blocks", self.p_value_repeated)].into_iter().chain(tests)
    }
}

/// The failed blocks, five tests, and repeated blocks share the odds of a false alarm evenly.
const COMPARISONS: f64 = 7.0;

impl Report {
    /// Compares the failures with what chance explains. A healthy source is condemned with a probability of at most
    /// `false_alarm`.
    pub fn judge(&self, false_alarm: f64) -> Verdict {
        let Tally { blocks, failed, by_test } = self.tally;
        let mut p_values = [1.0; 5];
        for ((p_value, count), (_, odds)) in p_values.iter_mut().zip(by_test).zip(ODDS) {
            *p_value = binomial_at_least(count, blocks, odds);
        }
        let limit = false_alarm / COMPARISONS;
        let verdict = Verdict {
            found: false,
            false_alarm,
            odds_per_block: any(),
            p_value: binomial_at_least(failed, blocks, any()),
            p_values,
            p_value_repeated: self.repeated_odds,
            condemned_from: condemned_from(blocks, limit),
        };
        let found = verdict.all().any(|(_, p_value)| p_value < limit);
        Verdict { found, ..verdict }
    }
}

/// The least number of failures among `blocks` whose probability is below `limit`, by bisection.
fn condemned_from(blocks: u64, limit: f64) -> u64 {
    let (mut below, mut above) = (0, blocks + 1);
    while below + 1 < above {
        let middle = below + (above - below) / 2;
        if binomial_at_least(middle, blocks, any()) < limit { above = middle } else { below = middle }
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fips140_2::Tester;

    fn odds_of(test: Test) -> f64 {
        ODDS[test as usize].1
    }

    #[track_caller]
    fn assert_close(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-8, "{value:e} {expected:e}");
    }

    #[test]
    fn odds_of_monobit_long_run_and_continuous_run() {
        assert_close(2.0 * binomial_at_least(10_275, 20_000, 0.5), odds_of(Test::Monobit));
        assert_close(625.0 / 2f64.powi(32), odds_of(Test::ContinuousRun));
        // By the number of equal pairs at the end.
        let mut ending = [0.0; 25];
        ending[0] = 1.0;
        let mut failed = 0.0;
        for _ in 1..20_000 {
            let all: f64 = ending.iter().sum();
            failed += ending[24] / 2.0;
            ending.copy_within(..24, 1);
            ending[1..].iter_mut().for_each(|p| *p /= 2.0);
            ending[0] = all / 2.0;
        }
        assert_close(failed, odds_of(Test::LongRun));
    }

    /// The probability that the number of runs of ones of this length, or from 6 on longer, is outside of the bounds.
    fn odds_of_runs(length: usize, least: usize, most: usize) -> f64 {
        let open = length == 6;
        let states = length + 2;
        let counts = 21_000 / (length + 1).pow(2) + 900;
        // By the length of the run of ones at the end, and by how many were counted.
        let mut now = vec![vec![0.0; counts]; states];
        now[0][0] = 1.0;
        for _ in 0..20_000 {
            let mut next = vec![vec![0.0; counts]; states];
            for (state, row) in now.iter().enumerate() {
                let longer = (state + 1).min(states - 1);
                let ends = usize::from(!open && state == length);
                let reaches = usize::from(open && state + 1 == length);
                for (count, p) in row[..counts - 1].iter().enumerate() {
                    next[0][count + ends] += p / 2.0;
                    next[longer][count + reaches] += p / 2.0;
                }
            }
            now = next;
        }
        let mut outside = 0.0;
        for (state, row) in now.iter().enumerate() {
            let ends = usize::from(!open && state == length);
            for (count, p) in row.iter().enumerate() {
                outside += if (least..=most).contains(&(count + ends)) { 0.0 } else { *p };
            }
        }
        outside
    }

    #[test]
    fn odds_of_runs_of_three_to_six() {
        // Those of one and two, 7.355_318_093e-5 and 1.875_085_521e-5, take longer: see the ignored test.
        let sum: f64 = [(3, 527, 723), (4, 240, 384), (5, 103, 209), (6, 103, 209)]
            .map(|(length, least, most)| odds_of_runs(length, least, most))
            .iter()
            .sum();
        assert_close(2.0 * (sum + 7.355_318_093e-5 + 1.875_085_521e-5), odds_of(Test::Runs));
    }

    #[test]
    fn odds_of_runs_of_one_and_two() {
        assert_close(odds_of_runs(1, 2315, 2685), 7.355_318_093e-5);
        assert_close(odds_of_runs(2, 1114, 1386), 1.875_085_521e-5);
    }

    #[test]
    fn one_bad_block_never_condemns_and_many_do() {
        let mut report = Tester::new().report();
        report.tally = Tally { blocks: 1000, failed: 1, by_test: [1, 0, 0, 0, 0] };
        let verdict = report.judge(1e-6);
        assert!(!verdict.found);
        assert!((verdict.p_value - 0.551).abs() < 0.001, "55 % of healthy runs of 1000 blocks have one");
        report.tally.failed = verdict.condemned_from - 1;
        assert!(!report.judge(1e-6).found);
        report.tally.failed = verdict.condemned_from;
        assert!(report.judge(1e-6).found);
        report.tally = Tally { blocks: 1, failed: 1, by_test: [1, 1, 1, 1, 0] };
        assert!(!report.judge(1e-6).found);
    }

    #[test]
    fn a_good_block_over_and_over_is_found() {
        let block: Vec<u8> = (0..2500u64).map(|at| crate::repeats::mix(at) as u8).collect();
        let mut tester = Tester::new();
        for _ in 0..10 {
            tester.push(&block);
        }
        let report = tester.report();
        assert_eq!((report.tally.failed, report.repeated), (0, 9));
        assert!(report.judge(1e-6).found);
    }
}
