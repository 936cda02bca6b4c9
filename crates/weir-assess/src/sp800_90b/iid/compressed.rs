//! Size of the samples compressed by bzip2 (5.1.11), without compressing them.
//!
//! The permutation tests need the size of the bzip2 stream of the samples in decimal, dozens of times, and never the
//! stream. What decides the size: where blocks end, the Burrows-Wheeler transform of each, and the Huffman tables that
//! bzip2 settles on in four rounds. The transform is quick here because the text is made of few words: whole words are
//! sorted, not characters. The size is to the bit that of bzip2 1.0.8 at level 5, which tests compare.
//!
//! Absent on purpose: run-length coding before the transform. It begins at four equal characters, and no decimal number
//! below 256 with a space behind it has four.

use super::super::suffix_array::suffix_array;
use super::huffman::Coded;

/// Characters from which a block of level 5 is full.
const BLOCK: usize = 5 * 100_000 - 19;
/// Bits of a stream beside its blocks: "BZh5", the mark of its end, and its checksum.
const STREAM_BITS: u64 = 32 + 48 + 32;

/// The words that samples are written in.
pub(super) struct Text {
    /// By symbol: its sample in decimal, and a space.
    words: Vec<Vec<u8>>,
}

impl Text {
    /// `values` are the samples that the symbols stand for.
    pub(super) fn new(values: &[u8]) -> Self {
        Self { words: values.iter().map(|value| format!("{value} ").into_bytes()).collect() }
    }

    /// Bytes of the bzip2 stream of the symbols, written in decimal with single spaces between them.
    pub(super) fn compressed(&self, symbols: &[u8]) -> u64 {
        let mut bits = STREAM_BITS;
        let mut rest = Rest { symbols, skipped: 0 };
        while let Some(block) = self.cut(&mut rest) {
            bits += Coded::of(&self.transform(&block)).bits();
        }
        bits.div_ceil(8)
    }

    /// The next block: where characters fill it, at the end of a run of equal characters.
    fn cut<'s>(&self, rest: &mut Rest<'s>) -> Option<Block<'s>> {
        let (symbols, skipped) = (rest.symbols, rest.skipped);
        let mut len = 0;
        for (index, &symbol) in symbols.iter().enumerate() {
            let word = &self.words[usize::from(symbol)];
            let begun = if index == 0 { skipped } else { 0 };
            let is_last = index + 1 == symbols.len();
            // The last word has no space behind it.
            let word = &word[begun..word.len() - usize::from(is_last)];
            if len + word.len() < BLOCK {
                len += word.len();
                continue;
            }
            let inside = end_of_run(word, BLOCK - len);
            let in_next = begun + inside;
            let whole = in_next == self.words[usize::from(symbol)].len();
            *rest = if whole {
                Rest { symbols: &symbols[index + 1..], skipped: 0 }
            } else {
                Rest { symbols: &symbols[index..], skipped: in_next }
            };
            // A single character that would be all of the last block still goes into this one.
            if self.is_at_most_one_character(rest) {
                break;
            }
            let end = if whole { None } else { Some(in_next) };
            return Some(Block { symbols: &symbols[..=index], skipped, end });
        }
        rest.symbols = &[];
        let last = *symbols.last()?;
        let end = Some(self.words[usize::from(last)].len() - 1);
        Some(Block { symbols, skipped, end })
    }

    fn is_at_most_one_character(&self, rest: &Rest<'_>) -> bool {
        matches!(rest.symbols, [last] if self.words[usize::from(*last)].len() <= rest.skipped + 2)
    }

    /// The last column of the block's sorted rotations.
    fn transform(&self, block: &Block<'_>) -> Vec<u8> {
        let words = Words::of(&self.words, block);
        words
            .and_then(|words| words.transform())
            .unwrap_or_else(|| transform_characters(&self.characters(block)))
    }

    fn characters(&self, block: &Block<'_>) -> Vec<u8> {
        let mut characters = Vec::with_capacity(BLOCK + 3);
        for (index, &symbol) in block.symbols.iter().enumerate() {
            let word = &self.words[usize::from(symbol)];
            let start = if index == 0 { block.skipped } else { 0 };
            let end = block.end.filter(|_| index + 1 == block.symbols.len()).unwrap_or(word.len());
            characters.extend_from_slice(&word[start..end]);
        }
        characters
    }
}

/// Symbols that no block has yet; `skipped` characters of the first one are in the block before.
struct Rest<'s> {
    symbols: &'s [u8],
    skipped: usize,
}

/// Symbols of a block, without the first `skipped` characters of the first word, and with only the first `end`
/// characters of the last one.
struct Block<'s> {
    symbols: &'s [u8],
    skipped: usize,
    end: Option<usize>,
}

/// Where the run of equal characters ends that the character before `at` belongs to.
fn end_of_run(word: &[u8], at: usize) -> usize {
    let run =
        at.checked_sub(1).map_or(0, |last| word[at..].iter().take_while(|next| **next == word[last]).count());
    at + run
}

