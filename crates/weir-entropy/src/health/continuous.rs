//! The two continuous tests that SP 800-90B requires of every source.

use super::Failure;
use super::cutoff;

/// The repetition count test, SP 800-90B 4.4.1: a source that is stuck.
pub struct Rct {
    cutoff: u32,
    last: u8,
    count: u32,
}

impl Rct {
    /// A test that fires at this many equal symbols in a row.
    #[must_use]
    pub fn new(cutoff: u32) -> Self {
        Self { cutoff, last: 0, count: 0 }
    }

    /// Takes the next symbol.
    ///
    /// # Errors
    /// [`Failure::Repetition`].
    pub fn feed(&mut self, symbol: u8) -> Result<(), Failure> {
        if self.count > 0 && symbol == self.last {
            self.count = self.count.saturating_add(1);
        } else {
            (self.last, self.count) = (symbol, 1);
        }
        if self.count >= self.cutoff { Err(Failure::Repetition { count: self.count }) } else { Ok(()) }
    }
}

/// The adaptive proportion test, SP 800-90B 4.4.2: a source in which one symbol has become too frequent.
pub struct Apt {
    cutoff: u32,
    window: u32,
    first: u8,
    count: u32,
    seen: u32,
}

impl Apt {
    /// A test for symbols of so many bits, from a source of this min-entropy a sample.
    #[must_use]
    pub fn new(min_entropy_bits: f64, symbol_bits: u8) -> Self {
        let window = cutoff::window(symbol_bits);
        Self { cutoff: cutoff::proportion(min_entropy_bits, window), window, first: 0, count: 0, seen: 0 }
    }

    /// Takes the next symbol.
    ///
    /// # Errors
    /// [`Failure::Proportion`].
    pub fn feed(&mut self, symbol: u8) -> Result<(), Failure> {
        if self.seen == 0 {
            (self.first, self.count) = (symbol, 0);
        }
        self.seen = (self.seen + 1) % self.window;
        self.count += u32::from(symbol == self.first);
        if self.count >= self.cutoff {
            Err(Failure::Proportion { count: self.count, window: self.window })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_fire_at_the_cutoff_and_not_before() {
        let mut rct = Rct::new(31);
        for _ in 0..3 {
            assert!((0..30).all(|_| rct.feed(0).is_ok()));
            assert!((0..30).all(|_| rct.feed(7).is_ok()));
        }
        assert_eq!(rct.feed(7), Err(Failure::Repetition { count: 31 }));
    }

    #[test]
    fn proportion_counts_the_first_symbol_of_each_window() {
        // H = 1, W = 512: cutoff 325.
        let mut apt = Apt::new(1.0, 8);
        for _ in 0..3 {
            // 324 times the first symbol, at most, in a window.
            assert!((0..324).all(|_| apt.feed(9).is_ok()));
            assert!((324..512).all(|_| apt.feed(1).is_ok()));
        }
        assert!((0..324).all(|_| apt.feed(5).is_ok()));
        assert!(apt.feed(6).is_ok());
        assert_eq!(apt.feed(5), Err(Failure::Proportion { count: 325, window: 512 }));
    }
}
