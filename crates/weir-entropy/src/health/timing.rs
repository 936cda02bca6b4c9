//! Tests for samples that are differences of time.
//!
//! Both work on raw samples, the low bits of differences, as the other tests do. Where those agree by chance though the
//! differences did not, a sample fewer counts.

use super::{Failure, cutoff};

/// The stuck test: a time that is as before, or has changed by as much as before, or whose change has changed by as
/// much as before, does not count. (The first, second and third differences of time stamps, in other words.) The
/// sample is still mixed in.
///
/// Fires when fewer than an eighth of a window count.
#[derive(Default)]
pub struct Stuck {
    last: u8,
    last_change: u8,
    seen: u32,
    stuck: u32,
}

impl Stuck {
    const WINDOW: u32 = 512;
    const MOST: u32 = Self::WINDOW - Self::WINDOW / 8;

    /// Takes the next sample, and says whether it counts.
    ///
    /// # Errors
    /// [`Failure::Stuck`].
    pub fn feed(&mut self, symbol: u8) -> Result<bool, Failure> {
        let change = symbol.wrapping_sub(self.last);
        let change_of_change = change.wrapping_sub(self.last_change);
        (self.last, self.last_change) = (symbol, change);
        let stuck = symbol == 0 || change == 0 || change_of_change == 0;
        self.stuck += u32::from(stuck);
        self.seen += 1;
        if self.stuck > Self::MOST {
            return Err(Failure::Stuck { count: self.stuck, window: Self::WINDOW });
        }
        if self.seen == Self::WINDOW {
            (self.seen, self.stuck) = (0, 0);
        }
        Ok(!stuck)
    }
}

/// The lag test: samples that repeat those of a few samples ago, as a loop in a deterministic machine would.
///
/// After each sample the lag that would have predicted most of the window so far is the one by which the next is
/// predicted (the predictor of SP 800-90B 6.3.8, with fewer lags). No predictor can be right more often than 2^-H a
/// sample, so its right guesses have the same cutoffs as the other continuous tests: so many in a row, so many in a
/// window.
pub struct Lag {
    most_in_window: u32,
    most_in_row: u32,
    recent: [u8; LAGS],
    scores: [u32; LAGS],
    winner: usize,
    seen: u32,
    right: u32,
    row: u32,
}

const LAGS: usize = 8;

impl Lag {
    const WINDOW: u32 = 512;

    /// A test for a source of this min-entropy a sample.
    #[must_use]
    pub fn new(min_entropy_bits: f64) -> Self {
        Self {
            most_in_window: cutoff::proportion(min_entropy_bits, Self::WINDOW),
            most_in_row: cutoff::repetition(min_entropy_bits),
            recent: [0; LAGS],
            scores: [0; LAGS],
            winner: 0,
            seen: 0,
            right: 0,
            row: 0,
        }
    }

    /// Takes the next sample.
    ///
    /// # Errors
    /// [`Failure::Predictable`].
    pub fn feed(&mut self, symbol: u8) -> Result<(), Failure> {
        if self.recent[self.winner] == symbol {
            self.right += 1;
            self.row += 1;
        } else {
            self.row = 0;
        }
        if self.right >= self.most_in_window || self.row >= self.most_in_row {
            return Err(Failure::Predictable { right: self.right, window: self.seen + 1 });
        }
        self.score(symbol);
        self.seen += 1;
        if self.seen == Self::WINDOW {
            (self.seen, self.right, self.scores) = (0, 0, [0; LAGS]);
        }
        Ok(())
    }

    fn score(&mut self, symbol: u8) {
        for (score, &before) in self.scores.iter_mut().zip(&self.recent) {
            *score += u32::from(before == symbol);
        }
        for (lag, &score) in self.scores.iter().enumerate() {
            if score > self.scores[self.winner] {
                self.winner = lag;
            }
        }
        self.recent.rotate_right(1);
        self.recent[0] = symbol;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_without_change_do_not_count() {
        let mut stuck = Stuck::default();
        let counts = [9, 9, 12, 15, 19, 24, 24, 0].map(|symbol| stuck.feed(symbol).expect("few"));
        // As before; then +3, again +3, +4, +5, none, to zero.
        assert_eq!(counts, [true, false, true, false, true, true, false, false]);
    }

    #[test]
    fn a_clock_that_hardly_moves_is_stuck() {
        let mut stuck = Stuck::default();
        let failure = (0..512u32).find_map(|index| stuck.feed(if index % 32 == 0 { 200 } else { 7 }).err());
        assert_eq!(failure, Some(Failure::Stuck { count: 449, window: 512 }));
    }

    #[test]
    fn a_loop_of_up_to_eight_samples_is_found_soon() {
        for length in 1..=8usize {
            let mut lag = Lag::new(1.0);
            let mut stream = (0..).map(|index| [3, 1, 4, 15, 92, 65, 35, 89][index % length]);
            let after = stream.position(|symbol| lag.feed(symbol).is_err()).expect("endless");
            assert!(after < 64, "{length}: {after}");
        }
    }

    #[test]
    fn a_loop_with_exceptions_is_found_within_a_window() {
        let mut lag = Lag::new(1.0);
        let symbol =
            |index: u32| if index % 10 == 9 { (index / 10 * 37) as u8 } else { [5, 80][index as usize % 2] };
        assert!((0..512).any(|index| lag.feed(symbol(index)).is_err()));
    }
}
