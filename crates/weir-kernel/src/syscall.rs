//! getrandom(2), called directly.
//!
//! Not through the C library's function of that name: newer C libraries answer it from the vDSO with state of their
//! own, older ones lack it, and this module is the path that must be nothing but the system call.

use crate::Error;

/// Do not wait for the generator: EAGAIN if it is not ready (GRND_NONBLOCK).
pub(crate) const NONBLOCK: u32 = libc::GRND_NONBLOCK;

/// One getrandom(2) as it is: the number of bytes written, or the negated error number.
pub(crate) fn getrandom(buf: &mut [u8], flags: u32) -> isize {
    // SAFETY: the pointer and the length describe one writable slice that lives through the call.
    let answer = unsafe { libc::syscall(libc::SYS_getrandom, buf.as_mut_ptr(), buf.len(), flags) };
    if answer >= 0 { answer as isize } else { -(last_errno() as isize) }
}

/// Whether a draw would be answered now, without drawing anything.
///
/// A request for no bytes passes the kernel's check of readiness and then has nothing to do; every version since 3.17
/// checks in that order.
pub(crate) fn ready() -> Result<(), Error> {
    outcome(getrandom(&mut [], NONBLOCK))
}

/// Waits in the kernel until its generator is ready; draws nothing. From Linux 5.4 on such a waiter makes the kernel
/// gather entropy from its own timing ("jitter"), which a poll does not.
pub(crate) fn block_until_ready() -> Result<(), Error> {
    outcome(getrandom(&mut [], 0))
}

fn outcome(answer: isize) -> Result<(), Error> {
    match answer {
        0.. => Ok(()),
        negative => Err(Error::from_errno(-negative as i32)),
    }
}

/// The calling thread's error number.
pub(crate) fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
