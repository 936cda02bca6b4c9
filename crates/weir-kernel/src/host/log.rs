//! Where the kernel log is read from: the first of these that gives it.
//!
//! 1. /dev/kmsg: whole and exact. Non-blocking, so the read ends where the log does.
//! 2. syslog(2), on the running host: the same text, but only since somebody last cleared it.
//! 3. /var/log/dmesg, which some distributions write once a boot; taken only if it is of this boot.
//!
//! In a recorded tree `dev/kmsg` is a plain file, in any of the forms that [`super::log_lines`] understands. Absent on
//! purpose: the journal, whose format is not a stable interface; who may read it may read 1 or 2.

use std::fs::File;
use std::io::Read;

use super::log_lines::LogFacts;
use super::root::{Fact, Root, Unknown};
use crate::syscall::last_errno;

const DEVICE: &str = "/dev/kmsg";
const SAVED: &str = "/var/log/dmesg";
/// More than the largest ring that a kernel can be configured to keep (2^25).
const MAX_LOG_BYTES: usize = 48 << 20;
/// What one record can be at most, several times over.
const RECORD_BYTES: usize = 16 << 10;

/// Where a log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// /dev/kmsg.
    Device,
    /// syslog(2).
    Syscall,
    /// /var/log/dmesg.
    Saved,
}

/// The kernel log's facts and where they came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelLog {
    /// Where it was read.
    pub source: LogSource,
    /// What it says.
    pub facts: LogFacts,
}

/// Reads the log. `boot` is the moment of the boot in seconds since 1970, to tell an old file by.
pub(super) fn read(root: &Root, boot: &Fact<i64>) -> Fact<KernelLog> {
    let log = |source| move |facts| KernelLog { source, facts };
    let first = match device(root).map(log(LogSource::Device)) {
        Ok(found) => return Ok(found),
        Err(why) => why,
    };
    let rest =
        syscall(root).map(log(LogSource::Syscall)).or_else(|_| saved(root, boot).map(log(LogSource::Saved)));
    rest.map_err(|_| first)
}

fn device(root: &Root) -> Fact<LogFacts> {
    if root.is_live() {
        records(root.open(DEVICE, libc::O_RDONLY)?)
    } else {
        let bytes = root.bytes(DEVICE, MAX_LOG_BYTES)?;
        Ok(LogFacts::parse(&String::from_utf8_lossy(&bytes)))
    }
}

/// Reads /dev/kmsg, which gives one record a call.
fn records(mut device: File) -> Fact<LogFacts> {
    let mut facts = LogFacts::default();
    let mut record = vec![0; RECORD_BYTES];
    let mut total = 0;
    while total < MAX_LOG_BYTES {
        match device.read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                total += length;
                let record = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                record.lines().for_each(|line| facts.add(line));
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => break,
                // Overwritten while we were reading: the next read goes on with the oldest that is left.
                Some(libc::EPIPE | libc::EINTR) => total += 1,
                errno => return Err(Unknown::from_errno(errno.unwrap_or(libc::EIO))),
            },
        }
    }
    Ok(facts)
}

fn syscall(root: &Root) -> Fact<LogFacts> {
    const READ_ALL: i32 = 3;
    const SIZE_BUFFER: i32 = 10;
    if !root.is_live() {
        return Err(Unknown::Absent);
    }
    // SAFETY: this action takes no buffer.
    let size = unsafe { libc::klogctl(SIZE_BUFFER, std::ptr::null_mut(), 0) };
    let size = usize::try_from(size).map_err(|_| Unknown::from_errno(last_errno()))?;
    let mut text = vec![0u8; size.min(MAX_LOG_BYTES)];
    let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
    // SAFETY: the buffer is writable for the length that is given.
    let read = unsafe { libc::klogctl(READ_ALL, text.as_mut_ptr().cast(), length) };
    let read = usize::try_from(read).map_err(|_| Unknown::from_errno(last_errno()))?;
    Ok(LogFacts::parse(&String::from_utf8_lossy(text.get(..read).unwrap_or_default())))
}

fn saved(root: &Root, boot: &Fact<i64>) -> Fact<LogFacts> {
    let written = root.meta(SAVED)?.modified;
    if written < boot.clone()? {
        return Err(Unknown::Absent);
    }
    let bytes = root.bytes(SAVED, MAX_LOG_BYTES)?;
    Ok(LogFacts::parse(&String::from_utf8_lossy(&bytes)))
}
