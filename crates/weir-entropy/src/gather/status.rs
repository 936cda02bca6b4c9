//! What is said of a source to people and to metrics.

use std::time::SystemTime;

use crate::source::Kind;

/// What a source is doing.
///
/// ```text
/// NotOpened ──▶ StartingUp ──▶ Healthy ◀──▶ Resting
///   ▲  │            │             │
///   │  ▼            ▼             ▼
///   │ Absent      SetAside ◀──────┘     a test fires, or the device fails
///   └──┴────────────┘                   at the next batch; after the pause
/// ```
///
/// A rest closes what is open. From `Resting` a slow source goes back to `Healthy`, a fast one to `StartingUp`. Nothing
/// leads from `SetAside` to `Healthy` but a new start-up test.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Not needed so far, or closed before its start-up test came to an end.
    NotOpened,
    /// This machine does not have it, or this process may not use it.
    Absent {
        /// Why.
        reason: String,
    },
    /// In its start-up test: mixed in, worth nothing yet.
    StartingUp,
    /// Passed its start-up test, and no test has failed since.
    Healthy,
    /// Healthy when it was last asked, and closed since.
    Resting,
    /// Failed.
    SetAside {
        /// When.
        since: SystemTime,
        /// What happened.
        why: String,
        /// When it may come back, through a new start-up test, by the wall clock as it was then.
        retry_at: SystemTime,
    },
}

impl State {
    /// The state in a word, for metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotOpened => "not-opened",
            Self::Absent { .. } => "absent",
            Self::StartingUp => "starting-up",
            Self::Healthy => "healthy",
            Self::Resting => "resting",
            Self::SetAside { .. } => "set-aside",
        }
    }
}

/// A source's account.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// As configured.
    pub name: String,
    /// Its kind.
    pub kind: &'static Kind,
    /// What it is doing.
    pub state: State,
    /// Samples that it has given.
    pub samples: u64,
    /// How often it was set aside.
    pub failures: u64,
    /// Its share in the credit of all batches, in whole bits.
    pub credited_bits: u64,
    /// What a sample counts for, in bits: its claim, or less if the configuration or the device says so.
    pub claim: f64,
    /// What the last start-up test that came to an end measured, in bits a sample.
    pub measured: Option<f64>,
    /// Why it was set aside last.
    pub failure: Option<String>,
}
