//! Frequencies of all patterns of some bits: Serial (2.11), Approximate Entropy (2.12).

use super::{Bits, Outcome, at_least};
use crate::probability::igamc;

/// 2.11 Serial: the first and second differences.
pub(super) fn serial(bits: Bits, m: u32) -> Outcome {
    at_least(bits, 1 << (m + 3))?;
    let mut counts = bits.patterns(m, true);
    let n = bits.len() as f64;
    let mut psi = [0.0; 3];
    for (psi, length) in psi.iter_mut().zip((0..=m).rev()) {
        let squares: f64 = counts.iter().map(|count| f64::from(*count).powi(2)).sum();
        // Of the empty pattern, by definition.
        *psi = if length == 0 { 0.0 } else { 2f64.powi(length as i32) / n * squares - n };
        counts = halved(&counts);
    }
    let first = igamc(2f64.powi(m as i32 - 2), (psi[0] - psi[1]) / 2.0);
    let second = igamc(2f64.powi(m as i32 - 3), (psi[0] - 2.0 * psi[1] + psi[2]) / 2.0);
    Ok(vec![first, second])
}

/// 2.12 Approximate Entropy.
pub(super) fn approximate_entropy(bits: Bits, m: u32) -> Outcome {
    at_least(bits, 1 << (m + 6))?;
    let longer = bits.patterns(m + 1, true);
    let shorter = halved(&longer);
    let n = bits.len() as f64;
    let phi = |counts: &[u32]| -> f64 {
        let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / n);
        shares.map(|share| share * share.ln()).sum()
    };
    let entropy = phi(&shorter) - phi(&longer);
    let chi_square = 2.0 * n * (std::f64::consts::LN_2 - entropy);
    Ok(vec![igamc(2f64.powi(m as i32 - 1), chi_square / 2.0)])
}

/// Counts of patterns one bit shorter.
fn halved(counts: &[u32]) -> Vec<u32> {
    counts.as_chunks::<2>().0.iter().map(|[a, b]| a + b).collect()
}
