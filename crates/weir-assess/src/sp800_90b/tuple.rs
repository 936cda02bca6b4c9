//! t-Tuple (6.3.5) and Longest Repeated Substring (6.3.6): how often strings of symbols come back, of every length.
//!
//! Both count the occurrences of all strings. These are the intervals of the suffix array in which neighbours share a
//! prefix: an interval of c suffixes that share l symbols, inside one that shares k, stands for strings of each length
//! k+1 to l that occur c times.

use super::estimate::{Estimate, NotEstimated, require_length, upper_bound};
use super::samples::Sequence;
use super::suffix_array::{common_prefixes, suffix_array};

pub(super) const T_TUPLE: &str = "t-Tuple Estimate";
pub(super) const LRS: &str = "LRS Estimate";

/// Occurrences from which a string is frequent enough for 6.3.5 (step 1).
const FREQUENT: u32 = 35;

/// Estimates from the most frequent strings of each length ([`TuplesOf::t_tuple`]) and from how many pairs of equal
/// strings there are among the longer ones ([`TuplesOf::longest_repeated`]): one count serves both.
///
/// # Errors
/// [`NotEstimated::TooShort`] of fewer than 2 symbols.
pub fn tuples(sequence: &Sequence<'_>) -> Result<TuplesOf, NotEstimated> {
    require_length(sequence, 2)?;
    let repeats = Repeats::of(sequence.symbols(), sequence.alphabet());
    Ok(TuplesOf { t_tuple: repeats.t_tuple(sequence), longest_repeated: repeats.longest_repeated(sequence) })
}

/// The two estimates that [`tuples`] makes.
#[derive(Clone, Debug)]
pub struct TuplesOf {
    /// 6.3.5; nothing if no string is frequent.
    pub t_tuple: Result<Estimate, NotEstimated>,
    /// 6.3.6; nothing if every string that occurs twice is frequent.
    pub longest_repeated: Result<Estimate, NotEstimated>,
}

/// Length of the longest string that occurs twice, overlaps counted: W of 5.2.5 and v of 6.3.6.
pub(super) fn longest_repeat(symbols: &[u8], alphabet: usize) -> usize {
    let array = suffix_array(symbols, alphabet);
    common_prefixes(symbols, &array).into_iter().max().unwrap_or(0) as usize
}

/// Occurrences of the strings of each length from 1 to that of the longest that occurs twice.
struct Repeats {
    /// Symbols in the sequence.
    len: usize,
    /// By length: occurrences of the most frequent string.
    most: Vec<u32>,
    /// By length: pairs of equal strings.
    pairs: Vec<u64>,
}

impl Repeats {
    fn of(symbols: &[u8], alphabet: usize) -> Self {
        let array = suffix_array(symbols, alphabet);
        let prefixes = common_prefixes(symbols, &array);
        let longest = prefixes.iter().copied().max().unwrap_or(0) as usize;
        let mut repeats =
            Self { len: symbols.len(), most: vec![1; longest + 1], pairs: vec![0; longest + 1] };
        repeats.count_intervals(array.iter().map(|start| prefixes[*start as usize]));
        repeats.spread();
        repeats
    }

    /// Enters each interval at the longest length that it stands for, and takes its pairs back at the length below
    /// the shortest. `shared` is what each suffix in order shares with the one before it.
    fn count_intervals(&mut self, shared: impl Iterator<Item = u32>) {
        // Intervals that are not closed, each inside the one before: what they share, and their first suffix.
        let mut open: Vec<(u32, usize)> = vec![(0, 0)];
        for (rank, shared) in shared.chain(std::iter::once(0)).enumerate() {
            let mut first = rank.saturating_sub(1);
            while let Some(&(length, opened)) = open.last().filter(|(length, _)| *length > shared) {
                open.pop();
                let outer = open.last().map_or(0, |(length, _)| *length).max(shared);
                self.enter(length as usize, outer as usize, rank - opened);
                first = opened;
            }
            if open.last().is_some_and(|(length, _)| *length < shared) {
                open.push((shared, first));
            }
        }
    }

    fn enter(&mut self, length: usize, outer: usize, occurrences: usize) {
        self.most[length] = self.most[length].max(occurrences as u32);
        let pairs = occurrences as u64 * (occurrences as u64 - 1) / 2;
        self.pairs[length] = self.pairs[length].wrapping_add(pairs);
        // What has not been added yet may be taken away first: only the sums from the end have to be right.
        self.pairs[outer] = self.pairs[outer].wrapping_sub(pairs);
    }

    /// From the longest length of each interval to every length that it stands for.
    fn spread(&mut self) {
        for length in (1..self.most.len().saturating_sub(1)).rev() {
            self.most[length] = self.most[length].max(self.most[length + 1]);
            self.pairs[length] = self.pairs[length].wrapping_add(self.pairs[length + 1]);
        }
    }

    fn longest(&self) -> usize {
        self.most.len() - 1
    }

    /// The shortest length at which no string is frequent: u of 6.3.6, t + 1 of 6.3.5.
    fn first_rare(&self) -> usize {
        (1..=self.longest()).find(|length| self.most[*length] < FREQUENT).unwrap_or(self.longest() + 1)
    }

    fn t_tuple(&self, sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
        let rare = self.first_rare();
        let chances = (1..rare).map(|length| {
            let places = self.len - length + 1;
            (f64::from(self.most[length]) / places as f64).powf(1.0 / length as f64)
        });
        let p_hat = chances.fold(0.0, f64::max);
        if p_hat == 0.0 {
            return Err(NotEstimated::NothingFrequent);
        }
        let p_u = upper_bound(p_hat, self.len);
        let figures = vec![("t", (rare - 1).into()), ("p-hat_max", p_hat.into()), ("p_u", p_u.into())];
        Ok(Estimate::new(T_TUPLE, sequence, figures, -p_u.log2()))
    }

    fn longest_repeated(&self, sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
        let rare = self.first_rare();
        if self.longest() < rare {
            return Err(NotEstimated::NothingRare);
        }
        let chances = (rare..=self.longest()).map(|length| {
            let places = (self.len - length + 1) as u64;
            let all_pairs = places * (places - 1) / 2;
            (self.pairs[length] as f64 / all_pairs as f64).powf(1.0 / length as f64)
        });
        let p_hat = chances.fold(0.0, f64::max);
        let p_u = upper_bound(p_hat, self.len);
        let figures = vec![
            ("u", rare.into()),
            ("v", self.longest().into()),
            ("p-hat", p_hat.into()),
            ("p_u", p_u.into()),
        ];
        Ok(Estimate::new(LRS, sequence, figures, -p_u.log2()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn intervals_count_every_string(symbols in prop::collection::vec(0..3_u8, 2..120)) {
            let repeats = Repeats::of(&symbols, 3);
            for length in 1..=repeats.longest() + 1 {
                let mut counted: HashMap<&[u8], u64> = HashMap::new();
                for string in symbols.windows(length) {
                    *counted.entry(string).or_default() += 1;
                }
                let most = counted.values().max().copied().unwrap_or(1);
                let pairs: u64 = counted.values().map(|count| count * (count - 1) / 2).sum();
                prop_assert_eq!(u64::from(repeats.most.get(length).copied().unwrap_or(1)), most);
                prop_assert_eq!(repeats.pairs.get(length).copied().unwrap_or(0), pairs);
            }
        }
    }
}
