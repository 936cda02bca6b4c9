//! Markov (6.3.3): the likeliest sequence of 128 bits, if each bit depends on the one before it.

use super::estimate::{Estimate, NotEstimated, require_bits, require_length};
use super::samples::Sequence;

pub(super) const NAME: &str = "Markov Estimate";

/// Estimates from a first-order Markov chain over bits.
///
/// # Errors
/// [`NotEstimated`] if the sequence is not of bits, or of fewer than 2.
pub fn markov(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_bits(sequence)?;
    require_length(sequence, 2)?;
    let bits = sequence.symbols();
    let chain = Chain::of(bits);
    let likeliest = chain.likeliest_of_128();
    let figures = vec![
        ("P_0", chain.first[0].into()),
        ("P_1", chain.first[1].into()),
        ("P_{0,0}", chain.next[0][0].into()),
        ("P_{0,1}", chain.next[0][1].into()),
        ("P_{1,0}", chain.next[1][0].into()),
        ("P_{1,1}", chain.next[1][1].into()),
        ("p-hat_max", (-likeliest).exp2().into()),
    ];
    Ok(Estimate::new(NAME, sequence, figures, (likeliest / 128.0).min(1.0)))
}

struct Chain {
    first: [f64; 2],
    next: [[f64; 2]; 2],
}

impl Chain {
    fn of(bits: &[u8]) -> Self {
        let mut pairs = [0_u64; 4];
        for pair in bits.windows(2) {
            pairs[usize::from(pair[0] << 1 | pair[1])] += 1;
        }
        let next = [row(pairs[0], pairs[1]), row(pairs[2], pairs[3])];
        let ends_with_zero = u64::from(bits.last() == Some(&0));
        let zero = (pairs[0] + pairs[1] + ends_with_zero) as f64 / bits.len() as f64;
        Self { first: [zero, 1.0 - zero], next }
    }

    /// Bits of surprise in the likeliest of the six sequences of which one is the likeliest of all (table 1).
    fn likeliest_of_128(&self) -> f64 {
        let [[p00, p01], [p10, p11]] = self.next;
        let [p0, p1] = self.first;
        let candidates = [
            surprise(&[(p0, 1.0), (p00, 127.0)]),
            surprise(&[(p0, 1.0), (p01, 64.0), (p10, 63.0)]),
            surprise(&[(p0, 1.0), (p01, 1.0), (p11, 126.0)]),
            surprise(&[(p1, 1.0), (p10, 1.0), (p00, 126.0)]),
            surprise(&[(p1, 1.0), (p10, 64.0), (p01, 63.0)]),
            surprise(&[(p1, 1.0), (p11, 127.0)]),
        ];
        candidates.into_iter().fold(128.0, f64::min)
    }
}

fn row(to_zero: u64, to_one: u64) -> [f64; 2] {
    if to_zero + to_one == 0 {
        return [0.0; 2];
    }
    let zero = to_zero as f64 / (to_zero + to_one) as f64;
    [zero, 1.0 - zero]
}

/// Of a sequence made of steps of that probability, each taken that many times; infinite if one of them cannot be.
fn surprise(steps: &[(f64, f64)]) -> f64 {
    steps.iter().map(|(p, times)| -p.log2() * times).sum()
}
