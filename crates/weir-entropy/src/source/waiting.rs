//! Reads that keep a deadline: non-blocking descriptors, and poll(2) between attempts.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use super::SourceError;

/// Opens a file for reading (and writing, where asked) such that neither opening nor reading waits.
pub(super) fn open(path: &str, write: bool) -> Result<File, SourceError> {
    let flags = libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    let opened = File::options().read(true).write(write).custom_flags(flags).open(path);
    opened.map_err(|error| SourceError::Os { what: "opening it", error })
}

/// Makes reading a descriptor that is open already not wait.
pub(super) fn never_wait(file: &impl AsRawFd) -> Result<(), SourceError> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; this asks for its flags.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    // SAFETY: as before; this sets them.
    if flags == -1 || unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) } == -1
    {
        return Err(SourceError::last_os("making its output not wait"));
    }
    Ok(())
}

/// Reads what is there, one byte at least, before the deadline.
pub(super) fn read(
    file: &mut (impl Read + AsRawFd),
    out: &mut [u8],
    deadline: Instant,
) -> Result<usize, SourceError> {
    match read_answer(file, out, deadline, false) {
        Ok(0) => Err(SourceError::Ended),
        other => other,
    }
}

/// Reads until `out` is full, the deadline comes or the end does: one byte at least.
pub(super) fn fill(
    file: &mut (impl Read + AsRawFd),
    out: &mut [u8],
    deadline: Instant,
) -> Result<usize, SourceError> {
    let mut done = 0;
    while done < out.len() {
        match read(file, &mut out[done..], deadline) {
            Ok(count) => done += count,
            Err(SourceError::Ended | SourceError::Dry) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads what is there before the deadline. Where `wait_for_some`, no bytes mean that there are none yet, which is how
/// the TPM's driver says so; else they mean the end.
pub(super) fn read_answer(
    file: &mut (impl Read + AsRawFd),
    out: &mut [u8],
    deadline: Instant,
    wait_for_some: bool,
) -> Result<usize, SourceError> {
    loop {
        match file.read(out) {
            Ok(0) if wait_for_some => wait_readable(&*file, deadline)?,
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_readable(&*file, deadline)?,
            Err(error) => return Err(SourceError::Os { what: "reading it", error }),
        }
        if Instant::now() >= deadline {
            return Err(SourceError::Dry);
        }
    }
}

/// The longest wait before a descriptor is tried again though it did not say that it is ready: some drivers' poll
/// says nothing or always yes, and then this is what keeps the wait from spinning or from lasting.
const RETRY: Duration = Duration::from_millis(5);

/// Waits until a descriptor may be readable, or until it is worth trying again.
pub(super) fn wait_readable(file: &impl AsRawFd, deadline: Instant) -> Result<(), SourceError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(SourceError::Dry);
    }
    let begin = Instant::now();
    let ready = poll(file, left.min(RETRY))?;
    // A driver that says yes and then has nothing would make this loop spin.
    if ready && begin.elapsed() < Duration::from_micros(200) {
        std::thread::sleep(left.min(Duration::from_millis(1)));
    }
    Ok(())
}

/// poll(2) for reading. An interrupted wait counts as one that brought nothing.
fn poll(file: &impl AsRawFd, wait: Duration) -> Result<bool, SourceError> {
    let mut request = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: one request, writable for the length of the call.
    match unsafe { libc::poll(&raw mut request, 1, wait_ms) } {
        -1 => {
            let error = std::io::Error::last_os_error();
            let interrupted = error.kind() == ErrorKind::Interrupted;
            if interrupted { Ok(false) } else { Err(SourceError::Os { what: "waiting for it", error }) }
        }
        ready => Ok(ready > 0),
    }
}
