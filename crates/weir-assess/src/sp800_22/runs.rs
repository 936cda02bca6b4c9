//! Runs: how many (2.3), and the longest ones (2.4).

use super::{Bits, Outcome, at_least};
use crate::probability::{chi_square_above, erfc};

/// 2.3 Runs. Where the share of ones alone is too far from a half, the standard sets the p-value to 0.
pub(super) fn runs(bits: Bits) -> Outcome {
    at_least(bits, 100)?;
    let n = bits.len() as f64;
    let share = bits.ones(0, bits.len()) as f64 / n;
    if (share - 0.5).abs() >= 2.0 / n.sqrt() {
        return Ok(vec![0.0]);
    }
    let changes: u64 = bits.iter().zip(bits.iter().skip(1)).map(|(a, b)| u64::from(a ^ b)).sum();
    let runs = changes as f64 + 1.0;
    let spread = share * (1.0 - share);
    Ok(vec![erfc((runs - 2.0 * n * spread).abs() / (2.0 * (2.0 * n).sqrt() * spread))])
}

/// Block length, the run length of the first class, and the classes' probabilities (2.4.4 and 3.4).
///
/// Of blocks of 10,000 bits, those of the corrected results: section 3.4 prints 0.0882, 0.2092, ..., which differ from the
/// exact ones in the third digit.
struct Classes {
    block: usize,
    first: usize,
    odds: &'static [f64],
}

const CLASSES: [(usize, Classes); 3] = [
    (
        750_000,
        Classes {
            block: 10_000,
            first: 10,
            odds: &[
                0.086_632_311_08,
                0.208_200_648_39,
                0.248_418_581_94,
                0.193_912_786_74,
                0.121_458_485_09,
                0.068_011_089_30,
                0.073_366_097_46,
            ],
        },
    ),
    (
        6272,
        Classes {
            block: 128,
            first: 4,
            odds: &[
                0.117_403_578_8,
                0.242_955_959,
                0.249_363_483,
                0.175_177_06,
                0.102_701_071,
                0.112_398_847,
            ],
        },
    ),
    (128, Classes { block: 8, first: 1, odds: &[0.214_843_75, 0.367_187_5, 0.230_468_75, 0.187_5] }),
];

/// The block length that the standard prescribes for so many bits.
pub(super) fn longest_run_block(n: usize) -> usize {
    CLASSES.iter().find(|(least, _)| n >= *least).map_or(8, |(_, classes)| classes.block)
}

/// 2.4 Longest Run of Ones in a Block.
pub(super) fn longest_run(bits: Bits) -> Outcome {
    at_least(bits, 128)?;
    let classes = CLASSES.iter().find(|(least, _)| bits.len() >= *least);
    let Some((_, Classes { block, first, odds })) = classes else { return Ok(Vec::new()) };
    let mut counts = vec![0u32; odds.len()];
    let blocks = bits.len() / block;
    let (mut run, mut longest) = (0usize, 0usize);
    for (at, bit) in bits.iter().take(blocks * block).enumerate() {
        run = if bit == 1 { run + 1 } else { 0 };
        longest = longest.max(run);
        if (at + 1) % block == 0 {
            counts[longest.clamp(*first, first + odds.len() - 1) - first] += 1;
            (run, longest) = (0, 0);
        }
    }
    let chi_square = super::chi_square(&counts, odds, blocks as f64);
    Ok(vec![chi_square_above(chi_square, odds.len() as f64 - 1.0)])
}
