//! Daemons that feed the kernel: whether each does any good here, and whether one is needed.

use weir_kernel::host::{Accounting, Daemon, Host, Process, Unknown};

use crate::kernel::LATE;
use crate::remedy::{early_source, in_container};
use crate::report::{Finding, Verdict};
use crate::sources::early_sources;
use crate::weir_feed;

pub(crate) fn findings(host: &Host) -> Vec<Finding> {
    let Ok(processes) = &host.processes else { return Vec::new() };
    let mut findings: Vec<Finding> =
        processes.daemons.iter().map(|(daemon, process)| judge(host, *daemon, process)).collect();
    findings.extend(weir_feed::findings(host));
    findings.extend(needed(host, !processes.daemons.is_empty()));
    findings
}

fn judge(host: &Host, daemon: Daemon, process: &Process) -> Finding {
    let running = format!("{} is running (process {})", process.name, process.pid);
    match good(host, daemon) {
        Ok(why) => Finding::ok("daemons.running", running, why),
        Err(why) => {
            Finding::new("daemons.running", Verdict::Note, format!("{running} and does no good here"), why)
                .command(format!("systemctl disable --now {}", unit(daemon)))
        }
    }
}

/// Why a daemon does good here, or why not.
fn good(host: &Host, daemon: Daemon) -> Result<&'static str, &'static str> {
    if daemon == Daemon::WeirFeed {
        return Ok("It tests what it feeds and reseeds the kernel when the machine was cloned.");
    }
    if host.pool.accounting != Ok(Accounting::Full256) {
        return Ok("It keeps the estimate of this kernel up, which readers of /dev/random depend on.");
    }
    match daemon {
        Daemon::Rngd if hardware_waits(host) => {
            Ok("It feeds a hardware generator that the kernel does not use itself.")
        }
        Daemon::Jitterentropy if early_sources(host).is_empty() => {
            Ok("It makes this kernel ready at boot, which has no other early source.")
        }
        Daemon::Haveged => {
            Err("This kernel gathers what haveged gathers by itself, and is not helped once it is ready.")
        }
        Daemon::Rngd => Err("This kernel feeds itself from the sources that rngd reads."),
        _ => Err("This kernel has early sources of its own, and needs no feeding once it is ready."),
    }
}

fn hardware_waits(host: &Host) -> bool {
    matches!(&host.hw_random.current, Ok(Some(_))) && host.hw_random.quality == Ok(0)
}

fn unit(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Haveged => "haveged",
        Daemon::Rngd => "rngd",
        Daemon::Jitterentropy => "jitterentropy",
        Daemon::Egd => "ekeyd",
        _ => "weir-feed",
    }
}

/// The answer to "do I need a daemon?"
fn needed(host: &Host, one_runs: bool) -> Option<Finding> {
    if in_container(host) {
        return Some(Finding::ok(
            "daemons.needed",
            "No daemon is needed in the container",
            "Entropy is a matter of the kernel, which is the host's.",
        ));
    }
    if host.readiness.ready.is_err() {
        return None;
    }
    if !lacks(host) {
        return Some(Finding::ok(
            "daemons.needed",
            if one_runs { "No other daemon is needed" } else { "No daemon is needed" },
            "The kernel has what it needs without one.",
        ));
    }
    (!one_runs).then(|| {
        Finding::new(
            "daemons.needed",
            Verdict::Warning,
            "This host needs a source or a daemon that feeds it",
            "Its kernel gets too little by itself, and nothing feeds it.",
        )
        .command(early_source(host))
    })
}

/// Whether the kernel visibly gets too little.
fn lacks(host: &Host) -> bool {
    let ready = host.readiness.ready == Ok(true);
    let late =
        early_sources(host).is_empty() && host.readiness.after_boot.as_ref().is_ok_and(|at| *at >= LATE);
    let drained = host.pool.accounting == Ok(Accounting::Estimate4096)
        && host.pool.read_wakeup_bits != Err(Unknown::Absent)
        && host.pool.available_bits.as_ref().is_ok_and(|bits| *bits < 1000);
    !ready || late || drained
}
