//! Uniform integers, and what follows from them: a choice, a shuffle.
//!
//! Lemire, "Fast Random Integer Generation in an Interval" (ACM TOMACS 29:1, 2019), algorithm 5: one multiplication, and a
//! rejection that is rarer than once in 2^(64 - bits of the interval).

use std::ops::RangeInclusive;

use weir_kernel::{Error, Purpose};
use zeroize::Zeroize;

/// A whole number of the range, each equally likely. An empty range gives its start.
///
/// # Errors
/// Those of the draw.
pub fn uniform(range: RangeInclusive<u64>) -> Result<u64, Error> {
    let (low, high) = range.into_inner();
    Ok(low.wrapping_add(Words::new(Purpose::Other, 1).up_to(high.saturating_sub(low))?))
}

/// As [`uniform`], over numbers with a sign.
///
/// # Errors
/// Those of the draw.
pub fn uniform_signed(range: RangeInclusive<i64>) -> Result<i64, Error> {
    let (low, high) = range.into_inner();
    let width = if low < high { high.wrapping_sub(low).cast_unsigned() } else { 0 };
    Ok(low.wrapping_add_unsigned(Words::new(Purpose::Other, 1).up_to(width)?))
}

/// One of the items, each equally likely; `None` of none.
///
/// # Errors
/// Those of the draw.
pub fn choose<T>(items: &[T]) -> Result<Option<&T>, Error> {
    let Some(last) = items.len().checked_sub(1) else { return Ok(None) };
    Ok(items.get(uniform(0..=last as u64)? as usize))
}

/// Puts the items in an order of which each is equally likely (Fisher and Yates; Knuth, TAOCP 3.4.2, algorithm P).
///
/// # Errors
/// Those of the draws. The items are then all there, in an order that is not random.
pub fn shuffle<T>(items: &mut [T]) -> Result<(), Error> {
    let mut words = Words::new(Purpose::Other, items.len());
    for last in (1..items.len()).rev() {
        let other = words.up_to(last as u64)? as usize;
        items.swap(last, other);
    }
    Ok(())
}

/// Random words for one operation: drawn some at a time, each used once, erased with the operation.
pub(crate) struct Words {
    purpose: Purpose,
    drawn: [u8; BLOCK_BYTES],
    used: usize,
    end: usize,
    /// How many more the operation is likely to need.
    wanted: usize,
}

const WORD_BYTES: usize = 8;
const BLOCK_BYTES: usize = 32 * WORD_BYTES;

impl Words {
    /// For an operation that needs about `wanted` words.
    pub(crate) fn new(purpose: Purpose, wanted: usize) -> Self {
        Self { purpose, drawn: [0; BLOCK_BYTES], used: 0, end: 0, wanted }
    }

    fn next(&mut self) -> Result<u64, Error> {
        if self.used == self.end {
            self.end = WORD_BYTES * self.wanted.clamp(1, BLOCK_BYTES / WORD_BYTES);
            self.used = 0;
            let block = self.drawn.get_mut(..self.end).unwrap_or_default();
            if let Err(error) = weir_kernel::fill_for(self.purpose, block) {
                self.end = 0;
                return Err(error);
            }
        }
        let word =
            self.drawn.get(self.used..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        self.used += WORD_BYTES;
        self.wanted = self.wanted.saturating_sub(1);
        Ok(u64::from_ne_bytes(word))
    }

    /// A number from 0 to `most`, each equally likely.
    pub(crate) fn up_to(&mut self, most: u64) -> Result<u64, Error> {
        let Some(size) = most.checked_add(1) else { return self.next() };
        loop {
            let product = u128::from(self.next()?) * u128::from(size);
            let (high, low) = ((product >> 64) as u64, product as u64);
            // Among the 2^64 words, `2^64 mod size` too many fall on some results; those begin at the low end.
            if low >= size || low >= size.wrapping_neg() % size {
                return Ok(high);
            }
        }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // No more than what was drawn into: a single integer must not pay for a block.
        self.drawn.get_mut(..self.end).unwrap_or_default().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_range_of_a_word_is_possible() {
        // 64 words without one in the upper half: odds of 2^-64.
        assert!((0..64).any(|_| uniform(0..=u64::MAX).expect("ready") > u64::MAX / 2));
        assert!((0..64).any(|_| uniform_signed(i64::MIN..=i64::MAX).expect("ready") < 0));
    }

    #[test]
    fn words_are_used_once_and_drawn_as_needed() {
        let mut words = Words::new(Purpose::Other, 3);
        let mut seen = std::collections::HashSet::new();
        for count in 1..=100 {
            assert!(seen.insert(words.next().expect("ready")));
            assert_eq!(words.end, if count <= 3 { 24 } else { 8 });
        }
    }
}
