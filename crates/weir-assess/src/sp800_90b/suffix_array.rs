//! Suffix arrays and longest common prefixes in linear time, whatever the text repeats.
//!
//! The array is built by induced sorting (Nong, Zhang, Chan: "Two Efficient Algorithms for Linear Time Suffix Array
//! Construction", 2011) inside its own memory; the prefixes by the permuted form of Kasai's algorithm (Kärkkäinen,
//! Manzini, Puglisi: "Permuted Longest-Common-Prefix Array", 2009). Together 8 bytes a symbol, and one bit.
//!
//! A suffix that is a prefix of another comes before it. Texts are shorter than 2³¹ symbols.

const EMPTY: u32 = u32::MAX;

/// The start of each suffix of `text`, in the order of the suffixes. Every symbol is below `alphabet`.
pub(super) fn suffix_array(text: &[u8], alphabet: usize) -> Vec<u32> {
    let mut array = vec![EMPTY; text.len()];
    sort(text, alphabet, &mut array);
    array
}

/// By the start of a suffix: how many symbols it shares with the suffix before it in the order; 0 of the first.
pub(super) fn common_prefixes(text: &[u8], array: &[u32]) -> Vec<u32> {
    // Holds the suffix before each one, and is overwritten by what they share.
    let mut prefixes = vec![EMPTY; text.len()];
    for pair in array.windows(2) {
        prefixes[pair[1] as usize] = pair[0];
    }
    let mut shared = 0_usize;
    for start in 0..text.len() {
        let before = prefixes[start];
        if before == EMPTY {
            shared = 0;
        } else {
            let (these, those) = (&text[start + shared..], &text[before as usize + shared..]);
            shared += these.iter().zip(those).take_while(|(this, that)| this == that).count();
        }
        prefixes[start] = shared as u32;
        shared = shared.saturating_sub(1);
    }
    prefixes
}

/// A symbol of the text, or of the shorter text that the recursion sorts.
trait Symbol: Copy + Ord {
    fn index(self) -> usize;
}

impl Symbol for u8 {
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Symbol for u32 {
    fn index(self) -> usize {
        self as usize
    }
}

fn sort<S: Symbol>(text: &[S], alphabet: usize, array: &mut [u32]) {
    let Some(last) = text.len().checked_sub(1) else { return };
    if last == 0 {
        array[0] = 0;
        return;
    }
    let kinds = Kinds::of(text);
    let buckets = Buckets::of(text, alphabet);

    array.fill(EMPTY);
    let mut ends = buckets.ends();
    for start in (1..=last).filter(|start| kinds.is_leftmost(*start)) {
        array[take_end(&mut ends, text[start].index())] = start as u32;
    }
    induce(text, &kinds, &buckets, array);

    let leftmost = sort_leftmost(text, &kinds, array);
    array[leftmost..].fill(EMPTY);
    let mut ends = buckets.ends();
    for rank in (0..leftmost).rev() {
        let start = std::mem::replace(&mut array[rank], EMPTY);
        array[take_end(&mut ends, text[start as usize].index())] = start;
    }
    induce(text, &kinds, &buckets, array);
}

/// From substrings in order (all of `array`) to suffixes in order (its beginning): of the leftmost small ones. Gives
/// their number.
fn sort_leftmost<S: Symbol>(text: &[S], kinds: &Kinds, array: &mut [u32]) -> usize {
    let mut leftmost = 0;
    for rank in 0..array.len() {
        let start = array[rank];
        if kinds.is_leftmost(start as usize) {
            array[leftmost] = start;
            leftmost += 1;
        }
    }
    let names = name(text, kinds, array, leftmost);

    let rest = array.len() - leftmost;
    let (order, shorter) = array.split_at_mut(rest);
    if names < leftmost {
        sort(shorter, names, &mut order[..leftmost]);
    } else {
        for (index, name) in shorter.iter().enumerate() {
            order[*name as usize] = index as u32;
        }
    }
    let starts = (1..text.len()).filter(|start| kinds.is_leftmost(*start));
    for (slot, start) in shorter.iter_mut().zip(starts) {
        *slot = start as u32;
    }
    for index in &mut order[..leftmost] {
        *index = shorter[*index as usize];
    }
    leftmost
}

/// Numbers the sorted substrings at the beginning of `array`, equal ones equally, and writes the numbers to its end in
/// the order of the text. Gives how many numbers there are.
fn name<S: Symbol>(text: &[S], kinds: &Kinds, array: &mut [u32], leftmost: usize) -> usize {
    let (sorted, names) = array.split_at_mut(leftmost);
    names.fill(EMPTY);
    let mut count = 0_u32;
    let mut before = None;
    for start in sorted.iter().map(|start| *start as usize) {
        if before.is_some_and(|before| !same_substring(text, kinds, before, start)) {
            count += 1;
        }
        // Two starts are never neighbours, so that halves do not meet.
        names[start / 2] = count;
        before = Some(start);
    }
    let mut end = names.len();
    for index in (0..names.len()).rev() {
        if names[index] != EMPTY {
            end -= 1;
            names[end] = names[index];
        }
    }
    count as usize + 1
}

/// Whether the substrings from two starts to the next start after each are the same.
fn same_substring<S: Symbol>(text: &[S], kinds: &Kinds, one: usize, other: usize) -> bool {
    for offset in 0.. {
        let (one, other) = (one + offset, other + offset);
        if one.max(other) >= text.len() || text[one] != text[other] {
            return false;
        }
        if offset > 0 {
            match (kinds.is_leftmost(one), kinds.is_leftmost(other)) {
                (true, true) => return true,
                (false, false) => {}
                _ => return false,
            }
        }
    }
    false
}

/// Sorts all suffixes from the order of the leftmost small ones at the ends of their buckets.
fn induce<S: Symbol>(text: &[S], kinds: &Kinds, buckets: &Buckets, array: &mut [u32]) {
    let last = text.len() - 1;
    let mut starts = buckets.starts();
    array[take_start(&mut starts, text[last].index())] = last as u32;
    for rank in 0..array.len() {
        let start = array[rank];
        if start != EMPTY && start != 0 {
            let before = start as usize - 1;
            // What is scanned here is large or leftmost small, and a suffix before those is large exactly if:
            if text[before] >= text[before + 1] {
                array[take_start(&mut starts, text[before].index())] = before as u32;
            }
        }
    }
    let mut ends = buckets.ends();
    for rank in (0..array.len()).rev() {
        let start = array[rank];
        if start != EMPTY && start != 0 {
            let before = start as usize - 1;
            if text[before] <= text[before + 1] && kinds.is_small(before) {
                array[take_end(&mut ends, text[before].index())] = before as u32;
            }
        }
    }
}

/// Which suffixes are smaller than the one after them, one bit each.
struct Kinds {
    small: Vec<u64>,
}

impl Kinds {
    fn of<S: Symbol>(text: &[S]) -> Self {
        let mut small = vec![0_u64; text.len() / 64 + 1];
        let mut is_small = false;
        for (index, pair) in text.windows(2).enumerate().rev() {
            is_small = pair[0] < pair[1] || (is_small && pair[0] == pair[1]);
            small[index / 64] |= u64::from(is_small) << (index % 64);
        }
        Self { small }
    }

