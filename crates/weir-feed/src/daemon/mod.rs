//! The daemon: makes the kernel ready, then sleeps until something asks for it.
//!
//! ```text
//! start ─▶ Seeding ──ready──▶ Watermark   a kernel that counts to 4096: woken when its estimate is low
//!             │  ▲        └─▶ Schedule    any other: woken by the clock
//!             └──┘ after a pause that grows, while no source is worth anything
//! ```
//!
//! In every phase a clone, a resume and a clock that was set are answered with a reseed; a clone also with the next
//! generation number and the hooks. Nothing here can take the whole CPU: each round has a budget, and after one that
//! brought nothing the next waits, at least a second and up to a minute.

mod account;
mod clones;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use weir_entropy::{Config, Gatherer};
use weir_kernel::Signal;
use weir_kernel::clock;
use weir_kernel::host::feed::FeedSource;
use weir_kernel::host::{Accounting, FeedStatus};
use weir_kernel::ioctl::{PoolError, Sample};

use self::account::boot_id;
use self::clones::watches;
use crate::Failure;
use crate::feeder::Feeder;
use crate::guard::Guard;
use crate::kernel::{Kernel, Live};
use crate::log::{debug, info, notice, warning};
use crate::notify::notify;
use crate::options::Options;
use crate::publish::Published;
use crate::seed_file::{self, SeedFile};
use crate::useful::{self, Use};
use crate::wake::{Wake, Wakes};
use crate::word::Listener;

/// For a round of a kernel that is ready.
const ROUND: Duration = Duration::from_secs(1);
/// For the first rounds of one that is not. After each that failed there is a pause at least as long.
const FIRST_ROUND: Duration = Duration::from_secs(2);
/// A daemon that cannot make the kernel ready lets the boot go on after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at what cannot wake anybody, and between two tries at the most.
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Seeding,
    Watermark,
    Schedule,
}

pub(crate) struct Daemon {
    options: Options,
    started: Instant,
    feeder: Feeder<Live, Gatherer>,
    phase: Phase,
    /// When the next round is due, and how long to wait after one that brought nothing.
    next: Instant,
    pause: Duration,
    /// Until when an estimate below the threshold is not listened to.
    deaf_until: Option<Instant>,
    guard: Option<Guard>,
    published: Option<Published>,
    seed_file: Option<SeedFile>,
    status: FeedStatus,
    sources: Vec<FeedSource>,
    told: bool,
    /// When to look whether the hooks of the last clone have begun, and how often still.
    reminder: Option<(Instant, u32)>,
    /// Before that there is nothing true to say of generations and clones.
    settled: bool,
}

/// Gives the kernel what it can use at once, and ends.
///
/// # Errors
/// [`Failure`].
pub(crate) fn once(options: Options) -> Result<(), Failure> {
    let budget = options.budget;
    let mut daemon = Daemon::start(options)?;
    if daemon.is_useless() {
        return Ok(());
    }
    daemon.use_seed_file()?;
    let ready = match daemon.phase {
        Phase::Seeding => daemon.feeder.seed(budget)?,
        Phase::Schedule => daemon.feeder.refresh(ROUND)?,
        Phase::Watermark => {
            daemon.feeder.top_up(daemon.options.watermark_bits, ROUND)?;
            daemon.feeder.refresh(ROUND)?
        }
    };
    daemon.note_sources();
    if !ready {
        return Err(Failure::Failed(format!(
            "the kernel is not ready after {} s: {}",
            budget.as_secs(),
            daemon.lacking()
        )));
    }
    daemon.save_seed_file(&[]);
    let feeder = &daemon.feeder;
    notice!("the kernel is ready; {} bits credited, {} reseeds", feeder.credited_bits, feeder.reseeds);
    Ok(())
}

