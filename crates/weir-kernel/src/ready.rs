//! Whether the kernel's generator is ready, and waiting for it.
//!
//! "Ready" is what getrandom(2) says, on every kernel: its answer to a request for no bytes. Once ready, a kernel stays
//! ready until the next boot, so a yes is remembered.
//!
//! A wait has two halves, because kernels differ. The calling thread polls /dev/random, which since Linux 5.6 wakes it
//! the moment the generator is ready (on older ones the poll tells of something else, so it is looked at again a few
//! times a second instead). And a helper thread makes one blocking call: Linux 5.4 and later gather entropy
//! from their own timing only while somebody waits so, and a poll does not count.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{Error, syscall};

/// Between two looks where no poll tells.
const LOOK_EVERY: Duration = Duration::from_millis(100);

static READY: AtomicBool = AtomicBool::new(false);
static HELPER_RUNS: AtomicBool = AtomicBool::new(false);

/// Whether a draw would be answered at once. Draws nothing and never blocks; `false` also where draws fail.
#[must_use]
pub fn is_ready() -> bool {
    ready().is_ok()
}

/// As [`is_ready`], with the reason. Once it was ready, this costs one load.
///
/// # Errors
/// [`Error::NotReady`], or why draws fail altogether.
#[inline]
pub fn ready() -> Result<(), Error> {
    if READY.load(Ordering::Relaxed) { Ok(()) } else { look() }
}

/// Waits until the generator is ready, at most `timeout`. Uses no CPU meanwhile.
///
/// # Errors
/// [`Error::NotReady`] if it was not ready in time; any other at once, since waiting would not mend it.
pub fn wait_ready(timeout: Duration) -> Result<(), Error> {
    let start = Instant::now();
    match look() {
        Err(Error::NotReady) => {}
        other => return other,
    }
    start_helper();
    let device = open_random();
    let mut watched = device.as_ref().map(File::as_raw_fd);
    while let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        let woken = sleep(watched, left.min(LOOK_EVERY));
        match look() {
            Err(Error::NotReady) if woken => watched = None,
            Err(Error::NotReady) => {}
            other => return other,
        }
    }
    look()
}

#[cold]
fn look() -> Result<(), Error> {
    syscall::ready().inspect(|()| READY.store(true, Ordering::Relaxed))
}

/// Sleeps for `time`, or until `watched` is readable; then answers true.
fn sleep(watched: Option<RawFd>, time: Duration) -> bool {
    let mut entry = libc::pollfd { fd: watched.unwrap_or(-1), events: libc::POLLIN, revents: 0 };
    let ms = i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: one entry, writable for the length of the call; poll ignores a negative descriptor.
    let answer = unsafe { libc::poll(&raw mut entry, 1, ms) };
    if answer < 0 {
        // Interrupted by a signal, or refused by a policy, which must not turn the wait into a spin.
        std::thread::sleep(time.min(Duration::from_millis(10)));
    }
    answer > 0
}

fn open_random() -> Option<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open("/dev/random").ok()
}

/// Has one thread of this process wait in the kernel. That it cannot be started, or died in a fork, costs only speed.
fn start_helper() {
    if HELPER_RUNS.swap(true, Ordering::AcqRel) {
        return;
    }
    let helper = std::thread::Builder::new().name("weir-wait-random".to_owned()).stack_size(64 * 1024);
    let spawned = helper.spawn(|| {
        block_signals();
        let _ = syscall::block_until_ready();
        HELPER_RUNS.store(false, Ordering::Release);
    });
    if spawned.is_err() {
        HELPER_RUNS.store(false, Ordering::Release);
    }
}

/// Leaves the process's signals to its other threads.
fn block_signals() {
    // SAFETY: `set` is written by sigfillset before it is read; changing this thread's own mask is always allowed.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}
