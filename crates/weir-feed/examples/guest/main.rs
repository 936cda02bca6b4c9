//! The first process of a guest in which feeders of entropy are measured.
//!
//! Linked statically, so that a guest needs no file but this one, the daemon, and `/plan`: a line `KEY VALUE` each for what is
//! to be done.
//!
//! | key | meaning |
//! |---|---|
//! | `mode` | `boot`: when is the kernel ready ([`boot`]); `draws`: draws without end, for a guest that is cloned ([`draws`]) |
//! | `daemon` | program and arguments, between blanks; none without |
//! | `reader` | `blocked`: a reader of /dev/random waits before the daemon is started |
//! | `patience_s` | how long to wait for the kernel |
//! | `idle_s` | how long to watch the daemon afterwards |
//! | `reseeds` | how often to take from the kernel's pool afterwards |
//! | `apart_us`, `kept` | microseconds between draws, and how many are kept |
//!
//! It measures first and talks later: what is written to a console are interrupts, and interrupts are entropy. In the end it
//! prints lines `GUEST key=value`, the last one `GUEST end=1`, and switches the machine off. Nothing that fails stops it: it
//! becomes a line `GUEST error=`.

mod boot;
mod daemon;
mod draws;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};

fn main() {
    let mut report = Report::default();
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        let _ = fs::create_dir_all(place);
        report.note(mount(kind, place, kind, MountFlags::empty(), None).map_err(io::Error::from));
    }
    let plan = Plan::read();
    let done = match plan.text("mode") {
        "draws" => draws::run(&plan, &mut report),
        _ => boot::run(&plan, &mut report),
    };
    report.note(done);
    report.end();
}

/// What is to be done.
struct Plan(String);

impl Plan {
    fn read() -> Self {
        Self(fs::read_to_string("/plan").unwrap_or_default())
    }

    /// A value, or nothing.
    fn text(&self, key: &str) -> &str {
        self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).unwrap_or_default()
    }

    fn number<N: FromStr>(&self, key: &str, otherwise: N) -> N {
        self.text(key).parse().unwrap_or(otherwise)
    }
}

/// What is printed in the end.
#[derive(Default)]
struct Report(String);

impl Report {
    fn say(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "GUEST {key}={value}");
    }

    fn note<T>(&mut self, outcome: io::Result<T>) {
        if let Err(error) = outcome {
            self.say("error", error);
        }
    }

    /// Each line of a file that is there.
    fn file(&mut self, key: &str, path: &str) {
        fs::read_to_string(path).unwrap_or_default().lines().for_each(|line| self.say(key, line));
    }

    /// Prints all and switches the machine off.
    fn end(mut self) {
        self.say("end", 1);
        let mut out = io::stdout().lock();
        let _ = out.write_all(self.0.as_bytes()).and_then(|()| out.flush());
        // The console still sends when the write has returned.
        if let Ok(console) = fs::File::open("/dev/console") {
            let _ = rustix::termios::tcdrain(&console);
        }
        let _ = reboot(RebootCommand::PowerOff);
        loop {
            thread::sleep(Duration::from_secs(60));
        }
    }
}
