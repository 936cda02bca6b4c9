//! A machine whose clock counts instructions: two boots of it are the same, to the last draw. What a seed is worth shows there,
//! and what jitter is worth: nothing, which the start-up tests have to notice.

use testkit::lab::{Kernel, Said};

use crate::guests::{alone, guest, qemu, run, state_of};

const MACHINE: &[&str] =
    &["-icount", "shift=1,sleep=off", "-seed", "1", "-rtc", "base=2024-01-01T00:00:00,clock=vm"];

/// A boot whose reader has the kernel gather by itself, which on this machine it does in vain and does not know.
fn boot(kernel: &Kernel, daemon: &str, seed: &[u8]) -> Said {
    let mut guest = guest(&format!("mode boot\nreader blocked\npatience_s 15\ndaemon {daemon}\n"));
    guest.file("/var/lib/weir-feed/seed", seed);
    let said = run(kernel, guest, MACHINE);
    assert_eq!(said.text("bytes").map(str::len), Some(64), "the reader got nothing: {said:?}");
    said
}

#[test]
fn boots_that_are_the_same_differ_by_a_seed_and_not_by_jitter() {
    let kernel = match qemu("6.1") {
        Ok(kernel) => kernel,
        Err(why) => testkit::skip!("{why}"),
    };
    let _alone = alone();
    let twice = |daemon: &str, seeds: [&[u8]; 2]| seeds.map(|seed| boot(&kernel, daemon, seed));
    let bytes = |said: &Said| said.text("bytes").unwrap().to_owned();

    let unaided = twice("", [&[]; 2]);
    assert_eq!(bytes(&unaided[0]), bytes(&unaided[1]), "this machine is not deterministic");

    let daemon = "/usr/sbin/weir-feed -v 2 --source jitter";
    let jitter = twice(&format!("{daemon} --no-seed-file"), [&[]; 2]);
    assert_eq!(
        bytes(&jitter[0]),
        bytes(&jitter[1]),
        "jitter is worth something, so this machine is not deterministic"
    );

    let seeded = twice(daemon, [&[1; 64], &[2; 64]]);
    assert_ne!(bytes(&seeded[0]), bytes(&seeded[1]), "the seed was worth nothing");

    for said in jitter.iter().chain(&seeded) {
        let state = state_of(said, "jitter");
        eprintln!("{state}");
        assert!(!state.contains("healthy"), "jitter passed its start-up test: {state}");
        assert_eq!(said.status("credited_bits"), ["0"], "{said:?}");
    }
}

#[test]
fn jitter_that_is_worth_nothing_makes_no_kernel_ready() {
    let kernel = match qemu("6.1") {
        Ok(kernel) => kernel,
        Err(why) => testkit::skip!("{why}"),
    };
    let _alone = alone();
    let plan = "mode boot\npatience_s 6\ndaemon /usr/sbin/weir-feed -v 2 --source jitter\n";
    let said = run(&kernel, guest(plan), MACHINE);
    assert_eq!(said.text("ready_ms"), Some("never"), "{said:?}");
    assert_eq!(said.status("phase"), ["seeding"], "{said:?}");
    assert!(said.all("log").iter().any(|line| line.contains("jitter is set aside")), "{said:?}");
}
