//! What the daemon says while it works: lines on standard error, with journald's levels where journald reads them.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering};

/// How much a line matters. The numbers are syslog's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// Something does not work.
    Error = 3,
    /// Something works less well than it should.
    Warning = 4,
    /// What an operator wants to find in the log: ready, cloned, a source set aside.
    Notice = 5,
    /// What the daemon does.
    Info = 6,
    /// Each round.
    Debug = 7,
}

static MOST: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Lines beyond this level are left out.
pub(crate) fn limit(level: Level) {
    MOST.store(level as u8, Ordering::Relaxed);
}

/// Writes a line. That nobody reads it stops nothing.
pub(crate) fn line(level: Level, text: fmt::Arguments<'_>) {
    if level as u8 > MOST.load(Ordering::Relaxed) {
        return;
    }
    let line =
        if journald_reads() { format!("<{}>{text}\n", level as u8) } else { format!("weir-feed: {text}\n") };
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether standard error leads to journald: it says so by the file's identity (systemd.exec(5), `JOURNAL_STREAM`).
fn journald_reads() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr().as_fd())
        .is_ok_and(|stat| stream.to_str() == Some(&format!("{}:{}", stat.st_dev, stat.st_ino)))
}

macro_rules! error { ($($word:tt)*) => { $crate::log::line($crate::log::Level::Error, format_args!($($word)*)) } }
macro_rules! warning { ($($word:tt)*) => { $crate::log::line($crate::log::Level::Warning, format_args!($($word)*)) } }
macro_rules! notice { ($($word:tt)*) => { $crate::log::line($crate::log::Level::Notice, format_args!($($word)*)) } }
macro_rules! info { ($($word:tt)*) => { $crate::log::line($crate::log::Level::Info, format_args!($($word)*)) } }
macro_rules! debug { ($($word:tt)*) => { $crate::log::line($crate::log::Level::Debug, format_args!($($word)*)) } }
pub(crate) use {debug, error, info, notice, warning};
