//! Health tests of noise sources: SP 800-90B section 4, over raw samples, never over what was conditioned.
//!
//! A [`Monitor`] watches one source. It begins in its start-up test, and while that goes on nothing counts. A source
//! that passed is watched by the continuous tests; the first test that fires ends the monitor for good, and whoever
//! holds it must begin with a new one. Only a monitor in good standing makes [`Assessed`] bits of a number of samples,
//! and nothing else in this crate makes them.
//!
//! False alarms: each continuous test fires on a source that is exactly as good as tested with odds of at most 2^-30
//! a window (or a sample, for the repetition count). The start-up test refuses such a source with odds that
//! [`startup`] states.
//!
//! Absent on purpose: what happens next (see [`crate::gather`]); clocks; any device.

mod continuous;
pub mod cutoff;
pub mod startup;
mod timing;
pub mod words;

use std::fmt;

pub use continuous::{Apt, Rct};
pub use startup::{Estimates, StartUp};
pub use timing::{Lag, Stuck};

/// The odds of a false alarm for which cutoffs are computed, as a power of two: α = 2^-30, the strictest that
/// SP 800-90B 4.4 recommends.
pub const ALPHA_LOG2: f64 = -30.0;

/// What a health test found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// The repetition count test, SP 800-90B 4.4.1: one symbol, this often in a row.
    Repetition {
        /// How often.
        count: u32,
    },
    /// The adaptive proportion test, SP 800-90B 4.4.2: one symbol, this often in a window.
    Proportion {
        /// How often.
        count: u32,
        /// Among how many.
        window: u32,
    },
    /// Samples repeat what was seen a few samples ago: so many guesses were right.
    Predictable {
        /// How many.
        right: u32,
        /// Among how many.
        window: u32,
    },
    /// Samples that do not count, because times do not change or change evenly, make up too much of a window.
    Stuck {
        /// How many do not count.
        count: u32,
        /// Among how many.
        window: u32,
    },
    /// The estimate at start-up is below what the source is said to be worth.
    BelowClaim {
        /// Bits of min-entropy a sample, as estimated.
        measured: f64,
        /// Bits of min-entropy a sample, as claimed.
        claimed: f64,
        /// Which estimate it was.
        by: &'static str,
    },
    /// A word that broken hardware is known for.
    KnownBad {
        /// The word.
        word: u64,
    },
    /// A whole word as the one before, which a healthy generator does once in 2^64.
    WordRepeated,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repetition { count } => {
                write!(f, "repetition count test: one symbol {count} times in a row")
            }
            Self::Proportion { count, window } => {
                write!(f, "adaptive proportion test: one symbol {count} times among {window}")
            }
            Self::Predictable { right, window } => {
                write!(f, "lag test: {right} of {window} samples are as predicted from those before")
            }
            Self::Stuck { count, window } => {
                write!(f, "stuck test: {count} of {window} times do not change, or change evenly")
            }
            Self::BelowClaim { measured, claimed, by } => {
                write!(f, "start-up test: {measured:.2} bits a sample ({by}) where {claimed:.2} are claimed")
            }
            Self::KnownBad { word } => write!(f, "the word {word:#x}, which broken hardware gives"),
            Self::WordRepeated => f.write_str("the same word twice in a row"),
        }
    }
}

impl std::error::Error for Failure {}

/// Bits of min-entropy in samples that passed their tests. Nothing but a [`Monitor`] makes any, and adding is all
/// that can be done with them before they are conditioned.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Assessed(f64);

impl Assessed {
    /// None.
    pub const ZERO: Self = Self(0.0);

    /// The number of bits.
    #[must_use]
    pub fn bits(self) -> f64 {
        self.0
    }
}

impl std::iter::Sum for Assessed {
    /// Of sources that do not depend on one another.
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, |sum, one| Self(sum.0 + one.0))
    }
}

/// Which tests a source gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Bits of min-entropy a sample that a sample counts for once the tests are passed.
    pub credited_bits: f64,
    /// Bits of min-entropy a sample for which the tests are set; at least as many.
    pub tested_bits: f64,
    /// Bits of a symbol.
    pub symbol_bits: u8,
    /// Whether samples are differences of time.
    pub timing: bool,
}

/// The watch over one source.
pub struct Monitor {
    plan: Plan,
    rct: Rct,
    apt: Apt,
    timing: Option<(Stuck, Lag)>,
    standing: Standing,
    measured: Option<f64>,
}

impl fmt::Debug for Monitor {
    /// The symbols that the tests hold stay unsaid.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Monitor({:?})", self.standing)
    }
}

/// `StartingUp` → `Good` when the start-up test is passed; either → `Failed`, which is the end.
#[derive(Debug)]
enum Standing {
    StartingUp(Box<StartUp>),
    Good,
    Failed(Failure),
}

impl Monitor {
    /// Begins the start-up test.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let tested = plan.tested_bits.max(plan.credited_bits);
        Self {
            plan,
            rct: Rct::new(cutoff::repetition(tested)),
            apt: Apt::new(tested, plan.symbol_bits),
            timing: plan.timing.then(|| (Stuck::default(), Lag::new(tested))),
            standing: Standing::StartingUp(Box::default()),
            measured: None,
        }
    }

    /// Looks at samples, in the order in which they came. Says how many of them count.
    ///
    /// # Errors
    /// The [`Failure`] that ended the watch, now or before.
    pub fn watch(&mut self, samples: &[u8]) -> Result<u32, Failure> {
        if let Standing::Failed(failure) = self.standing {
            return Err(failure);
        }
        let outcome = self.test(samples);
        if let Err(failure) = outcome {
            self.standing = Standing::Failed(failure);
        }
        outcome
    }

    fn test(&mut self, samples: &[u8]) -> Result<u32, Failure> {
        let mut counted = 0;
        for &symbol in samples {
            self.rct.feed(symbol)?;
            self.apt.feed(symbol)?;
            counted += match &mut self.timing {
                Some((stuck, lag)) => {
                    lag.feed(symbol)?;
                    u32::from(stuck.feed(symbol)?)
                }
                None => 1,
            };
        }
        if let Standing::StartingUp(test) = &mut self.standing
            && let Some(estimates) = test.feed(samples)
        {
            self.measured = Some(estimates.lowest().1);
            estimates.hold(self.plan.tested_bits.max(self.plan.credited_bits))?;
            self.standing = Standing::Good;
        }
        Ok(counted)
    }

    /// Whether the start-up test has been passed and nothing failed since.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.standing, Standing::Good)
    }

    /// Bits of min-entropy a sample that the start-up test measured.
    #[must_use]
    pub fn measured(&self) -> Option<f64> {
        self.measured
    }

    /// What so many samples that counted are worth: nothing unless [`Monitor::is_good`]. Samples of the start-up test
    /// are worth something once it is passed (SP 800-90B 4.3 allows their use).
    #[must_use]
    pub fn assess(&self, counted: u32) -> Assessed {
        if self.is_good() { Assessed(f64::from(counted) * self.plan.credited_bits) } else { Assessed::ZERO }
    }

    /// What so many samples would be worth if the source is, or turns out to be, in good standing. A hope to plan by;
    /// nothing can be credited with it.
    #[must_use]
    pub fn hope(&self, counted: u32) -> f64 {
        match self.standing {
            Standing::Failed(_) => 0.0,
            _ => f64::from(counted) * self.plan.credited_bits,
        }
    }
}
