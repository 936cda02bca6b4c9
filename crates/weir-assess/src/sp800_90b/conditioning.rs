//! Entropy behind a conditioning function (3.1.5).
//!
//! Works with logarithms of the probabilities in the standard, which lie far below the smallest double for inputs of a
//! thousand bits, so that no arithmetic of arbitrary precision is needed.

/// Sizes around a conditioning function, in bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditioner {
    /// Input, `n_in`.
    pub input_bits: u32,
    /// Output, `n_out`.
    pub output_bits: u32,
    /// The narrowest place inside, `nw`; not above the input counts (appendix E).
    pub narrowest_bits: u32,
}

/// Why there is no entropy to be computed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ConditioningError {
    /// A size of 0 bits.
    #[error("input, output and narrowest width of a conditioning function have at least 1 bit")]
    NoBits,
    /// More entropy than there are bits, none, or no number.
    #[error(
        "input of {input_bits} bits has more than 0 and at most {input_bits} bits of entropy, not {entropy_bits}"
    )]
    Input {
        /// Size of the input.
        input_bits: u32,
        /// What was given as its entropy.
        entropy_bits: f64,
    },
    /// An estimate for a bit of the output outside of 0 to 1.
    #[error("a bit of output has 0 to 1 bits of entropy, not {entropy_bits}")]
    PerBit {
        /// What was given.
        entropy_bits: f64,
    },
}

/// Most of each bit of output that a conditioning function is given which is not vetted (3.1.5.2).
const NOT_VETTED: f64 = 0.999;

impl Conditioner {
    /// Bits of entropy in one output of a vetted function, from `entropy_bits` in its input: Output_Entropy of 3.1.5.1.2.
    ///
    /// # Errors
    /// [`ConditioningError`] of sizes or entropy that cannot be.
    pub fn vetted(&self, entropy_bits: f64) -> Result<f64, ConditioningError> {
        let Self { input_bits, output_bits, narrowest_bits } = *self;
        if input_bits == 0 || output_bits == 0 || narrowest_bits == 0 {
            return Err(ConditioningError::NoBits);
        }
        if !(entropy_bits > 0.0 && entropy_bits <= f64::from(input_bits)) {
            return Err(ConditioningError::Input { input_bits, entropy_bits });
        }
        let narrowest = output_bits.min(narrowest_bits).min(input_bits);
        let entropy = output_entropy(f64::from(input_bits), f64::from(narrowest), entropy_bits);
        // Neither a function nor rounding makes entropy.
        Ok(entropy.clamp(0.0, entropy_bits.min(f64::from(narrowest))))
    }

    /// The same of a function that is not vetted, whose output was assessed at `per_bit` bits of entropy a bit (3.1.5.2).
    ///
    /// # Errors
    /// [`ConditioningError`] of sizes or entropies that cannot be.
    pub fn not_vetted(&self, entropy_bits: f64, per_bit: f64) -> Result<f64, ConditioningError> {
        if !(0.0..=1.0).contains(&per_bit) {
            return Err(ConditioningError::PerBit { entropy_bits: per_bit });
        }
        let vetted = self.vetted(entropy_bits)?;
        Ok(vetted.min(per_bit.min(NOT_VETTED) * f64::from(self.output_bits)))
    }
}

/// Steps 1 to 7, `n` being the minimum of the widths.
fn output_entropy(input: f64, n: f64, entropy: f64) -> f64 {
    // P_high = 2^-h, and P_low shares what is left among the 2^n_in - 1 other inputs.
    let log_high = -entropy;
    let rest = log2_of_one_less(-entropy);
    let others = input + log2_of_one_less(-input);
    let log_low = rest - others;
    let log_share = input - n;
    let psi = log2_sum(log_share + log_low, log_high);
    let spread = 0.5 * (1.0 + n.log2() + log_share + std::f64::consts::LN_2.log2());
    let omega = log2_sum(log_share, spread) + log_low;
    // At least 0 bits, where a probability would come out above 1.
    -psi.max(omega).min(0.0)
}

/// log2(1 - 2^x), of x at most 0.
fn log2_of_one_less(x: f64) -> f64 {
    (-(x * std::f64::consts::LN_2).exp_m1()).log2()
}

/// log2(2^a + 2^b).
fn log2_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp2().ln_1p() / std::f64::consts::LN_2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(input_bits: u32, output_bits: u32, narrowest_bits: u32) -> Conditioner {
        Conditioner { input_bits, output_bits, narrowest_bits }
    }

    #[test]
    fn wide_inputs_fill_the_output() {
        let sha256 = sized(2048, 256, 256);
        assert_eq!(sha256.vetted(2048.0).unwrap(), 256.0);
        assert!(sha256.vetted(320.0).unwrap() > 255.999_999);
        let (exact, half) = (sha256.vetted(256.0).unwrap(), sha256.vetted(128.0).unwrap());
        // P_high is 2^-256, as is the share of all other inputs: psi is 2^-255.
        assert!((exact - 255.0).abs() < 1e-9, "{exact}");
        assert!((half - 128.0).abs() < 1e-9, "{half}");
    }

    #[test]
    fn a_byte_can_be_computed_by_hand() {
        // n_in = 8, n = 4, h = 4: P_high = 1/16, P_low = 15/16/255 = 1/272; psi = 16/272 + 1/16 = 33/272;
        // U = 16 + sqrt(2·4·16·ln 2), omega = U/272.
        let omega = (16.0 + (128.0 * std::f64::consts::LN_2).sqrt()) / 272.0;
        let expected = -f64::max(33.0 / 272.0, omega).log2();
        let ours = sized(8, 4, 4).vetted(4.0).unwrap();
        assert!((ours - expected).abs() < 1e-13, "{ours} {expected}");
    }

    #[test]
    fn entropy_is_never_made() {
        for input in [1, 7, 64, 300, 5000] {
            for output in [1, 8, 256, 8000] {
                for share in [0.001, 0.3, 0.9, 1.0] {
                    let entropy = share * f64::from(input);
                    let out = sized(input, output, 512).vetted(entropy).unwrap();
                    assert!(
                        (0.0..=entropy.min(f64::from(output))).contains(&out),
                        "{input} {output} {entropy} {out}"
                    );
                }
            }
        }
    }

    #[test]
    fn functions_that_are_not_vetted_are_given_less() {
        let crc = sized(2048, 32, 32);
        assert!((crc.not_vetted(2000.0, 1.0).unwrap() - 31.968).abs() < 1e-12);
        assert!((crc.not_vetted(2000.0, 0.5).unwrap() - 16.0).abs() < 1e-12);
        assert_eq!(crc.not_vetted(2000.0, 1.5), Err(ConditioningError::PerBit { entropy_bits: 1.5 }));
        assert_eq!(crc.vetted(0.0), Err(ConditioningError::Input { input_bits: 2048, entropy_bits: 0.0 }));
        assert!(crc.vetted(f64::NAN).is_err());
        assert_eq!(sized(0, 1, 1).vetted(1.0), Err(ConditioningError::NoBits));
    }
}
