//! Verdicts where a host is changed in one respect.

use std::path::Path;
use std::time::Duration;

use weir_doctor::{
    Finding, Phase, Probe, ProbeFailure, Report, Style, Verdict, examine, examine_with_probe, text,
};
use weir_kernel::host::{Accounting, Arrival, Daemon, Fact, Host, Process, Root, Unknown};

fn host(name: &str) -> Host {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weir-kernel/testdata/hosts").join(name);
    Host::read(&Root::at(&dir).unwrap())
}

fn finding<'a>(report: &'a Report, id: &str) -> &'a Finding {
    report.findings().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no finding {id}"))
}

fn verdict(host: &Host, id: &str) -> Option<Verdict> {
    examine(host).findings().find(|finding| finding.id == id).map(|finding| finding.verdict)
}

#[test]
fn two_hundred_and_fifty_six_is_full_and_not_low() {
    let report = examine(&host("bare-metal"));
    assert_eq!(finding(&report, "kernel.entropy").verdict, Verdict::Ok);
    assert!(finding(&report, "kernel.entropy").why.contains("full"));
}

#[test]
fn a_low_estimate_matters_only_where_random_blocks() {
    let mut old = host("old-drained");
    assert_eq!(verdict(&old, "kernel.entropy"), Some(Verdict::Warning));
    old.pool.available_bits = Ok(1000);
    assert_eq!(verdict(&old, "kernel.entropy"), Some(Verdict::Ok));
    // Linux 5.6 to 5.17: the old accounting without the blocking pool.
    old.pool.available_bits = Ok(12);
    old.pool.read_wakeup_bits = Err(Unknown::Absent);
    assert_eq!(verdict(&old, "kernel.entropy"), Some(Verdict::Ok));
}

#[test]
fn nothing_is_wrong_with_what_could_not_be_seen() {
    let mut blind = host("bare-metal");
    blind.log = Err(Unknown::Denied);
    blind.readiness.after_boot = Err(Unknown::Denied);
    blind.processes = Err(Unknown::Denied);
    blind.clone_signals.vmgenid = Err(Unknown::Denied);
    blind.cpu = Err(Unknown::Denied);
    blind.boot_seeds = Err(Unknown::Denied);
    blind.hw_random.available = Err(Unknown::Denied);
    blind.pool.accounting = Err(Unknown::Denied);
    blind.keys.iter_mut().for_each(|key| key.meta = Err(Unknown::Denied));
    blind.seed_files.iter_mut().for_each(|file| file.meta = Err(Unknown::Denied));
    let report = examine(&blind);
    assert!(report.findings().all(|finding| finding.verdict <= Verdict::Note), "{report:#?}");
    assert_eq!(report.exit_status(), 0);
    for what in [
        "programs run",
        "kernel log",
        "when the generator became ready",
        "instructions",
        "seed file",
        "/etc/ssh/",
        "counts",
    ] {
        assert!(
            report.unseen.iter().any(|unseen| unseen.what.contains(what)),
            "{what} is not listed as unseen"
        );
    }
}

#[test]
fn not_to_see_the_main_thing_is_a_status_of_its_own() {
    let mut blind = host("bare-metal");
    blind.readiness.ready = Err(Unknown::Denied);
    let report = examine(&blind);
    assert_eq!((report.verdict, report.exit_status()), (Verdict::Unknown, 3));
    // But what is certainly wrong outweighs it.
    blind.seed_files[0].meta.as_mut().unwrap().mode = 0o644;
    assert_eq!(examine(&blind).exit_status(), 1);
}

#[test]
fn keys_of_this_boot_are_judged_by_the_moment_of_readiness() {
    let made = |after_boot: i64| {
        let mut host = host("kvm-no-virtio-rng");
        host.keys[0].meta.as_mut().unwrap().modified = host.kernel.booted.clone().unwrap() + after_boot;
        verdict(&host, "keys.early")
    };
    // Ready after 21.48 s.
    assert_eq!(made(-100), None, "an earlier boot cannot be judged");
    assert_eq!(made(0), Some(Verdict::Critical));
    assert_eq!(made(18), Some(Verdict::Critical));
    assert_eq!(made(19), None, "within what the clocks may differ by");
    assert_eq!(made(21), None);
    assert_eq!(made(3600), None);
}

