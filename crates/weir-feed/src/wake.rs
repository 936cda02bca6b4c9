//! What wakes the daemon: one poll over everything that may happen, and nothing that happens by itself.
//!
//! - signals, through a socket;
//! - the clock being set, which a resume from suspension counts as (a timer that is cancelled then, timerfd_create(2));
//! - /dev/random becoming writable, which on kernels that count to 4096 means that their estimate is below the threshold;
//! - a line in the kernel log, which may tell of a fork of the virtual machine;
//! - VMClock, where its device can be polled (since Linux 7.0; before, a poll answers at once and means nothing);
//! - the hypervisor's word.
//!
//! A poll that answers without end must not become a loop: VMClock's is given up where it means nothing, the kernel log has
//! pauses that grow with what it says, and a device of the hypervisor's wakes for changes alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::word::Listener;

/// After a line of the kernel log it wakes nobody for so long, and longer the more it says: a firewall that logs packets must
/// not keep the daemon busy. The kernel reseeds itself at a fork, without waiting for anybody.
const LEAST_PAUSE: Duration = Duration::from_millis(250);
const MOST_PAUSE: Duration = Duration::from_secs(60);

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The daemon is to end.
    Stop,
    /// Somebody wants to know how it is.
    Report,
    /// The kernel's estimate is below its threshold.
    Low,
    /// The machine may have been cloned.
    MaybeCloned,
    /// The clock was set, or the machine was suspended.
    Clock,
    /// A word has arrived at the listener with this number.
    Word(usize),
}

/// Everything that may happen.
#[derive(Debug)]
pub(crate) struct Wakes {
    stop: UnixStream,
    report: UnixStream,
    clock: Option<OwnedFd>,
    random: Option<File>,
    log: Option<File>,
    vmclock: Option<File>,
    /// Until when lines of the kernel log wake nobody, and how long the next such pause is.
    log_rests: Option<Instant>,
    log_pause: Duration,
    log_spoke: Option<Instant>,
    /// Where the hypervisor's word arrives.
    pub(crate) words: Vec<Listener>,
}

impl Wakes {
    /// Opens what there is. `estimates`: whether the kernel counts to 4096.
    ///
    /// # Errors
    /// That signals cannot be caught.
    pub(crate) fn open(estimates: bool, words: Vec<Listener>) -> io::Result<Self> {
        Ok(Self {
            stop: signals(&[SIGTERM, SIGINT])?,
            report: signals(&[SIGUSR1, SIGHUP])?,
            clock: clock().ok(),
            random: if estimates { open("/dev/random", true).ok() } else { None },
            log: kernel_log().ok(),
            vmclock: vmclock(),
            log_rests: None,
            log_pause: LEAST_PAUSE,
            log_spoke: None,
            words,
        })
    }

    /// Whether VMClock has to be looked at by the clock, if there is one.
    pub(crate) fn polls_vmclock(&self) -> bool {
        self.vmclock.is_some()
    }

    /// Waits until something happens, at most `time`. `low`: whether an estimate below the threshold is of interest.
    ///
    /// # Errors
    /// That the kernel refuses to wait, which must not become a loop.
    pub(crate) fn wait(&mut self, time: Duration, low: bool) -> io::Result<Vec<Wake>> {
        let now = Instant::now();
        self.log_rests = self.log_rests.filter(|until| *until > now);
        // What the log said in its pause is looked at when that ends.
        let time = self.log_rests.map_or(time, |until| time.min(until - now));
        let seen = self.poll(time, low)?;
        Ok(seen.into_iter().filter(|wake| self.take(*wake)).collect())
    }