/// Runs until a signal ends it.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let mut daemon = Daemon::start(options)?;
    let _alone = alone(&daemon.options.run_dir)?;
    if daemon.is_useless() {
        daemon.leave();
        return Ok(());
    }
    let was_ready = daemon.phase != Phase::Seeding;
    daemon.use_seed_file()?;
    daemon.round()?;
    if !was_ready && daemon.phase != Phase::Seeding && daemon.is_useless() {
        daemon.leave();
        return Ok(());
    }
    let mut wakes = daemon.settle_in()?;
    let ended = daemon.work(&mut wakes);
    notify("STOPPING=1");
    daemon.end();
    ended
}

impl Daemon {
    fn start(options: Options) -> Result<Self, Failure> {
        let started = Instant::now();
        let feeder = Feeder::new(Live::open()?, Gatherer::new(config(&options)));
        let ready = feeder.kernel.is_ready();
        let status = FeedStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: clock::unix_seconds(),
            boot_id: boot_id(),
            ready_after_us: ready.then_some(0),
            ..FeedStatus::default()
        };
        let seed_file = options.state_dir.clone().map(|dir| SeedFile::new(dir, seed_file::machine()));
        let mut daemon = Self {
            options,
            started,
            feeder,
            phase: Phase::Seeding,
            next: started,
            pause: SECOND,
            deaf_until: None,
            guard: None,
            published: None,
            seed_file,
            status,
            sources: Vec::new(),
            told: false,
            reminder: None,
            settled: false,
        };
        if ready {
            daemon.phase = daemon.phase_when_ready();
        }
        Ok(daemon)
    }

    fn phase_when_ready(&self) -> Phase {
        match self.feeder.kernel.accounting() {
            Accounting::Estimate4096 => Phase::Watermark,
            Accounting::Full256 => Phase::Schedule,
        }
    }

    /// Says so, and where that was asked for: that the daemon should end.
    fn is_useless(&mut self) -> bool {
        let known = useful::Known {
            ready: self.phase != Phase::Seeding,
            accounting: self.feeder.kernel.accounting(),
            words: !self.options.words.is_empty(),
        };
        match useful::of(known) {
            Use::Good(why) => {
                debug!("of use here: {why}");
                false
            }
            Use::None(why) => {
                notice!("of no use on this host: {why}");
                self.status.notes.push(format!("of no use on this host: {why}"));
                self.options.if_useful
            }
        }
    }

    /// Takes the seed of the last boot, and saves one for the next.
    fn use_seed_file(&mut self) -> Result<(), Failure> {
        let Some(file) = &self.seed_file else { return Ok(()) };
        let taken = match file.take() {
            Ok(Some(taken)) => taken,
            Ok(None) => {
                self.status.seed_file = Some("there was none at the start".to_owned());
                self.save_seed_file(&[]);
                return Ok(());
            }
            Err(error) => {
                warning!("the seed file cannot be used: {error}");
                self.status.seed_file = Some(format!("cannot be used: {error}"));
                return Ok(());
            }
        };
        let credit = taken.credit_bits.min(self.options.seed_credit_bits);
        match Sample::credited(&taken.bytes, credit) {
            Ok(sample) => self.feeder.add(sample)?,
            Err(_) => self.feeder.mix(&taken.bytes)?,
        }
        let said = format!("mixed in at the start and credited with {credit} bits: {}", taken.why);
        info!("seed file: {said}");
        self.status.seed_file = Some(said);
        if credit > 0 && self.phase == Phase::Seeding && self.feeder.kernel.is_ready() {
            self.feeder.seed(Duration::ZERO)?;
        }
        self.save_seed_file(&taken.bytes);
        Ok(())
    }

    fn save_seed_file(&mut self, old: &[u8]) {
        const UNSAVED: &str = "no seed is saved for the next boot";
        let Some(file) = &mut self.seed_file else { return };
        // A hook may have given the machine another ID meanwhile.
        file.belongs_to(seed_file::machine());
        self.status.notes.retain(|note| !note.starts_with(UNSAVED));
        if let Err(error) = file.save(old, self.feeder.kernel.is_ready()) {
            warning!("{UNSAVED}: {error}");
            // The disk may have room again at the end.
            self.status.notes.push(format!("{UNSAVED}: {error}"));
        }
    }

    /// Ends without having stayed. What there is to say can be asked for all the same.
    fn leave(mut self) {
        let run_dir = self.options.run_dir.clone();
        if std::fs::create_dir_all(&run_dir).is_ok() {
            self.remember(&run_dir.join("status"));
            self.publish(&run_dir);
            self.settled = true;
            "ended".clone_into(&mut self.status.phase);
            self.write_status();
        }
        notify("READY=1\nSTATUS=The kernel is ready, and a daemon is of no more use here");
    }

    /// What belongs to a daemon that stays: opened only when the kernel has been helped, because it takes time.
    fn settle_in(&mut self) -> Result<Wakes, Failure> {
        let run_dir = self.options.run_dir.clone();
        if let Err(error) = std::fs::create_dir_all(&run_dir) {
            warning!("{}: {error}; status and generation are not published", run_dir.display());
        } else {
            self.publish(&run_dir);
        }
        if let Some(path) = &self.options.pid_file
            && let Err(error) = std::fs::write(path, format!("{}\n", self.status.pid))
        {
            warning!("{}: {error}", path.display());
        }
        let signal = weir_kernel::generation().signal;
        self.remember(&run_dir.join("status"));
        let words = self.options.words.iter().filter_map(|place| match Listener::open(place) {
            Ok(listener) => Some(listener),
            Err(error) => {
                warning!("{place}: {error}; the hypervisor's word is not heard there");
                None
            }
        });
        let estimates = self.feeder.kernel.accounting() == Accounting::Estimate4096;
        let wakes = Wakes::open(estimates, words.collect())
            .map_err(|error| Failure::Failed(format!("signals: {error}")))?;
        if estimates {
            self.set_threshold();
        }
        // From here on nothing needs any other right.
        self.feeder.kernel.reduce()?;
        self.status.watches = watches(signal, &wakes);
        let (guard, cloned) = Guard::open(run_dir.join("guard"), signal);
        self.guard = Some(guard);
        self.settled = true;
        if cloned {
            self.cloned("the machine's own signal, while no daemon ran", &[])?;
            self.answered(signal);
        }
        self.catch_up();
        self.note();
        Ok(wakes)
    }

    /// Has the kernel wake whoever polls when its estimate falls below the watermark.
    fn set_threshold(&self) {
        const PATH: &str = "/proc/sys/kernel/random/write_wakeup_threshold";
        if let Err(error) = std::fs::write(PATH, self.options.watermark_bits.to_string()) {
            let own = std::fs::read_to_string(PATH).unwrap_or_default();
            info!("the kernel's own threshold of {} bits stays: {PATH}: {error}", own.trim());
        }
    }

    fn work(&mut self, wakes: &mut Wakes) -> Result<(), Failure> {
        loop {
            self.tell();
            let now = Instant::now();
            let low = self.phase == Phase::Watermark && self.deaf_until.is_none_or(|until| until <= now);
            let happened = wakes.wait(self.sleep(now, wakes), low);
            let happened = happened.map_err(|error| Failure::Failed(format!("waiting: {error}")))?;
            for wake in &happened {
                match wake {
                    Wake::Stop => return Ok(()),
                    Wake::Report => self.say(),
                    Wake::Low => self.top_up()?,
                    Wake::Clock => self.reseed("the clock was set, or the machine was suspended")?,
                    Wake::MaybeCloned => {}
                    Wake::Word(number) => self.hear(wakes, *number)?,
                }
            }
            self.look()?;
            self.remind();
            if Instant::now() >= self.next {
                self.round()?;
                self.note();
            }
        }
    }

    /// How long nothing has to be done.
    fn sleep(&self, now: Instant, wakes: &Wakes) -> Duration {
        let mut until = self.next;
        if let Some(deaf) = self.deaf_until.filter(|deaf| *deaf > now) {
            until = until.min(deaf);
        }
        if let Some((at, _)) = self.reminder {
            until = until.min(at);
        }
        if !self.told {
            until = until.min(self.started + PATIENCE);
        }
        let sleep = until.saturating_duration_since(now);
        // VMClock's page has to be looked at where nothing tells that it changed.
        let blind = matches!(weir_kernel::generation().signal, Signal::Counter(_)) && !wakes.polls_vmclock();
        if blind { sleep.min(MINUTE) } else { sleep }
    }

    /// A round that the clock asks for.
    fn round(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        match self.phase {
            Phase::Seeding => {
                let ready = if self.feeder.kernel.is_ready() {
                    self.feeder.refresh(ROUND)?
                } else {
                    self.feeder.seed(FIRST_ROUND)?
                };
                if !ready {
                    warning!(
                        "the kernel is not ready yet: {}; the next try is in {} s",
                        self.lacking(),
                        self.pause.as_secs()
                    );
                    self.next = Instant::now() + self.pause.max(now.elapsed());
                    self.pause = (2 * self.pause).min(MINUTE);
                } else {
                    self.became_ready()?;
                }
                self.fed("the kernel was not ready");
            }
            Phase::Watermark | Phase::Schedule => {
                let first = self.status.reseeded.is_none();
                let why = if first { "the daemon was started" } else { "schedule" };
                if self.phase == Phase::Watermark {
                    self.feeder.top_up(self.options.watermark_bits, ROUND)?;
                }
                self.reseed(why)?;
                self.next = now + self.options.interval;
            }
        }
        Ok(())
    }

    fn became_ready(&mut self) -> Result<(), Failure> {
        let after = self.started.elapsed();
        notice!("the kernel is ready, {:.3} s after the start", after.as_secs_f64());
        self.status.ready_after_us = Some(u64::try_from(after.as_micros()).unwrap_or(u64::MAX).max(1));
        self.phase = self.phase_when_ready();
        self.next = Instant::now() + self.options.interval;
        self.pause = SECOND;
        self.reseeded("the kernel became ready");
        // The reader who waits may want more than made the kernel ready.
        if self.phase == Phase::Watermark {
            self.feeder.top_up(self.options.watermark_bits, ROUND)?;
        }
        self.save_seed_file(&[]);
        Ok(())
    }

    /// The estimate is low.
    fn top_up(&mut self) -> Result<(), Failure> {
        // To twice the watermark, so that it is not low again at once.
        let target = (2 * self.options.watermark_bits).min(4096);
        if self.feeder.top_up(target, ROUND)?
            || self.feeder.kernel.count_bits()? > self.options.watermark_bits
        {
            self.pause = SECOND;
            self.deaf_until = None;
        } else {
            self.deaf_until = Some(Instant::now() + self.pause);
            self.pause = (2 * self.pause).min(MINUTE);
        }
        self.fed("the estimate was low");
        self.note();
        Ok(())
    }

    fn reseed(&mut self, why: &str) -> Result<(), Failure> {
        if self.feeder.refresh(ROUND)? {
            self.reseeded(why);
        }
        self.fed(why);
        self.note();
        Ok(())
    }

    fn end(&mut self) {
        self.save_seed_file(&[]);
        "ended".clone_into(&mut self.status.phase);
        self.write_status();
        if let Some(path) = &self.options.pid_file {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Two daemons in one folder would count generations against each other. Released when the process ends, however it does.
fn alone(run_dir: &Path) -> Result<Option<File>, Failure> {
    let _ = std::fs::create_dir_all(run_dir);
    let Ok(lock) = File::options().write(true).create(true).truncate(false).open(run_dir.join("lock")) else {
        return Ok(None);
    };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Failure::Failed(format!("another weir-feed runs in {}", run_dir.display())))
        }
        _ => Ok(Some(lock)),
    }
}

fn config(options: &Options) -> Config {
    let default =
        if options.sources.is_empty() { Config::default().sources } else { options.sources.clone() };
    Config { sources: default, credit: options.credit.clone() }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Denied | PoolError::Absent => Self::NoRight(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
