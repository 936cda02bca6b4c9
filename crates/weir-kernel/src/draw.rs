//! The draw: bytes from the kernel's generator, or an error.
//!
//! Contract:
//! - `Ok` means that every byte of the buffer came from the kernel's generator after it was ready (a long buffer: from
//!   a cipher under a key that did, see [`crate::bulk`]). `Err` means that the buffer has been erased.
//! - A draw goes through the vDSO, else by getrandom(2). Short answers are continued, interrupted calls repeated.
//!   Everything else is an error; there is no weaker source behind it.
//! - Nothing is kept from one draw to the next, so there is nothing to fork, to clone or to steal.
//! - Safe on any thread, in a forked child, and in a signal handler.

use crate::counts;
use crate::vdso::thread::Handle;
use crate::{Error, Purpose, bulk, syscall};

/// How many interruptions in a row one draw bears. Signals can interrupt only the wait for readiness, at most as often
/// as they come; a policy that answers EINTR for ever must not make a draw spin for ever.
const MOST_INTERRUPTIONS: u32 = 100_000;

/// By which way the calling thread draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The kernel's function in this process's own memory; no system call.
    Vdso,
    /// getrandom(2).
    Syscall,
}

/// By which way the calling thread draws. It never changes from [`Way::Syscall`] to [`Way::Vdso`] while a thread lives.
#[must_use]
pub fn way() -> Way {
    if Handle::get().is_some() { Way::Vdso } else { Way::Syscall }
}

/// Fills `buf` from the kernel's generator, waiting for it to be ready if it has to.
///
/// # Errors
/// Any [`Error`] but `NotReady`, which only a policy around this process could cause here. `buf` is then all zeros.
#[inline]
pub fn fill(buf: &mut [u8]) -> Result<(), Error> {
    fill_for(Purpose::Other, buf)
}

/// As [`fill`], counted under `purpose` in [`crate::draws`].
///
/// # Errors
/// As [`fill`].
#[inline]
pub fn fill_for(purpose: Purpose, buf: &mut [u8]) -> Result<(), Error> {
    draw(purpose, buf, 0)
}

/// As [`fill`], but never blocks.
///
/// # Errors
/// [`Error::NotReady`] if the generator is not ready, else as [`fill`]. `buf` is then all zeros.
#[inline]
pub fn try_fill(buf: &mut [u8]) -> Result<(), Error> {
    try_fill_for(Purpose::Other, buf)
}

/// As [`try_fill`], counted under `purpose` in [`crate::draws`].
///
/// # Errors
/// As [`try_fill`].
#[inline]
pub fn try_fill_for(purpose: Purpose, buf: &mut [u8]) -> Result<(), Error> {
    draw(purpose, buf, syscall::NONBLOCK)
}

/// An array of `N` bytes from the kernel's generator; waits as [`fill`] does.
///
/// # Errors
/// As [`fill`].
#[inline]
pub fn array<const N: usize>() -> Result<[u8; N], Error> {
    array_for(Purpose::Other)
}

/// As [`array()`], counted under `purpose` in [`crate::draws`].
///
/// # Errors
/// As [`fill`].
#[inline]
pub fn array_for<const N: usize>(purpose: Purpose) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    fill_for(purpose, &mut bytes)?;
    Ok(bytes)
}

#[inline]
fn draw(purpose: Purpose, buf: &mut [u8], flags: u32) -> Result<(), Error> {
    let handle = Handle::get();
    let drawn = if buf.len() < bulk::THRESHOLD_BYTES {
        straight(handle, buf, flags)
    } else {
        bulk::fill(buf, |key| straight(handle, key, flags))
    };
    match drawn {
        Ok(()) => {
            counts::add(handle, purpose, buf.len());
            Ok(())
        }
        Err(error) => failed(buf, error),
    }
}

/// The kernel's own bytes, all of them.
#[inline]
fn straight(handle: Option<Handle>, buf: &mut [u8], flags: u32) -> Result<(), Error> {
    let answer = match handle {
        Some(handle) => handle.call(buf, flags),
        None => syscall::getrandom(buf, flags),
    };
    if answer.cast_unsigned() == buf.len() { Ok(()) } else { continued(handle, buf, flags, answer) }
}

/// Goes on from an answer that was not the whole of it.
#[cold]
fn continued(handle: Option<Handle>, buf: &mut [u8], flags: u32, first: isize) -> Result<(), Error> {
    let mut rest = buf;
    let mut answer = first;
    let mut interruptions = 0;
    loop {
        match usize::try_from(answer) {
            Ok(0) if !rest.is_empty() => return Err(Error::Broken),
            Ok(written) => {
                rest = rest.get_mut(written..).ok_or(Error::Broken)?;
                interruptions = 0;
            }
            Err(_) if answer == -(libc::EINTR as isize) && interruptions < MOST_INTERRUPTIONS => {
                interruptions += 1;
            }
            Err(_) => return Err(Error::from_errno(i32::try_from(-answer).unwrap_or(libc::EIO))),
        }
        if rest.is_empty() {
            return Ok(());
        }
        answer = match handle {
            Some(handle) => handle.call(rest, flags),
            None => syscall::getrandom(rest, flags),
        };
    }
}

/// Leaves nothing in the buffer that could pass for random.
#[cold]
fn failed(buf: &mut [u8], error: Error) -> Result<(), Error> {
    buf.fill(0);
    counts::add_failure();
    Err(error)
}