#[test]
fn keys_from_before_this_boot_are_listed_as_unseen_and_the_journal_is_named() {
    let unseen = |host: &Host| {
        let report = examine(host);
        let found = report.unseen.into_iter().find(|unseen| unseen.what.contains("before this boot"));
        found.map(|unseen| (unseen.what, unseen.command.unwrap_or_default()))
    };
    let mut old = host("bare-metal");
    let (what, command) = unseen(&old).unwrap();
    assert!(what.contains("when 2 well-known keys were made"), "{what}");
    assert!(command.starts_with("journalctl "), "{command}");
    let booted = old.kernel.booted.clone().unwrap();
    old.keys.iter_mut().for_each(|key| key.meta.as_mut().unwrap().modified = booted + 60);
    assert_eq!(unseen(&old), None, "keys of this boot");
}

#[test]
fn a_policy_against_drawing_is_a_warning_where_the_generator_is_ready_too() {
    let mut jailed = host("bare-metal");
    assert_eq!(verdict(&jailed, "kernel.draw"), None, "of a recorded host nobody draws");
    jailed.way = Ok(weir_kernel::Way::Syscall);
    assert_eq!(verdict(&jailed, "kernel.draw"), Some(Verdict::Ok));
    for why in [Unknown::Denied, Unknown::Os(38)] {
        jailed.way = Err(why);
        let report = examine(&jailed);
        assert_eq!(finding(&report, "kernel.draw").verdict, Verdict::Warning);
        assert_eq!(finding(&report, "kernel.ready").verdict, Verdict::Ok);
        assert!(finding(&report, "kernel.draw").command.is_some());
    }
}

#[test]
fn what_this_user_may_not_see_limits_the_headline() {
    let headline = |name: &str| text(&examine(&host(name)), Style::Plain).lines().nth(1).unwrap().to_owned();
    assert_eq!(headline("bare-metal"), "ok: its randomness is good");
    assert!(headline("xen-unprivileged").ends_with(", as far as this user may look"));
    assert_eq!(headline("cloned-vm"), "warning: something needs attention");
}

#[test]
fn keys_made_while_not_ready_are_early_whenever_that_will_end() {
    let mut unready = host("not-ready");
    unready.keys = host("kvm-no-virtio-rng").keys;
    unready.keys[0].meta.as_mut().unwrap().modified = unready.kernel.booted.clone().unwrap() + 5;
    assert_eq!(verdict(&unready, "keys.early"), Some(Verdict::Critical));
}

#[test]
fn keys_are_copies_only_if_they_are_older_than_the_clone() {
    let mut cloned = host("cloned-vm");
    assert_eq!(verdict(&cloned, "keys.copied"), Some(Verdict::Warning));
    assert_eq!(verdict(&cloned, "keys.copied-identity"), Some(Verdict::Warning));
    let after = cloned.kernel.booted.clone().unwrap() + 86_500;
    cloned.keys.iter_mut().for_each(|key| key.meta.as_mut().unwrap().modified = after);
    assert_eq!(verdict(&cloned, "keys.copied"), None);
    assert_eq!(verdict(&cloned, "keys.copied-identity"), None);
    assert_eq!(verdict(&cloned, "keys.made-elsewhere"), Some(Verdict::Note));
    let mut container = host("container");
    (container.log, container.keys) = (cloned.log, host("cloned-vm").keys);
    assert_eq!(verdict(&container, "keys.copied"), None, "files of an image are older than its host's clone");
}

#[test]
fn seed_files_are_judged_by_mode_age_length_and_origin() {
    let judged = |change: fn(&mut Host)| {
        let mut host = host("bare-metal");
        change(&mut host);
        verdict(&host, "seeds.file")
    };
    assert_eq!(judged(|_| {}), Some(Verdict::Ok));
    assert_eq!(judged(|host| host.seed_files[0].meta.as_mut().unwrap().mode = 0o640), Some(Verdict::Warning));
    assert_eq!(judged(|host| host.seed_files[0].meta.as_mut().unwrap().bytes = 20), Some(Verdict::Note));
    assert_eq!(
        judged(|host| host.seed_files[0].meta.as_mut().unwrap().modified -= 100),
        Some(Verdict::Warning)
    );
    assert_eq!(
        judged(|host| {
            host.seed_files[0].meta.as_mut().unwrap().modified -= 100;
            host.seed_files[0].creditable = Ok(false);
        }),
        Some(Verdict::Note),
        "a seed used twice is harmless where it counts for nothing"
    );
}

