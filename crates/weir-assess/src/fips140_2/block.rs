//! One block: counts that all five tests need, in two look-ups a byte and without a branch on the data.
//!
//! Runs that end within a byte depend on that byte and on the run that reached into it. How long that one was, as far as it
//! matters (six or more are one class), the byte before says alone: a byte of equal bits has eight of them. So no
//! look-up waits for the one before, and a table of a byte's runs by that state gives all counts at once, packed into one number.

use std::sync::LazyLock;

use super::{BLOCK_BYTES, Failures, Test};

/// What the tests judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) ones: u32,
    /// Σ f² over the 16 values of a nibble.
    pub(super) nibbles: [u32; 16],
    /// Runs of zeros, then of ones, of length 1, 2, ... 5, and 6 or more.
    pub(super) runs: [[u32; 6]; 2],
    pub(super) long_run: bool,
    /// Whether two neighbouring words of 32 bits are equal.
    pub(super) repeats: bool,
    pub(super) first_word: u32,
    pub(super) last_word: u32,
}

/// Bounds of runs by length, for zeros and ones alike (Change Notice 1, table 3).
const RUN_BOUNDS: [(u32, u32); 6] =
    [(2315, 2685), (1114, 1386), (527, 723), (240, 384), (103, 209), (103, 209)];

impl Counts {
    /// The tests that this block fails, after a block that ended with the word `before`.
    pub(super) fn failures(&self, before: Option<u32>) -> Failures {
        let mut failures = Failures::default();
        let squares: u32 = self.nibbles.iter().map(|count| count * count).sum();
        let within = |counts: &[u32; 6]| {
            counts.iter().zip(RUN_BOUNDS).all(|(count, (least, most))| (least..=most).contains(count))
        };
        failures.insert_if(!(9726..=10_274).contains(&self.ones), Test::Monobit);
        failures.insert_if(!(1_563_176..=1_576_928).contains(&squares), Test::Poker);
        failures.insert_if(!self.runs.iter().all(within), Test::Runs);
        failures.insert_if(self.long_run, Test::LongRun);
        failures.insert_if(self.repeats || before == Some(self.first_word), Test::ContinuousRun);
        failures
    }
}

/// Counts everything in a block.
pub(super) fn count(block: &[u8; BLOCK_BYTES]) -> Counts {
    let nibbles = nibbles(block);
    let (words, _) = block.as_chunks::<4>();
    Counts {
        ones: nibbles.iter().zip(0u32..).map(|(count, nibble)| count * nibble.count_ones()).sum(),
        nibbles,
        runs: runs(block),
        long_run: has_long_run(block),
        repeats: words.iter().zip(&words[1..]).fold(false, |any, (a, b)| any | (a == b)),
        first_word: u32::from_be_bytes(words[0]),
        last_word: u32::from_be_bytes(words[words.len() - 1]),
    }
}

/// Lengths of runs that are told apart, and bits of each count.
const CLASSES: usize = 6;
const FIELD: usize = 10;
/// As many bytes' counts fit the fields: at most five runs of one class end in a byte.
const PIECE: usize = 200;

/// The run that reaches to the end of a byte, as a row of [`Tables::runs`]: its kind and length. There is none before a block.
const NONE: u8 = 2 * CLASSES as u8;

struct Tables {
    /// The state after each byte.
    after: [u8; 256],
    /// By the state before a byte and the byte: the runs that end there, a field for each kind and length.
    runs: Box<[[u128; 256]; NONE as usize + 1]>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables { after: [0; 256], runs: Box::new([[0; 256]; NONE as usize + 1]) };
    for (state, row) in tables.runs.iter_mut().enumerate() {
        for (byte, entry) in row.iter_mut().enumerate() {
            let mut state = state;
            for bit in (0..8).rev() {
                let kind = byte >> bit & 1;
                let goes_on = state != usize::from(NONE) && state / CLASSES == kind;
                if goes_on {
                    state = kind * CLASSES + (state % CLASSES + 1).min(CLASSES - 1);
                    continue;
                }
                if state != usize::from(NONE) {
                    *entry += 1 << (state * FIELD);
                }
                state = kind * CLASSES;
            }
            tables.after[byte] = state as u8;
        }
    }
    tables
});

/// Runs of zeros, then of ones, by length.
fn runs(block: &[u8; BLOCK_BYTES]) -> [[u32; CLASSES]; 2] {
    let tables = &*TABLES;
    let mut counts = [0u32; 2 * CLASSES];
    let mut before = NONE;
    for piece in block.chunks(PIECE) {
        let mut packed = 0;
        for byte in piece {
            packed += tables.runs[usize::from(before)][usize::from(*byte)];
            before = tables.after[usize::from(*byte)];
        }
        for (count, field) in counts.iter_mut().zip(0..) {
            *count += (packed >> (field * FIELD)) as u32 & ((1 << FIELD) - 1);
        }
    }
    // The last run ends with the block.
    counts[usize::from(before)] += 1;
    let (zeros, ones) = counts.split_at(CLASSES);
    [zeros, ones].map(|counts| std::array::from_fn(|at| counts[at]))
}

