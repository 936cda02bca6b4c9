//! What the gateway counts of itself. Each worker writes its own counters, on cache lines of its own; whoever reads
//! them adds them up.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// A counter that one thread writes and others may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter. Only its owner may.
    pub(crate) fn add(&self, count: u64) {
        // One writer: a load and a store cost less than an atomic addition.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Takes from the counter. Only its owner may.
    pub(crate) fn sub(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(count), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's counters.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerStats {
    /// Connections accepted.
    pub(crate) accepted: Counter,
    /// Connections open now.
    pub(crate) active: Counter,
    /// Requests begun.
    pub(crate) requests: Counter,
    /// Requests refused before anybody looked at what they want.
    pub(crate) refused: Counter,
    /// Answers by the first digit of their status.
    answers: [Counter; 5],
}

impl WorkerStats {
    /// Counts an answer.
    pub(crate) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.answers.get(class.wrapping_sub(1)) {
            counter.add(1);
        }
    }
}

/// The counters of all workers, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections open now.
    pub active: u64,
    /// Requests begun since the start.
    pub requests: u64,
    /// Requests refused because they were not HTTP, or beyond its limits.
    pub refused: u64,
    /// Answers since the start, by the first digit of their status, from 1 to 5.
    pub answers: [u64; 5],
}

impl Stats {
    pub(crate) fn sum<'a>(workers: impl Iterator<Item = &'a WorkerStats>) -> Self {
        workers.fold(Self::default(), |mut sum, worker| {
            sum.accepted += worker.accepted.get();
            sum.active += worker.active.get();
            sum.requests += worker.requests.get();
            sum.refused += worker.refused.get();
            for (total, counter) in sum.answers.iter_mut().zip(&worker.answers) {
                *total += counter.get();
            }
            sum
        })
    }
}