#[test]
fn each_daemon_is_judged_by_what_it_does_here() {
    let judged = |name: &str, daemon| {
        let mut host = host(name);
        let process = Process { pid: 7, name: "feeder".to_owned() };
        host.processes.as_mut().unwrap().daemons = vec![(daemon, process)];
        verdict(&host, "daemons.running")
    };
    for daemon in [Daemon::Haveged, Daemon::Rngd, Daemon::Jitterentropy] {
        assert_eq!(judged("bare-metal", daemon), Some(Verdict::Note), "{daemon:?}");
        assert_eq!(judged("old-drained", daemon), Some(Verdict::Ok), "{daemon:?}");
    }
    assert_eq!(judged("kvm-no-virtio-rng", Daemon::Jitterentropy), Some(Verdict::Ok));
    assert_eq!(judged("kvm-no-virtio-rng", Daemon::Haveged), Some(Verdict::Note));
    assert_eq!(judged("bare-metal", Daemon::WeirFeed), Some(Verdict::Ok));
    let mut idle = host("bare-metal");
    idle.hw_random.quality = Ok(0);
    idle.processes.as_mut().unwrap().daemons =
        vec![(Daemon::Rngd, Process { pid: 7, name: "rngd".to_owned() })];
    assert_eq!(verdict(&idle, "daemons.running"), Some(Verdict::Ok));
}

#[test]
fn weir_feed_is_judged_by_its_own_account() {
    use weir_kernel::host::FeedStatus;
    use weir_kernel::host::feed::{Event, FeedSource};
    let mut host = host("kvm-virtio-rng");
    let now = *host.kernel.now.as_ref().unwrap();
    host.kernel.boot_id = Ok("a boot".to_owned());
    let source = |name: &str, state: &str| FeedSource {
        name: name.to_owned(),
        state: state.to_owned(),
        claim: 1.0,
        ..FeedSource::default()
    };
    let status = FeedStatus {
        pid: 7,
        boot_id: "a boot".to_owned(),
        phase: "schedule".to_owned(),
        setting: 600,
        started: now - 5000,
        generation: 1,
        reseeded: Some(Event { at: now - 300, why: "schedule".to_owned() }),
        sources: vec![source("jitter", "healthy")],
        ..FeedStatus::default()
    };
    let process = Process { pid: 7, name: "weir-feed".to_owned() };
    host.processes.as_mut().unwrap().daemons = vec![(Daemon::WeirFeed, process)];
    let mut judged = |id: &str, change: &dyn Fn(&mut FeedStatus)| {
        let mut status = status.clone();
        change(&mut status);
        host.feed = Ok(status);
        verdict(&host, id)
    };
    let main = "daemons.weir-feed";
    assert_eq!(judged(main, &|_| {}), Some(Verdict::Ok));
    assert_eq!(judged("daemons.weir-feed-source", &|_| {}), None);
    assert_eq!(judged("daemons.weir-feed-note", &|_| {}), None);
    let late = |status: &mut FeedStatus| status.reseeded.as_mut().unwrap().at = now - 1801;
    assert_eq!(judged(main, &late), Some(Verdict::Warning));
    assert_eq!(judged(main, &|status| status.phase = "seeding".to_owned()), Some(Verdict::Warning));
    assert_eq!(judged(main, &|status| status.pid = 8), Some(Verdict::Warning), "it died");
    let ended = |status: &mut FeedStatus| {
        status.pid = 8;
        status.phase = "ended".to_owned();
    };
    assert_eq!(judged(main, &ended), None);
    assert_eq!(judged(main, &|status| status.boot_id = "another".to_owned()), None);
    let aside = |status: &mut FeedStatus| status.sources.push(source("rdseed", "set-aside"));
    assert_eq!(judged("daemons.weir-feed-source", &aside), Some(Verdict::Note));
    let alone = |status: &mut FeedStatus| status.sources = vec![source("rdseed", "set-aside")];
    assert_eq!(judged("daemons.weir-feed-source", &alone), Some(Verdict::Warning));
    let note = |status: &mut FeedStatus| status.notes.push("no seed is saved".to_owned());
    assert_eq!(judged("daemons.weir-feed-note", &note), Some(Verdict::Note));
}