/// A block as a circle of words, each with the space behind it.
///
/// The word across the seam, of the block's last characters and its first, is one more word.
struct Words {
    /// Different words, in their order.
    spelt: Vec<Vec<u8>>,
    /// The circle, as indices.
    circle: Vec<u16>,
}

impl Words {
    /// Nothing of a block without a space, which is no circle of words.
    fn of(words: &[Vec<u8>], block: &Block<'_>) -> Option<Self> {
        let (first, after) = block.symbols.split_first()?;
        let mut whole = after;
        let mut seam = Vec::new();
        if let Some(end) = block.end {
            let (last, before) = after.split_last()?;
            whole = before;
            seam.extend_from_slice(&words[usize::from(*last)][..end]);
        }
        seam.extend_from_slice(&words[usize::from(*first)][block.skipped..]);

        let mut spelt: Vec<Vec<u8>> = words.iter().cloned().chain([seam.clone()]).collect();
        spelt.sort();
        spelt.dedup();
        let index = |word: &Vec<u8>| spelt.binary_search(word).unwrap_or(0) as u16;
        let of_symbol: Vec<u16> = words.iter().map(index).collect();
        let seam = index(&seam);
        let circle = whole.iter().map(|symbol| of_symbol[usize::from(*symbol)]).chain([seam]).collect();
        Some(Self { spelt, circle })
    }

    /// Nothing if words repeat too long after each other for them to be sorted by comparison.
    fn transform(&self) -> Option<Vec<u8>> {
        let order = self.sorted_rotations()?;
        let (words, mut next, len) = self.buckets();
        let mut column = vec![0; len];
        // Characters stand in the order of what is left of their word, and then of the words behind it.
        for start in order {
            let start = start as usize;
            let before = start.checked_sub(1).unwrap_or(self.circle.len() - 1);
            let word = &words[usize::from(self.circle[before])];
            for (character, bucket) in &word.characters[..word.len] {
                let place = &mut next[usize::from(*bucket)];
                column[*place as usize] = *character;
                *place += 1;
            }
        }
        Some(column)
    }

    /// The words by what is left of them from each character on; and where what is left begins in the order of all, and the
    /// characters of all.
    fn buckets(&self) -> (Vec<Spelling>, Vec<u32>, usize) {
        let mut rests: Vec<&[u8]> =
            self.spelt.iter().flat_map(|word| (0..word.len()).map(|from| &word[from..])).collect();
        rests.sort();
        rests.dedup();
        let words: Vec<Spelling> = self.spelt.iter().map(|word| Spelling::of(word, &rests)).collect();
        let mut counts = vec![0; words.len()];
        for word in &self.circle {
            counts[usize::from(*word)] += 1;
        }
        let mut sizes = vec![0; rests.len()];
        for (word, count) in words.iter().zip(counts) {
            for (_, bucket) in &word.characters[..word.len] {
                sizes[usize::from(*bucket)] += count;
            }
        }
        let mut sum = 0;
        for size in &mut sizes {
            sum += std::mem::replace(size, sum);
        }
        (words, sizes, sum as usize)
    }

    /// Where rotations of the circle begin, in their order.
    fn sorted_rotations(&self) -> Option<Vec<u32>> {
        let keys = Keys::of(&self.circle, self.spelt.len());
        let (mut order, ends) = keys.by_bucket();
        let mut alike = false;
        let mut start = 0;
        for end in ends.into_iter().map(|end| end as usize) {
            if end - start > 1 {
                order[start..end].sort_unstable_by(|one, other| keys.compare(*one, *other, &mut alike));
            }
            start = end;
        }
        (!alike).then_some(order)
    }
}

/// Characters of the longest word: two numbers of three digits across the seam, and a space.
const LONGEST: usize = 7;

/// A word, by its characters: the one before each (a space before the first), and the number of what is left from it on.
#[derive(Clone, Copy)]
struct Spelling {
    characters: [(u8, u16); LONGEST],
    len: usize,
}

impl Spelling {
    fn of(word: &[u8], rests: &[&[u8]]) -> Self {
        let mut spelling = Self { characters: [(b' ', 0); LONGEST], len: word.len() };
        for (from, slot) in spelling.characters.iter_mut().enumerate().take(word.len()) {
            let before = from.checked_sub(1).map_or(b' ', |before| word[before]);
            *slot = (before, rests.binary_search(&&word[from..]).unwrap_or(0) as u16);
        }
        spelling
    }
}

/// By place in the circle: the words from there on, as many as 64 bits hold, the first one on top.
struct Keys {
    keys: Vec<u64>,
    /// Words in a key.
    words: usize,
}

/// Bits of a key that place it before it is compared.
const BUCKET_BITS: u32 = 18;
/// Keys that are compared one after the other before rotations pass for alike.
const DEPTH: usize = 48;

