//! Which credentials were good for something, and when last.
//!
//! A worker notes it in a table of its own, to the second, and every few seconds hands it over to one that all share:
//! a request takes no lock and writes nothing that another worker reads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::FixedState;
use weir_mint::Uuid;

use crate::clock;

/// Seconds since the epoch, by credential. Ids are random or an operator's own choice: a fixed hash does for them.
type Seconds = HashMap<Uuid, u32, FixedState>;

/// What all workers noted.
#[derive(Debug, Default)]
pub struct Usage(Mutex<Seconds>);

impl Usage {
    /// When a credential was last used, epoch milliseconds, if that has not been taken yet.
    pub fn last(&self, credential: Uuid) -> Option<i64> {
        let seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seconds.get(&credential).map(|seconds| i64::from(*seconds) * 1000)
    }

    /// Takes what was noted since the last time: epoch milliseconds.
    pub fn take(&self) -> Vec<(Uuid, i64)> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        taken.into_iter().map(|(id, seconds)| (id, i64::from(seconds) * 1000)).collect()
    }
}

/// What one worker noted.
#[derive(Default)]
pub(crate) struct OwnUsage(RefCell<Seconds>);

impl OwnUsage {
    pub(crate) fn note(&self, credential: Uuid) {
        let seconds = u32::try_from(clock::unix_ms() / 1000).unwrap_or(u32::MAX);
        self.0.borrow_mut().insert(credential, seconds);
    }

    /// Hands over what was noted.
    pub(crate) fn hand_over(&self, to: &Usage) {
        let mut own = self.0.borrow_mut();
        if own.is_empty() {
            return;
        }
        let mut all = to.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, seconds) in own.drain() {
            let known = all.entry(id).or_default();
            *known = seconds.max(*known);
        }
        // One busy moment does not hold memory for ever.
        own.shrink_to(1024);
    }
}
