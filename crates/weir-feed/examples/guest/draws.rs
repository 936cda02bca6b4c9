//! Draws without end, kept with the time and the published generation, for a guest that is frozen and restored.
//!
//! Says `GUEST drawing=1` when there is something to be cloned, and prints what it kept when a line arrives at the third serial port.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use weir_kernel::host::published;

use crate::daemon::Daemon;
use crate::{Plan, Report};

/// So many draws before anybody may clone.
const BEFORE: usize = 200;

struct Draw {
    at: Duration,
    generation: u64,
    bytes: [u8; 16],
}

pub(crate) fn run(plan: &Plan, report: &mut Report) -> io::Result<()> {
    let apart = Duration::from_micros(plan.number("apart_us", 2000));
    let kept = plan.number("kept", 4000);
    let started = Instant::now();
    let mut daemon = Daemon::start(plan.text("daemon"))?;
    if daemon.is_some() {
        wait_for_generation(started + Duration::from_secs(plan.number("patience_s", 60)))?;
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut port = OpenOptions::new().read(true).custom_flags(flags).open("/dev/ttyS2")?;
    let mut published = None;
    let mut draws = VecDeque::with_capacity(kept);
    let mut count: u64 = 0;
    while !asked(&mut port) {
        if published.is_none() {
            published = File::open(published::PATH).ok();
        }
        // Before the draw: what the number promises holds for draws that begin after it was read.
        let generation = published.as_ref().map_or(0, generation);
        let at = started.elapsed();
        let bytes = weir_kernel::array().map_err(io::Error::other)?;
        if draws.len() == kept {
            draws.pop_front();
        }
        draws.push_back(Draw { at, generation, bytes });
        count += 1;
        if count == BEFORE as u64 {
            writeln!(io::stdout(), "GUEST drawing=1")?;
        }
        thread::sleep(apart);
    }
    let first = count - draws.len() as u64;
    for (number, draw) in (first..).zip(&draws) {
        let bytes: String = draw.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        report.say("draw", format_args!("{number} {} {} {bytes}", draw.at.as_nanos(), draw.generation));
    }
    report.file("hooks", "/hooks.log");
    if let Some(daemon) = &mut daemon {
        daemon.report(report);
    }
    Ok(())
}

/// The daemon publishes it when it watches.
fn wait_for_generation(until: Instant) -> io::Result<()> {
    while !File::open(published::PATH).is_ok_and(|file| generation(&file) > 0) {
        if Instant::now() > until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the daemon published no generation"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn generation(file: &File) -> u64 {
    let mut bytes = [0; published::BYTES];
    let read = file.read_exact_at(&mut bytes, 0);
    read.ok().and_then(|()| published::parse(&bytes)).unwrap_or(0)
}

fn asked(port: &mut File) -> bool {
    matches!(port.read(&mut [0; 64]), Ok(1..))
}
