//! The five tests of FIPS 140-2, section 4.9, with the bounds of its Change Notice 1 of 10 October 2001, over blocks of 20,000 bits.
//!
//! Purpose: what `rngtest` and the daemons of its family apply to every block, at the speed of a disk; and a verdict over many
//! blocks that those lack. A *healthy* source fails about one block in 1,240: the tests were meant for one block at power-up,
//! and one block alone condemns nothing. So [`Tally::judge`] compares the number of failures with what chance explains.
//!
//! Contract: bits are taken most significant first. A block is judged by itself, but for the first 32-bit word, which is
//! compared with the last one of the block before. [`rngtest`] holds the deviations of that program, for comparison with it.
//!
//! Deliberately absent: input and output; the later change notice, which withdrew these tests from the standard.

mod block;
mod odds;
pub mod rngtest;

use serde::Serialize;

use crate::repeats::Repeats;
pub use odds::{ODDS, Verdict};

/// Bytes of a block: 20,000 bits.
pub const BLOCK_BYTES: usize = 2500;

/// The tests, in the order in which counts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// 9,726 to 10,274 ones.
    Monobit,
    /// The sum of the squared counts of 4-bit values, 1,563,176 to 1,576,928: neither too uneven nor too even.
    Poker,
    /// Of each kind and length, as many runs as bounds say.
    Runs,
    /// No run of 26 or longer.
    LongRun,
    /// No 32-bit word that equals the one before it.
    ContinuousRun,
}

impl Test {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Monobit, Self::Poker, Self::Runs, Self::LongRun, Self::ContinuousRun];

    /// Its name, as `rngtest` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monobit => "Monobit",
            Self::Poker => "Poker",
            Self::Runs => "Runs",
            Self::LongRun => "Long run",
            Self::ContinuousRun => "Continuous run",
        }
    }
}

/// Which tests a block failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures(u8);

impl Failures {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this test is among them.
    pub fn contains(self, test: Test) -> bool {
        self.0 & 1 << test as u8 != 0
    }

    fn insert_if(&mut self, failed: bool, test: Test) {
        self.0 |= u8::from(failed) << test as u8;
    }
}

/// How many blocks failed what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks that were tested.
    pub blocks: u64,
    /// Blocks that failed one test or more.
    pub failed: u64,
    /// Failures by test, in the order of [`Test::ALL`].
    pub by_test: [u64; 5],
}

impl Tally {
    /// Counts a block.
    pub fn add(&mut self, failures: Failures) {
        self.blocks += 1;
        self.failed += u64::from(!failures.is_empty());
        for (count, test) in self.by_test.iter_mut().zip(Test::ALL) {
            *count += u64::from(failures.contains(test));
        }
    }
}

/// Takes a stream of any length, piece by piece, in constant memory.
#[derive(Debug, Default)]
pub struct Tester {
    tally: Tally,
    distinct: Repeats,
    /// The last word of the block before.
    last: Option<u32>,
    /// The beginning of a block whose end has not come yet.
    partial: Vec<u8>,
}

impl Tester {
    /// A tester that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tests what is whole, and keeps the rest for later.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if !self.partial.is_empty() {
            let missing = (BLOCK_BYTES - self.partial.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(missing);
            self.partial.extend_from_slice(head);
            bytes = rest;
            if let Ok(block) = <&[u8; BLOCK_BYTES]>::try_from(self.partial.as_slice()) {
                let block = *block;
                self.partial.clear();
                self.test(&block);
            }
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        for block in blocks {
            self.test(block);
        }
        self.partial.extend_from_slice(rest);
    }

    fn test(&mut self, block: &[u8; BLOCK_BYTES]) {
        let counts = block::count(block);
        self.tally.add(counts.failures(self.last));
        self.last = Some(counts.last_word);
        self.distinct.push(block::fingerprint(block));
    }

    /// What was found so far.
    pub fn report(&self) -> Report {
        Report {
            tally: self.tally,
            left_over_bytes: self.partial.len(),
            repeated: self.distinct.repeated(),
            repeated_odds: self.distinct.odds(),
        }
    }
}

/// What the tests found in a stream.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Blocks and failures.
    pub tally: Tally,
    /// Bytes at the end that made no whole block and were not tested.
    pub left_over_bytes: usize,
    /// Blocks that had been seen before, bit by bit, among those that were remembered.
    pub repeated: u64,
    /// The probability that a healthy source repeats as many blocks.
    pub repeated_odds: f64,
}
