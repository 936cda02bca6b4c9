//! For each of many numbers its greatest common divisor with the product of all the others, in a time that grows little
//! faster than their number.
//!
//! Heninger, Durumeric, Wustrow, Halderman, "Mining your Ps and Qs" (USENIX Security 2012), section 3.3, after Bernstein,
//! "How to find smooth parts of integers" (2004). Two changes to their algorithm:
//!
//! - The tree of products carries beside each product P of numbers n the sum D of all P/n. D leaves at n the same
//!   remainder as P/n, so that remainders are taken by n and not by its square.
//! - Remainders are not divided out but scaled: of D/P the fraction is kept, and the fraction of a half is that of the whole
//!   times the product of the other half (Bernstein, "Scaled remainder trees", 2004, section 3). One reciprocal is all
//!   the division there is.
//!
//! Numbers are dealt into batches, one or more for each thread, none of more than [`MOST_BITS`]. A batch learns of the
//! others by their products alone: what it looks for is left by D times the product of theirs.
//!
//! Memory: for each thread its batch's tree and as much again to multiply in, and for all batches together their products,
//! which are as long as all numbers are. Numbers are public: nothing is erased, nothing takes a constant time.
//!
//! Invariants: every number is at least 2; results are exact, as the errors of fractions stay below what the spare bits
//! hold ([`SPARE_BITS`]).

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dashu_int::UBig;
use dashu_int::ops::{BitTest, Gcd};

/// The most bits in a batch. Its tree takes about 8 MiB for each of 17 levels, and multiplying at its root a few times that.
pub const MOST_BITS: usize = 1 << 26;

/// So many bits more than its divisor has a fraction. An error of a fraction, in units of its last bit, at most doubles
/// with a level of the tree and one is added for what is cut off; it starts below 8, so after 48 levels, of which no memory
/// holds the leaves, it is below 2^52 and a remainder is off by less than 2^-12 before it is rounded.
const SPARE_BITS: usize = 64;

/// How it is done: on how many threads, in batches of which size.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Threads.
    pub threads: usize,
    /// The most bits in a batch, but that a single number is never divided.
    pub most_bits: usize,
}

impl Default for Plan {
    /// All processors, batches of [`MOST_BITS`].
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { threads, most_bits: MOST_BITS }
    }
}

/// For each number the greatest common divisor with the product of the others. `progress` is told how many of how many
/// steps are done, from any thread.
///
/// Numbers must be at least 2: of the others 1 is said, as they have no divisor to share.
#[must_use]
pub fn batch_gcd(numbers: &[UBig], plan: Plan, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<UBig> {
    let one = UBig::ONE;
    let large: Vec<&UBig> = numbers.iter().filter(|number| **number > one).collect();
    let mut found = of_large(&large, plan, progress).into_iter();
    let each = numbers.iter().map(|number| if *number > one { found.next() } else { None });
    each.map(|divisor| divisor.unwrap_or(UBig::ONE)).collect()
}

fn of_large(numbers: &[&UBig], plan: Plan, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<UBig> {
    let batches = deal(numbers, plan);
    let steps = Steps::new(&batches, progress);
    // A thread that has one batch alone keeps its tree; with more of them memory would not hold all.
    let keeps = batches.len() <= plan.threads;
    let grown = on_threads(&batches, plan.threads, |batch| {
        let tree = Tree::grow(batch, &steps);
        (tree.product.clone(), keeps.then_some(tree))
    });
    let (products, trees): (Vec<UBig>, Vec<Option<Tree>>) = grown.into_iter().unzip();
    let places: Vec<usize> = (0..batches.len()).collect();
    let found = on_threads(&places, plan.threads, |&place| {
        let batch = batches.get(place).copied().unwrap_or_default();
        let regrown;
        let tree = match trees.get(place) {
            Some(Some(tree)) => tree,
            _ => {
                regrown = Tree::grow(batch, &Steps::silent());
                &regrown
            }
        };
        tree.divisors(batch, others(&products, place), &steps)
    });
    found.into_iter().flatten().collect()
}

fn others(products: &[UBig], place: usize) -> impl Iterator<Item = &UBig> {
    products.iter().enumerate().filter(move |(at, _)| *at != place).map(|(_, product)| product)
}

/// Batches of about the same length: at least as many as threads, as long as each has numbers enough to be worth it.
fn deal<'a, 'b>(numbers: &'a [&'b UBig], plan: Plan) -> Vec<&'a [&'b UBig]> {
    const FEWEST: usize = 64;
    let bits: usize = numbers.iter().map(|number| number.bit_len()).sum();
    let wanted = bits.div_ceil(plan.most_bits.max(1)).max(plan.threads.min(numbers.len() / FEWEST)).max(1);
    let share = bits.div_ceil(wanted).max(1);
    let mut batches = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (at, number) in numbers.iter().enumerate() {
        if at > start && length + number.bit_len() / 2 > share {
            batches.extend(numbers.get(start..at));
            (start, length) = (at, 0);
        }
        length += number.bit_len();
    }
    batches.extend(numbers.get(start..).filter(|rest| !rest.is_empty()));
    batches
}