/// Whether a run has 26 bits or more. Two whole bytes of such a run lie within it, and few blocks have such a pair.
fn has_long_run(block: &[u8; BLOCK_BYTES]) -> bool {
    let pair = |a: u8, b: u8| (a == b) & (a.wrapping_add(1) <= 1);
    if !block.iter().zip(&block[1..]).fold(false, |any, (a, b)| any | pair(*a, *b)) {
        return false;
    }
    let (mut kind, mut length) = (2, 0);
    block.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).any(|bit| {
        length = if bit == kind { length + 1 } else { 1 };
        kind = bit;
        length >= 26
    })
}

/// The counts of 4-bit values: bytes into four tables, so that equal neighbours do not wait for each other.
fn nibbles(block: &[u8; BLOCK_BYTES]) -> [u32; 16] {
    let mut tables = [[0u16; 256]; 4];
    let (groups, _) = block.as_chunks::<4>();
    for group in groups {
        for (table, byte) in tables.iter_mut().zip(group) {
            table[usize::from(*byte)] += 1;
        }
    }
    let mut counts = [0; 16];
    for byte in 0..256 {
        let count = tables.iter().map(|table| u32::from(table[byte])).sum::<u32>();
        counts[byte >> 4] += count;
        counts[byte & 15] += count;
    }
    counts
}

/// A digest of a block that tells equal blocks from others, but does not withstand who chooses them: four chains of
/// multiplications by an odd constant, so that the order of words counts, and the finisher of SplitMix64.
pub(super) fn fingerprint(block: &[u8; BLOCK_BYTES]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chains = [1u64, 2, 3, 4];
    let (groups, rest) = block.as_chunks::<32>();
    for group in groups {
        for (chain, bytes) in chains.iter_mut().zip(group.as_chunks::<8>().0) {
            *chain = (*chain ^ u64::from_le_bytes(*bytes)).wrapping_mul(FACTOR).rotate_left(29);
        }
    }
    let mut digest = rest.iter().fold(0u64, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(FACTOR));
    for chain in chains {
        digest = (digest ^ chain).wrapping_mul(FACTOR).rotate_left(31);
    }
    crate::repeats::mix(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same counts, bit by bit.
    fn count_slowly(block: &[u8; BLOCK_BYTES]) -> Counts {
        let bits: Vec<u8> =
            block.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
        let mut nibbles = [0; 16];
        for nibble in bits.chunks(4) {
            nibbles[nibble.iter().fold(0, |value, bit| value << 1 | usize::from(*bit))] += 1;
        }
        let mut runs = [[0; 6]; 2];
        let mut long_run = false;
        for run in bits.chunk_by(|a, b| a == b) {
            runs[usize::from(run[0])][run.len().min(6) - 1] += 1;
            long_run |= run.len() >= 26;
        }
        let words: Vec<u32> = block.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
        Counts {
            ones: bits.iter().map(|bit| u32::from(*bit)).sum(),
            nibbles,
            runs,
            long_run,
            repeats: words.windows(2).any(|pair| pair[0] == pair[1]),
            first_word: words[0],
            last_word: *words.last().unwrap(),
        }
    }

    #[test]
    fn counting_by_words_is_counting_by_bits() {
        // SplitMix64 with a fixed start; every third block gets long runs, every fifth a repeated word.
        let mut state = 7u64;
        let mut next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            crate::repeats::mix(state)
        };
        for round in 0..300 {
            let mut block = [0; BLOCK_BYTES];
            block.fill_with(|| next() as u8);
            if round % 3 == 0 {
                let (at, length) = (next() as usize % 2490, next() as usize % 10);
                block[at..at + length].fill(if round % 2 == 0 { 0 } else { 0xff });
            }
            if round % 5 == 0 {
                let at = next() as usize % 623 * 4;
                block.copy_within(at..at + 4, at + 4);
            }
            assert_eq!(count(&block), count_slowly(&block), "round {round}");
        }
        for byte in [0, 0xff, 0x55, 0x0f] {
            assert_eq!(count(&[byte; BLOCK_BYTES]), count_slowly(&[byte; BLOCK_BYTES]));
        }
    }

    #[test]
    fn a_run_of_26_is_too_long_wherever_it_lies() {
        for length in [25, 26] {
            for at in (0..200).chain(19_900..=20_000 - length) {
                let mut block = [0x55; BLOCK_BYTES];
                for bit in at..at + length {
                    block[bit / 8] |= 0x80 >> (bit % 8);
                }
                for bit in [at.wrapping_sub(1), at + length] {
                    if bit < 20_000 {
                        block[bit / 8] &= !(0x80 >> (bit % 8));
                    }
                }
                assert_eq!(count(&block).long_run, length == 26, "{length} at {at}");
            }
        }
    }
}
