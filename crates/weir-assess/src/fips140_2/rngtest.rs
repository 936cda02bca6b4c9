//! The same tests as the program `rngtest` of rng-tools 5 runs them, for whoever compares its figures or replaces it.
//!
//! It differs from the standard in what its state carries from block to block, and so do we here, to the last block:
//!
//! - 32 bits at the start are not tested, but compared with the first word (in its pipe mode it throws away 32 more before);
//! - the last run of a block counts with those of the other kind;
//! - a block whose first bit differs from the last one of the block before counts a run too many: one of six ones or
//!   more if it begins with a one; if it begins with a zero, the count lands in the memory before the table of
//!   runs, which is the count of the nibble 15.
//!
//! Equal verdicts were checked against the program on blocks chosen to hang on these points.

use super::block::{self, Counts};
use super::{BLOCK_BYTES, Failures};

/// Bytes that are read before the first block, and compared only.
pub const BOOTSTRAP_BYTES: usize = 4;

/// What is carried from one block to the next.
#[derive(Clone, Debug)]
pub struct Rngtest {
    last_word: u32,
    last_bit: u8,
}

impl Rngtest {
    /// Begins with the word that is compared with the first one.
    pub fn new(bootstrap: [u8; BOOTSTRAP_BYTES]) -> Self {
        Self { last_word: u32::from_be_bytes(bootstrap), last_bit: 0 }
    }

    /// The tests that the program says this block fails.
    pub fn test(&mut self, block: &[u8; BLOCK_BYTES]) -> Failures {
        let mut counts = block::count(block);
        self.distort(&mut counts, block);
        let failures = counts.failures(Some(self.last_word));
        self.last_word = counts.last_word;
        self.last_bit = block[BLOCK_BYTES - 1] & 1;
        failures
    }

    fn distort(&self, counts: &mut Counts, block: &[u8; BLOCK_BYTES]) {
        let kind = usize::from(block[BLOCK_BYTES - 1] & 1);
        let length = last_run(block).min(6) - 1;
        counts.runs[kind][length] -= 1;
        counts.runs[1 - kind][length] += 1;
        match (self.last_bit, block[0] >> 7) {
            (0, 1) => counts.runs[1][5] += 1,
            (1, 0) => counts.nibbles[15] += 1,
            _ => {}
        }
    }
}

/// The length of the last run, up to 8 bits and more.
fn last_run(block: &[u8; BLOCK_BYTES]) -> usize {
    let last = u16::from_be_bytes([block[BLOCK_BYTES - 2], block[BLOCK_BYTES - 1]]);
    (if last & 1 == 1 { last.trailing_ones() } else { last.trailing_zeros() }) as usize
}
