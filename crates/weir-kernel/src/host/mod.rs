//! What this host says about its randomness: facts, and for each that is missing the reason.
//!
//! Everything is read through a [`Root`], so that the same code looks at this host, at a mounted image, and at the
//! recorded trees of the tests. Facts only: what they mean is for `weir-doctor` to say.
//!
//! Invariants: reads are bounded and never block; a fact that could not be read is an [`Unknown`] and never a default;
//! no private key's or seed's content is read.

pub mod arrivals;
pub mod cpu;
pub mod feed;
mod generators;
mod keys;
mod log;
pub mod log_lines;
mod machine;
mod pool;
mod processes;
pub mod published;
mod root;
mod seeds;
pub mod vmclock;

use std::time::Duration;

pub use arrivals::Arrival;
pub use cpu::{Cpu, CpuRandom};
pub use feed::FeedStatus;
pub use generators::{HwRandom, Tpm};
pub use keys::{CloudInstance, KeyKind, KnownKey, MachineId};
pub use log::{KernelLog, LogSource};
pub use log_lines::{EarlyReader, LogFacts, ReadyBy};
pub use machine::{CloneSignals, Container, Hypervisor, VmClockDevice, VmGenId};
pub(crate) use machine::{VMCLOCK_DEVICE, vmgenid};
pub use pool::{Accounting, EntropyPool, Kernel, Trust};
pub use processes::{Daemon, Process, Processes};
pub use root::{Fact, Meta, RECORD, Record, Root, Unknown};
pub use seeds::{BootSeed, SeedFile, SeedKeeper};
pub use vmclock::VmClock;

use crate::{Error, Way};

/// All facts of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Which kernel, and since when.
    pub kernel: Kernel,
    /// The generator's own account.
    pub pool: EntropyPool,
    /// Whether the generator is ready, and since when.
    pub readiness: Readiness,
    /// Whether this look was root's, whom nothing but a policy keeps out. Only of the running host.
    pub superuser: Fact<bool>,
    /// By which way draws go, or why this process cannot draw. Only of the running host.
    pub way: Fact<Way>,
    /// The kernel log.
    pub log: Fact<KernelLog>,
    /// The CPU.
    pub cpu: Fact<Cpu>,
    /// Hardware generators.
    pub hw_random: HwRandom,
    /// Trusted platform modules.
    pub tpms: Fact<Vec<Tpm>>,
    /// Seeds from firmware and boot loader.
    pub boot_seeds: Fact<Vec<BootSeed>>,
    /// Seed files.
    pub seed_files: Vec<SeedFile>,
    /// Under what the kernel runs.
    pub hypervisor: Fact<Option<Hypervisor>>,
    /// What would tell that this machine was cloned.
    pub clone_signals: CloneSignals,
    /// The container around this process.
    pub container: Fact<Option<Container>>,
    /// Well-known keys.
    pub keys: Vec<KnownKey>,
    /// Whether the machine has an ID.
    pub machine_id: Fact<MachineId>,
    /// What cloud-init knows.
    pub cloud: Fact<CloudInstance>,
    /// Feeders, and who waits.
    pub processes: Fact<Processes>,
    /// What weir-feed says of itself.
    pub feed: Fact<FeedStatus>,
    /// Seeds that `weir seed` brought in this boot, oldest first.
    pub arrivals: Fact<Vec<Arrival>>,
}

/// What decides whether this host is a machine of its own: few reads, and none of the kernel log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Under what the kernel runs.
    pub hypervisor: Fact<Option<Hypervisor>>,
    /// The container around this process.
    pub container: Fact<Option<Container>>,
    /// Hardware generators.
    pub hw_random: HwRandom,
}

impl Surroundings {
    /// Looks around.
    #[must_use]
    pub fn read(root: &Root) -> Self {
        let log = Err(Unknown::Absent);
        Self {
            hypervisor: machine::hypervisor(root, &Cpu::read(root), &log),
            container: machine::container(root, &log),
            hw_random: HwRandom::read(root),
        }
    }
}

/// Whether the generator is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// On the running host the kernel's own answer, where it gives one; else what files and log say.
    pub ready: Fact<bool>,
    /// When it became so, after the boot.
    pub after_boot: Fact<Duration>,
}

impl Host {
    /// Reads all facts.
    #[must_use]
    pub fn read(root: &Root) -> Self {
        let kernel = Kernel::read(root);
        let pool = EntropyPool::read(root);
        let log = log::read(root, &kernel.booted);
        let cpu = Cpu::read(root);
        Self {
            readiness: Readiness { ready: ready(root, &pool, &log), after_boot: ready_after_boot(&log) },
            superuser: if root.is_live() { Ok(is_superuser()) } else { Err(Unknown::Absent) },
            way: way(root),
            hw_random: HwRandom::read(root),
            tpms: generators::tpms(root),
            boot_seeds: seeds::boot_seeds(root, &log),
            seed_files: seeds::seed_files(root),
            hypervisor: machine::hypervisor(root, &cpu, &log),
            clone_signals: machine::clone_signals(root),
            container: machine::container(root, &log),
            keys: keys::known_keys(root),
            machine_id: keys::machine_id(root),
            cloud: keys::cloud_instance(root),
            processes: Processes::read(root),
            feed: FeedStatus::read(root),
            arrivals: arrivals::read(root),
            kernel,
            pool,
            log,
            cpu,
        }
    }
}

fn is_superuser() -> bool {
    // SAFETY: no preconditions, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn way(root: &Root) -> Fact<Way> {
    if !root.is_live() {
        return Err(Unknown::Absent);
    }
    match crate::syscall::ready() {
        Ok(()) | Err(Error::NotReady) => Ok(crate::way()),
        Err(Error::Denied) => Err(Unknown::Denied),
        Err(Error::Unsupported) => Err(Unknown::Os(libc::ENOSYS)),
        Err(Error::Os(errno)) => Err(Unknown::Os(errno)),
        Err(Error::Broken) => Err(Unknown::Malformed("neither bytes nor an error")),
    }
}

fn ready(root: &Root, pool: &EntropyPool, log: &Fact<KernelLog>) -> Fact<bool> {
    if root.is_live() {
        match crate::syscall::ready() {
            Ok(()) => return Ok(true),
            Err(Error::NotReady) => return Ok(false),
            // This process is kept from asking; what others know may be in the files.
            Err(_) => {}
        }
    }
    if log.as_ref().is_ok_and(|log| log.facts.ready.is_some()) {
        return Ok(true);
    }
    if let (Ok(Accounting::Full256), Ok(bits)) = (&pool.accounting, &pool.available_bits) {
        return Ok(*bits >= 256);
    }
    match log {
        Ok(log) if log.facts.from_boot => Ok(false),
        Ok(_) => Err(Unknown::Lost),
        Err(why) => Err(why.clone()),
    }
}

fn ready_after_boot(log: &Fact<KernelLog>) -> Fact<Duration> {
    let log = log.as_ref().map_err(Clone::clone)?;
    match log.facts.ready {
        Some((Some(at), _)) => Ok(at),
        Some((None, _)) => Err(Unknown::Malformed("the log has no times")),
        None if log.facts.from_boot => Err(Unknown::Absent),
        None => Err(Unknown::Lost),
    }
}