#[test]
fn a_host_that_lacks_and_is_fed_is_not_told_to_get_a_daemon() {
    let mut fed = host("old-drained");
    assert_eq!(verdict(&fed, "daemons.needed"), Some(Verdict::Warning));
    fed.processes.as_mut().unwrap().daemons =
        vec![(Daemon::Haveged, Process { pid: 7, name: "haveged".to_owned() })];
    assert_eq!(verdict(&fed, "daemons.needed"), None);
}

#[test]
fn a_crowd_that_waits_is_counted_and_not_read_out() {
    let mut crowded = host("not-ready");
    let one = crowded.processes.as_ref().unwrap().waiting[0].clone();
    crowded.processes.as_mut().unwrap().waiting = vec![one; 500];
    let what = finding(&examine(&crowded), "waiting.now").what.clone();
    assert!(what.ends_with(" and 492 more") && what.len() < 200, "{what}");
}

fn probe(name_ms: u64, connect_ms: u64, tls_ms: u64) -> Probe {
    let phases = [(Phase::Name, name_ms), (Phase::Connect, connect_ms), (Phase::Tls, tls_ms)];
    let phases = phases.map(|(phase, ms)| (phase, Duration::from_millis(ms))).to_vec();
    Probe { target: "api.example:443".to_owned(), phases, failure: None, certificate: None }
}

#[test]
fn a_slow_connection_is_blamed_on_the_phase_that_was_slow() {
    let judged = |name: &str, probe: Probe| {
        let report = examine_with_probe(&host(name), &probe);
        let finding = finding(&report, "probe.connection");
        (finding.verdict, finding.why.clone())
    };
    let (verdict, why) = judged("bare-metal", probe(3, 10, 20));
    assert_eq!((verdict, why.contains("no process")), (Verdict::Ok, true));
    let (verdict, why) = judged("bare-metal", probe(5005, 10, 20));
    assert_eq!((verdict, why.contains("name server")), (Verdict::Warning, true));
    let (verdict, why) = judged("bare-metal", probe(3, 1010, 20));
    assert_eq!((verdict, why.contains("Packets")), (Verdict::Warning, true));
    let (verdict, why) = judged("old-drained", probe(3, 10, 30_000));
    assert_eq!((verdict, why.contains("java (2201)")), (Verdict::Warning, true), "{why}");
    let (verdict, why) = judged("not-ready", probe(3, 10, 30_000));
    assert_eq!((verdict, why.contains("not ready")), (Verdict::Critical, true));
}

#[test]
fn a_connection_that_failed_says_where_and_a_bad_certificate_is_only_noted() {
    let mut broken = probe(3, 0, 0);
    broken.phases.truncate(1);
    broken.failure = Some(ProbeFailure { phase: Phase::Connect, why: "refused".to_owned() });
    let report = examine_with_probe(&host("bare-metal"), &broken);
    assert_eq!(report.exit_status(), 1);
    assert!(finding(&report, "probe.connection").what.contains("failed at the TCP connection: refused"));
    let connection = finding(&report, "probe.connection");
    assert!(connection.why.ends_with("nobody answers there, after name resolution 3.0 ms; no process on this host is seen to wait for randomness."), "{}", connection.why);
    assert_eq!(connection.command.as_deref(), Some("mtr --report --tcp --port 443 api.example"));
    let mut expired = probe(3, 10, 20);
    expired.certificate = Some("expired".to_owned());
    let report = examine_with_probe(&host("bare-metal"), &expired);
    assert_eq!((report.exit_status(), finding(&report, "probe.certificate").verdict), (0, Verdict::Note));
}

