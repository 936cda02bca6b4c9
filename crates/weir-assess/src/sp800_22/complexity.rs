//! 2.10 Linear Complexity: how long a shift register makes each block?

use super::{Bits, Outcome, Skip, at_least};
use crate::probability::chi_square_above;

/// Of the seven classes (3.10): 1/96, 1/32, 1/8, 1/2, 1/4, 1/16, 1/48.
const ODDS: [f64; 7] = [1.0 / 96.0, 0.031_25, 0.125, 0.5, 0.25, 0.062_5, 1.0 / 48.0];

pub(super) fn linear_complexity(bits: Bits, m: usize) -> Outcome {
    at_least(bits, 1_000_000)?;
    let blocks = bits.len() / m;
    if blocks < 200 {
        return Err(Skip::TooShort { needed: 200 * m });
    }
    let sign = if m.is_multiple_of(2) { 1.0 } else { -1.0 };
    let size = m as f64;
    let mean = size / 2.0 + (9.0 - sign) / 36.0 - (size / 3.0 + 2.0 / 9.0) * 2f64.powi(-(m as i32));
    let mut counts = [0u32; 7];
    let mut register = Register::new(m);
    for block in 0..blocks {
        let complexity = register.complexity((block * m..(block + 1) * m).map(|at| bits.get(at)));
        let t = sign * (complexity as f64 - mean) + 2.0 / 9.0;
        counts[((t + 2.5).ceil() as usize).min(6)] += 1;
    }
    Ok(vec![chi_square_above(super::chi_square(&counts, &ODDS, blocks as f64), 6.0)])
}

/// Berlekamp and Massey's algorithm over GF(2), 64 coefficients at a time.
struct Register {
    /// The connection polynomial, lowest coefficient first.
    c: Vec<u64>,
    /// The one before the last change of length, times x for each step since.
    b: Vec<u64>,
    /// The bits so far, the latest first.
    past: Vec<u64>,
    /// A copy of `c`, for the swap.
    before: Vec<u64>,
}

impl Register {
    fn new(m: usize) -> Self {
        let zeros = vec![0; m / 64 + 1];
        Self { c: zeros.clone(), b: zeros.clone(), past: zeros.clone(), before: zeros }
    }

    fn complexity(&mut self, bits: impl Iterator<Item = u8>) -> usize {
        for words in [&mut self.c, &mut self.b, &mut self.past] {
            words.fill(0);
        }
        (self.c[0], self.b[0]) = (1, 1);
        let mut length = 0;
        for (at, bit) in bits.enumerate() {
            shift_in(&mut self.past, bit);
            shift_in(&mut self.b, 0);
            let sum = self.c.iter().zip(&self.past).fold(0, |sum, (c, past)| sum ^ (c & past));
            if sum.count_ones() % 2 == 0 {
                continue;
            }
            let grows = 2 * length <= at;
            if grows {
                self.before.copy_from_slice(&self.c);
            }
            for (c, b) in self.c.iter_mut().zip(&self.b) {
                *c ^= b;
            }
            if grows {
                length = at + 1 - length;
                std::mem::swap(&mut self.b, &mut self.before);
            }
        }
        length
    }
}

/// Multiplies by x, and sets the lowest coefficient.
fn shift_in(words: &mut [u64], bit: u8) {
    let mut carry = u64::from(bit);
    for word in words {
        (carry, *word) = (*word >> 63, *word << 1 | carry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complexity_of_the_standards_example_and_of_a_register() {
        // SP 800-22 2.10.8: 1101011110001 has complexity 4.
        let bits = [1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1];
        assert_eq!(Register::new(13).complexity(bits.into_iter()), 4);
        // x^100 + x^37 + 1
        let mut bits: Vec<u8> = (0..100).map(|at| u8::from(at == 99)).collect();
        for at in 100..1000 {
            bits.push(bits[at - 100] ^ bits[at - 37]);
        }
        assert_eq!(Register::new(1000).complexity(bits.into_iter()), 100);
        assert_eq!(Register::new(70).complexity((0..70).map(|_| 0)), 0);
    }
}
