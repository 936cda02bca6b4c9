//! One block: counts that all five tests need, from words of 64 bits and without a branch on the data.
//!
//! Runs are counted by shifting: with `x` the bits of one kind, `x & x<<1 & ... & x<<(k-1)` has a one wherever `k` of them
//! begin, and of those the beginnings of runs are where the bit before is of the other kind. What a shift needs of the next
//! word is taken from it, so each step is a plain loop over two arrays, which compilers turn into vector instructions.

use super::{BLOCK_BYTES, Failures, Test};

/// Words of a block: 312 and a half.
const WORDS: usize = 313;
/// A block, the first bit in the highest place; after the last bit come zeros.
type Words = [u64; WORDS];
/// The bits of the last word that are in the block.
const LAST_MASK: u64 = !0 << 32;

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
    let ones = words(block);
    let mut zeros = ones.map(|word| !word);
    zeros[WORDS - 1] &= LAST_MASK;
    let (zero_runs, long_zeros) = runs(&zeros);
    let (one_runs, long_ones) = runs(&ones);
    Counts {
        ones: ones_in(&ones),
        nibbles: nibbles(block),
        runs: [zero_runs, one_runs],
        long_run: long_zeros || long_ones,
        repeats: has_repeated_words(&ones),
        first_word: (ones[0] >> 32) as u32,
        last_word: (ones[WORDS - 1] >> 32) as u32,
    }
}

fn words(block: &[u8; BLOCK_BYTES]) -> Words {
    let (whole, rest) = block.as_chunks::<8>();
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(whole) {
        *word = u64::from_be_bytes(*bytes);
    }
    let half = rest.iter().fold(0, |half, byte| half << 8 | u64::from(*byte));
    words[WORDS - 1] = half << 32;
    words
}

fn ones_in(words: &Words) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

/// `to` = `from` moved `by` bits towards the first bit, and the next word's bits after them.
#[inline(always)]
fn and_shifted(x: &Words, by: u32) -> Words {
    let mut result = [0; WORDS];
    for ((result, word), next) in result.iter_mut().zip(x).zip(&x[1..]) {
        *result = word & (word << by | next >> (64 - by));
    }
    result[WORDS - 1] = x[WORDS - 1] & x[WORDS - 1] << by;
    result
}

/// The runs in `x` by length, and whether one has 26 or more bits.
#[inline(always)]
fn runs(x: &Words) -> ([u32; 6], bool) {
    // Ones that follow a one: what is left in any `x_k` after taking them away begins a run.
    let mut starts_before = [0; WORDS];
    starts_before[0] = x[0] >> 1;
    for ((result, word), before) in starts_before[1..].iter_mut().zip(&x[1..]).zip(x) {
        *result = word >> 1 | before << 63;
    }
    let starting = |x: &Words| -> u32 {
        x.iter().zip(&starts_before).map(|(word, before)| (word & !before).count_ones()).sum()
    };
    let two = and_shifted(x, 1);
    let three = and_shifted(&two, 1);
    let four = and_shifted(&three, 1);
    let five = and_shifted(&four, 1);
    let six = and_shifted(&five, 1);
    let at_least = [x, &two, &three, &four, &five, &six].map(starting);
    let mut exactly = at_least;
    for (count, longer) in exactly.iter_mut().zip(&at_least[1..]) {
        *count -= longer;
    }
    let twelve = and_shifted(&six, 6);
    let twenty_four = and_shifted(&twelve, 12);
    let twenty_six = and_shifted(&twenty_four, 2);
    (exactly, twenty_six.iter().fold(0, |any, word| any | word) != 0)
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

fn has_repeated_words(words: &Words) -> bool {
    let within = words[..WORDS - 1].iter().fold(false, |any, word| any | (word >> 32 == word & !0 >> 32));
    let across = words.windows(2).fold(false, |any, pair| any | (pair[0] & !0 >> 32 == pair[1] >> 32));
    within || across
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
