//! What the four predictors (6.3.7 to 6.3.10) have in common: hits counted, and entropy from them.
//!
//! A predictor is as good as its share of hits (global) and as its longest run of hits (local); the better of the two
//! bounds the probability of a guess.

use super::bisect::bisect;
use super::estimate::{Estimate, Figure, upper_bound};
use super::samples::Sequence;

/// Hits of a predictor, one prediction at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hits {
    correct: u64,
    run: u64,
    longest: u64,
}

impl Hits {
    /// Counts a prediction that was right or wrong. One that was not made is not counted: it does not end a run either.
    #[inline]
    pub(super) fn count(&mut self, right: bool) {
        let right = u64::from(right);
        self.correct += right;
        self.run = (self.run + 1) * right;
        self.longest = self.longest.max(self.run);
    }

    /// The estimate after `predictions` symbols (the same steps in all four sections).
    pub(super) fn estimate(
        &self,
        name: &'static str,
        sequence: &Sequence<'_>,
        predictions: usize,
    ) -> Estimate {
        let run = self.longest + 1;
        let global = self.correct as f64 / predictions as f64;
        let global_bound = if self.correct > 0 {
            upper_bound(global, predictions)
        } else {
            1.0 - 0.01_f64.powf(1.0 / predictions as f64)
        };
        let at_least = global_bound.max(1.0 / sequence.alphabet() as f64);
        let local = local_probability(run, predictions, at_least);
        let mut figures: Vec<(&'static str, Figure)> = vec![
            ("C", self.correct.into()),
            ("r", run.into()),
            ("N", predictions.into()),
            ("P_global", global.into()),
            ("P_global'", global_bound.into()),
        ];
        figures.extend(local.map(|local| ("P_local", local.into())));
        let best = local.map_or(at_least, |local| local.max(at_least));
        Estimate::new(name, sequence, figures, -best.log2())
    }
}

/// The probability above `at_least` of a hit with which no run of `run` hits comes in `predictions` with a chance of
/// 99 %; nothing if `at_least` explains the run already.
fn local_probability(run: u64, predictions: usize, at_least: f64) -> Option<f64> {
    let target = 0.99_f64.ln();
    let chance = |p| log_chance_of_no_run(p, run as f64, predictions as f64);
    (at_least < 1.0 && chance(at_least) > target).then(|| bisect(chance, target, at_least, 1.0))
}

/// Logarithm of the chance that `n` trials of probability `p` have no run of `r` hits (Feller, chapter XIII.7).
///
/// Works with y = x - 1 instead of the root x of the equation in the standard: x differs from 1 by less than doubles
/// tell apart, and N·ln(x) is the figure that matters.
fn log_chance_of_no_run(p: f64, r: f64, n: f64) -> f64 {
    let q = 1.0 - p;
    let step = q * (r * p.ln()).exp();
    let mut y: f64 = 0.0;
    // As many rounds as NIST's tool allows, for where it does not converge.
    for _ in 0..=65 {
        let next = step * ((r + 1.0) * y.ln_1p()).exp();
        if next <= y {
            break;
        }
        y = next;
    }
    let chance = (q - p * y).ln() - ((1.0 - r * y) * q).ln() - (n + 1.0) * y.ln_1p();
    // At the far end of the interval both logarithms meet 0: a run is certain there.
    if chance.is_nan() { f64::NEG_INFINITY } else { chance }
}
