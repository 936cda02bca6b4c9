//! Lag (6.3.8): predicts what came 1 to 128 symbols ago.

use super::estimate::{Estimate, NotEstimated, require_length};
use super::prediction::Hits;
use super::samples::Sequence;

pub(super) const NAME: &str = "Lag Prediction Estimate";

/// The longest lag (step 1), and the bits of a mask of lags.
const LAGS: usize = 128;

/// Estimates from a predictor that looks for a period.
///
/// # Errors
/// [`NotEstimated::TooShort`] of fewer than 3 symbols.
pub fn lag(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_length(sequence, 3)?;
    let symbols = sequence.symbols();
    let mut occurrences = vec![Occurrences::default(); sequence.alphabet()];
    let mut board = Scoreboard { scores: [0; LAGS], winner: 0, high: 0 };
    let mut hits = Hits::default();
    for (index, &symbol) in symbols.iter().enumerate() {
        let occurrences = &mut occurrences[usize::from(symbol)];
        let right = occurrences.lags(index);
        if index > 0 {
            hits.count(right >> board.winner & 1 == 1);
            board.score(right);
        }
        occurrences.enter(index);
    }
    Ok(hits.estimate(NAME, sequence, symbols.len() - 1))
}

/// Where a symbol occurred among the last 128: bit n for n + 1 symbols before `seen`.
#[derive(Clone, Copy, Default)]
struct Occurrences {
    mask: u128,
    seen: usize,
}

impl Occurrences {
    #[inline]
    fn lags(&self, index: usize) -> u128 {
        let passed = index - self.seen;
        if passed < LAGS { self.mask << passed } else { 0 }
    }

    #[inline]
    fn enter(&mut self, index: usize) {
        self.mask = self.lags(index) << 1 | 1;
        self.seen = index + 1;
    }
}

struct Scoreboard {
    scores: [u32; LAGS],
    winner: u32,
    high: u32,
}

impl Scoreboard {
    /// One point for each lag that was right; who reaches the highest score last is the winner.
    #[inline]
    fn score(&mut self, right: u128) {
        for (half, first) in [(right as u64, 0), ((right >> 64) as u64, 64)] {
            let mut rest = half;
            while rest != 0 {
                let lag = first + rest.trailing_zeros();
                rest &= rest - 1;
                let score = &mut self.scores[lag as usize];
                *score += 1;
                if *score >= self.high {
                    self.high = *score;
                    self.winner = lag;
                }
            }
        }
    }
}
