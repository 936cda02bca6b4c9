//! What can be wrong with RSA moduli: a prime that another has as well, and signs that one was not made as it should be.
//!
//! Common factors are found among all moduli at once ([`batch_gcd`](super::batch_gcd)), then told apart pair by pair, because a
//! modulus of which both primes are known elsewhere is its own greatest common divisor (Heninger et al. 2012, section
//! 3.3). Primes below 2^16 are no common factors but the sign of something that is no RSA modulus, such as one with a bit
//! turned over on its way; they are left out of the comparison.
//!
//! Contract: moduli are distinct; whoever has equal ones has a shared key, which is not for this module.
//!
//! Absent on purpose: factors themselves, which are private keys; lists of known weak keys, which are long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use dashu_int::UBig;
use dashu_int::ops::{BitTest, Gcd, SquareRoot};

use super::batch_gcd::{Plan, batch_gcd, on_threads};

/// Moduli with a factor in common, as places in the list of moduli.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// Who has it.
    pub moduli: Vec<usize>,
    /// The length of the factor.
    pub factor_bits: usize,
}

/// What came of the search for common factors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commons {
    /// One for each factor.
    pub groups: Vec<Common>,
    /// Moduli with a common factor for which there were too many to say with whom they have it.
    pub unresolved: Vec<usize>,
}

/// With more moduli that have common factors than this, they are not compared pair by pair.
const MOST_PAIRED: usize = 4000;

/// Looks for common factors among distinct moduli. `progress` is told how many of how many steps are done.
#[must_use]
pub fn common_factors(moduli: &[UBig], plan: Plan, progress: &(dyn Fn(usize, usize) + Sync)) -> Commons {
    let clean: Vec<UBig> = on_threads(moduli, plan.threads, without_small);
    let found = batch_gcd(&clean, plan, progress);
    let sharing: Vec<usize> =
        (0..clean.len()).filter(|at| found.get(*at).is_some_and(|d| *d > UBig::ONE)).collect();
    if sharing.len() > MOST_PAIRED {
        return by_divisor(&found, &sharing);
    }
    let rows: Vec<usize> = (0..sharing.len()).collect();
    let pairs = on_threads(&rows, plan.threads, |&row| pairs_of(&clean, &sharing, row));
    let mut groups: BTreeMap<UBig, BTreeSet<usize>> = BTreeMap::new();
    for (factor, one, other) in pairs.into_iter().flatten() {
        groups.entry(factor).or_default().extend([one, other]);
    }
    Commons { groups: groups.into_iter().map(group).collect(), unresolved: Vec::new() }
}

fn group((factor, moduli): (UBig, BTreeSet<usize>)) -> Common {
    Common { moduli: moduli.into_iter().collect(), factor_bits: factor.bit_len() }
}

fn pairs_of(moduli: &[UBig], sharing: &[usize], row: usize) -> Vec<(UBig, usize, usize)> {
    let Some((&one, rest)) = sharing.get(row..).and_then(<[usize]>::split_first) else { return Vec::new() };
    let Some(modulus) = moduli.get(one) else { return Vec::new() };
    let with = |&other: &usize| Some((modulus.gcd(moduli.get(other)?), one, other));
    rest.iter().filter_map(with).filter(|(factor, ..)| *factor > UBig::ONE).collect()
}

/// Groups those that have the same divisor; alone are those whose primes are all known elsewhere, each with another.
fn by_divisor(found: &[UBig], sharing: &[usize]) -> Commons {
    let mut groups: BTreeMap<UBig, BTreeSet<usize>> = BTreeMap::new();
    for &at in sharing {
        groups.entry(found.get(at).cloned().unwrap_or(UBig::ONE)).or_default().insert(at);
    }
    let (alone, together): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(_, moduli)| moduli.len() == 1);
    let unresolved = alone.into_iter().flat_map(|(_, moduli)| moduli).collect();
    Commons { groups: together.into_iter().map(group).collect(), unresolved }
}

/// Primes below this are looked for by division.
const SMALL: usize = 1 << 16;

/// All primes below [`SMALL`] (the sieve of Eratosthenes).
static PRIMES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut composite = vec![false; SMALL];
    let mut primes = Vec::new();
    for n in 2..SMALL {
        if composite.get(n) == Some(&false) {
            primes.push(n as u64);
            composite.iter_mut().skip(n * n).step_by(n).for_each(|multiple| *multiple = true);
        }
    }
    primes
});

