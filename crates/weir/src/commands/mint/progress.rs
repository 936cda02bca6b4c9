//! A line on the terminal for whoever waits: how far, how fast, how long still.
//!
//! Shown on standard error if that is a terminal and standard output is none, from the second second on, and wiped at the
//! end. Looks at the clock only now and then, because a value can cost less than that look.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const FIRST_AFTER: Duration = Duration::from_secs(1);
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Columns of the bar.
const BAR: usize = 20;

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Values,
    Bytes,
}

pub(super) struct Progress {
    unit: Unit,
    total: u64,
    done: u64,
    /// At which count the clock is looked at next, and how many counts later again.
    look_at: u64,
    stride: u64,
    start: Instant,
    next: Duration,
    shown: bool,
}

impl Progress {
    pub(super) fn new(total: u64, unit: Unit) -> Self {
        // Where values scroll by, they are the progress, and this line would be torn apart by them.
        let watched = io::stderr().is_terminal() && !io::stdout().is_terminal();
        let stride = match unit {
            Unit::Values => 1024,
            Unit::Bytes => 1 << 20,
        };
        Self {
            unit,
            total,
            done: 0,
            look_at: if watched { stride } else { u64::MAX },
            stride,
            start: Instant::now(),
            next: FIRST_AFTER,
            shown: false,
        }
    }

    pub(super) fn add(&mut self, count: u64) {
        self.done += count;
        if self.done >= self.look_at {
            self.look();
        }
    }

    #[cold]
    fn look(&mut self) {
        self.look_at = self.done + self.stride;
        let elapsed = self.start.elapsed();
        if elapsed >= self.next {
            self.next = elapsed + AGAIN_AFTER;
            self.shown = true;
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.line(elapsed));
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let rate = self.done as f64 / elapsed.as_secs_f64();
        let left = (self.total - self.done.min(self.total)) as f64 / rate;
        let share = self.done.min(self.total) as f64 / self.total as f64;
        let amount = |amount: f64| match self.unit {
            Unit::Values => format!("{amount:.0}"),
            Unit::Bytes => bytes(amount),
        };
        let (done, total, rate) = (amount(self.done as f64), amount(self.total as f64), amount(rate));
        let (minutes, seconds) = (left as u64 / 60, left as u64 % 60);
        let full = (share * BAR as f64) as usize;
        let bar = format!("[{:=<full$}{:empty$}]", "", "", empty = BAR - full);
        format!("{bar} {:.0} %  {done} of {total}  {rate}/s  {minutes}:{seconds:02} left", 100.0 * share)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn bytes(amount: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = ((amount.max(1.0).log2() / 10.0) as usize).min(units.len() - 1);
    let unit = units.get(power).copied().unwrap_or_default();
    format!("{:.*} {unit}", usize::from(power > 0), amount / 1024f64.powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let mut progress = Progress::new(4 << 30, Unit::Bytes);
        progress.done = 1 << 30;
        let line = progress.line(Duration::from_secs(30));
        assert_eq!(line, "[=====               ] 25 %  1.0 GiB of 4.0 GiB  34.1 MiB/s  1:30 left");
        let mut progress = Progress::new(1000, Unit::Values);
        progress.done = 500;
        assert_eq!(
            progress.line(Duration::from_secs(1)),
            "[==========          ] 50 %  500 of 1000  500/s  0:01 left"
        );
    }

    #[test]
    fn amounts_have_units() {
        assert_eq!([0.0, 1023.0, 1024.0, 1e18].map(bytes), ["0 B", "1023 B", "1.0 KiB", "888.2 PiB"]);
    }
}
