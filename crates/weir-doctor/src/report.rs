//! What an examination gives: findings in sections, a verdict over all, and what could not be seen.
//!
//! The types serialize to the JSON form as it is documented in docs/doctor.md. Members may be added under the same
//! schema; renaming or removing one, or changing what it means, takes a new one.

use serde::Serialize;
use weir_kernel::Way;
use weir_kernel::host::{Accounting, Arrival, Host, Hypervisor, Unknown};

pub use weir_report::Verdict;

/// The schema of the JSON form.
pub const SCHEMA: &str = "weir.doctor/1";

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which finding it is; stable.
    pub id: &'static str,
    /// How to take it.
    pub verdict: Verdict,
    /// What was found.
    pub what: String,
    /// Why it has this verdict, in one sentence.
    pub why: String,
    /// What to do about it, as a command. Whether it is meant for another host, its comment says.
    pub command: Option<String>,
}

impl Finding {
    pub(crate) fn new(
        id: &'static str,
        verdict: Verdict,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self { id, verdict, what: what.into(), why: why.into(), command: None }
    }

    pub(crate) fn ok(id: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(id, Verdict::Ok, what, why)
    }

    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }
}

/// Findings that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Which section it is.
    pub name: SectionName,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// The sections, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SectionName {
    /// The kernel and its generator.
    Kernel,
    /// Where its entropy comes from.
    Sources,
    /// Hypervisor, container, clones.
    Virtualization,
    /// Seed files.
    Seeds,
    /// Programs that feed the kernel.
    Daemons,
    /// Keys made too early, or on another machine.
    Keys,
    /// Programs that wait, and that did not wait.
    Waiting,
    /// A connection that was tried.
    Probe,
}

impl SectionName {
    /// The heading for people.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Kernel => "Kernel",
            Self::Sources => "Sources",
            Self::Virtualization => "Virtualization",
            Self::Seeds => "Seed files",
            Self::Daemons => "Daemons",
            Self::Keys => "Keys",
            Self::Waiting => "Waiting for randomness",
            Self::Probe => "Connection",
        }
    }
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
    /// How to see it, as a command, where that would help.
    pub command: Option<String>,
}

/// Shows what is kept from other users.
const AS_ROOT: &str = "sudo weir doctor";

impl Unseen {
    /// Whether it is only this user who may not see it.
    pub(crate) fn is_kept_from_this_user(&self) -> bool {
        self.command.as_deref() == Some(AS_ROOT)
    }

    pub(crate) fn new(host: &Host, what: impl Into<String>, why: &Unknown) -> Self {
        let command = match why {
            Unknown::Denied if host.superuser != Ok(true) => Some(AS_ROOT.to_owned()),
            Unknown::Lost => Some("journalctl -k -b 0 -g random".to_owned()),
            _ => None,
        };
        Self { what: what.into(), why: why.to_string(), command }
    }
}

/// The facts in short. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The host's name.
    pub hostname: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Seconds since the boot.
    pub uptime_seconds: Option<u64>,
    /// How the kernel counts entropy: up to 256 bits, or an estimate up to 4096.
    pub accounting_bits: Option<u32>,
    /// What it says it holds.
    pub entropy_available_bits: Option<u64>,
    /// Whether the generator is ready.
    pub ready: Option<bool>,
    /// Seconds from the boot until it was.
    pub ready_after_seconds: Option<f64>,
    /// How draws go: `vdso` or `syscall`.
    pub draws: Option<&'static str>,
    /// The CPU's random number instructions.
    pub cpu_instructions: Option<Vec<&'static str>>,
    /// The hardware generator in use; empty if there is none.
    pub hardware_generator: Option<String>,
    /// The hypervisor; empty on hardware.
    pub hypervisor: Option<String>,
    /// What runs the container; empty outside of one.
    pub container: Option<String>,
    /// How often the kernel noticed that the machine was cloned or restored.
    pub forks: Option<u64>,
    /// The last 16 seeds that `weir seed` brought in this boot, oldest first.
    pub arrivals: Option<Vec<ArrivedSeed>>,
}

/// More of them would make a report of nothing else.
const MOST_ARRIVALS: usize = 16;

/// A seed that `weir seed` brought.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArrivedSeed {
    /// When, in seconds since 1970, by the clock of that time.
    pub at: i64,
    /// When, in seconds since the boot.
    pub after_boot_seconds: f64,
    /// By which way: `push`, `fetch`, `file`, `pipe`.
    pub way: String,
    /// From where, as far as it was known.
    pub from: String,
    /// How many bytes were mixed in.
    pub bytes: u32,
    /// How many bits were credited.
    pub credited_bits: u32,
    /// Whether the generator was ready before.
    pub ready_before: bool,
    /// Whether it was afterwards.
    pub ready_after: bool,
    /// Whether the kernel took a new key at once.
    pub reseeded: bool,
}