/// Their product.
static PRIMORIAL: LazyLock<UBig> = LazyLock::new(|| {
    let mut level: Vec<UBig> = PRIMES.iter().map(|prime| UBig::from(*prime)).collect();
    while level.len() > 1 {
        let pairs = level.chunks(2);
        level = pairs.map(|pair| pair.iter().fold(UBig::ONE, |product, factor| product * factor)).collect();
    }
    level.pop().unwrap_or(UBig::ONE)
});

/// The modulus without its prime factors below [`SMALL`].
fn without_small(modulus: &UBig) -> UBig {
    let mut rest = modulus.clone();
    while rest > UBig::ONE {
        let small = (&*PRIMORIAL % &rest).gcd(&rest);
        if small == UBig::ONE {
            break;
        }
        rest /= small;
    }
    rest
}

/// Why a modulus, or the key it is part of, is no good by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Weakness {
    /// So few bits that it can be factored.
    Tiny(usize),
    /// So few bits that no standard allows it any more.
    Short(usize),
    /// Divisible by a small prime, this one first of all.
    SmallFactor(u64),
    /// Its primes are next to each other (Fermat; CVE-2022-26320).
    ClosePrimes,
    /// Its primes have the form that one library gave them (CVE-2017-15361).
    Roca,
    /// The public exponent is 1 or even.
    Exponent,
}

/// Steps of Fermat's method. Primes that were drawn apart need more than 2^400 of them for a modulus of 2048 bits.
const FERMAT_STEPS: usize = 100;
/// Fewer bits have been factored in public; 768 in 2009, 829 in 2020.
const TINY_BITS: usize = 1024;
/// NIST SP 800-131A: the least for signatures.
const SHORT_BITS: usize = 2048;
/// Longer ones than any key: not worth the time of a close look.
const MOST_BITS: usize = 1 << 15;

/// What can be seen of one key in a few microseconds.
#[must_use]
pub fn weaknesses(modulus: &UBig, exponent: &UBig) -> Vec<Weakness> {
    let mut found = Vec::new();
    match modulus.bit_len() {
        bits if bits < TINY_BITS => found.push(Weakness::Tiny(bits)),
        bits if bits < SHORT_BITS => found.push(Weakness::Short(bits)),
        _ => (),
    }
    if *exponent <= UBig::ONE || !exponent.bit(0) {
        found.push(Weakness::Exponent);
    }
    match small_factor(modulus) {
        Some(prime) => found.push(Weakness::SmallFactor(prime)),
        None if modulus.bit_len() > MOST_BITS => (),
        None if has_close_primes(modulus) => found.push(Weakness::ClosePrimes),
        None if is_roca(modulus) => found.push(Weakness::Roca),
        None => (),
    }
    found
}

fn small_factor(modulus: &UBig) -> Option<u64> {
    if modulus.is_zero() || (&*PRIMORIAL % modulus).gcd(modulus) == UBig::ONE {
        return None;
    }
    PRIMES.iter().copied().find(|prime| modulus % *prime == 0)
}

/// Fermat: with p and q close, their mean a is just above the root of n, and a² - n is a square.
fn has_close_primes(modulus: &UBig) -> bool {
    let root = modulus.sqrt();
    let mut mean = if &root * &root == *modulus { root } else { root + UBig::ONE };
    let mut rest = &mean * &mean - modulus;
    for _ in 0..FERMAT_STEPS {
        if is_square(&rest) {
            return true;
        }
        rest += (&mean << 1) + UBig::ONE;
        mean += UBig::ONE;
    }
    false
}

fn is_square(number: &UBig) -> bool {
    /// Bit r is set if r is a square modulo 64: of all numbers 12 in 64 go on to be looked at closely.
    const SQUARES_MOD_64: u64 = 0x0202_0212_0203_0213;
    let rest = number % 64u64;
    if SQUARES_MOD_64 >> rest & 1 == 0 {
        return false;
    }
    let root = number.sqrt();
    &root * &root == *number
}

