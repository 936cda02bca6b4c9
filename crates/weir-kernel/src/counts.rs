//! How much this process has drawn, and what for.
//!
//! Counting must not be felt in a draw of a tenth of a microsecond, so a thread that draws from the vDSO counts in
//! memory of its own with plain additions; only those that go by system call, and pay for that anyway, share counters.
//! The numbers are statistics: a draw in a signal handler that interrupts the addition of another may go uncounted,
//! and a forked child starts from its parent's numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Purpose;
use crate::vdso::thread::{self, Handle};

/// Draws of one purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drawn {
    /// How many draws succeeded.
    pub draws: u64,
    /// How many bytes they gave.
    pub bytes: u64,
}

/// Draws since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrawCounts {
    by_purpose: [Drawn; Purpose::ALL.len()],
    failures: u64,
}

impl DrawCounts {
    /// Draws for one purpose.
    #[must_use]
    pub fn of(&self, purpose: Purpose) -> Drawn {
        self.by_purpose.get(purpose as usize).copied().unwrap_or_default()
    }

    /// Draws for all purposes together.
    #[must_use]
    pub fn total(&self) -> Drawn {
        self.by_purpose.iter().fold(Drawn::default(), |sum, one| Drawn {
            draws: sum.draws.wrapping_add(one.draws),
            bytes: sum.bytes.wrapping_add(one.bytes),
        })
    }

    /// Draws that gave an error instead of bytes.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }
}

/// One thread's counters, or those that threads share. Valid when all zeros.
pub(crate) struct Counters([Cell; Purpose::ALL.len()]);

struct Cell {
    draws: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    const fn new() -> Self {
        Self([const { Cell { draws: AtomicU64::new(0), bytes: AtomicU64::new(0) } }; Purpose::ALL.len()])
    }

    /// Counts a draw. Only their one writer may call this: it loads and stores, which costs no bus lock.
    #[inline]
    pub(crate) fn add_alone(&self, purpose: Purpose, bytes: usize) {
        if let Some(cell) = self.0.get(purpose as usize) {
            cell.draws.store(cell.draws.load(Relaxed).wrapping_add(1), Relaxed);
            cell.bytes.store(cell.bytes.load(Relaxed).wrapping_add(bytes as u64), Relaxed);
        }
    }

    fn add_shared(&self, purpose: Purpose, bytes: usize) {
        if let Some(cell) = self.0.get(purpose as usize) {
            cell.draws.fetch_add(1, Relaxed);
            cell.bytes.fetch_add(bytes as u64, Relaxed);
        }
    }
}

/// For threads without counters of their own.
static SHARED: Counters = Counters::new();
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// Counts a draw that succeeded.
#[inline]
pub(crate) fn add(handle: Option<Handle>, purpose: Purpose, bytes: usize) {
    match handle {
        Some(handle) => handle.counters().add_alone(purpose, bytes),
        None => SHARED.add_shared(purpose, bytes),
    }
}

/// Counts a draw that gave an error.
pub(crate) fn add_failure() {
    FAILURES.fetch_add(1, Relaxed);
}

/// What this process has drawn until now.
///
/// Cheap (no system call), but it visits every thread's counters: for metrics, not for the hot path.
#[must_use]
pub fn draws() -> DrawCounts {
    let mut counts = DrawCounts { failures: FAILURES.load(Relaxed), ..DrawCounts::default() };
    let mut add = |counters: &Counters| {
        for (sum, cell) in counts.by_purpose.iter_mut().zip(&counters.0) {
            sum.draws = sum.draws.wrapping_add(cell.draws.load(Relaxed));
            sum.bytes = sum.bytes.wrapping_add(cell.bytes.load(Relaxed));
        }
    };
    add(&SHARED);
    thread::each_counters(add);
    counts
}
