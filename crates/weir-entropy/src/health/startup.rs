//! The start-up test: the first samples of a source, tested before any of them counts (SP 800-90B 4.3).
//!
//! Beside the continuous tests, which run over them as over all samples, their min-entropy is estimated by six simple
//! means, and the lowest must reach what the source is said to be worth. The estimators are those of
//! SP 800-90B 6.3, or predictors in their manner, made small: they hold a kilobyte or two and go over the samples
//! once. They find gross faults, a clock too coarse, a machine too regular, a loop, and are no proof of entropy.
//!
//! Each estimate is a 99 % upper bound on how often the best guess is right. For a source worth 1 bit a sample whose
//! guesses are right half of the time, exactly, the bound lies above half by construction, so a source at its
//! claim is refused. That is meant: claims stay at half of what was measured, or less, and a source at twice its claim is
//! refused with odds of 2^-156 (for 1 bit a sample: a guess that is right with odds 1/4 would have to be right
//! 471 times in 1024).

use std::fmt;

use zeroize::Zeroize;

use super::Failure;

/// Samples of the start-up test; SP 800-90B 4.3 asks for 1024.
pub const SAMPLES: usize = 1024;

/// The start-up test of one source.
#[derive(Default)]
pub struct StartUp {
    samples: Vec<u8>,
}

impl StartUp {
    /// Takes samples, and says what they are worth once there are enough.
    #[must_use]
    pub fn feed(&mut self, samples: &[u8]) -> Option<Estimates> {
        // At once in full, so that no copy is left behind by growing.
        self.samples.reserve_exact(SAMPLES - self.samples.len());
        let room = SAMPLES - self.samples.len();
        self.samples.extend(samples.iter().take(room));
        (self.samples.len() == SAMPLES).then(|| Estimates::of(&self.samples))
    }
}

impl fmt::Debug for StartUp {
    /// The samples stay unsaid.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StartUp({} of {SAMPLES} samples)", self.samples.len())
    }
}

impl Drop for StartUp {
    fn drop(&mut self) {
        self.samples.zeroize();
    }
}

/// Estimates of min-entropy, in bits a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimates([(&'static str, f64); 6]);

impl Estimates {
    /// Estimates from samples, of which there should be [`SAMPLES`] or more.
    #[must_use]
    pub fn of(samples: &[u8]) -> Self {
        let differences = || samples.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        Self([
            ("most common symbol", most_common(samples.iter().copied())),
            ("most common difference", most_common(differences())),
            ("lag", lag(samples)),
            ("one sample before", context::<1>(samples)),
            ("two samples before", context::<2>(samples)),
            ("four samples before", context::<4>(samples)),
        ])
    }

    /// The lowest, and which one it is.
    #[must_use]
    pub fn lowest(&self) -> (&'static str, f64) {
        self.0.iter().copied().fold(("none", f64::INFINITY), |low, one| if one.1 < low.1 { one } else { low })
    }

    /// Whether all of them reach a claim.
    ///
    /// # Errors
    /// [`Failure::BelowClaim`].
    pub fn hold(&self, claimed: f64) -> Result<(), Failure> {
        let (by, measured) = self.lowest();
        if measured >= claimed { Ok(()) } else { Err(Failure::BelowClaim { measured, claimed, by }) }
    }
}

/// The most common value estimate, SP 800-90B 6.3.1.
fn most_common(symbols: impl Iterator<Item = u8>) -> f64 {
    let (mut counts, mut total) = ([0u32; 256], 0);
    for symbol in symbols {
        counts[usize::from(symbol)] += 1;
        total += 1;
    }
    min_entropy(counts.into_iter().max().unwrap_or(0), total)
}

/// Min-entropy by the upper end of the 99 % confidence interval of how often a guess is right (SP 800-90B 6.3.1).
fn min_entropy(right: u32, guesses: u32) -> f64 {
    const Z: f64 = 2.576;
    if guesses < 2 {
        return 0.0;
    }
    let (n, p) = (f64::from(guesses), f64::from(right) / f64::from(guesses));
    // A guess that was never right still has odds: those of one success.
    let p = p.max(1.0 / n);
    let upper = (p + Z * (p * (1.0 - p) / (n - 1.0)).sqrt()).min(1.0);
    // Not minus zero.
    0.0 - upper.log2()
}

/// Guesses what was seen a fixed number of samples ago, by the number that has been right most often so far
/// (SP 800-90B 6.3.8, with 32 lags).
fn lag(samples: &[u8]) -> f64 {
    const LAGS: usize = 32;
    let (mut scores, mut winner, mut right, mut guesses) = ([0u32; LAGS], 0, 0, 0);
    for (at, &symbol) in samples.iter().enumerate().skip(1) {
        let before = |lag: usize| at.checked_sub(lag + 1).map(|at| samples[at]);
        guesses += 1;
        right += u32::from(before(winner) == Some(symbol));
        for (lag, score) in scores.iter_mut().enumerate() {
            *score += u32::from(before(lag) == Some(symbol));
        }
        if let Some(best) = (0..LAGS).max_by_key(|&lag| (scores[lag], LAGS - lag)) {
            winner = best;
        }
    }
    min_entropy(right, guesses)
}

/// Guesses what followed when the samples before were last the same: a Markov model of order `ORDER` in the manner of
/// SP 800-90B 6.3.9, that remembers the last follower only.
fn context<const ORDER: usize>(samples: &[u8]) -> f64 {
    const SLOTS: usize = 1024;
    let (mut followers, mut right, mut guesses) = ([None; SLOTS], 0, 0);
    for window in samples.windows(ORDER + 1) {
        let (before, symbol) = window.split_at(ORDER);
        // FNV-1a; that contexts share a slot now and then costs a few guesses.
        let hash = before
            .iter()
            .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let slot = &mut followers[((hash >> 16) ^ hash) as usize % SLOTS];
        guesses += 1;
        right += u32::from(*slot == Some(symbol[0]));
        *slot = Some(symbol[0]);
    }
    followers.zeroize();
    min_entropy(right, guesses)
}
