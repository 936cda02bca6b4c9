//! Programs that wait for randomness now, and programs that did not wait when they should have.

use weir_kernel::host::{EarlyReader, Host, Process, Unknown};

use crate::keys::makes_keys;
use crate::remedy::{ON_THE_HOST, and, early_source, in_container};
use crate::report::{Finding, Unseen, Verdict};

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    let what = match &host.processes {
        Ok(processes) if processes.hidden == 0 => None,
        Ok(processes) if processes.hidden == 1 => {
            Some(("what one process of another user waits for".to_owned(), &Unknown::Denied))
        }
        Ok(processes) => {
            Some((format!("what {} processes of other users wait for", processes.hidden), &Unknown::Denied))
        }
        Err(why) => Some(("which programs run, and what they wait for".to_owned(), why)),
    };
    unseen.extend(what.map(|(what, why)| Unseen::new(host, what, why)));
    match &host.log {
        Ok(log) if !log.facts.from_boot => {
            unseen.push(Unseen::new(host, "the beginning of the kernel log", &Unknown::Lost));
        }
        Ok(_) => {}
        Err(why) => unseen.push(Unseen::new(host, "the kernel log", why)),
    }
    [now(host), early(host)].into_iter().flatten().collect()
}

/// As many processes are named as a sentence bears.
const MOST_NAMED: usize = 8;

/// The processes that wait, as people know them.
pub(crate) fn waiting(host: &Host) -> Vec<String> {
    let waiting = host.processes.as_ref().map(|processes| processes.waiting.as_slice()).unwrap_or_default();
    let name = |(process, _): &(Process, String)| format!("{} ({})", process.name, process.pid);
    let mut names: Vec<String> = waiting.iter().take(MOST_NAMED).map(name).collect();
    if waiting.len() > MOST_NAMED {
        names.push(format!("{} more", waiting.len() - MOST_NAMED));
    }
    names
}

fn now(host: &Host) -> Option<Finding> {
    let processes = host.processes.as_ref().ok()?;
    let names = waiting(host);
    if names.is_empty() {
        let all = if processes.hidden == 0 { "No process" } else { "No process that can be seen" };
        let why = "None sleeps in one of the kernel functions that wait for the generator.";
        return Some(Finding::ok("waiting.now", format!("{all} waits for randomness"), why));
    }
    let verdict = if host.readiness.ready == Ok(false) { Verdict::Critical } else { Verdict::Warning };
    let why = if verdict == Verdict::Critical {
        "They stand still until the generator is ready."
    } else {
        "They read /dev/random and stand still until its estimate has risen."
    };
    let command = if in_container(host) { ON_THE_HOST } else { early_source(host) };
    let what = format!("Waiting for randomness right now: {}", and(&names));
    Some(Finding::new("waiting.now", verdict, what, why).command(command))
}

fn early(host: &Host) -> Option<Finding> {
    let facts = &host.log.as_ref().ok()?.facts;
    let name = |reader: &EarlyReader| match reader.reads {
        1 => reader.program.clone(),
        reads => format!("{} ({reads} times)", reader.program),
    };
    let mut names: Vec<String> =
        facts.early_readers.iter().filter(|reader| !makes_keys(reader)).map(name).collect();
    if facts.early_reads_unnamed > 0 {
        names.push(format!("{} more that the kernel did not name", facts.early_reads_unnamed));
    }
    (!names.is_empty()).then(|| {
        Finding::new(
            "waiting.early",
            Verdict::Note,
            format!("Read from /dev/urandom before the generator was ready: {}", and(&names)),
            "That is harmless for hash tables and names of files, and not for anything secret.",
        )
        .command("dmesg | grep 'uninitialized urandom read'")
    })
}