/// Does `work` for every item on so many threads; results come in the order of items.
pub(super) fn on_threads<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    crate::ssh::each(items, threads, work, |_, _| ())
}

/// What is told of the progress: a step is a level of a tree, up or down, or the product of another batch.
struct Steps<'a> {
    done: AtomicUsize,
    all: usize,
    tell: &'a (dyn Fn(usize, usize) + Sync),
}

impl<'a> Steps<'a> {
    fn new(batches: &[&[&UBig]], tell: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        let levels = |batch: &&[&UBig]| batch.len().next_power_of_two().trailing_zeros() as usize;
        let all = batches.iter().map(|batch| 2 * levels(batch) + batches.len() - 1).sum();
        Self { done: AtomicUsize::new(0), all, tell }
    }

    fn silent() -> Steps<'static> {
        Steps { done: AtomicUsize::new(0), all: 0, tell: &|_, _| () }
    }

    fn one_more(&self) {
        (self.tell)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.all);
    }
}

/// Products of two, of four, and so on up to that of all; and the sum of the cofactors of all.
struct Tree {
    /// From pairs up to the root; the numbers themselves are the caller's.
    levels: Vec<Vec<UBig>>,
    /// The root.
    product: UBig,
    /// The sum over all numbers n of the root divided by n.
    cofactors: UBig,
}

impl Tree {
    fn grow(numbers: &[&UBig], steps: &Steps<'_>) -> Self {
        let mut levels: Vec<Vec<UBig>> = Vec::new();
        let mut sums = vec![UBig::ONE; numbers.len()];
        while sums.len() > 1 {
            let below: Vec<&UBig> = levels.last().map_or(numbers.to_vec(), |below| below.iter().collect());
            let pairs = below.chunks(2).zip(sums.chunks(2));
            let (level, level_sums) = pairs.map(|(pair, sums)| multiplied(pair, sums)).unzip();
            levels.push(level);
            sums = level_sums;
            steps.one_more();
        }
        let product = levels.last().and_then(|root| root.first()).or(numbers.first().copied());
        Self {
            product: product.cloned().unwrap_or(UBig::ONE),
            levels,
            cofactors: sums.pop().unwrap_or_default(),
        }
    }

    /// For each number its greatest common divisor with all others, those of other batches included.
    fn divisors<'o>(
        &self,
        numbers: &[&UBig],
        others: impl Iterator<Item = &'o UBig>,
        steps: &Steps<'_>,
    ) -> Vec<UBig> {
        let root = Divisor::new(self.product.clone());
        let mut rest = root.remainder(&self.cofactors);
        for other in others {
            rest = root.remainder(&(rest * root.remainder(other)));
            steps.one_more();
        }
        let mut fractions = vec![root.fraction(&rest)];
        drop(root);
        for (at, above) in self.levels.iter().enumerate().rev() {
            let below = at.checked_sub(1).and_then(|at| self.levels.get(at));
            let below: Vec<&UBig> = below.map_or(numbers.to_vec(), |below| below.iter().collect());
            fractions = halved(&fractions, above, &below);
            steps.one_more();
        }
        fractions.iter().zip(numbers).map(|(fraction, number)| divisor(fraction, number)).collect()
    }
}

/// The product of a pair and the sum of its cofactors; of one alone, both as they are.
fn multiplied(pair: &[&UBig], sums: &[UBig]) -> (UBig, UBig) {
    match (pair, sums) {
        (&[left, right], [left_sum, right_sum]) => (left * right, left_sum * right + right_sum * left),
        _ => (pair.first().copied().cloned().unwrap_or(UBig::ONE), sums.first().cloned().unwrap_or_default()),
    }
}

/// The fractions of a level, from those of the one above it.
fn halved(fractions: &[UBig], above: &[UBig], level: &[&UBig]) -> Vec<UBig> {
    let mut halves = Vec::with_capacity(level.len());
    for ((fraction, whole), pair) in fractions.iter().zip(above).zip(level.chunks(2)) {
        match pair {
            [left, right] => {
                halves.push(half(fraction, whole, left, right));
                halves.push(half(fraction, whole, right, left));
            }
            _ => halves.push(fraction.clone()),
        }
    }
    halves
}

