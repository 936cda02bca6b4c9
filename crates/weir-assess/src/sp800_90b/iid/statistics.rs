//! The nineteen statistics of the permutation tests (5.1.1 to 5.1.11).

use super::super::samples::Samples;
use super::compressed::Text;

/// Their names, as NIST's tool prints them.
pub(super) const NAMES: [&str; COUNT] = [
    "excursion",
    "numDirectionalRuns",
    "lenDirectionalRuns",
    "numIncreasesDecreases",
    "numRunsMedian",
    "lenRunsMedian",
    "avgCollision",
    "maxCollision",
    "periodicity(1)",
    "periodicity(2)",
    "periodicity(8)",
    "periodicity(16)",
    "periodicity(32)",
    "covariance(1)",
    "covariance(2)",
    "covariance(8)",
    "covariance(16)",
    "covariance(32)",
    "compression",
];

pub(super) const COUNT: usize = 19;

const PERIODICITY: usize = 8;
const COVARIANCE: usize = 13;
const COMPRESSION: usize = 18;

/// Lags of the periodicity and covariance tests.
const LAGS: [usize; 5] = [1, 2, 8, 16, 32];

/// Symbols that the excursion test passes over at once, where it cannot reach a new maximum.
const STRIDE: usize = 64;

/// What the statistics of every permutation have in common.
pub(super) struct Statistics {
    /// By symbol: the sample that it stood for.
    values: Vec<u8>,
    /// By symbol: whether it lies below the median.
    below_median: Vec<bool>,
    mean: f64,
    median: f64,
    text: Text,
}

impl Statistics {
    pub(super) fn new(samples: &Samples<'_>) -> Self {
        let literal = samples.literal();
        let mut values = vec![0; literal.alphabet()];
        for (&symbol, &value) in literal.symbols().iter().zip(samples.raw()) {
            values[usize::from(symbol)] = value;
        }
        let sum: u64 = samples.raw().iter().map(|value| u64::from(*value)).sum();
        let median = median(literal.symbols(), literal.alphabet());
        Self {
            below_median: (0..literal.alphabet()).map(|symbol| (symbol as f64) < median).collect(),
            mean: sum as f64 / samples.len() as f64,
            median,
            text: Text::new(&values),
            values,
        }
    }

    /// Of the samples as they were.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// Of the symbols as they are numbered.
    pub(super) fn median(&self) -> f64 {
        self.median
    }

    /// The statistics of `symbols` that are `wanted`; the others are left as they are.
    pub(super) fn compute(&self, symbols: &[u8], wanted: &[bool; COUNT], results: &mut [f64; COUNT]) {
        let any = |range: std::ops::Range<usize>| wanted[range].contains(&true);
        if wanted[0] {
            results[0] = self.excursion(symbols);
        }
        if any(4..6) {
            let runs = Runs::of(symbols.iter().map(|symbol| self.below_median[usize::from(*symbol)]));
            (results[4], results[5]) = (runs.count as f64, runs.longest as f64);
        }
        if any(1..4) || any(6..18) {
            if self.values.len() == 2 {
                self.of_bytes(&ones_of_eights(symbols), wanted, results);
                collisions(&numbers_of_eights(symbols), results);
            } else {
                self.of_bytes(symbols, wanted, results);
                if any(6..8) {
                    collisions(symbols, results);
                }
            }
        }
        if wanted[COMPRESSION] {
            results[COMPRESSION] = self.text.compressed(symbols) as f64;
        }
    }

    /// How far the sum runs from its expectation (5.1.1), rounded as in NIST's tool.
    fn excursion(&self, symbols: &[u8]) -> f64 {
        let value = |symbol: &u8| u64::from(self.values[usize::from(*symbol)]);
        let off = |sum: u64, count: usize| (sum as f64 - count as f64 * self.mean).abs();
        // The farthest that a stride can go, and one for rounding.
        let reach = STRIDE as f64 * self.mean.max(255.0 - self.mean) + 1.0;
        let (mut sum, mut count, mut farthest) = (0, 0, 0.0);
        for stride in symbols.chunks(STRIDE) {
            if off(sum, count) + reach < farthest {
                sum += stride.iter().map(value).sum::<u64>();
                count += stride.len();
                continue;
            }
            for symbol in stride {
                sum += value(symbol);
                count += 1;
                farthest = off(sum, count).max(farthest);
            }
        }
        farthest
    }

    /// What is asked of symbols, or of bits as how many of eight are set (conversion I).
    fn of_bytes(&self, bytes: &[u8], wanted: &[bool; COUNT], results: &mut [f64; COUNT]) {
        if wanted[1..3].contains(&true) {
            let runs = Runs::of(bytes.windows(2).map(|pair| pair[0] > pair[1]));
            results[1] = runs.count as f64;
            results[2] = runs.longest as f64;
        }
        if wanted[3] {
            let (pairs, falls) = (bytes.len() as u64 - 1, falls(bytes));
            results[3] = falls.max(pairs - falls) as f64;
        }
        let bits = self.values.len() == 2;
        let raw: Vec<u8>;
        let covaried = if bits || !wanted[COVARIANCE..COMPRESSION].contains(&true) {
            bytes
        } else {
            raw = bytes.iter().map(|symbol| self.values[usize::from(*symbol)]).collect();
            &raw
        };
        for (index, lag) in LAGS.into_iter().enumerate() {
            if wanted[PERIODICITY + index] {
                results[PERIODICITY + index] = periodicity(bytes, lag) as f64;
            }
            if wanted[COVARIANCE + index] {
                results[COVARIANCE + index] = covariance(covaried, lag) as f64;
            }
        }
    }
}

