//! Standard output, and a word on standard error.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Map, Value};

use super::progress::{Progress, Unit};
use super::{Common, Count, Failure};

/// Standard output without the line buffering that the standard library puts before it.
///
/// A pipe that another process made non-blocking, as some shells and runtimes do, is waited for like any other.
pub(super) struct Stdout(File);

pub(super) fn stdout() -> io::Result<Stdout> {
    Ok(Stdout(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Interrupted or not, the next write tells.
                    let _ = poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None);
                }
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

pub(super) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Says what went wrong. If even that cannot be written, nobody is there to read it.
pub(super) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "weir: {message}");
}

/// Writes values, each on a line of its own.
pub(super) struct Lines {
    out: BufWriter<Stdout>,
    json: bool,
}

impl Lines {
    pub(super) fn new(json: bool) -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(64 << 10, stdout()?), json })
    }

    /// Writes one value: the text, or with `--json` the object.
    pub(super) fn write(
        &mut self,
        text: &str,
        object: impl FnOnce() -> Map<String, Value>,
    ) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, &object())?;
        } else {
            self.out.write_all(text.as_bytes())?;
        }
        self.out.write_all(b"\n")
    }

    /// As [`Lines::write`], for text that may not be UTF-8, with a terminator of its own.
    pub(super) fn write_raw(&mut self, text: &[u8], terminator: u8) -> io::Result<()> {
        self.out.write_all(text)?;
        self.out.write_all(&[terminator])
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Mints as many values as are wanted and writes each with `write`.
pub(super) fn each(
    common: &Common,
    count: &Count,
    mut write: impl FnMut(&mut Lines) -> Result<(), Failure>,
) -> Result<(), Failure> {
    common.ensure_ready()?;
    let mut lines = Lines::new(common.json)?;
    let mut progress = Progress::new(count.count, Unit::Values);
    for _ in 0..count.count {
        write(&mut lines)?;
        progress.add(1);
    }
    lines.flush()?;
    Ok(())
}

/// An object of these members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A strength as it is shown: to a tenth of a bit.
pub(super) fn bits(strength: f64) -> Value {
    Value::from((strength * 10.0).round() / 10.0)
}