    /// What is there to be read.
    fn poll(&self, time: Duration, low: bool) -> io::Result<Vec<Wake>> {
        let interests = self.interests(low);
        let mut fds: Vec<PollFd<'_>> =
            interests.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let time = Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&time)) {
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            other => other?,
        };
        let happened = interests.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(happened.map(|((wake, ..), _)| *wake).collect())
    }

    fn interests(&self, low: bool) -> Vec<(Wake, BorrowedFd<'_>, PollFlags)> {
        let input = |wake, fd| (wake, fd, PollFlags::IN);
        let mut interests =
            vec![input(Wake::Stop, self.stop.as_fd()), input(Wake::Report, self.report.as_fd())];
        interests.extend(self.clock.iter().map(|fd| input(Wake::Clock, fd.as_fd())));
        let log = self.log.as_ref().filter(|_| self.log_rests.is_none());
        let logs = [log, self.vmclock.as_ref()].into_iter().flatten();
        interests.extend(logs.map(|fd| input(Wake::MaybeCloned, fd.as_fd())));
        let words = self.words.iter().enumerate();
        interests.extend(words.map(|(number, word)| input(Wake::Word(number), word.as_fd())));
        if low {
            interests.extend(self.random.iter().map(|fd| (Wake::Low, fd.as_fd(), PollFlags::OUT)));
        }
        interests
    }

    /// Takes note of what happened, so that it wakes nobody again. Answers whether it did happen.
    fn take(&mut self, wake: Wake) -> bool {
        match wake {
            Wake::Stop => drain(&mut self.stop),
            Wake::Report => drain(&mut self.report),
            Wake::Clock => {
                let set = self.clock.as_ref().is_some_and(was_set);
                self.clock = clock().ok();
                set
            }
            Wake::MaybeCloned => {
                if self.vmclock.as_mut().is_some_and(|device| !acknowledge(device)) {
                    self.vmclock = None;
                }
                if self.log.as_mut().is_some_and(|log| !drain_log(log)) {
                    self.log = None;
                }
                let now = Instant::now();
                let quiet = self.log_spoke.is_none_or(|before| now - before > 2 * MOST_PAUSE);
                self.log_pause = if quiet { LEAST_PAUSE } else { (2 * self.log_pause).min(MOST_PAUSE) };
                (self.log_rests, self.log_spoke) = (Some(now + self.log_pause), Some(now));
                true
            }
            Wake::Low | Wake::Word(_) => true,
        }
    }
}

/// A socket that gets a byte with each of these signals.
fn signals(numbers: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for number in numbers {
        signal_hook::low_level::pipe::register(*number, write.try_clone()?)?;
    }
    Ok(read)
}

fn drain(socket: &mut UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while matches!(socket.read(&mut bytes), Ok(1..)) {
        any = true;
    }
    any
}

/// A timer that never runs out, and is cancelled when the clock is set.
fn clock() -> rustix::io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: i64::from(i32::MAX) * 64, tv_nsec: 0 };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
    timerfd_settime(&timer, flags, &once)?;
    Ok(timer)
}

fn was_set(timer: &OwnedFd) -> bool {
    rustix::io::read(timer, &mut [0; 8]) == Err(rustix::io::Errno::CANCELED)
}

fn open(path: &str, write: bool) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
}

/// The kernel log, from now on.
fn kernel_log() -> io::Result<File> {
    let mut log = open("/dev/kmsg", false)?;
    log.seek(SeekFrom::End(0))?;
    Ok(log)
}

/// Reads to the end; answers false from a log that will tell nothing any more.
fn drain_log(log: &mut File) -> bool {
    let mut record = [0; 8192];
    loop {
        match log.read(&mut record) {
            Ok(1..) => {}
            Ok(0) => return false,
            // Records that were overwritten before they were read: the next read goes on behind them.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// VMClock's device, if a poll of it means something.
fn vmclock() -> Option<File> {
    let mut device = open("/dev/vmclock0", false).ok()?;
    acknowledge(&mut device).then_some(device)
}

/// Reads the page, which tells the driver that its present state is known. Answers whether a poll now waits.
fn acknowledge(device: &mut File) -> bool {
    let mut page = [0; 4096];
    let read = device.seek(SeekFrom::Start(0)).and_then(|_| device.read(&mut page));
    let mut fds = [PollFd::new(device, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    read.is_ok() && poll(&mut fds, Some(&at_once)) == Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Place;
    use std::io::Write;

    #[test]
    fn what_happened_wakes_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("word");
        let words = vec![Listener::open(&Place::Unix(path.clone())).unwrap()];
        let (stop, mut stopper) = UnixStream::pair().unwrap();
        let (report, _reporter) = UnixStream::pair().unwrap();
        stop.set_nonblocking(true).unwrap();
        let (log_rests, log_pause, log_spoke) = (None, LEAST_PAUSE, None);
        let mut wakes = Wakes {
            stop,
            report,
            clock: None,
            random: None,
            log: None,
            vmclock: None,
            log_rests,
            log_pause,
            log_spoke,
            words,
        };
        assert_eq!(wakes.wait(Duration::ZERO, true).unwrap(), []);
        stopper.write_all(b"x").unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"hello\n").unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(wakes.wait(minute, true).unwrap(), [Wake::Stop, Wake::Word(0)]);
        wakes.words[0].take(|_| 1).unwrap();
        assert_eq!(wakes.wait(Duration::ZERO, true).unwrap(), []);
    }

    #[test]
    fn a_timer_that_never_runs_out_can_be_had() {
        let timer = clock().unwrap();
        assert!(!was_set(&timer));
    }

    #[test]
    fn a_device_whose_poll_means_nothing_is_not_polled() {
        assert!(!acknowledge(&mut open("/dev/zero", false).unwrap()));
    }
}
