//! How long from the start of a daemon until the kernel is ready and a reader of /dev/random has its answer, what the daemon
//! costs then, and whether the kernel's estimate stays up when something takes from the pool.

use std::fs::{self, File};
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use weir_kernel::ioctl::Pool;

use crate::daemon::Daemon;
use crate::{Plan, Report};

const LOOK_EVERY: Duration = Duration::from_millis(1);
/// So long the reader waits before the daemon is started.
const HEAD_START: Duration = Duration::from_millis(100);
/// What a daemon does once the kernel is ready belongs to its start, and not to its rest.
const SETTLES_IN: Duration = Duration::from_secs(1);
/// Between two times that something is taken from the pool.
const APART: Duration = Duration::from_millis(200);

pub(crate) fn run(plan: &Plan, report: &mut Report) -> io::Result<()> {
    report.file("kernel", "/proc/sys/kernel/osrelease");
    report.say("ready_before", u8::from(weir_kernel::is_ready()));
    report.say("estimate_before", estimate());
    let answers = (plan.text("reader") == "blocked").then(read_random);
    if answers.is_some() {
        thread::sleep(HEAD_START);
    }
    let started = Instant::now();
    let mut daemon = Daemon::start(plan.text("daemon"))?;
    let times = watch(started, Duration::from_secs(plan.number("patience_s", 20)), answers.as_ref());
    times.report(report);
    if let Some(daemon) = &mut daemon {
        thread::sleep(SETTLES_IN);
        let used = daemon.cpu_ns();
        report.say("cpu_ms", used as f64 / 1e6);
        let idle_s = plan.number("idle_s", 0);
        thread::sleep(Duration::from_secs(idle_s));
        report.say("idle_s", idle_s);
        report.say("idle_cpu_ms", daemon.cpu_ns().saturating_sub(used) as f64 / 1e6);
    }
    let reseeds = plan.number("reseeds", 0);
    if reseeds > 0 {
        let taken = take(reseeds, daemon.as_ref(), report);
        report.note(taken);
    }
    if let Some(daemon) = &mut daemon {
        daemon.report(report);
    }
    report.say("estimate", estimate());
    Ok(())
}

/// When what happened, after the start of the daemon.
#[derive(Default)]
struct Times {
    ready: Option<Duration>,
    answered: Option<Duration>,
    /// The answer came before the daemon was started.
    early: bool,
    bytes: Vec<u8>,
}

impl Times {
    fn report(&self, report: &mut Report) {
        let ms = |time: Option<Duration>| {
            time.map_or("never".to_owned(), |time| (time.as_secs_f64() * 1e3).to_string())
        };
        report.say("ready_ms", ms(self.ready));
        report.say("answered_ms", ms(self.answered));
        report.say("answered_early", u8::from(self.early));
        // A guest's bytes are worth nothing: they are shown to compare boots.
        report.say("bytes", self.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
}

/// Looks until all has happened that can, or time is up.
fn watch(started: Instant, patience: Duration, answers: Option<&Receiver<(Instant, Vec<u8>)>>) -> Times {
    let mut times = Times::default();
    while started.elapsed() < patience {
        if times.ready.is_none() && weir_kernel::is_ready() {
            times.ready = Some(started.elapsed());
        }
        if let Some((at, bytes)) = answers.and_then(|answers| answers.try_recv().ok()) {
            times.early = at < started;
            times.answered = Some(at.saturating_duration_since(started));
            times.bytes = bytes;
        }
        if times.ready.is_some() && (answers.is_none() || times.answered.is_some()) {
            break;
        }
        thread::sleep(LOOK_EVERY);
    }
    times
}

/// A thread that reads 32 bytes and tells when it got them.
fn read_random() -> Receiver<(Instant, Vec<u8>)> {
    let (teller, answers) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = vec![0; 32];
        let read = File::open("/dev/random").and_then(|mut device| device.read_exact(&mut bytes));
        if read.is_ok() {
            let _ = teller.send((Instant::now(), bytes));
        }
    });
    answers
}

fn estimate() -> u32 {
    let text = fs::read_to_string("/proc/sys/kernel/random/entropy_avail").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Takes 256 bits from the pool, again and again, and sees how low the estimate is each time the daemon had its turn; meanwhile
/// a reader takes all of /dev/random that it can get.
fn take(times: u32, daemon: Option<&Daemon>, report: &mut Report) -> io::Result<()> {
    let pool = Pool::open().map_err(io::Error::other)?;
    let (started, before) = (Instant::now(), daemon.map_or(0, Daemon::cpu_ns));
    let stop = Instant::now() + APART * times;
    let reader = thread::spawn(move || drain(stop));
    let (mut lowest, mut lowest_after) = (u32::MAX, u32::MAX);
    for _ in 0..times {
        pool.reseed().map_err(io::Error::other)?;
        lowest = lowest.min(estimate());
        thread::sleep(APART);
        lowest_after = lowest_after.min(estimate());
    }
    let drained = reader.join().unwrap_or_default();
    report.say("lowest", lowest);
    report.say("lowest_after", lowest_after);
    report.say("drained_bytes", drained.0);
    report.say("drain_longest_ms", drained.1.as_secs_f64() * 1e3);
    let used = daemon.map_or(0, Daemon::cpu_ns).saturating_sub(before);
    report.say("demand_cpu_share", used as f64 / started.elapsed().as_nanos() as f64);
    Ok(())
}

/// Reads /dev/random until the time is up: how many bytes, and the longest that a read took.
fn drain(stop: Instant) -> (u64, Duration) {
    let (mut bytes, mut longest, mut block) = (0, Duration::ZERO, [0; 64]);
    let Ok(mut device) = File::open("/dev/random") else { return (0, longest) };
    while Instant::now() < stop {
        let begun = Instant::now();
        match device.read(&mut block) {
            Ok(length) => bytes += length as u64,
            Err(_) => break,
        }
        longest = longest.max(begun.elapsed());
        // Not so fast that the daemon has no CPU left.
        thread::sleep(LOOK_EVERY);
    }
    (bytes, longest)
}
