//! Programs that wait for randomness now, and programs that did not wait when they should have.

use weir_kernel::host::{EarlyReader, Host, Unknown};

use crate::keys::makes_keys;
use crate::remedy::{ON_THE_HOST, and, early_source, in_container};
use crate::report::{Finding, Unseen, Verdict};

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    if let Ok(processes) = &host.processes
        && processes.hidden > 0
    {
        let what = match processes.hidden {
            1 => "what one process of another user waits for".to_owned(),
            hidden => format!("what {hidden} processes of other users wait for"),
        };
        unseen.push(Unseen::new(host, what, &Unknown::Denied));
    }
    match &host.log {
        Ok(log) if !log.facts.from_boot => {
            unseen.push(Unseen::new(host, "the beginning of the kernel log", &Unknown::Lost));
        }
        Ok(_) => {}
        Err(why) => unseen.push(Unseen::new(host, "the kernel log", why)),
    }
    [now(host), early(host)].into_iter().flatten().collect()
}

/// The processes that wait, as people know them.
pub(crate) fn waiting(host: &Host) -> Vec<String> {
    let processes = host.processes.as_ref().map(|processes| processes.waiting.as_slice()).unwrap_or_default();
    processes.iter().map(|(process, _)| format!("{} ({})", process.name, process.pid)).collect()
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