/// Primes of the form k·M + 65537^a mod M, M a product of the first primes, leave a modulus that is a power of 65537 modulo
/// each of them (Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, sections 2 and 3). The primes to 167 divide M
/// for keys of 512 bits and more; another modulus passes for all of them with odds of about 2^-28.
fn is_roca(modulus: &UBig) -> bool {
    let odd = PRIMES.iter().copied().skip(1).take_while(|prime| *prime <= 167);
    odd.into_iter().all(|prime| is_power_of_65537(modulus % prime, prime))
}

fn is_power_of_65537(rest: u64, prime: u64) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == rest {
            return true;
        }
        power = power * 65537 % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2^k - c: the largest primes below powers of two, as `openssl prime` says too.
    fn prime(k: usize, c: u32) -> UBig {
        (UBig::ONE << k) - c
    }

    fn p() -> [UBig; 5] {
        [(400, 593), (400, 663), (390, 137), (300, 153), (256, 189)].map(|(k, c)| prime(k, c))
    }

    #[test]
    fn who_shares_a_prime_is_told_apart_from_who_does_not() {
        let [a, b, c, d, e] = p();
        // The second has both of its primes in others; the last nothing but small ones.
        let moduli = [&a * &b, &b * &c, &c * &d, &e * &prime(300, 185), UBig::from(105u8), UBig::from(21u8)];
        let found = common_factors(&moduli, Plan::default(), &|_, _| ());
        assert!(found.unresolved.is_empty());
        let expected = [
            Common { moduli: vec![1, 2], factor_bits: c.bit_len() },
            Common { moduli: vec![0, 1], factor_bits: b.bit_len() },
        ];
        assert_eq!(found.groups, expected);
    }

    #[test]
    fn three_with_one_prime_are_one_group() {
        let [a, b, c, d, e] = p();
        let moduli = [&a * &b, &d * &e, &a * &c, &a * &e];
        let found = common_factors(&moduli, Plan { threads: 1, most_bits: 1000 }, &|_, _| ());
        let groups: Vec<_> = found.groups.iter().map(|group| group.moduli.clone()).collect();
        assert_eq!(groups, [vec![1, 3], vec![0, 2, 3]]);
    }

    #[test]
    fn too_many_to_pair_are_grouped_by_what_they_have_in_common() {
        let found = [6u8, 1, 6, 35, 6].map(UBig::from);
        let commons = by_divisor(&found, &[0, 2, 3, 4]);
        assert_eq!(commons.unresolved, [3]);
        assert_eq!(commons.groups, [Common { moduli: vec![0, 2, 4], factor_bits: 3 }]);
    }

    #[test]
    fn weak_moduli_are_known_by_their_signs() {
        let e = UBig::from(65537u32);
        let [a, b, ..] = p();
        assert_eq!(weaknesses(&(&a * &b), &e), [Weakness::Tiny(800), Weakness::ClosePrimes]);
        assert_eq!(weaknesses(&(&a * &a), &e), [Weakness::Tiny(800), Weakness::ClosePrimes]);
        let even = UBig::ONE << 2047;
        assert_eq!(weaknesses(&even, &UBig::ONE), [Weakness::Exponent, Weakness::SmallFactor(2)]);
        let small = UBig::from(65521u32) * ((UBig::ONE << 2100) + UBig::ONE);
        assert_eq!(weaknesses(&small, &e), [Weakness::SmallFactor(17)]);
        // Five primes far apart: nothing to find but the length.
        let sound = p().iter().fold(UBig::ONE, |product, prime| product * prime);
        assert_eq!(weaknesses(&sound, &e), [Weakness::Short(1746)]);
        assert_eq!(weaknesses(&UBig::ZERO, &e), [Weakness::Tiny(0), Weakness::ClosePrimes]);
    }

    #[test]
    fn moduli_of_the_form_of_roca_are_known() {
        // Any two numbers of that form will do: k·M + 65537^a mod M.
        let m = PRIMES.iter().take(126).fold(UBig::ONE, |product, prime| product * *prime);
        let of_form = |k: usize, a: usize| ((UBig::ONE << k) + 1u8) * &m + UBig::from(65537u32).pow(a) % &m;
        let modulus = of_form(53, 1234) * of_form(50, 777);
        assert!(is_roca(&modulus));
        assert!(!is_roca(&(modulus + 2u8)));
    }
}
