//! One guest, frozen and restored twice: when the guard has run, the clones have no draw in common.

use std::time::Duration;

use testkit::lab::{Clones, Kernel, Tell, clone};

use crate::guests::{alone, guest, qemu};

/// So long a clone runs, which is several times what it takes to hear that it is one.
const TIME: Duration = Duration::from_secs(6);

fn of(kernel: &Kernel, tell: Tell, daemon: &str) -> Clones {
    let plan = format!("mode draws\npatience_s 60\napart_us 2000\nkept 3000\ndaemon {daemon}\n");
    let mut guest = guest(&plan);
    guest.program("/bin/busybox", std::path::Path::new("/bin/busybox"), None);
    guest.link("/bin/sh", "busybox");
    guest.script("/etc/weir/clone.d/10-note", "#!/bin/sh\necho \"$WEIR_GENERATION\" >>/hooks.log\n");
    let clones = clone(kernel, &guest.finish(), tell, TIME).unwrap();
    for said in &clones.said {
        assert_eq!(said.text("error"), None, "{said:?}");
    }
    assert!(clones.draws.iter().all(|draws| draws.len() > 100), "too few draws to compare");
    clones
}

/// How long the two drew the same, for people.
fn window(clones: &Clones) -> String {
    match clones.same() {
        (draws, Some(time)) => format!("{draws} draws, {:.1} ms", time.as_secs_f64() * 1e3),
        (draws, None) => format!("all {draws} draws"),
    }
}

/// Holds for any guard: the next generation is published, the hooks ran once, and from then on nothing is the same.
fn is_guarded(clones: &Clones) {
    for said in &clones.said {
        assert_eq!(said.status("generation"), ["2"], "{said:?}");
        assert_eq!(said.all("hooks"), ["2"], "{said:?}");
    }
    let [a, b] = clones.published_after();
    assert!(a.is_some() && b.is_some(), "no generation was published");
    let common = clones.common_once_guarded();
    assert!(common.is_empty(), "draws of both after the guard had run: {common:?}");
}

/// A guarded pair of clones and an unguarded one.
fn pairs(kernel: &Kernel, tell: Tell) -> (Clones, Clones) {
    let _alone = alone();
    let word = if tell == Tell::Word { " --word device:/dev/ttyS1" } else { "" };
    let guarded = of(kernel, tell, &format!("/usr/sbin/weir-feed -v 2 --hooks /etc/weir/clone.d{word}"));
    let unguarded = of(kernel, if tell == Tell::Word { Tell::Nothing } else { tell }, "");
    let published =
        guarded.published_after().map(|time| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3));
    eprintln!(
        "{tell:?}: the same unguarded for {}, guarded for {}; generation published after {published:.1?} ms",
        window(&unguarded),
        window(&guarded)
    );
    (guarded, unguarded)
}

#[test]
fn clones_that_their_hypervisor_tells_draw_nothing_alike() {
    let kernel = match qemu("6.1") {
        Ok(kernel) => kernel,
        Err(why) => testkit::skip!("{why}"),
    };
    let (guarded, unguarded) = pairs(&kernel, Tell::Word);
    is_guarded(&guarded);
    // Otherwise this test would show nothing.
    assert!(unguarded.same().0 > guarded.same().0, "{} and {}", window(&unguarded), window(&guarded));
}

#[test]
fn clones_with_a_generation_id_draw_nothing_alike() {
    let kernel = match qemu("6.12") {
        Ok(kernel) => kernel,
        Err(why) => testkit::skip!("{why}"),
    };
    is_guarded(&pairs(&kernel, Tell::GenerationId).0);
}
