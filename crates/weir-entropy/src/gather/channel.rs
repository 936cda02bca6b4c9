//! One source as the gatherer sees it: closed or open, watched, set aside, back again.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use super::MOST_SAMPLES;
use super::status::{State, Status};
use crate::health::{Assessed, Monitor, Plan};
use crate::source::{Pace, Source, SourceError, Spec, open};

/// The pause after the first failure. Short, since a start-up test can fail because of what a machine does while it
/// boots.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause. Each is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Batches in a row in which an open source may give nothing.
const MOST_DRY_BATCHES: u32 = 8;

/// Tells the time; tests have one of their own.
pub(super) struct Clock(Box<dyn Fn() -> Instant + Send>);

impl Clock {
    #[cfg(test)]
    pub(super) fn of(now: impl Fn() -> Instant + Send + 'static) -> Self {
        Self(Box::new(now))
    }

    pub(super) fn now(&self) -> Instant {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Box::new(Instant::now))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

type Opener = Box<dyn FnMut(&Spec) -> Result<Box<dyn Source>, SourceError> + Send>;

/// A source, its watch, and its account.
pub(super) struct Channel {
    spec: Spec,
    /// What the configuration allows a sample to count for.
    cap_bits: f64,
    opener: Opener,
    phase: Phase,
    /// The watch outlasts the closing of a slow source's device.
    watch: Option<Monitor>,
    samples: u64,
    failures: u64,
    credited_bits: f64,
    claim: f64,
    measured: Option<f64>,
    failure: Option<String>,
    /// Failures since the source was last well for long, which the pause grows with.
    setbacks: u32,
    last_failure: Option<Instant>,
    dry_batches: u32,
    gave: bool,
}

enum Phase {
    Closed,
    /// Closed in good standing.
    Resting,
    Absent(String),
    Open(Box<dyn Source>),
    /// Nothing more is asked of it in this batch.
    Waiting(Box<dyn Source>),
    SetAside {
        since: SystemTime,
        why: String,
        pause: Duration,
        until: Instant,
    },
}

/// What asking a source brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) samples: usize,
    /// Of these, how many count if the source is in good standing at the end.
    pub(super) counted: u32,
    /// Whether all that it gave in this batch is worth nothing.
    pub(super) failed: bool,
}

impl Channel {
    pub(super) fn new(spec: Spec, cap_bits: f64) -> Self {
        Self::with(spec, cap_bits, Box::new(open))
    }

