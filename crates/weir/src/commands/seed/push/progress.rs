//! A line on the terminal for whoever waits, with failures above it.
//!
//! Failures go to standard error as they happen, unless the report will tell them on the same terminal. The line is shown only
//! if standard error is a terminal, and is wiped at the end.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Columns of the bar.
const BAR: usize = 20;

pub(super) struct Progress {
    total: usize,
    done: usize,
    failed: usize,
    watched: bool,
    told_later: bool,
    next: Instant,
}

impl Progress {
    /// `told_later`: the report tells failures, where whoever waits will read it.
    pub(super) fn new(total: usize, wanted: bool, told_later: bool) -> Self {
        let watched = wanted && total > 1 && io::stderr().is_terminal();
        let progress = Self { total, done: 0, failed: 0, watched, told_later, next: Instant::now() };
        progress.show();
        progress
    }

    /// One more host has answered, or failed for this reason.
    pub(super) fn done(&mut self, failure: Option<&str>) {
        self.done += 1;
        if let Some(failure) = failure {
            self.failed += 1;
            if !self.told_later {
                self.wipe();
                let _ = writeln!(io::stderr(), "weir: {failure}");
            }
        }
        if failure.is_some() || Instant::now() >= self.next {
            self.next = Instant::now() + AGAIN_AFTER;
            self.show();
        }
    }

    fn show(&self) {
        if self.watched {
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.line());
        }
    }

    fn wipe(&self) {
        if self.watched {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&self) -> String {
        let full = BAR * self.done.min(self.total) / self.total.max(1);
        let bar = format!("[{:=<full$}{:empty$}]", "", "", empty = BAR - full);
        let failed = if self.failed > 0 { format!("  {} failed", self.failed) } else { String::new() };
        format!("{bar} {} of {} hosts{failed}", self.done, self.total)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_of_how_many() {
        let mut progress = Progress {
            total: 300,
            done: 75,
            failed: 0,
            watched: false,
            told_later: false,
            next: Instant::now(),
        };
        assert_eq!(progress.line(), "[=====               ] 75 of 300 hosts");
        progress.done(Some("web1: refused"));
        assert_eq!(progress.line(), "[=====               ] 76 of 300 hosts  1 failed");
    }
}