impl ArrivedSeed {
    fn of(arrival: &Arrival) -> Self {
        Self {
            at: arrival.at,
            after_boot_seconds: arrival.since_boot.as_secs_f64(),
            way: arrival.way.clone(),
            from: arrival.from.clone(),
            bytes: arrival.bytes,
            credited_bits: arrival.credited_bits,
            ready_before: arrival.ready_before,
            ready_after: arrival.ready_after,
            reseeded: arrival.reseeded,
        }
    }
}

impl Summary {
    pub(crate) fn of(host: &Host) -> Self {
        let named = |name: Option<String>| name.unwrap_or_default();
        Self {
            hostname: host.kernel.hostname.clone().ok(),
            kernel: host.kernel.release.clone().ok(),
            uptime_seconds: host.kernel.uptime.as_ref().ok().map(std::time::Duration::as_secs),
            accounting_bits: host.pool.accounting.as_ref().ok().map(|accounting| match accounting {
                Accounting::Full256 => 256,
                Accounting::Estimate4096 => 4096,
            }),
            entropy_available_bits: host.pool.available_bits.as_ref().ok().copied(),
            ready: host.readiness.ready.as_ref().ok().copied(),
            ready_after_seconds: host
                .readiness
                .after_boot
                .as_ref()
                .ok()
                .map(std::time::Duration::as_secs_f64),
            draws: host.way.as_ref().ok().map(|way| match way {
                Way::Vdso => "vdso",
                Way::Syscall => "syscall",
            }),
            cpu_instructions: host.cpu.as_ref().ok().map(|cpu| cpu.random.names()),
            hardware_generator: host.hw_random.current.clone().ok().map(named),
            hypervisor: host.hypervisor.as_ref().ok().map(|found| named(found.as_ref().map(hypervisor_name))),
            container: host
                .container
                .clone()
                .ok()
                .map(|found| named(found.map(|container| container.manager))),
            forks: host.log.as_ref().ok().map(|log| log.facts.forks.len() as u64),
            arrivals: host.arrivals.as_ref().ok().map(|all| {
                let last = all.get(all.len().saturating_sub(MOST_ARRIVALS)..).unwrap_or_default();
                last.iter().map(ArrivedSeed::of).collect()
            }),
        }
    }
}

/// The name of a hypervisor for people.
pub(crate) fn hypervisor_name(hypervisor: &Hypervisor) -> String {
    match hypervisor {
        Hypervisor::Kvm => "KVM",
        Hypervisor::Qemu => "QEMU",
        Hypervisor::Xen => "Xen",
        Hypervisor::HyperV => "Hyper-V",
        Hypervisor::Vmware => "VMware",
        Hypervisor::VirtualBox => "VirtualBox",
        Hypervisor::UserMode => "User-mode Linux",
        Hypervisor::Other(name) => name,
        _ => "unknown",
    }
    .to_owned()
}

/// The whole of an examination.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The gravest of the findings; `unknown` if there is none to fear but the main question was not answered.
    pub verdict: Verdict,
    /// What the program's status is to be; see [`Report::exit_status`].
    pub exit: u8,
    /// The facts in short.
    pub host: Summary,
    /// What was found.
    pub sections: Vec<Section>,
    /// What could not be looked at.
    pub unseen: Vec<Unseen>,
}

impl Report {
    pub(crate) fn new(host: Summary, sections: Vec<Section>, unseen: Vec<Unseen>) -> Self {
        let mut report = Self { schema: SCHEMA, verdict: Verdict::Ok, exit: 0, host, sections, unseen };
        report.judge();
        report
    }

    pub(crate) fn add(&mut self, section: Section) {
        self.sections.push(section);
        self.judge();
    }

    /// All findings, in their order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.sections.iter().flat_map(|section| &section.findings)
    }

    fn judge(&mut self) {
        let gravest = self.findings().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
        let answered = self.host.ready.is_some();
        self.verdict = if answered || gravest >= Verdict::Warning { gravest } else { Verdict::Unknown };
        self.exit = match self.verdict {
            Verdict::Ok | Verdict::Note => 0,
            Verdict::Warning => 1,
            Verdict::Critical => 2,
            Verdict::Unknown => 3,
        };
    }

    /// 0: nothing is wrong. 1: a warning. 2: critical. 3: whether the generator is ready could not be seen.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        self.exit
    }
}