/// The fraction x/part, given that of x/(part·other): the latter times `other`, without its whole part and without the bits
/// that are too many for the smaller divisor.
fn half(fraction: &UBig, whole: &UBig, part: &UBig, other: &UBig) -> UBig {
    let mut product = fraction * other;
    product.clear_high_bits(whole.bit_len() + SPARE_BITS);
    product >> (whole.bit_len() - part.bit_len())
}

/// gcd(n, x), given the fraction of x/n.
fn divisor(fraction: &UBig, number: &UBig) -> UBig {
    let scale = number.bit_len() + SPARE_BITS;
    let rest = (fraction * number + (UBig::ONE << (scale - 1))) >> scale;
    // What is a little below a whole was rounded up to it: the remainder is 0 then.
    if rest >= *number || rest.is_zero() { number.clone() } else { number.gcd(&rest) }
}

/// What is divided by many times, with its reciprocal.
struct Divisor {
    value: UBig,
    bits: usize,
    /// 2^(2·bits + SPARE_BITS) / value, off by less than 8.
    reciprocal: UBig,
    /// The same without the spare bits.
    short: UBig,
}

impl Divisor {
    fn new(value: UBig) -> Self {
        let bits = value.bit_len();
        let reciprocal = reciprocal(&(&value << SPARE_BITS));
        let short = &reciprocal >> SPARE_BITS;
        Self { value, bits, reciprocal, short }
    }

    /// The remainder of any number, taken in pieces as long as the divisor.
    fn remainder(&self, number: &UBig) -> UBig {
        if *number < self.value {
            return number.clone();
        }
        let pieces = number.to_chunks(self.bits);
        let add = |rest: UBig, piece: &UBig| self.remainder_of_two((rest << self.bits) + piece);
        pieces.iter().rev().fold(UBig::ZERO, add)
    }

    /// Of a number below 2^(2·bits): Barrett's reduction. The quotient is off by no more than the error of the reciprocal
    /// and 3, which the two loops put right.
    fn remainder_of_two(&self, number: UBig) -> UBig {
        if number < self.value {
            return number;
        }
        let quotient = ((&number >> (self.bits - 1)) * &self.short) >> (self.bits + 1);
        let multiple = quotient * &self.value;
        let mut number = number;
        while number < multiple {
            number += &self.value;
        }
        let mut rest = number - multiple;
        while rest >= self.value {
            rest -= &self.value;
        }
        rest
    }

    /// rest/value with `SPARE_BITS` more bits than the value has; off by less than 8 in the last.
    fn fraction(&self, rest: &UBig) -> UBig {
        let mut fraction = (rest * &self.reciprocal) >> self.bits;
        fraction.clear_high_bits(self.bits + SPARE_BITS);
        fraction
    }
}

