//! Conditioning: SHA-512 over all samples of a block, and what may be credited for its output.
//!
//! SHA-512 is a vetted conditioning function (SP 800-90B 3.1.5.1.1: any hash function of FIPS 180, unkeyed). It is
//! chosen over SHA-256 for its length: 64 bytes of output can carry all of the 256 bits that make a kernel ready, where
//! 32 bytes can, by the standard's formula, never quite.
//!
//! [`Mixer`] takes bytes and nothing else: mixing gives no credit. [`Mixed::credit`] takes [`Assessed`] bits, which
//! only a health test makes.

use std::fmt;

use sha2::{Digest, Sha512};
use zeroize::Zeroize;

use crate::health::Assessed;

/// Bytes of a conditioned block.
pub const OUTPUT_BYTES: usize = 64;

const OUTPUT_BITS: f64 = 8.0 * OUTPUT_BYTES as f64;

/// The narrowest internal width of SHA-512, in bits: its chaining value.
const NARROWEST_BITS: f64 = 512.0;

/// Takes in the samples of a block, of whatever sources in whatever order.
#[derive(Default)]
pub struct Mixer {
    hash: Sha512,
    input_bytes: u64,
}

impl Mixer {
    /// Mixes bytes in.
    pub fn mix(&mut self, samples: &[u8]) {
        self.hash.update(samples);
        self.input_bytes += samples.len() as u64;
    }

    /// The conditioned block.
    #[must_use]
    pub fn finish(self) -> Mixed {
        let mut output: [u8; OUTPUT_BYTES] = self.hash.finalize().into();
        let mixed = Mixed { bytes: output, input_bytes: self.input_bytes };
        output.zeroize();
        mixed
    }
}

impl fmt::Debug for Mixer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mixer({} bytes in)", self.input_bytes)
    }
}

/// Conditioned bytes that count for nothing yet. Erased when dropped.
pub struct Mixed {
    bytes: [u8; OUTPUT_BYTES],
    input_bytes: u64,
}

impl Mixed {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; OUTPUT_BYTES] {
        &self.bytes
    }

    /// The credit that the block may be given, in whole bits, if this much min-entropy was assessed in its input.
    #[must_use]
    pub fn credit(&self, input: Assessed) -> u32 {
        let input_bits = 8.0 * self.input_bytes as f64;
        // The formula's value is below the input's entropy always; that rounding of the arithmetic could make it
        // equal is not to earn a bit.
        let bits =
            output_entropy(input_bits, OUTPUT_BITS, NARROWEST_BITS, input.bits().min(input_bits)) - 1e-6;
        bits.max(0.0) as u32
    }
}

impl fmt::Debug for Mixed {
    /// The bytes stay unsaid: they may become the kernel's seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mixed({} bytes in, {OUTPUT_BYTES} out)", self.input_bytes)
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// Output_Entropy(n_in, n_out, nw, h_in) of SP 800-90B 3.1.5.1.2: the entropy, in bits, in the output of a vetted
/// conditioning function.
///
/// `input_bits` and `output_bits` are lengths, `narrowest_bits` the function's narrowest internal width,
/// `input_entropy_bits` the min-entropy of the whole input. Computed in logarithms, since 2^n_in fits no number type.
#[must_use]
pub fn output_entropy(
    input_bits: f64,
    output_bits: f64,
    narrowest_bits: f64,
    input_entropy_bits: f64,
) -> f64 {
    if input_entropy_bits <= 0.0 {
        return 0.0;
    }
    let narrow = output_bits.min(narrowest_bits);
    let p_high = (-input_entropy_bits).exp2();
    // log2 of P_low = (1 - P_high) / (2^n_in - 1)
    let log_p_low = log2_1p(-p_high) - input_bits - log2_1p(-(-input_bits).exp2());
    let psi = (input_bits - narrow + log_p_low).exp2() + p_high;
    // log2 of U = 2^(n_in - n) + sqrt(2 n 2^(n_in - n) ln 2)
    let spread = input_bits - narrow;
    let log_u = spread + log2_1p((2.0 * narrow * std::f64::consts::LN_2).sqrt() * (-spread / 2.0).exp2());
    let omega = (log_u + log_p_low).exp2();
    -psi.max(omega).log2()
}

fn log2_1p(x: f64) -> f64 {
    x.ln_1p() / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_gives_what_exact_arithmetic_gives() {
        // (n_in, n_out, nw, h_in) → Output_Entropy, by 700 decimal digits (Python's `decimal`).
        let known = [
            (1024.0, 512.0, 512.0, 256.0, 256.0),
            (1024.0, 512.0, 512.0, 511.0, 510.415_037_499_278_86),
            (1024.0, 512.0, 512.0, 512.0, 511.0),
            (8192.0, 512.0, 512.0, 1024.0, 512.0),
            (512.0, 512.0, 512.0, 300.5, 300.5),
            (256.0, 512.0, 512.0, 100.0, 100.0),
            (8.0, 512.0, 512.0, 8.0, 8.0),
            (16384.0, 512.0, 512.0, 0.5, 0.5),
            (1024.0, 256.0, 256.0, 256.0, 255.0),
            (600.0, 512.0, 512.0, 590.0, 512.0),
        ];
        for (n_in, n_out, nw, h_in, bits) in known {
            let got = output_entropy(n_in, n_out, nw, h_in);
            assert!((got - bits).abs() < 1e-9, "{n_in} {n_out} {nw} {h_in}: {got}, not {bits}");
        }
        assert_eq!(output_entropy(1024.0, 512.0, 512.0, 0.0), 0.0);
        // A long input must not cost precision.
        assert!((output_entropy(8e9, 512.0, 512.0, 300.0) - 300.0).abs() < 1e-4);
    }
}
