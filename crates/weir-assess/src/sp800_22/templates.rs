//! Patterns of a given form: without overlaps (2.7), and with (2.8).

use super::{Bits, Outcome, Skip, at_least};
use crate::probability::chi_square_above;

/// Blocks of the test without overlaps (2.7.2).
const BLOCKS: usize = 8;

/// The templates of m bits that no shift of themselves overlaps, in ascending order: 148 for m = 9.
pub fn aperiodic(m: u32) -> Vec<u32> {
    let overlaps =
        |template: u32| (1..m).any(|shift| template >> shift == template & ((1 << (m - shift)) - 1));
    (0..1 << m).filter(|template| !overlaps(*template)).collect()
}

/// 2.7 Non-overlapping Template Matching, for the first `templates` of them.
///
/// No such template can overlap with itself, so skipping over a match skips no other: the counts are those of all
/// windows, and one histogram per block serves all templates.
pub(super) fn non_overlapping(bits: Bits, m: u32, templates: usize) -> Outcome {
    let length = bits.len() / BLOCKS;
    let (block, patterns) = (length as f64, 2f64.powi(m as i32));
    let mean = (block - f64::from(m) + 1.0) / patterns;
    if mean < 5.0 {
        return Err(Skip::TooShort { needed: BLOCKS * ((5 << m) + m as usize - 1) });
    }
    let variance = block * (1.0 / patterns - (2.0 * f64::from(m) - 1.0) / (patterns * patterns));
    let counts: Vec<Vec<u32>> = (0..BLOCKS)
        .map(|at| Bits::new(&bits.to_bytes(at * length, length)).first(length).patterns(m, false))
        .collect();
    let p_value = |template: u32| {
        let distances =
            counts.iter().map(|counts| (f64::from(counts[template as usize]) - mean).powi(2) / variance);
        chi_square_above(distances.sum(), BLOCKS as f64)
    };
    Ok(aperiodic(m).into_iter().take(templates).map(p_value).collect())
}

/// Bits of a block, and classes, of the test with overlaps (2.8.7).
const OVERLAPPING_BLOCK: usize = 1032;
const CLASSES: usize = 6;

/// 2.8 Overlapping Template Matching, of m ones.
///
/// `published` takes the class probabilities of 3.8's formula, as the published results do; they are limits for long blocks. Otherwise
/// they are computed exactly for this block length, in the manner of Hamano and Kaneko (2007).
pub(super) fn overlapping(bits: Bits, m: u32, published: bool) -> Outcome {
    at_least(bits, 1_000_000)?;
    let blocks = bits.len() / OVERLAPPING_BLOCK;
    let odds = if published { limiting_odds(m) } else { exact_odds(m) };
    let mut counts = [0u32; CLASSES];
    let (mut run, mut matches) = (0, 0);
    for (at, bit) in bits.iter().take(blocks * OVERLAPPING_BLOCK).enumerate() {
        run = if bit == 1 { run + 1 } else { 0 };
        matches += usize::from(run >= m);
        if (at + 1) % OVERLAPPING_BLOCK == 0 {
            counts[matches.min(CLASSES - 1)] += 1;
            (run, matches) = (0, 0);
        }
    }
    Ok(vec![chi_square_above(super::chi_square(&counts, &odds, blocks as f64), CLASSES as f64 - 1.0)])
}

/// 3.8: the matches of a block are a Poisson number of clumps, each of a geometric length.
fn limiting_odds(m: u32) -> [f64; CLASSES] {
    let eta = (OVERLAPPING_BLOCK as f64 - f64::from(m) + 1.0) / 2f64.powi(m as i32) / 2.0;
    // u matches in l clumps: C(u-1, l-1) ways, each of probability 2^-u, times Poisson's for l.
    let of = |u: i32| {
        let (mut poisson, mut ways, mut sum) = ((-eta).exp(), 1.0, 0.0);
        for l in 1..=u {
            poisson *= eta / f64::from(l);
            sum += poisson * ways;
            ways *= f64::from(u - l) / f64::from(l);
        }
        if u == 0 { poisson } else { sum / 2f64.powi(u) }
    };
    let mut odds = [0, 1, 2, 3, 4, 5].map(of);
    odds[CLASSES - 1] = 1.0 - odds[..CLASSES - 1].iter().sum::<f64>();
    odds
}

/// By the length of the run of ones at the end, up to m, and the matches so far, up to the last class.
fn exact_odds(m: u32) -> [f64; CLASSES] {
    let m = m as usize;
    let mut now = vec![[0.0; CLASSES]; m + 1];
    now[0][0] = 1.0;
    for _ in 0..OVERLAPPING_BLOCK {
        let mut next = vec![[0.0; CLASSES]; m + 1];
        for (run, row) in now.iter().enumerate() {
            let longer = (run + 1).min(m);
            for (matches, p) in row.iter().enumerate() {
                next[0][matches] += p / 2.0;
                next[longer][(matches + usize::from(longer == m)).min(CLASSES - 1)] += p / 2.0;
            }
        }
        now = next;
    }
    let mut odds = [0.0; CLASSES];
    for row in now {
        for (sum, p) in odds.iter_mut().zip(row) {
            *sum += p;
        }
    }
    odds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_148_templates_of_nine_bits_that_begin_with_a_single_one() {
        let templates = aperiodic(9);
        assert_eq!((templates.len(), templates[0], templates[147]), (148, 1, 0b111_111_110));
        // SP 800-22 2.7.7 counts them for each length.
        assert_eq!([2, 3, 4, 5, 6, 7, 8, 10].map(|m| aperiodic(m).len()), [2, 4, 6, 12, 20, 40, 74, 284]);
    }

    #[test]
    fn odds_of_overlapping_matches_are_those_of_the_standard() {
        // 2.8.4 (3) and 3.8 of rev. 1a, to the digits given.
        let standard = [0.364_091, 0.185_659, 0.139_381, 0.100_571, 0.070_432_3, 0.139_865];
        for (exact, expected) in exact_odds(9).iter().zip(standard) {
            assert!((exact - expected).abs() < 1e-6, "{exact} {expected}");
        }
        let limits = limiting_odds(9);
        assert!((limits[0] - 0.367_879).abs() < 1e-6 && (limits.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
