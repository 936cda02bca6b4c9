//! command: bytes that a program prints, mixed in and never credited.
//!
//! The program is run anew each time the source is asked, without a shell, with an empty environment and with nothing
//! to read, in a process group of its own. At the deadline, or once enough was printed, the whole group is killed and
//! the program is reaped. What it prints to its standard error goes to that of the daemon.
//!
//! Words are divided at blanks, and there is no way to quote: who needs one writes a script.

use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::device::STANDSTILL_BITS;
use super::{Claim, Kind, Pace, Source, SourceError, Spec, Use, waiting};

pub(super) const KIND: Kind = Kind {
    name: "command",
    summary: "what a program prints, run without a shell",
    argument: Some("PATH ARGUMENTS"),
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 0.0,
        reason: "nobody can tell where its bytes come from: a network could know them",
    },
    tested_bits: STANDSTILL_BITS,
    timing: false,
    pace: Pace::Slow { patience_ms: 500 },
    default: Use::Named,
    open: |spec| {
        let source = Program { spec: spec.clone(), dying: None };
        let path = source.words().next().unwrap_or_default();
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() => Ok(Box::new(source)),
            Ok(_) => Err(SourceError::Refused("it is not a program's file")),
            Err(error) => Err(SourceError::Os { what: "looking at it", error }),
        }
    },
};

/// How long a program that has been killed is waited for.
const LAST_WAIT: Duration = Duration::from_millis(50);

struct Program {
    spec: Spec,
    /// One that has been killed and whose end was not seen yet: the kernel holds it in an uninterruptible call.
    dying: Option<Child>,
}

impl Program {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.spec.argument().split_ascii_whitespace()
    }

    fn start(&self) -> Result<(Child, ChildStdout), SourceError> {
        let mut words = self.words();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env_clear().current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| SourceError::Os { what: "starting it", error })?;
        let output = child.stdout.take().ok_or(SourceError::Malformed("a program without output"))?;
        Ok((child, output))
    }

    /// Kills the program and all that it started, and sees to its end. Says how it ended: by itself, if it had before.
    fn end(&mut self, mut child: Child) -> Option<ExitStatus> {
        if let Ok(group) = i32::try_from(child.id()) {
            // SAFETY: no preconditions. The group is of our own making, and as long as its first process has not been
            // reaped, which is done below, its number is given to nobody else.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        let until = Instant::now() + LAST_WAIT;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_micros(200)),
                Ok(None) => {
                    self.dying = Some(child);
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    /// Whether nothing is left of an earlier run.
    fn is_clear(&mut self) -> bool {
        if matches!(self.dying.as_mut().map(Child::try_wait), None | Some(Ok(Some(_)) | Err(_))) {
            self.dying = None;
        }
        self.dying.is_none()
    }
}

impl Source for Program {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn kind(&self) -> &'static Kind {
        self.spec.kind()
    }

    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        if !self.is_clear() {
            return Err(SourceError::Dry);
        }
        let (child, mut output) = self.start()?;
        let read = waiting::never_wait(&output).and_then(|()| waiting::fill(&mut output, out, deadline));
        drop(output);
        match (read, self.end(child)) {
            (Err(SourceError::Ended), Some(status)) => Err(silent(status)),
            (read, _) => read,
        }
    }
}

/// Why a program printed nothing, by how it ended.
fn silent(status: ExitStatus) -> SourceError {
    match status.code().and_then(|code| u32::try_from(code).ok()) {
        Some(code) if code != 0 => SourceError::Device { what: "it printed nothing and exited with", code },
        _ => SourceError::Ended,
    }
}