    pub(super) fn with(spec: Spec, cap_bits: f64, opener: Opener) -> Self {
        let claim = spec.kind().claim.min_entropy_bits.min(cap_bits);
        Self {
            spec,
            cap_bits,
            opener,
            phase: Phase::Closed,
            watch: None,
            samples: 0,
            failures: 0,
            credited_bits: 0.0,
            claim,
            measured: None,
            failure: None,
            setbacks: 0,
            last_failure: None,
            dry_batches: 0,
            gave: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.spec.name()
    }

    /// How long a slow source may take; `None` for a fast one.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.spec.kind().pace {
            Pace::Fast => None,
            Pace::Slow { patience_ms } => Some(Duration::from_millis(patience_ms)),
        }
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// What a source that was absent or silent in the last batch may be asked again in this one.
    pub(super) fn begin_batch(&mut self) {
        self.gave = false;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Absent(_) => Phase::Closed,
            Phase::Waiting(source) => Phase::Open(source),
            other => other,
        };
    }

    /// Opens the source if it is closed, or was set aside for long enough.
    pub(super) fn open_if_due(&mut self, now: Instant) {
        let due = match self.phase {
            Phase::Closed | Phase::Resting => true,
            Phase::SetAside { until, .. } => now >= until,
            _ => false,
        };
        if !due {
            return;
        }
        match (self.opener)(&self.spec) {
            Ok(source) => self.opened(source),
            Err(error) if error.is_absence() => self.phase = Phase::Absent(error.to_string()),
            Err(error) => self.set_aside(error.to_string(), now),
        }
    }

    fn opened(&mut self, source: Box<dyn Source>) {
        let kind = self.spec.kind();
        let claim = source.claim().min(kind.claim.min_entropy_bits).min(self.cap_bits).max(0.0);
        if claim != self.claim {
            // Another generator behind the same device: what the one before passed says nothing of it.
            (self.claim, self.watch) = (claim, None);
        }
        let plan = Plan {
            credited_bits: self.claim,
            tested_bits: kind.tested_bits,
            symbol_bits: kind.bits_per_sample,
            timing: kind.timing,
        };
        self.watch.get_or_insert_with(|| Monitor::new(plan));
        self.phase = Phase::Open(source);
    }

    /// Whether it is a fast source whose start-up test has not come to an end.
    pub(super) fn is_fast_and_new(&self) -> bool {
        self.patience().is_none()
            && matches!(self.phase, Phase::Open(_))
            && self.watch.as_ref().is_some_and(|watch| !watch.is_good())
    }

    /// How many samples are worth so many bits by the claim; the most for a source that is worth nothing, or nothing
    /// yet.
    pub(super) fn samples_for(&self, bits: f64) -> usize {
        if !self.watch.as_ref().is_some_and(Monitor::is_good) {
            return MOST_SAMPLES;
        }
        let samples = (bits / self.claim).ceil();
        if samples < MOST_SAMPLES as f64 { (samples as usize).max(1) } else { MOST_SAMPLES }
    }

    /// Takes samples into `out`, as far as the source is open and gives any before the deadline.
    pub(super) fn ask(&mut self, out: &mut [u8], deadline: Instant, clock: &Clock) -> Taken {
        let Phase::Open(source) = &mut self.phase else { return Taken::default() };
        let most = out.len();
        match source.sample(out, deadline) {
            Ok(count) if (1..=most).contains(&count) => self.took(&out[..count], clock),
            Ok(_) => self
                .failed(&SourceError::Malformed("it gave no samples, or more than it was asked for"), clock),
            Err(SourceError::Dry) => self.dry(clock),
            Err(error) => self.failed(&error, clock),
        }
    }

    fn took(&mut self, samples: &[u8], clock: &Clock) -> Taken {
        self.samples += samples.len() as u64;
        self.gave = true;
        self.dry_batches = 0;
        let Some(watch) = &mut self.watch else { return Taken::default() };
        let verdict = watch.watch(samples);
        self.measured = watch.measured().or(self.measured);
        match verdict {
            Ok(counted) => Taken { samples: samples.len(), counted, failed: false },
            Err(failure) => {
                self.set_aside(failure.to_string(), clock.now());
                Taken { samples: samples.len(), counted: 0, failed: true }
            }
        }
    }

    /// Nothing came. It is not asked again in this batch; if that happens too often, it has failed.
    fn dry(&mut self, clock: &Clock) -> Taken {
        if let Phase::Open(source) = std::mem::replace(&mut self.phase, Phase::Closed) {
            self.phase = Phase::Waiting(source);
        }
        if !self.gave {
            self.dry_batches += 1;
        }
        if self.dry_batches >= MOST_DRY_BATCHES {
            return self.failed(&SourceError::Dry, clock);
        }
        Taken::default()
    }

    fn failed(&mut self, error: &SourceError, clock: &Clock) -> Taken {
        self.set_aside(error.to_string(), clock.now());
        Taken { failed: true, ..Taken::default() }
    }

    /// Closes the source for a pause, and forgets all good that was known of it.
    fn set_aside(&mut self, why: String, now: Instant) {
        let well_since = self.last_failure.map(|at| now.saturating_duration_since(at));
        if well_since.is_some_and(|time| time >= 2 * LONGEST_PAUSE) {
            self.setbacks = 0;
        }
        let pause = SHORTEST_PAUSE.saturating_mul(1 << self.setbacks.min(20)).min(LONGEST_PAUSE);
        self.setbacks += 1;
        self.failures += 1;
        self.dry_batches = 0;
        self.last_failure = Some(now);
        self.watch = None;
        self.failure = Some(why.clone());
        self.phase = Phase::SetAside { since: weir_kernel::clock::now(), why, pause, until: now + pause };
    }

    /// What so many samples that count are worth now.
    pub(super) fn assess(&self, counted: u32) -> Assessed {
        self.watch.as_ref().map_or(Assessed::ZERO, |watch| watch.assess(counted))
    }

    /// What they would be worth if all goes well.
    pub(super) fn hope(&self, counted: u32) -> f64 {
        self.watch.as_ref().map_or(0.0, |watch| watch.hope(counted))
    }

    pub(super) fn credited(&mut self, bits: f64) {
        self.credited_bits += bits;
    }

    /// Closes the device. What a fast source passed is forgotten with it.
    pub(super) fn rest(&mut self) {
        if matches!(self.phase, Phase::Open(_) | Phase::Waiting(_)) {
            let good = self.watch.as_ref().is_some_and(Monitor::is_good);
            self.phase = if good { Phase::Resting } else { Phase::Closed };
            if self.patience().is_none() {
                self.watch = None;
            }
        }
    }

    pub(super) fn status(&self) -> Status {
        Status {
            name: self.spec.name().to_owned(),
            kind: self.spec.kind(),
            state: self.state(),
            samples: self.samples,
            failures: self.failures,
            credited_bits: self.credited_bits as u64,
            claim: self.claim,
            measured: self.measured,
            failure: self.failure.clone(),
        }
    }

    fn state(&self) -> State {
        match &self.phase {
            Phase::Absent(reason) => State::Absent { reason: reason.clone() },
            Phase::SetAside { since, why, pause, .. } => {
                State::SetAside { since: *since, why: why.clone(), retry_at: *since + *pause }
            }
            Phase::Closed => State::NotOpened,
            Phase::Resting => State::Resting,
            Phase::Open(_) | Phase::Waiting(_) => {
                if self.watch.as_ref().is_some_and(Monitor::is_good) {
                    State::Healthy
                } else {
                    State::StartingUp
                }
            }
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({}, {:?})", self.spec, self.state())
    }
}