#[test]
fn a_handshake_that_never_ends_is_blamed_on_a_generator_that_is_not_ready() {
    let mut stuck = probe(3, 10, 0);
    stuck.phases.truncate(2);
    stuck.failure = Some(ProbeFailure { phase: Phase::Tls, why: "not finished within 60 s".to_owned() });
    let report = examine_with_probe(&host("not-ready"), &stuck);
    let connection = finding(&report, "probe.connection");
    assert_eq!(connection.verdict, Verdict::Critical);
    assert!(
        connection.why.contains("not ready; on this host sshd (231) and nginx (240) wait"),
        "{connection:?}"
    );
    // Elsewhere the same says nothing about randomness but who waits for it.
    let report = examine_with_probe(&host("old-drained"), &stuck);
    let connection = finding(&report, "probe.connection");
    assert_eq!(connection.verdict, Verdict::Warning);
    assert!(connection.why.contains("java (2201)"), "{connection:?}");
}

#[test]
fn nobody_writes_to_the_terminal_or_to_a_shell_through_a_name() {
    let mut hostile = host("keys-too-early");
    hostile.kernel.hostname = Ok("\x1b[2Jhost".to_owned());
    hostile.keys.truncate(1);
    hostile.keys[0].path = "/etc/wireguard/\x1b]0;x\x07$(reboot).conf".to_owned();
    let mut fooled = probe(3, 10, 20);
    fooled.certificate = Some("not for \x1b[31m\r\n".to_owned());
    let report = examine_with_probe(&hostile, &fooled);
    let plain = text(&report, Style::Plain);
    assert!(plain.chars().all(|c| c == '\n' || !c.is_control()), "{plain:?}");
    let command = finding(&report, "keys.early").command.clone().unwrap();
    assert!(command.starts_with("ls -l '/etc/wireguard/"), "{command:?}");
}

#[test]
fn text_has_colour_only_when_asked_and_fits_the_screen() {
    for name in ["bare-metal", "keys-too-early"] {
        let report = examine(&host(name));
        let plain = text(&report, Style::Plain);
        assert!(!plain.contains('\x1b'));
        let prose = plain.lines().filter(|line| !line.trim_start().starts_with('$'));
        assert!(prose.clone().all(|line| line.chars().count() <= 100), "{plain}");
        assert!(plain.lines().all(|line| line.trim_end() == line), "{plain}");
        let coloured = text(&report, Style::Colour);
        assert!(coloured.contains("\x1b[32mok\x1b[0m"));
    }
}

#[test]
fn every_finding_is_a_sentence_and_its_remedy_one_line() {
    for name in
        ["bare-metal", "not-ready", "old-drained", "cloned-vm", "baked-image", "keys-too-early", "container"]
    {
        for finding in examine(&host(name)).findings() {
            assert!(finding.why.ends_with('.') && finding.why.matches(". ").count() == 0, "{}", finding.why);
            assert!(!finding.what.ends_with('.'), "{}", finding.what);
            assert!(finding.command.as_ref().is_none_or(|command| !command.contains('\n')));
            let needs_remedy = finding.verdict >= Verdict::Warning;
            assert!(!needs_remedy || finding.command.is_some(), "{name}: {} has no remedy", finding.id);
        }
    }
}

#[test]
fn facts_that_are_known_and_fine_stay_fine_when_the_log_is_lost() {
    let mut long_up = host("bare-metal");
    long_up.log.as_mut().unwrap().facts.from_boot = false;
    long_up.log.as_mut().unwrap().facts.ready = None;
    let lost: Fact<Duration> = Err(Unknown::Lost);
    long_up.readiness.after_boot = lost;
    let report = examine(&long_up);
    assert_eq!(report.exit_status(), 0);
    assert!(
        report.unseen.iter().any(|unseen| unseen.command.as_deref() == Some("journalctl -k -b 0 -g random"))
    );
}

#[test]
fn a_remedy_is_written_once() {
    let plain = text(&examine(&host("old-drained")), Style::Plain);
    assert_eq!(plain.matches("virt-xml GUEST --add-device").count(), 1);
    assert!(plain.contains("(the same remedy as above)"));
}

#[test]
fn a_seed_that_came_with_the_image_is_no_source() {
    let report = examine(&host("baked-image"));
    assert!(!finding(&report, "sources.boot").what.contains("seed file"));
    assert!(finding(&report, "seeds.file").what.contains("older than this instance"));
}