/// 2^(2n) / d for d of n bits, off by less than 5: Newton's iteration (Brent and Zimmermann, "Modern Computer Arithmetic",
/// section 3.4.1).
///
/// With h bits known, h a little more than n/2, the square of their relative error is below 2^-(n+20); what is cut off on the
/// way comes to less than 4.
fn reciprocal(d: &UBig) -> UBig {
    const AT_ONCE: usize = 4096;
    const GUARD: usize = 16;
    let n = d.bit_len();
    if n <= AT_ONCE {
        return (UBig::ONE << (2 * n)) / d;
    }
    let h = n / 2 + GUARD;
    let known = reciprocal(&(d >> (n - h)));
    let (one, product) = (UBig::ONE << (n + h), d * &known);
    let is_below = product <= one;
    let off = if is_below { one - product } else { product - one };
    // Of the correction only the part counts that is above the last bit.
    let cut = h - 2 * GUARD;
    let correction = (&known * (off >> cut)) >> (2 * h - cut);
    let known = known << (n - h);
    if is_below { known + correction } else { known - correction }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64 (Steele, Lea, Flood 2014): the same numbers in every run.
    fn number(bits: usize, state: &mut u64) -> UBig {
        let mut next = || {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        };
        let bytes: Vec<u8> = (0..bits.div_ceil(64)).flat_map(|_| next().to_le_bytes()).collect();
        let mut number = UBig::from_le_bytes(&bytes);
        number.clear_high_bits(bits);
        number.set_bit(bits - 1);
        number.set_bit(0);
        number
    }

    fn one_by_one(numbers: &[UBig]) -> Vec<UBig> {
        let rest = |at: usize| {
            let number = &numbers[at];
            let others = numbers.iter().enumerate().filter(|(other, _)| *other != at);
            let product = others.fold(UBig::ONE, |product, (_, other)| product * other % number);
            if product.is_zero() { number.clone() } else { number.gcd(&product) }
        };
        (0..numbers.len()).map(rest).collect()
    }

    fn plan(threads: usize, most_bits: usize) -> Plan {
        Plan { threads, most_bits }
    }

    #[test]
    fn divisors_are_those_found_one_by_one() {
        let mut state = 1;
        for (count, bits) in
            [(1, 64), (2, 64), (3, 40), (7, 512), (64, 24), (200, 100), (129, 2048), (300, 33)]
        {
            let numbers: Vec<UBig> = (0..count).map(|at| number(bits + at % 5, &mut state)).collect();
            let expected = one_by_one(&numbers);
            for plan in [plan(1, MOST_BITS), plan(2, MOST_BITS), plan(3, 1000), plan(2, 1)] {
                assert_eq!(batch_gcd(&numbers, plan, &|_, _| ()), expected, "{count} of {bits}, {plan:?}");
            }
        }
    }

    #[test]
    fn numbers_may_be_equal_even_tiny_and_of_any_length() {
        let mut state = 2;
        let numbers: Vec<UBig> = [2u8, 2, 3, 4, 6, 35, 49, 1, 0].into_iter().map(UBig::from).collect();
        let found = batch_gcd(&numbers, Plan::default(), &|_, _| ());
        assert_eq!(found, [2u8, 2, 3, 4, 6, 7, 7, 1, 1].map(UBig::from));
        let (p, q) = (number(1024, &mut state), number(16_000, &mut state));
        let mut mixed: Vec<UBig> = (0..70).map(|at| number(8 + 300 * at, &mut state)).collect();
        mixed.extend([&p * &q, p.clone(), &q * UBig::from(3u8), UBig::ONE << 2047]);
        for plan in [plan(1, MOST_BITS), plan(2, 20_000)] {
            assert_eq!(batch_gcd(&mixed, plan, &|_, _| ()), one_by_one(&mixed));
        }
        assert!(batch_gcd(&[], Plan::default(), &|_, _| ()).is_empty());
    }

    #[test]
    fn reciprocals_are_off_by_less_than_five() {
        let mut state = 3;
        for bits in [2, 64, 4095, 4096, 4097, 5000, 8192, 10_001, 40_000, 300_000] {
            for d in [number(bits, &mut state), UBig::ONE << (bits - 1), UBig::ones(bits)] {
                let exact = (UBig::ONE << (2 * bits)) / &d;
                let found = reciprocal(&d);
                let off = if found > exact { found - exact } else { exact - found };
                assert!(off < UBig::from(5u8), "{bits} bits: off by {off}");
            }
        }
    }

    #[test]
    fn remainders_are_those_of_division() {
        let mut state = 4;
        for (bits, longer) in
            [(10, 9), (100, 350), (5000, 9999), (5000, 4999), (5000, 40_000), (70_000, 140_000)]
        {
            for value in [number(bits, &mut state), UBig::ONE << (bits - 1), UBig::ones(bits)] {
                let divisor = Divisor::new(value.clone());
                for number in [number(longer, &mut state), UBig::ones(longer), UBig::ZERO, value.clone()] {
                    assert_eq!(divisor.remainder(&number), &number % &value);
                }
            }
        }
    }

    #[test]
    fn progress_ends_with_all_steps_done() {
        let mut state = 5;
        let numbers: Vec<UBig> = (0..500).map(|_| number(64, &mut state)).collect();
        for plan in [plan(1, MOST_BITS), plan(2, 3000)] {
            let last = std::sync::Mutex::new((0, 0));
            let _ = batch_gcd(&numbers, plan, &|done, all| {
                let mut last = last.lock().unwrap();
                *last = (*last).max((done, all));
            });
            let (done, all) = *last.lock().unwrap();
            assert!(done == all && all > 0, "{done} of {all}");
        }
    }

    /// The size that a fleet has: ten thousand of 2048 bits, a pair planted among them. How long it takes is for
    /// `cargo xtask bench seed` to say: a test that is run beside others cannot.
    #[test]
    #[cfg_attr(debug_assertions, ignore = "half a minute of two cores; run with --release")]
    fn a_pair_among_ten_thousand_is_found() {
        let mut state = 6;
        let mut numbers: Vec<UBig> = (0..10_000).map(|_| number(2048, &mut state)).collect();
        let shared = number(1024, &mut state);
        for at in [1234, 8765] {
            numbers[at] = &shared * number(1024, &mut state);
        }
        let found = batch_gcd(&numbers, Plan::default(), &|_, _| ());
        let large: Vec<usize> = (0..found.len()).filter(|at| found[*at].bit_len() > 256).collect();
        assert_eq!(large, [1234, 8765]);
    }
}