impl Keys {
    fn of(circle: &[u16], spelt: usize) -> Self {
        let bits = (usize::BITS - spelt.leading_zeros()).max(1);
        let words = (u64::BITS / bits) as usize;
        let last = u64::BITS - bits;
        let mut keys = vec![0; circle.len()];
        let mut key = 0;
        // Once around to fill the first key, however short the circle is.
        let filling = (0..words).rev().map(|ahead| circle[ahead % circle.len()]);
        for word in filling {
            key = key >> bits | u64::from(word) << last;
        }
        let mask =
            if words as u32 * bits == u64::BITS { u64::MAX } else { !(u64::MAX >> (words as u32 * bits)) };
        for (place, slot) in keys.iter_mut().enumerate().rev() {
            key = (key >> bits | u64::from(circle[place]) << last) & mask;
            *slot = key;
        }
        Self { keys, words }
    }

    #[inline]
    fn bucket(&self, place: u32) -> usize {
        (self.keys[place as usize] >> (u64::BITS - BUCKET_BITS)) as usize
    }

    /// Places in the order of their buckets, and where each bucket ends.
    fn by_bucket(&self) -> (Vec<u32>, Vec<u32>) {
        let mut next = vec![0_u32; (1 << BUCKET_BITS) + 1];
        for place in 0..self.keys.len() as u32 {
            next[self.bucket(place) + 1] += 1;
        }
        for bucket in 0..1 << BUCKET_BITS {
            next[bucket + 1] += next[bucket];
        }
        let mut order = vec![0; self.keys.len()];
        for place in 0..self.keys.len() as u32 {
            let slot = &mut next[self.bucket(place)];
            order[*slot as usize] = place;
            *slot += 1;
        }
        (order, next)
    }

    /// Says in `alike` if it could not tell.
    fn compare(&self, one: u32, other: u32, alike: &mut bool) -> std::cmp::Ordering {
        let (mut one, mut other) = (one as usize, other as usize);
        for _ in 0..DEPTH {
            let order = self.keys[one].cmp(&self.keys[other]);
            if order.is_ne() {
                return order;
            }
            one = (one + self.words) % self.keys.len();
            other = (other + self.words) % self.keys.len();
        }
        *alike = true;
        std::cmp::Ordering::Equal
    }
}

/// The transform of any characters, by the suffixes of the block written twice.
fn transform_characters(block: &[u8]) -> Vec<u8> {
    let order = suffix_array(&[block, block].concat(), 256);
    let rotations = order.into_iter().map(|start| start as usize).filter(|start| *start < block.len());
    rotations.map(|start| block[start.checked_sub(1).unwrap_or(block.len() - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    /// The size that bzip2 itself comes to.
    fn by_bzip2(values: &[u8]) -> u64 {
        let decimal: Vec<String> = values.iter().map(u8::to_string).collect();
        let text = decimal.join(" ");
        let mut compressed = Vec::new();
        bzip2::read::BzEncoder::new(text.as_bytes(), bzip2::Compression::new(5))
            .read_to_end(&mut compressed)
            .unwrap();
        compressed.len() as u64
    }

    fn check(values: &[u8]) {
        let numbers: Vec<u8> = (0..=255).collect();
        assert_eq!(Text::new(&numbers).compressed(values), by_bzip2(values));
    }

    fn spread(len: usize, of: u32) -> Vec<u8> {
        let number = |index: usize| {
            (index as u32).wrapping_mul(2_654_435_761).rotate_left(15).wrapping_mul(2_246_822_519)
        };
        (0..len).map(|index| (number(index) >> 8) as u8 % of.min(255) as u8).collect()
    }

    #[test]
    fn sizes_of_many_blocks_are_those_of_bzip2() {
        check(&spread(400_000, 255));
        check(&spread(600_000, 2));
        check(&spread(300_000, 13));
    }

    #[test]
    fn sizes_of_what_repeats_are_those_of_bzip2() {
        check(&[111; 130_000]);
        check(&[5, 17].repeat(60_000));
        check(&(0..=255).collect::<Vec<u8>>().repeat(550));
    }

    #[test]
    fn sizes_around_the_end_of_a_block_are_those_of_bzip2() {
        // Two characters a word, three, and four with runs of equal ones: every way in which a block can end.
        for value in [7_u8, 44, 222] {
            let one_block = BLOCK / (value.to_string().len() + 1);
            for len in one_block - 1..one_block + 3 {
                let mut mixed = spread(len, 9);
                mixed.iter_mut().for_each(|digit| *digit = value + *digit % 2 * 11);
                mixed[len - 1] = 1;
                check(&mixed);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sizes_of_small_texts_are_those_of_bzip2(
            values in prop::collection::vec(any::<u8>(), 1..3000),
            least in 0..=255_u8,
        ) {
            check(&values.iter().map(|value| *value.min(&least)).collect::<Vec<_>>());
        }
    }
}
