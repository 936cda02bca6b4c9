//! Verdicts on a host's randomness, from the facts that weir-kernel reads.
//!
//! The answer to three questions: is this host's randomness good, was it good when its keys were made, and does it need
//! a daemon? Facts in, findings out:
//!
//! ```
//! use weir_kernel::host::{Host, Root};
//!
//! let report = weir_doctor::examine(&Host::read(&Root::live()));
//! println!("{}", weir_doctor::text(&report, weir_doctor::Style::Plain));
//! # assert!(report.exit_status() <= 3);
//! ```
//!
//! Invariants: no I/O; the same facts give the same findings; a fact that is missing never makes a finding, it is
//! listed as unseen; a warning says what is wrong on this host and not what might be on some. Identifiers of findings
//! are stable; `docs/doctor.md` lists them with the schema of the JSON form.
//!
//! Absent on purpose: judging random bytes by their looks. Healthy-looking bytes prove nothing.

mod arrivals;
mod daemons;
mod kernel;
mod keys;
mod probe;
mod remedy;
mod report;
mod seeds;
mod sources;
mod text;
mod virtualization;
mod waiting;
mod weir_feed;

use weir_kernel::host::Host;

pub use keys::early_keys;
pub use probe::{Phase, Probe, ProbeFailure, SLOW};
pub use report::{ArrivedSeed, Finding, Report, SCHEMA, Section, SectionName, Summary, Unseen, Verdict};
pub use text::text;
pub use weir_report::Style;

/// Judges a host.
#[must_use]
pub fn examine(host: &Host) -> Report {
    let mut unseen = Vec::new();
    let sections = vec![
        Section { name: SectionName::Kernel, findings: kernel::findings(host, &mut unseen) },
        Section { name: SectionName::Sources, findings: sources::findings(host, &mut unseen) },
        Section { name: SectionName::Virtualization, findings: virtualization::findings(host, &mut unseen) },
        Section { name: SectionName::Seeds, findings: seeds(host, &mut unseen) },
        Section { name: SectionName::Daemons, findings: daemons::findings(host) },
        Section { name: SectionName::Keys, findings: keys::findings(host, &mut unseen) },
        Section { name: SectionName::Waiting, findings: waiting::findings(host, &mut unseen) },
    ];
    Report::new(Summary::of(host), sections, unseen)
}

fn seeds(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    let mut findings = seeds::findings(host, unseen);
    findings.extend(arrivals::findings(host, unseen));
    findings
}

/// Judges a host together with a connection that was tried from it.
#[must_use]
pub fn examine_with_probe(host: &Host, probe: &Probe) -> Report {
    let mut report = examine(host);
    let findings = probe::findings(host, probe);
    report.add(Section { name: SectionName::Probe, findings });
    report
}
