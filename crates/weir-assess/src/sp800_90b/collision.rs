//! Collision (6.3.2): how soon a bit repeats among the two or three that follow each other.

use super::estimate::{Estimate, NotEstimated, Z_ALPHA, require_bits, require_length};
use super::samples::Sequence;

pub(super) const NAME: &str = "Collision Estimate";

/// Estimates from the mean time until a bit is seen for the second time, which is 2 or 3 bits.
///
/// # Errors
/// [`NotEstimated`] if the sequence is not of bits, or has not even two collisions.
pub fn collision(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_bits(sequence)?;
    require_length(sequence, 6)?;
    let Collisions { twos, threes } = find(sequence.symbols());
    let collisions = twos + threes;
    let sum = 2 * twos + 3 * threes;
    let v = collisions as f64;
    let mean = sum as f64 / v;
    let squares = (4 * twos + 9 * threes) as f64;
    let deviation = ((squares - sum as f64 * mean).max(0.0) / (v - 1.0)).sqrt();
    // No mean is below 2; a bound that is tells nothing more than 2.
    let mean_bound = (mean - Z_ALPHA * deviation / v.sqrt()).max(2.0);
    let (p, min_entropy) = solve(mean_bound);
    let figures = vec![
        ("v", collisions.into()),
        ("Sum t_i", sum.into()),
        ("X-bar", mean.into()),
        ("sigma-hat", deviation.into()),
        ("X-bar'", mean_bound.into()),
        ("p", p.into()),
    ];
    Ok(Estimate::new(NAME, sequence, figures, min_entropy))
}

struct Collisions {
    twos: u64,
    threes: u64,
}

fn find(bits: &[u8]) -> Collisions {
    let mut found = Collisions { twos: 0, threes: 0 };
    let mut rest = bits;
    loop {
        rest = match rest {
            [first, second, after @ ..] if first == second => {
                found.twos += 1;
                after
            }
            // Of three bits two are equal.
            [_, _, _, after @ ..] => {
                found.threes += 1;
                after
            }
            _ => return found,
        }
    }
}

/// For bits, the equation of step 7 is mean = 2 + 2p - 2p², whose root above 1/2 is the probability; a mean above 2.5
/// has none, and step 8 then says p = 1/2.
fn solve(mean: f64) -> (f64, f64) {
    if mean < 2.5 {
        let p = 0.5 + (1.25 - 0.5 * mean).sqrt();
        (p, -p.log2())
    } else {
        (0.5, 1.0)
    }
}
