//! A line on the terminal for whoever waits: what is being done, and how much of it is done.
//!
//! Shown on standard error if that is a terminal, from the first second on, and wiped at the end.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const FIRST_AFTER: Duration = Duration::from_secs(1);
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Columns of the bar.
const BAR: usize = 20;

pub(crate) struct Progress {
    watched: bool,
    start: Instant,
    /// When the line was last written.
    shown: Mutex<Option<Instant>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { watched: io::stderr().is_terminal(), start: Instant::now(), shown: Mutex::new(None) }
    }

    /// `done` of `total` is done, in whichever unit; without a total there is no bar.
    pub(crate) fn at(&self, what: &str, done: u64, total: Option<u64>) {
        if !self.watched || self.start.elapsed() < FIRST_AFTER {
            return;
        }
        let Ok(mut shown) = self.shown.lock() else { return };
        if shown.is_none_or(|last| last.elapsed() >= AGAIN_AFTER) {
            *shown = Some(Instant::now());
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(what, done, total));
        }
    }
}

fn line(what: &str, done: u64, total: Option<u64>) -> String {
    let Some(total) = total.filter(|total| *total > 0) else { return format!("{what}: {done}") };
    let share = done.min(total) as f64 / total as f64;
    let full = (share * BAR as f64) as usize;
    format!("[{:=<full$}{:empty$}] {:3.0} %  {what}", "", "", 100.0 * share, empty = BAR - full)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.lock().is_ok_and(|shown| shown.is_some()) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_and_how_far() {
        assert_eq!(line("reading", 5, Some(20)), "[=====               ]  25 %  reading");
        assert_eq!(line("reading, bytes", 5, None), "reading, bytes: 5");
    }
}
