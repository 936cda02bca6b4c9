//! Cutoffs of the continuous tests, computed from the entropy they are set for: SP 800-90B 4.4.1 and 4.4.2.

use super::ALPHA_LOG2;

/// The window of the adaptive proportion test: 1024 samples for binary symbols, else 512 (SP 800-90B 4.4.2).
#[must_use]
pub fn window(symbol_bits: u8) -> u32 {
    if symbol_bits == 1 { 1024 } else { 512 }
}

/// The cutoff of the repetition count test, C = 1 + ⌈-log2 α / H⌉ (SP 800-90B 4.4.1). For no entropy there is none:
/// `u32::MAX`.
#[must_use]
pub fn repetition(min_entropy_bits: f64) -> u32 {
    let longest = (-ALPHA_LOG2 / min_entropy_bits).ceil();
    if longest < f64::from(u32::MAX) { 1 + longest as u32 } else { u32::MAX }
}

/// The cutoff of the adaptive proportion test, C = 1 + critbinom(W, 2^-H, 1-α) (SP 800-90B 4.4.2). Above the window,
/// so that the test never fires, where the entropy is too little for it.
#[must_use]
pub fn proportion(min_entropy_bits: f64, window: u32) -> u32 {
    1 + critical_count(window, (-min_entropy_bits).exp2(), ALPHA_LOG2.exp2())
}

/// The smallest count k such that more than k successes in `trials`, each of odds `p`, have odds of `alpha` at most:
/// the binomial quantile at 1 - `alpha`.
///
/// Summed from the far end of the tail inwards, smallest terms first, so that nothing is lost to rounding where 1 - α
/// would be one.
#[must_use]
pub fn critical_count(trials: u32, p: f64, alpha: f64) -> u32 {
    if p >= 1.0 {
        return trials;
    }
    if p <= 0.0 {
        return 0;
    }
    let (n, odds) = (f64::from(trials), p.ln() - (-p).ln_1p());
    // The logarithm of the odds of exactly `count` successes, from `count` = `trials` downwards.
    let mut log_odds = n * p.ln();
    let mut tail = 0.0;
    for count in (1..=trials).rev() {
        tail += log_odds.exp();
        if tail > alpha {
            return count;
        }
        // C(n, k-1) / C(n, k) = k / (n - k + 1)
        let k = f64::from(count);
        log_odds += (k / (n - k + 1.0)).ln() - odds;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_cutoffs_are_those_of_the_formula() {
        // SP 800-90B 4.4.1's own example: α = 2^-20 and H = 2 give 11; here α = 2^-30.
        for (bits, cutoff) in [(1.0, 31), (2.0, 16), (8.0, 5), (0.5, 61), (4.0, 9), (1.0 / 3.0, 91)] {
            assert_eq!(repetition(bits), cutoff, "{bits}");
        }
        assert_eq!(repetition(0.0), u32::MAX);
        assert_eq!(repetition(1e-12), u32::MAX);
    }

    #[test]
    fn proportion_cutoffs_are_those_of_exact_arithmetic() {
        // Sums of exact fractions (Python's `fractions`), α = 2^-30.
        let whole = [325, 190, 114, 71, 46, 31, 22, 16];
        for (bits, cutoff) in (1..).zip(whole) {
            assert_eq!(proportion(f64::from(bits), 512), cutoff, "{bits}");
        }
        let parts = [325, 422, 458, 477, 487, 494, 499, 502, 505, 507, 508, 509, 510, 511, 512];
        for (part, cutoff) in (1..).zip(parts) {
            assert_eq!(proportion(1.0 / f64::from(part), 512), cutoff, "1/{part}");
        }
        assert_eq!(proportion(1.0, 1024), 609);
        // α = 2^-20, for which SP 800-90B gives 589 for binary symbols with one bit.
        let alpha = (-20f64).exp2();
        assert_eq!(1 + critical_count(1024, 0.5, alpha), 589);
        for (bits, cutoff) in (1..).zip([311, 177, 103, 62, 39, 25, 18, 13]) {
            assert_eq!(1 + critical_count(512, (-f64::from(bits)).exp2(), alpha), cutoff, "{bits}");
        }
    }

    #[test]
    fn the_ends_of_the_scale_hold() {
        assert_eq!(proportion(0.0, 512), 513, "never fires");
        assert_eq!(critical_count(512, 0.0, 0.1), 0);
        assert_eq!(critical_count(0, 0.5, 0.1), 0);
        assert_eq!(critical_count(1, 0.5, 0.6), 0);
        assert_eq!(critical_count(1, 0.5, 0.4), 1);
    }
}
