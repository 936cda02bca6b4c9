//! 2.6 Discrete Fourier Transform (Spectral): are there periods?

use realfft::RealFftPlanner;

use super::{Bits, Outcome, at_least};
use crate::probability::erfc;

pub(super) fn spectral(bits: Bits) -> Outcome {
    at_least(bits, 1000)?;
    let n = bits.len();
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(n);
    let mut steps: Vec<f64> = bits.iter().map(|bit| 2.0 * f64::from(bit) - 1.0).collect();
    let mut peaks = transform.make_output_vec();
    if transform.process(&mut steps, &mut peaks).is_err() {
        // Lengths fit, since the plan made them.
        return Ok(Vec::new());
    }
    let n = n as f64;
    let threshold = n * (1.0f64 / 0.05).ln();
    // The first half: the frequency 0 is in it, that of alternation is not.
    let below = peaks.iter().take(bits.len() / 2).filter(|peak| peak.norm_sqr() < threshold).count();
    let expected = 0.95 * n / 2.0;
    let distance = (below as f64 - expected) / (n * 0.95 * 0.05 / 4.0).sqrt();
    Ok(vec![erfc(distance.abs() / std::f64::consts::SQRT_2)])
}
