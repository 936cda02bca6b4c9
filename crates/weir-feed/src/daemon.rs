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

use std::path::Path;
use std::time::{Duration, Instant};

use weir_entropy::{Config, Gatherer, State};
use weir_kernel::Signal;
use weir_kernel::clock;
use weir_kernel::host::feed::{Event, FeedSource};
use weir_kernel::host::{Accounting, FeedStatus};
use weir_kernel::ioctl::{PoolError, Sample};

use crate::feeder::Feeder;
use crate::guard::{Guard, replace};
use crate::kernel::{Kernel, Live};
use crate::log::{debug, error, info, notice, warning};
use crate::notify::notify;
use crate::options::Options;
use crate::publish::Published;
use crate::seed_file::{self, SeedFile};
use crate::useful::{self, Use};
use crate::wake::{Wake, Wakes};
use crate::word::{Listener, Word};
use crate::{Failure, hooks, report};

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
        _ => daemon.feeder.refresh(ROUND)?,
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
    if daemon.is_useless() {
        notify("READY=1\nSTATUS=Of no use on this host");
        return Ok(());
    }
    let was_ready = daemon.phase != Phase::Seeding;
    daemon.use_seed_file()?;
    daemon.round()?;
    if !was_ready && daemon.phase != Phase::Seeding && daemon.is_useless() {
        notify("READY=1\nSTATUS=The kernel is ready, and needs no more");
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
        let Some(file) = &self.seed_file else { return };
        if let Err(error) = file.save(old, self.feeder.kernel.is_ready()) {
            warning!("no seed is saved for the next boot: {error}");
            self.status.notes.push(format!("no seed is saved for the next boot: {error}"));
            self.seed_file = None;
        }
    }

    /// What belongs to a daemon that stays: opened only when the kernel has been helped, because it takes time.
    fn settle_in(&mut self) -> Result<Wakes, Failure> {
        let run_dir = self.options.run_dir.clone();
        if let Err(error) = std::fs::create_dir_all(&run_dir) {
            warning!("{}: {error}; status and generation are not published", run_dir.display());
        }
        if let Some(path) = &self.options.pid_file
            && let Err(error) = std::fs::write(path, format!("{}\n", self.status.pid))
        {
            warning!("{}: {error}", path.display());
        }
        let signal = weir_kernel::generation().signal;
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
        self.publish(&run_dir);
        self.status.watches = watches(signal, &wakes);
        let (guard, cloned) = Guard::open(run_dir.join("guard"), signal);
        self.guard = Some(guard);
        if cloned {
            self.cloned("the machine's own signal, while no daemon ran", &[])?;
        }
        self.note();
        Ok(wakes)
    }

    fn publish(&mut self, run_dir: &Path) {
        match Published::open(&run_dir.join("generation")) {
            Ok(published) => {
                self.status.generation = published.generation();
                if let Err(error) = hooks::skip(&run_dir.join("hooks-done"), published.generation()) {
                    debug!("{}: {error}", run_dir.display());
                }
                self.published = Some(published);
            }
            Err(error) => warning!("the generation number is not published: {error}"),
        }
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
                let why = if self.feeder.rounds == 0 { "the daemon was started" } else { "schedule" };
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

    /// Looks whether the machine was cloned.
    fn look(&mut self) -> Result<(), Failure> {
        let signal = weir_kernel::generation().signal;
        if self.guard.as_mut().is_some_and(|guard| guard.look(signal)) {
            self.cloned("the machine's own signal", &[])?;
        }
        Ok(())
    }

    fn hear(&mut self, wakes: &mut Wakes, number: usize) -> Result<(), Failure> {
        let Some(listener) = wakes.words.get_mut(number) else { return Ok(()) };
        let place = listener.place().to_string();
        let mut failed = Ok(());
        let heard = listener.take(|word: &Word| {
            if self.guard.as_mut().is_none_or(|guard| guard.hear(word)) {
                failed = self.cloned(&format!("the hypervisor's word at {place}"), word.nonce());
            }
            self.status.generation
        });
        if let Err(why) = heard {
            warning!("{place} is heard no longer: {why}");
            wakes.words.remove(number);
        }
        failed
    }

    /// The machine is another one now: first a new key for the kernel, then everybody is told.
    fn cloned(&mut self, signal: &str, nonce: &[u8]) -> Result<(), Failure> {
        self.feeder.mix(nonce)?;
        if self.feeder.refresh(ROUND)? {
            self.reseeded("the machine was cloned or restored");
        }
        if let Some(published) = &mut self.published {
            match published.advance() {
                Ok(generation) => self.status.generation = generation,
                Err(error) => error!("the generation number is not published: {error}"),
            }
        }
        notice!(
            "this machine was cloned or restored ({signal}): reseeded, generation {}",
            self.status.generation
        );
        self.status.cloned = event(signal);
        self.save_seed_file(&[]);
        self.fed("the machine was cloned or restored");
        self.note();
        self.run_hooks(signal);
        Ok(())
    }

    /// In a process of its own, which takes its time and has the rights that this one gave up.
    fn run_hooks(&self, signal: &str) {
        let Some(dir) = &self.options.hooks else { return };
        let started = std::env::current_exe().and_then(|program| {
            let mut command = std::process::Command::new(program);
            command.arg("--run-hooks").arg("--hooks").arg(dir).arg("--run-dir").arg(&self.options.run_dir);
            command.env("WEIR_CLONE_SIGNAL", signal).stdin(std::process::Stdio::null()).spawn()
        });
        match started {
            // Nobody but init has to wait for it.
            Ok(mut child) => {
                drop(std::thread::Builder::new().stack_size(64 * 1024).spawn(move || child.wait()))
            }
            Err(error) => error!("the hooks cannot be run: {error}"),
        }
    }

    fn end(&mut self) {
        self.save_seed_file(&[]);
        "ended".clone_into(&mut self.status.phase);
        self.write_status();
        if let Some(path) = &self.options.pid_file {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Tells systemd as soon as what waits for this daemon may go on.
    fn tell(&mut self) {
        let ready = self.phase != Phase::Seeding;
        if self.told || !(ready || self.started.elapsed() >= PATIENCE) {
            return;
        }
        self.told = true;
        notify(if ready {
            "READY=1\nSTATUS=The kernel is ready"
        } else {
            "READY=1\nSTATUS=The kernel is not ready"
        });
    }

    fn fed(&mut self, why: &str) {
        self.note_sources();
        self.feeder.sources.rest();
        self.status.fed = event(why);
    }

    fn reseeded(&mut self, why: &str) {
        debug!("reseeded: {why}");
        self.status.reseeded = event(why);
    }

    /// What is missing, by the sources' own account.
    fn lacking(&self) -> String {
        let states = self.feeder.sources.status();
        let reasons = states.iter().map(|source| {
            let source = report::source(source);
            let why = if source.why.is_empty() { String::new() } else { format!(": {}", source.why) };
            format!("{} is {}{why}", source.name, source.state)
        });
        reasons.collect::<Vec<_>>().join("; ")
    }

    /// Says which sources failed or came back since the last look.
    fn note_sources(&mut self) {
        let states = self.feeder.sources.status();
        for status in &states {
            let before = self.sources.iter().find(|source| source.name == status.name);
            let failures = before.map_or(0, |source| source.failures);
            let aside = before.is_some_and(|source| source.state == "set-aside");
            match &status.state {
                State::SetAside { why, .. } if !aside || status.failures > failures => {
                    warning!("{} is set aside: {why}", status.name);
                }
                State::Healthy if aside => notice!("{} passed a new start-up test and is back", status.name),
                _ => {}
            }
        }
        self.sources = states.iter().map(report::source).collect();
    }

    fn note(&mut self) {
        let phase = match self.phase {
            Phase::Seeding => "seeding",
            Phase::Watermark => "watermark",
            Phase::Schedule => "schedule",
        };
        phase.clone_into(&mut self.status.phase);
        self.status.setting = match self.phase {
            Phase::Watermark => self.options.watermark_bits.into(),
            _ => self.options.interval.as_secs(),
        };
        self.write_status();
    }

    fn write_status(&mut self) {
        let feeder = &self.feeder;
        (self.status.rounds, self.status.credited_bits) = (feeder.rounds, feeder.credited_bits);
        self.status.reseeds = feeder.reseeds;
        self.status.sources.clone_from(&self.sources);
        let text = self.status.to_string();
        if let Err(error) = replace(&self.options.run_dir.join("status"), text.as_bytes(), 0o644) {
            debug!("{}: {error}", self.options.run_dir.display());
        }
        if let Some(path) = &self.options.metrics {
            let text = report::metrics(&self.status, feeder.kernel.count_bits().ok());
            if let Err(error) = replace(path, text.as_bytes(), 0o644) {
                warning!("{}: {error}", path.display());
            }
        }
    }

    fn say(&self) {
        let text = report::text(&self.status, true, clock::unix_seconds());
        text.lines().filter(|line| !line.is_empty()).for_each(|line| notice!("{line}"));
    }
}

fn config(options: &Options) -> Config {
    let default =
        if options.sources.is_empty() { Config::default().sources } else { options.sources.clone() };
    Config { sources: default, credit: options.credit.clone() }
}

fn event(why: &str) -> Option<Event> {
    Some(Event { at: clock::unix_seconds(), why: why.to_owned() })
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

fn watches(signal: Signal, wakes: &Wakes) -> Vec<String> {
    let own = match signal {
        Signal::Counter(_) if wakes.polls_vmclock() => Some("VMClock"),
        Signal::Counter(_) => Some("VMClock, once a minute"),
        Signal::Forks(_) => Some("the VM generation ID, by the kernel log"),
        _ => None,
    };
    own.map(str::to_owned)
        .into_iter()
        .chain(wakes.words.iter().map(|word| word.place().to_string()))
        .collect()
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Denied | PoolError::Absent => Self::NoRight(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
