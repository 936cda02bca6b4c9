//! Long computations that can be watched and stopped, over two threads.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::thread;

/// A step of a computation that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done<'a> {
    /// What has ended.
    pub step: &'a str,
    /// How many steps have ended with it.
    pub done: usize,
    /// How many there are; fewer if a test comes to its verdict early.
    pub of: usize,
}

/// Who watches a computation.
pub trait Progress: Sync {
    /// Hears of the end of a step, from the thread that did it. `Break` stops the computation before the next one.
    fn done(&self, done: Done<'_>) -> ControlFlow<()>;
}

impl<F: Fn(Done<'_>) -> ControlFlow<()> + Sync> Progress for F {
    fn done(&self, done: Done<'_>) -> ControlFlow<()> {
        self(done)
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn done(&self, _: Done<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Whoever watched stopped the computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the assessment was stopped")]
pub struct Cancelled;

/// Threads of a computation: the two longest steps take most of the time, and memory grows with each thread.
pub(super) const THREADS: usize = 2;

/// A step: its name and what it does.
pub(super) type Step<'a, T> = (&'a str, Box<dyn FnOnce() -> T + Send + 'a>);

/// Does the steps over [`THREADS`] threads, each taking the next that is left, and gives their results in any order.
pub(super) fn run<'a, T: Send>(
    steps: Vec<Step<'a, T>>,
    progress: &dyn Progress,
) -> Result<Vec<T>, Cancelled> {
    let of = steps.len();
    let left = Mutex::new(Left { steps: steps.into_iter(), results: Vec::new(), stopped: false });
    // The lock is given back before the work begins.
    let next = || lock(&left).next();
    let work = || {
        while let Some((step, work)) = next() {
            let result = work();
            let done = {
                let mut left = lock(&left);
                left.results.push(result);
                left.results.len()
            };
            if progress.done(Done { step, done, of }).is_break() {
                lock(&left).stopped = true;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(work);
        }
        work();
    });
    let left = left.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if left.stopped { Err(Cancelled) } else { Ok(left.results) }
}

struct Left<'a, T> {
    steps: std::vec::IntoIter<Step<'a, T>>,
    results: Vec<T>,
    stopped: bool,
}

impl<'a, T> Left<'a, T> {
    fn next(&mut self) -> Option<Step<'a, T>> {
        if self.stopped { None } else { self.steps.next() }
    }
}

fn lock<'m, 'a, T>(left: &'m Mutex<Left<'a, T>>) -> std::sync::MutexGuard<'m, Left<'a, T>> {
    left.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
