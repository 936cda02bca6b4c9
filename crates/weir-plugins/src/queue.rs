//! Work that takes long: away from the workers, so much at once, while so much waits and no more.
//!
//! Beyond that nobody is helped by waiting, and whoever makes others work must not fill the memory. A turn lasts until the work
//! is done, whether or not anybody still waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Those who work, and those who wait.
pub(crate) struct Queue {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// The right to work.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// One of those who wait. Others may come in its place when it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Queue {
    /// So much at once, while so much waits for each.
    pub(crate) fn new(at_once: usize, waiting_for_each: usize) -> Self {
        let (running, waiting) = (Arc::new(Semaphore::new(at_once)), AtomicUsize::new(0));
        Self { running, waiting, most_waiting: at_once * waiting_for_each }
    }

    /// Waits for a turn. `None` when too many wait.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let _waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Relaxed) >= self.most_waiting {
            return None;
        }
        self.patient_turn().await
    }

    /// Waits for a turn, however many wait: for what nobody waits for.
    pub(crate) async fn patient_turn(&self) -> Option<Turn> {
        // It is never closed.
        let permit = Arc::clone(&self.running).acquire_owned().await.ok()?;
        Some(Turn { _permit: permit })
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

impl Turn {
    /// Works on a thread of its own. `None` when the gateway is stopping.
    pub(crate) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(self);
            done
        });
        task.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_where_too_many_wait() {
        let queue = Arc::new(Queue::new(1, 1));
        let held = queue.turn().await.unwrap();
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.turn().await.is_some() }
        });
        while queue.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(queue.turn().await.is_none());
        // Who gives up leaves the place to another.
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(queue.waiting(), 0);
        assert_eq!(held.work(|| 7).await, Some(7));
        assert!(queue.turn().await.is_some());
    }
}