#[test]
fn seeds_that_arrived_are_told_and_those_not_felt_yet_are_noted() {
    let arrival = |after_boot: u64, reseeded| Arrival {
        at: 1_700_000_000,
        since_boot: Duration::from_secs(after_boot),
        way: "push".to_owned(),
        from: "192.0.2.7".to_owned(),
        bytes: 64,
        credited_bits: 0,
        ready_before: true,
        ready_after: true,
        reseeded,
    };
    let mut host = host("bare-metal");
    let now = host.kernel.uptime.clone().unwrap().as_secs();
    let unfelt = |host: &Host| verdict(host, "seeds.arrived-unfelt");
    assert_eq!(verdict(&host, "seeds.arrived"), None);
    assert_eq!(examine(&host).host.arrivals, Some(Vec::new()));

    host.arrivals = Ok(vec![arrival(3, true), arrival(now, true)]);
    let report = examine(&host);
    let told = finding(&report, "seeds.arrived");
    assert_eq!(told.verdict, Verdict::Ok);
    assert!(
        told.what.starts_with("2 seeds arrived") && told.what.contains("64 bytes by push from 192.0.2.7"),
        "{told:?}"
    );
    assert!(told.why.contains("not credited"), "{told:?}");
    assert!(
        told.what.contains("2023-11-14 22:13:20 UTC") && told.what.ends_with("UTC, 3.00 s after boot"),
        "{told:?}"
    );
    assert_eq!(report.host.arrivals.as_ref().unwrap()[0].after_boot_seconds, 3.0);
    assert_eq!(unfelt(&host), None);

    let credited = Arrival { credited_bits: 512, ..arrival(51_446, true) };
    for (before, count) in
        [(62, "63 seeds arrived"), (63, "64 seeds or more arrived"), (95, "64 seeds or more arrived")]
    {
        host.arrivals = Ok(std::iter::repeat_n(arrival(3, true), before).chain([credited.clone()]).collect());
        let report = examine(&host);
        let told = finding(&report, "seeds.arrived");
        assert!(
            told.what.starts_with(count) && told.what.contains(" UTC, 14 h 17 min after boot; "),
            "{told:?}"
        );
        assert_eq!(told.what.matches("64 bytes").count(), 3, "{told:?}");
        assert!(told.why.contains("credited once,"), "{told:?}");
        assert_eq!(report.host.arrivals.unwrap().len(), 16);
    }

    host.arrivals = Ok(vec![arrival(3, false), arrival(now - 59, false)]);
    assert_eq!(unfelt(&host), Some(Verdict::Note));
    host.arrivals.as_mut().unwrap()[1].since_boot -= Duration::from_secs(2);
    assert_eq!(unfelt(&host), None, "the kernel has taken a key of its own since");
    host.pool.accounting = Ok(Accounting::Estimate4096);
    assert_eq!(unfelt(&host), Some(Verdict::Note), "an old kernel need not have");
    host.arrivals.as_mut().unwrap().push(arrival(now, true));
    assert_eq!(unfelt(&host), None, "felt with the one after it");

    let mut first = arrival(3, true);
    (first.credited_bits, first.ready_before) = (512, false);
    host.arrivals = Ok(vec![first]);
    let report = examine(&host);
    assert!(finding(&report, "seeds.arrived").why.ends_with("asked for that, and made the generator ready."));
    host.arrivals = Err(Unknown::Denied);
    let report = examine(&host);
    assert_eq!(report.host.arrivals, None);
    assert!(report.unseen.iter().any(|unseen| unseen.what.contains("seeds arrived")));
    let mut container = self::host("container");
    container.arrivals = Ok(vec![arrival(3, true)]);
    assert_eq!(verdict(&container, "seeds.arrived"), Some(Verdict::Ok));
}

#[test]
fn cloud_inits_seed_is_told_with_its_time_and_never_with_credit() {
    let mut host = host("baked-image");
    assert_eq!(verdict(&host, "seeds.cloud-init"), None);
    let booted = *host.kernel.booted.as_ref().unwrap();
    let mut told = |at: i64| {
        host.cloud.as_mut().unwrap().seeded = Ok(at);
        let report = examine(&host);
        let finding = finding(&report, "seeds.cloud-init");
        assert_eq!(finding.verdict, Verdict::Ok);
        assert!(finding.why.contains("not credited"));
        finding.what.clone()
    };
    assert!(told(booted + 90).ends_with("in this boot, 90 s after it began"));
    assert!(told(booted - 90).ends_with("in an earlier boot"));
    told(i64::MIN);
    told(i64::MAX);
}