fn median(symbols: &[u8], alphabet: usize) -> f64 {
    if alphabet == 2 {
        // As 5.1.5 wants it for bits.
        return 0.5;
    }
    let counts = super::super::most_common::counts(symbols);
    let at = |rank: u64| {
        let mut passed = 0;
        counts.iter().position(|count| {
            passed += count;
            passed > rank
        })
    };
    let half = symbols.len() as u64 / 2;
    let lower = if symbols.len() % 2 == 1 { half } else { half - 1 };
    (at(half).unwrap_or(0) + at(lower).unwrap_or(0)) as f64 / 2.0
}

/// Runs of equal truth.
struct Runs {
    len: u64,
    count: u64,
    longest: u64,
}

impl Runs {
    /// Packed into words, in which a run ends at each set bit of a mask: no branch depends on data that is even, which a
    /// CPU would guess wrong every second time.
    fn of(mut truths: impl Iterator<Item = bool>) -> Self {
        let mut runs = Self { len: 0, count: 0, longest: 0 };
        let (mut last, mut begun) = (None, 0);
        loop {
            let (mut word, mut bits) = (0_u64, 0_u32);
            for truth in truths.by_ref().take(64) {
                word |= u64::from(truth) << bits;
                bits += 1;
            }
            if bits == 0 {
                break;
            }
            let before = word << 1 | last.unwrap_or(!word & 1);
            let mut begins = (word ^ before) & (u64::MAX >> (64 - bits));
            runs.count += u64::from(begins.count_ones());
            while begins != 0 {
                let at = runs.len + u64::from(begins.trailing_zeros());
                runs.longest = runs.longest.max(at - begun);
                begun = at;
                begins &= begins - 1;
            }
            runs.len += u64::from(bits);
            last = Some(word >> (bits - 1) & 1);
        }
        runs.longest = runs.longest.max(runs.len - begun);
        runs
    }
}

/// Mean and longest time until a symbol repeats (5.1.7, 5.1.8).
fn collisions(symbols: &[u8], results: &mut [f64; COUNT]) {
    let mut seen = [0_u32; 256];
    let (mut count, mut sum, mut longest, mut since) = (0_u32, 0, 0, 0);
    for &symbol in symbols {
        since += 1;
        // What was seen before the last collision does not count.
        let seen = &mut seen[usize::from(symbol)];
        if *seen == count + 1 {
            count += 1;
            sum += since;
            longest = longest.max(since);
            since = 0;
        } else {
            *seen = count + 1;
        }
    }
    results[6] = if count == 0 { 0.0 } else { sum as f64 / f64::from(count) };
    results[7] = longest as f64;
}

/// How many symbols are followed by a lower one (5.1.4).
fn falls(symbols: &[u8]) -> u64 {
    // Counted in bytes, 255 at a time: many at once in a vector.
    let pairs = symbols.chunks(255).zip(symbols.get(1..).unwrap_or_default().chunks(255));
    let count = |(these, next): (&[u8], &[u8])| {
        u64::from(these.iter().zip(next).map(|(a, b)| u8::from(a > b)).sum::<u8>())
    };
    pairs.map(count).sum()
}

/// How many symbols equal the one `lag` later (5.1.9).
fn periodicity(symbols: &[u8], lag: usize) -> u64 {
    let later = symbols.get(lag..).unwrap_or_default();
    // Counted in bytes, 255 at a time: many at once in a vector.
    let pairs = symbols.chunks(255).zip(later.chunks(255));
    pairs
        .map(|(these, later)| u64::from(these.iter().zip(later).map(|(a, b)| u8::from(a == b)).sum::<u8>()))
        .sum()
}

/// The sum of products of symbols and those `lag` later (5.1.10).
fn covariance(symbols: &[u8], lag: usize) -> u64 {
    let later = symbols.get(lag..).unwrap_or_default();
    let pairs = symbols.chunks(4096).zip(later.chunks(4096));
    let product = |(a, b): (&u8, &u8)| u32::from(u16::from(*a) * u16::from(*b));
    pairs.map(|(these, later)| u64::from(these.iter().zip(later).map(product).sum::<u32>())).sum()
}

/// Conversion I: how many of each eight bits are set.
fn ones_of_eights(bits: &[u8]) -> Vec<u8> {
    bits.chunks(8).map(|eight| eight.iter().sum()).collect()
}

/// Conversion II: each eight bits as a number, the last ones from the top.
fn numbers_of_eights(bits: &[u8]) -> Vec<u8> {
    let number = |eight: &[u8]| eight.iter().enumerate().map(|(place, bit)| bit << (7 - place)).sum();
    bits.chunks(8).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As one would count by hand.
    fn counted(truths: &[bool]) -> [u64; 3] {
        let runs: Vec<_> = truths.chunk_by(|a, b| a == b).collect();
        let longest = runs.iter().map(|run| run.len()).max().unwrap_or(0);
        [truths.len() as u64, runs.len() as u64, longest as u64]
    }

    #[test]
    fn runs_are_counted_across_words() {
        let mut state = 1_u64;
        for length in (0..300).chain([4096, 5000]) {
            for bias in [1, 2, 7, 63] {
                let truths: Vec<bool> = (0..length)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        state >> 58 < bias
                    })
                    .collect();
                let runs = Runs::of(truths.iter().copied());
                assert_eq!([runs.len, runs.count, runs.longest], counted(&truths), "{length} {bias}");
            }
        }
    }
}
