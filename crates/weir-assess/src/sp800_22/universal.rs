//! 2.9 Maurer's "Universal Statistical" test: how far back did each block of bits come before?

use super::{Bits, Outcome, Skip};
use crate::probability::erfc;

/// From so many bits on (2.9.7), blocks of so many, with this mean and variance of the logarithm of the distance.
const LENGTHS: [(usize, u32, f64, f64); 11] = [
    (1_059_061_760, 16, 15.167_379, 3.421),
    (496_435_200, 15, 14.167_488, 3.419),
    (231_669_760, 14, 13.167_693, 3.416),
    (107_560_960, 13, 12.168_070, 3.410),
    (49_643_520, 12, 11.168_765, 3.401),
    (22_753_280, 11, 10.170_032, 3.384),
    (10_342_400, 10, 9.172_324_3, 3.356),
    (4_654_080, 9, 8.176_424_8, 3.311),
    (2_068_480, 8, 7.183_665_6, 3.238),
    (904_960, 7, 6.196_250_7, 3.125),
    (387_840, 6, 5.217_705_2, 2.954),
];

/// The block length L for so many bits.
pub(super) fn block_length(n: usize) -> Option<u32> {
    LENGTHS.iter().find(|(least, ..)| n >= *least).map(|(_, length, ..)| *length)
}

pub(super) fn universal(bits: Bits) -> Outcome {
    let Some(&(_, length, mean, variance)) = LENGTHS.iter().find(|(least, ..)| bits.len() >= *least) else {
        return Err(Skip::TooShort { needed: 387_840 });
    };
    let first = 10usize << length;
    let tested = bits.len() / length as usize - first;
    let mut last_seen = vec![0usize; 1 << length];
    let mut sum = 0.0;
    for block in 1..=first + tested {
        let seen = &mut last_seen[bits.window((block - 1) * length as usize, length) as usize];
        if block > first {
            sum += ((block - *seen) as f64).log2();
        }
        *seen = block;
    }
    let (tested, length) = (tested as f64, f64::from(length));
    let c = 0.7 - 0.8 / length + (4.0 + 32.0 / length) * tested.powf(-3.0 / length) / 15.0;
    let deviation = c * (variance / tested).sqrt();
    Ok(vec![erfc((sum / tested - mean).abs() / (std::f64::consts::SQRT_2 * deviation))])
}
