//! How many ones: in all (2.1), in blocks (2.2), and on the way (2.13).

use super::{Bits, Outcome, Skip, at_least};
use crate::probability::{chi_square_above, erfc, normal_below};

/// 2.1 Frequency (Monobit).
pub(super) fn monobit(bits: Bits) -> Outcome {
    at_least(bits, 100)?;
    let n = bits.len() as f64;
    let sum = 2.0 * bits.ones(0, bits.len()) as f64 - n;
    Ok(vec![erfc(sum.abs() / n.sqrt() / std::f64::consts::SQRT_2)])
}

/// 2.2 Frequency within a Block.
pub(super) fn block(bits: Bits, m: usize) -> Outcome {
    at_least(bits, 100)?;
    let blocks = bits.len() / m;
    if blocks == 0 {
        return Err(Skip::Other("the input is shorter than one block"));
    }
    let distances = (0..blocks).map(|at| (bits.ones(at * m, (at + 1) * m) as f64 / m as f64 - 0.5).powi(2));
    let chi_square = 4.0 * m as f64 * distances.sum::<f64>();
    Ok(vec![chi_square_above(chi_square, blocks as f64)])
}

/// 2.13 Cumulative Sums: forward, backward.
pub(super) fn cumulative_sums(bits: Bits) -> Outcome {
    at_least(bits, 100)?;
    let (mut sum, mut least, mut most) = (0i64, 0, 0);
    for bit in bits.iter() {
        sum += 2 * i64::from(bit) - 1;
        (least, most) = (sum.min(least), sum.max(most));
    }
    let n = bits.len() as f64;
    // Backward sums are the total less the forward ones.
    let forward = most.max(-least);
    let backward = (sum - least).max(most - sum);
    Ok([forward, backward].map(|z| excursion_p(z as f64, n)).to_vec())
}

/// 5.5.4: the probability that a walk of n steps goes as far as z.
fn excursion_p(z: f64, n: f64) -> f64 {
    let root = n.sqrt();
    let range = |from: f64, to: f64| from.trunc() as i64..=to.trunc() as i64;
    let difference = |a: f64, b: f64| normal_below(a * z / root) - normal_below(b * z / root);
    let first = range((-n / z + 1.0) / 4.0, (n / z - 1.0) / 4.0).map(|k| k as f64);
    let second = range((-n / z - 3.0) / 4.0, (n / z - 1.0) / 4.0).map(|k| k as f64);
    let first: f64 = first.map(|k| difference(4.0 * k + 1.0, 4.0 * k - 1.0)).sum();
    let second: f64 = second.map(|k| difference(4.0 * k + 3.0, 4.0 * k + 1.0)).sum();
    (1.0 - first + second).clamp(0.0, 1.0)
}
