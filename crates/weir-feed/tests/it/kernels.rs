//! Kernels that nobody else makes ready, and one whose estimate is taken from.

use testkit::lab::Said;

use crate::guests::{alone, guest, old_uml, qemu, run, state_of};

const DAEMON: &str = "/usr/sbin/weir-feed -v 2 --source jitter";

/// What it takes is the daemon's alone: without one, this kernel waits for ten seconds.
fn is_soon(said: &Said, key: &str) {
    let ms = said.number(key).unwrap_or_else(|| panic!("{key}: {said:?}"));
    assert!(ms < 2000.0, "{key} {ms}: {said:?}");
}

#[test]
fn an_old_kernel_is_made_ready_and_a_reader_that_was_blocked_wakes() {
    let kernel = match old_uml() {
        Ok(kernel) => kernel,
        Err(why) => testkit::skip!("{why}"),
    };
    let _alone = alone();
    let plan = format!("mode boot\nreader blocked\npatience_s 8\nidle_s 2\ndaemon {DAEMON}\n");
    let said = run(&kernel, guest(&plan), &[]);
    assert_eq!((said.text("ready_before"), said.text("answered_early")), (Some("0"), Some("0")), "{said:?}");
    is_soon(&said, "ready_ms");
    is_soon(&said, "answered_ms");
    assert_eq!(said.text("daemon"), Some("running"));
    assert_eq!(said.status("phase"), ["watermark"]);
    // Two seconds in which nothing happens, of which a tick or two at the most are the daemon's.
    assert!(said.number("idle_cpu_ms").unwrap() <= 40.0, "{said:?}");
    eprintln!(
        "ready after {} ms, reader after {} ms",
        said.text("ready_ms").unwrap(),
        said.text("answered_ms").unwrap()
    );
}

#[test]
fn an_old_kernel_s_estimate_is_kept_up_while_others_take_from_its_pool() {
    let kernel = match old_uml() {
        Ok(kernel) => kernel,
        Err(why) => testkit::skip!("{why}"),
    };
    let _alone = alone();
    let plan = format!("mode boot\npatience_s 8\nreseeds 24\ndaemon {DAEMON} -w 1024\n");
    let said = run(&kernel, guest(&plan), &[]);
    let number = |key| said.number(key).unwrap_or_else(|| panic!("{key}: {said:?}"));
    // 24 times 256 bits are more than any pool holds: it was low, and each time the daemon saw to it.
    assert!(number("lowest") < 1024.0, "it was never low: {said:?}");
    assert!(number("lowest_after") >= 1024.0, "it stayed low: {said:?}");
    assert!(
        number("drained_bytes") > 10_000.0 && number("drain_longest_ms") < 500.0,
        "a reader waited: {said:?}"
    );
    assert!(number("demand_cpu_share") < 0.5, "{said:?}");
    let state = state_of(&said, "jitter");
    assert!(!state.contains("set-aside"), "{state}");
}

#[test]
fn a_kernel_that_nobody_reads_from_is_made_ready() {
    let kernel = match qemu("6.1") {
        Ok(kernel) => kernel,
        Err(why) => testkit::skip!("{why}"),
    };
    let _alone = alone();
    let plan = "mode boot\npatience_s 15\nidle_s 2\ndaemon /usr/sbin/weir-feed -v 2\n";
    let said = run(&kernel, guest(plan), &[]);
    assert_eq!(said.text("ready_before"), Some("0"), "{said:?}");
    is_soon(&said, "ready_ms");
    assert!(said.number("idle_cpu_ms").unwrap() <= 40.0, "{said:?}");
    eprintln!("ready after {} ms", said.text("ready_ms").unwrap());
}
