//! Permutation tests (5.1): where the samples' statistics rank among those of the same samples shuffled.

use std::ops::ControlFlow;
use std::thread;

use serde::Serialize;

use super::super::progress::{Cancelled, Done, Progress, THREADS};
use super::super::samples::Samples;
use super::shuffle::Generator;
use super::statistics::{COUNT, NAMES, Statistics};

/// Shuffles after which the verdict stands (5.1 step 2).
const ROUNDS: u32 = 10_000;
/// How few shuffles above or below are too few (5.1 step 3).
const FEW: u32 = 5;

/// A statistic's rank among those of shuffled samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Permutation {
    /// The statistic, as NIST's tool calls it.
    pub name: &'static str,
    /// Its value of the samples in their order.
    pub unpermuted: f64,
    /// Shuffles with a higher value.
    pub higher: u32,
    /// Shuffles with the same value.
    pub equal: u32,
    /// Shuffles with a lower value.
    pub lower: u32,
    /// Whether more than five are at least as high, and more than five at least as low. Counting ends there.
    pub passed: bool,
}

impl Permutation {
    fn count(&mut self, value: f64) {
        if value > self.unpermuted {
            self.higher += 1;
        } else if value < self.unpermuted {
            self.lower += 1;
        } else {
            self.equal += 1;
        }
        self.passed = self.higher + self.equal > FEW && self.equal + self.lower > FEW;
    }
}

/// Ranks of all nineteen statistics, and how many rounds that took.
///
/// Rounds are counted in their order, so that a seed gives the same ranks whichever thread is faster.
pub(super) fn test(
    samples: &Samples<'_>,
    statistics: &Statistics,
    seed: &[u8; 32],
    progress: &dyn Progress,
) -> Result<(Vec<Permutation>, u32), Cancelled> {
    let literal = samples.literal();
    let mut unpermuted = [0.0; COUNT];
    statistics.compute(literal.symbols(), &[true; COUNT], &mut unpermuted);
    let mut ranks: Vec<Permutation> = NAMES.into_iter().zip(unpermuted).map(begin).collect();

    let round_of = |round: u32, wanted: &[bool; COUNT]| {
        let mut symbols = literal.symbols().to_vec();
        Generator::new(seed, round).shuffle(&mut symbols);
        let mut results = [0.0; COUNT];
        statistics.compute(&symbols, wanted, &mut results);
        results
    };
    let mut rounds = 0;
    while rounds < ROUNDS && ranks.iter().any(|rank| !rank.passed) {
        let wanted: [bool; COUNT] = std::array::from_fn(|index| !ranks[index].passed);
        for results in together(|offset| round_of(rounds + offset, &wanted)) {
            for (rank, value) in ranks.iter_mut().zip(results).filter(|(rank, _)| !rank.passed) {
                rank.count(value);
            }
            rounds += 1;
        }
        let done = Done { step: "Permutation tests", done: rounds as usize, of: ROUNDS as usize };
        if progress.done(done) == ControlFlow::Break(()) {
            return Err(Cancelled);
        }
    }
    Ok((ranks, rounds))
}

fn begin((name, unpermuted): (&'static str, f64)) -> Permutation {
    Permutation { name, unpermuted, higher: 0, equal: 0, lower: 0, passed: false }
}

/// Results of as many rounds as there are threads, in order.
fn together<T: Send>(round: impl Fn(u32) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..THREADS as u32)
            .map(|offset| {
                scope.spawn({
                    let round = &round;
                    move || round(offset)
                })
            })
            .collect();
        let first = round(0);
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(first).chain(others).collect()
    })
}
