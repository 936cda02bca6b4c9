//! 2.5 Binary Matrix Rank: do rows of 32 bits depend on each other, as those of shift registers do?

use super::{Bits, Outcome, at_least};
use crate::probability::chi_square_above;

const SIZE: usize = 32;

pub(super) fn rank_test(bits: Bits) -> Outcome {
    at_least(bits, 38 * SIZE * SIZE)?;
    let matrices = bits.len() / (SIZE * SIZE);
    let mut counts = [0u32; 3];
    for matrix in 0..matrices {
        let mut rows = [0u32; SIZE];
        for (row, bits_of) in rows.iter_mut().zip(0..) {
            *row = bits.window(matrix * SIZE * SIZE + bits_of * SIZE, 32);
        }
        counts[(SIZE - rank(rows)).min(2)] += 1;
    }
    let (full, less) = (rank_odds(SIZE), rank_odds(SIZE - 1));
    let chi_square = super::chi_square(&counts, &[full, less, 1.0 - full - less], matrices as f64);
    Ok(vec![chi_square_above(chi_square, 2.0)])
}

/// Gaussian elimination over GF(2).
fn rank(mut rows: [u32; SIZE]) -> usize {
    let mut rank = 0;
    for column in 0..SIZE {
        let Some(pivot) = (rank..SIZE).find(|row| rows[*row] >> column & 1 == 1) else { continue };
        rows.swap(rank, pivot);
        let pivot = rows[rank];
        for row in &mut rows[rank + 1..] {
            *row ^= pivot & (*row >> column & 1).wrapping_neg();
        }
        rank += 1;
    }
    rank
}

/// The probability that a square matrix of fair bits has this rank (3.5).
fn rank_odds(rank: usize) -> f64 {
    let (r, size) = (rank as i32, SIZE as i32);
    let factors = (0..r).map(|i| (1.0 - 2f64.powi(i - size)).powi(2) / (1.0 - 2f64.powi(i - r)));
    2f64.powi(r * (2 * size - r) - size * size) * factors.product::<f64>()
}
