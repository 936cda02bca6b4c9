//! The daemon that is measured: started, and watched through /proc.

use std::fs::{self, File};
use std::io;
use std::process::{Child, Command, Stdio};

use crate::Report;

/// What the daemon says.
const LOG: &str = "/daemon.log";
/// The unit of times in /proc/PID/stat, in nanoseconds.
const TICK_NS: u64 = 10_000_000;

/// A daemon that runs.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts `program argument...`; nothing if there is no program.
    pub(crate) fn start(command_line: &str) -> io::Result<Option<Self>> {
        let mut words = command_line.split_whitespace();
        let Some(program) = words.next() else { return Ok(None) };
        let log = File::create(LOG)?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().map(|child| Some(Self(child)))
    }

    /// CPU time of all its threads so far, in nanoseconds; of kernels that do not count so finely, in steps of ten milliseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let folder = format!("/proc/{}/task", self.0.id());
        let threads = fs::read_dir(folder).into_iter().flatten().flatten();
        threads.map(|thread| scheduled(&thread.path()).unwrap_or(0)).sum()
    }

    /// Says what it is and was.
    pub(crate) fn report(&mut self, report: &mut Report) {
        match self.0.try_wait() {
            Ok(None) => report.say("daemon", "running"),
            Ok(Some(status)) => report.say("daemon", status),
            Err(error) => report.say("error", error),
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        for (field, key) in [("VmRSS:", "rss_kib"), ("VmHWM:", "peak_kib"), ("Threads:", "threads")] {
            let value = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
            report.say(key, value.unwrap_or("0"));
        }
        report.file("log", LOG);
        report.file("status", "/run/weir-feed/status");
    }
}

/// The time that a thread was on a CPU.
fn scheduled(thread: &std::path::Path) -> Option<u64> {
    let fine = fs::read_to_string(thread.join("schedstat")).ok();
    let fine = fine.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    fine.filter(|time| *time > 0).or_else(|| {
        let stat = fs::read_to_string(thread.join("stat")).ok()?;
        // The fields after the name, which may hold anything; user and system time are the 12th and 13th of them.
        let times = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(2);
        Some(times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * TICK_NS)
    })
}