    #[inline]
    fn is_small(&self, index: usize) -> bool {
        self.small[index / 64] >> (index % 64) & 1 == 1
    }

    #[inline]
    fn is_leftmost(&self, index: usize) -> bool {
        index > 0 && self.is_small(index) && !self.is_small(index - 1)
    }
}

/// Where the suffixes that begin with each symbol stand.
struct Buckets {
    bounds: Vec<u32>,
}

impl Buckets {
    fn of<S: Symbol>(text: &[S], alphabet: usize) -> Self {
        let mut bounds = vec![0_u32; alphabet + 1];
        for symbol in text {
            bounds[symbol.index() + 1] += 1;
        }
        for index in 0..alphabet {
            bounds[index + 1] += bounds[index];
        }
        Self { bounds }
    }

    fn starts(&self) -> Vec<u32> {
        self.bounds[..self.bounds.len() - 1].to_vec()
    }

    fn ends(&self) -> Vec<u32> {
        self.bounds[1..].to_vec()
    }
}

#[inline]
fn take_start(starts: &mut [u32], bucket: usize) -> usize {
    let slot = starts[bucket];
    starts[bucket] += 1;
    slot as usize
}

#[inline]
fn take_end(ends: &mut [u32], bucket: usize) -> usize {
    ends[bucket] -= 1;
    ends[bucket] as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_comparison(text: &[u8]) -> Vec<u32> {
        let mut array: Vec<u32> = (0..text.len() as u32).collect();
        array.sort_by_key(|start| &text[*start as usize..]);
        array
    }

    fn check(text: &[u8]) {
        let array = suffix_array(text, 256);
        assert_eq!(array, by_comparison(text));
        let prefixes = common_prefixes(text, &array);
        for pair in array.windows(2) {
            let (before, start) = (pair[0] as usize, pair[1] as usize);
            let shared = text[before..].iter().zip(&text[start..]).take_while(|(a, b)| a == b).count();
            assert_eq!(prefixes[start] as usize, shared);
        }
    }

    #[test]
    fn texts_that_repeat_are_sorted() {
        check(b"");
        check(b"a");
        check(b"mississippi");
        check(&[7; 300]);
        check(&b"abcabd".repeat(40));
        check(&[1, 0].repeat(100));
    }

    proptest! {
        #[test]
        fn suffixes_are_in_order(text in prop_oneof![
            prop::collection::vec(0..2_u8, 0..400),
            prop::collection::vec(any::<u8>(), 0..400),
        ]) {
            check(&text);
        }
    }
}
