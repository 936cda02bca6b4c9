//! weir-feed, by its own account: what it last did, whether its sources pass their tests, and whether it still lives.
//!
//! Its file stays when it has ended, so an account without a process of that number is one of the past. An account of another
//! boot is none at all.

use weir_kernel::host::feed::{Event, FeedSource};
use weir_kernel::host::{Daemon, FeedStatus, Host};

use crate::report::{Finding, Verdict};

/// So many intervals without a reseed are too many.
const LATE: i64 = 3;

pub(crate) fn findings(host: &Host) -> Vec<Finding> {
    let Some(status) = account(host) else { return Vec::new() };
    if !runs(host, status) {
        return gone(host, status).into_iter().collect();
    }
    let mut findings = vec![last(host, status)];
    findings.extend(sources(status));
    findings.extend(notes(status));
    findings
}

/// Its account of this boot.
fn account(host: &Host) -> Option<&FeedStatus> {
    let status = host.feed.as_ref().ok()?;
    let this_boot = host.kernel.boot_id.as_ref().is_ok_and(|id| *id == status.boot_id);
    this_boot.then_some(status)
}

fn runs(host: &Host, status: &FeedStatus) -> bool {
    let process = |(daemon, process): &(Daemon, _)| {
        let process: &weir_kernel::host::Process = process;
        *daemon == Daemon::WeirFeed && process.pid == status.pid
    };
    host.processes.as_ref().is_ok_and(|processes| processes.daemons.iter().any(process))
}

/// One that ended as it should is no finding.
fn gone(host: &Host, status: &FeedStatus) -> Option<Finding> {
    let died = status.phase != "ended" && host.processes.is_ok();
    died.then(|| {
        Finding::new(
            "daemons.weir-feed",
            Verdict::Warning,
            format!("weir-feed (process {}) has died", status.pid),
            format!("{}.", capital(&did(host, status))),
        )
        .command("journalctl -u weir-feed -n 20; systemctl restart weir-feed")
    })
}

fn last(host: &Host, status: &FeedStatus) -> Finding {
    let what = did(host, status);
    let at = status.reseeded.as_ref().map_or(status.started, |event| event.at);
    let late = LATE * i64::try_from(status.setting).unwrap_or(i64::MAX / LATE);
    let silent =
        status.phase == "schedule" && host.kernel.now.as_ref().is_ok_and(|now| now.saturating_sub(at) > late);
    if silent {
        return Finding::new(
            "daemons.weir-feed",
            Verdict::Warning,
            format!("weir-feed has not reseeded the kernel in time: {what}"),
            format!("It should every {} s; the machine may have stood still.", status.setting),
        )
        .command("systemctl restart weir-feed");
    }
    if status.phase == "seeding" {
        return Finding::new(
            "daemons.weir-feed",
            Verdict::Warning,
            "weir-feed has not made the kernel ready so far",
            "None of its sources is worth anything yet; it keeps trying.",
        )
        .command("weir-feed --status");
    }
    let watches = if status.watches.is_empty() {
        "nothing would tell it of a clone".to_owned()
    } else {
        format!("it would learn of a clone by {}", status.watches.join(" or "))
    };
    Finding::ok(
        "daemons.weir-feed",
        capital(&what),
        format!("Generation {} of this machine; {watches}.", status.generation),
    )
}

/// What it last did.
fn did(host: &Host, status: &FeedStatus) -> String {
    let now = host.kernel.now.as_ref().ok();
    let ago = |event: &Event| now.map_or_else(String::new, |now| format!(" {}", event.ago(*now)));
    match (&status.cloned, &status.reseeded) {
        (Some(clone), Some(last)) if clone.at >= last.at => {
            format!("weir-feed answered a clone of this machine{} ({})", ago(clone), clone.why)
        }
        (_, Some(last)) => format!("weir-feed reseeded the kernel{} ({})", ago(last), last.why),
        _ => "weir-feed has not reseeded the kernel in this boot".to_owned(),
    }
}

/// Sources that its tests set aside.
fn sources(status: &FeedStatus) -> Option<Finding> {
    let aside: Vec<&FeedSource> =
        status.sources.iter().filter(|source| source.state == "set-aside").collect();
    let first = aside.first()?;
    let healthy = status.sources.iter().any(|source| source.is_good() && source.claim > 0.0);
    let names: Vec<String> = aside.iter().map(|source| source.name.clone()).collect();
    Some(
        Finding::new(
            "daemons.weir-feed-source",
            if healthy { Verdict::Note } else { Verdict::Warning },
            format!("weir-feed has set aside {}", crate::remedy::and(&names)),
            format!("{}: {}.", first.name, first.why),
        )
        .command("weir-feed --status"),
    )
}

fn notes(status: &FeedStatus) -> Option<Finding> {
    let note = status.notes.first()?;
    Some(Finding::new(
        "daemons.weir-feed-note",
        Verdict::Note,
        "weir-feed has something to say",
        format!("{}.", capital(note)),
    ))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    // The name of the program stays as it is written.
    if text.starts_with("weir-feed") {
        return text.to_owned();
    }
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
