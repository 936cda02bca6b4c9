//! Pushing through a stand-in for ssh that hands the command to a login shell of this machine, which has no Weir.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::TempDir;
use weir_kernel::host::arrivals;
use weir_seed::push::print::{Line, Os};
use weir_seed::push::{Ask, Push, PushError};
use weir_seed::ssh::{Host, Ssh, SshError};

/// A program in the place of ssh. `$last` is the command, `$host` the host.
fn stand_in(dir: &TempDir, body: &str) -> Ssh {
    let program = dir.join("ssh");
    let parts = "for last; do host=$command; command=$last; done";
    fs::write(&program, format!("#!/bin/sh\n{parts}\n{body}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Ssh { program: program.into(), limit: Duration::from_secs(60), ..Ssh::default() }
}

fn push(ssh: Ssh) -> Push {
    Push { ssh, ask: Ask::default(), bytes: 64, at_once: 64 }
}

fn hosts(names: &[&str]) -> Vec<Host> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Where a program is.
fn find(name: &str) -> Option<PathBuf> {
    ["/bin", "/usr/bin"].iter().map(|dir| PathBuf::from(dir).join(name)).find(|path| path.exists())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

const SHELLS: &[&str] = &["sh", "dash", "bash", "busybox sh", "zsh", "mksh", "fish", "tcsh"];

#[test]
fn every_login_shell_gives_the_seed_to_the_kernel() {
    let dir = TempDir::new();
    for shell in SHELLS {
        let (program, rest) = shell.split_once(' ').unwrap_or((shell, ""));
        let Some(program) = find(program) else {
            testkit::report_skip(testkit::test_name!(), &format!("there is no {program}"));
            continue;
        };
        let ssh = stand_in(&dir, &format!("exec {} {rest} -c \"$command\"", program.display()));
        let results = push(ssh).run(&hosts(&["h"]), |_, _| ());
        let record = results[0].result.as_ref().unwrap_or_else(|error| panic!("{shell}: {error}"));
        assert_eq!((record.by.as_str(), record.bytes, record.credited_bits), ("sh", 64, 0), "{shell}");
        assert_eq!(record.superuser, Some(is_root()), "{shell}");
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(record.boot_id.as_deref(), Some(boot_id.trim()), "{shell}");
        if !record.reseeded {
            assert!(record.reseed_refused.is_some(), "{shell}");
        }
    }
}

/// Root of the host by sudo: one that lets us, one that refuses, and none at all.
#[test]
fn whoever_is_not_root_mixes_a_seed_in_and_becomes_root_where_sudo_lets_him() {
    let unprivileged = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    if !is_root() || find("setpriv").is_none() {
        testkit::skip!("needs root, to give it up, and setpriv(1)");
    }
    let dir = TempDir::new();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let host = |sudo: &str| {
        let program = dir.join("sudo");
        fs::write(&program, format!("#!/bin/sh\ntest \"$1\" = -n || exit 9\nshift\n{sudo}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let body = format!("PATH={}:$PATH\nexec {unprivileged} sh -c \"$command\"", dir.path().display());
        stand_in(&dir, &body)
    };
    let record = |ssh: Ssh, sudo: bool| {
        let push = Push { ask: Ask { sudo, ..Ask::default() }, ..push(ssh) };
        push.run(&hosts(&["h"]), |_, _| ()).remove(0).result.unwrap()
    };
    let plain = record(host("exec \"$@\""), false);
    assert_eq!((plain.bytes, plain.superuser, plain.reseeded), (64, Some(false), false));
    assert_eq!(plain.reseed_refused.as_deref(), Some("only root may"));
    let refused = record(host("echo a password is required >&2; exit 1"), true);
    assert_eq!((refused.bytes, refused.superuser, refused.reseeded), (64, Some(false), false));
    // It runs what it is told to, though here it cannot make anybody root.
    let allowed = record(host("exec \"$@\""), true);
    assert_eq!((allowed.bytes, allowed.superuser, allowed.reseeded), (64, Some(true), false));
    assert!(allowed.reseed_refused.unwrap().contains("perl or python3"));
}

/// The fallback with every tool that it uses taken from BusyBox, which small systems have alone.
#[test]
fn a_host_that_has_busybox_alone_is_seeded() {
    let Some(busybox) = find("busybox") else { testkit::skip!("there is no busybox") };
    let dir = TempDir::new();
    for applet in ["sh", "cat", "dd", "id", "uname", "date", "mkdir", "test", "wc", "tail", "mv", "tr", "cut"]
    {
        std::os::unix::fs::symlink(&busybox, dir.join(applet)).unwrap();
    }
    // The fallback looks into the usual folders as well, so they are taken from it.
    let only = format!(
        "command=$(echo \"$command\" | sed s,:/usr/local/sbin[^\\;]*,,)\nPATH={}",
        dir.path().display()
    );
    let ssh = stand_in(&dir, &format!("{only}\nexec sh -c \"$command\""));
    let results = push(ssh).run(&hosts(&["h"]), |_, _| ());
    let record = results[0].result.as_ref().unwrap();
    assert_eq!((record.bytes, record.reseeded), (64, false));
    let why = record.reseed_refused.as_deref().unwrap();
    assert_eq!(why.contains("perl or python3"), is_root(), "{why}");
}

/// Notes of the fallback: they go on when there are many, and where there is none the record says why.
#[test]
fn sh_notes_what_arrives_and_keeps_the_newest() {
    let dir = TempDir::new();
    let folder = dir.join("noted");
    let to = |folder: &str| {
        let moved = format!("command=$(echo \"$command\" | sed s,/run/weir-seed,{folder},g)");
        let record =
            push(stand_in(&dir, &format!("{moved}\nexec sh -c \"$command\""))).run(&hosts(&["h"]), |_, _| ());
        record.into_iter().next().unwrap().result.unwrap()
    };
    let there = folder.display().to_string();
    let first = to(&there);
    if first.ready_before.is_none() {
        assert!(first.note_failed.unwrap().contains("whether the kernel was ready"));
        testkit::skip!("a kernel that does not tell whether it is ready");
    }
    assert_eq!(first.note_failed, None);
    let noted = || fs::read_to_string(folder.join("arrivals")).unwrap();
    assert_eq!(arrivals::parse(&noted()).len(), 1, "{}", noted());
    let old = "7 2345 push 192.0.2.7 64 0 no yes yes\n".repeat(900);
    fs::write(folder.join("arrivals"), format!("weir-seed arrivals 1\n{old}")).unwrap();
    assert_eq!(to(&there).note_failed, None);
    let kept = arrivals::parse(&noted());
    assert_eq!(kept.len(), arrivals::KEPT);
    assert_ne!(kept.last().unwrap().at, 7);
    let failed = to("/proc/nonesuch");
    assert_eq!(failed.bytes, 64);
    assert!(failed.note_failed.unwrap().contains("nonesuch"));
}

#[test]
fn what_went_wrong_on_a_host_is_said_and_stops_nobody() {
    let dir = TempDir::new();
    let cases = "case $host in
        refused) echo 'ssh: connect to host refused port 22: Connection refused' >&2; exit 255;;
        nosh) echo \"'sh' is not recognized\" >&2; exit 1;;
        quiet) cat >/dev/null;;
        menu) cat >/dev/null; printf '\\n\\033[1mPick a number:\\n1. logs\\n';;
        torn) cat >/dev/null; echo weir-seed record 1; echo by sh; echo bytes 64;;
        short) dd bs=1 count=40 2>/dev/null | sh -c \"$command\";;
        liar) printf 'weir-seed record 1\\nby sh\\nbytes 64\\nhost \\033[2J\\nend\\n';;
        late) exec sleep 60;;
        loud) yes;;
        nodevice) exec sh -c \"$(echo \"$command\" | sed s,/dev/urandom,/dev/nonesuch,g | sed \"s/^sh -c '//;s/'\\$//\")\";;
        *) exec sh -c \"$command\";; esac";
    let mut ssh = stand_in(&dir, cases);
    ssh.limit = Duration::from_secs(5);
    let names = [
        "refused", "nosh", "quiet", "torn", "short", "liar", "late", "loud", "nodevice", "good1", "good2",
        "menu",
    ];
    let mut seen = 0;
    let results = push(ssh).run(&hosts(&names), |_, _| seen += 1);
    assert_eq!(seen, names.len());
    let said: Vec<String> = results
        .iter()
        .map(|pushed| {
            pushed.result.as_ref().map_or_else(ToString::to_string, |record| record.bytes.to_string())
        })
        .collect();
    assert_eq!(said[0], "ssh: connect to host refused port 22: Connection refused");
    assert_eq!(said[1], "status 1 and no record: 'sh' is not recognized");
    assert_eq!(said[2], "status 0 and no record");
    assert_eq!(said[3], "the record has no end");
    assert_eq!(said[4], "40 bytes arrived, and 64 were sent");
    assert_eq!(said[5], "line 4 of the record is not as it should be");
    assert_eq!(said[6], "no answer within 5 s");
    assert_eq!(said[7], "it answered with more than 65536 bytes");
    assert_eq!(said[8], "status 3 and no record: there is no /dev/nonesuch");
    assert_eq!(said[11], "status 0 and no record: it answered \"[1mPick a number:\"");
    assert!(!std::path::Path::new("/dev/nonesuch").exists());
    assert_eq!(said[9..11], ["64", "64"]);
    assert!(matches!(results[6].result, Err(PushError::Ssh(SshError::Late(_)))));
}

#[test]
fn each_host_gets_a_seed_of_its_own_and_no_argument_has_it() {
    let dir = TempDir::new();
    // Standard input is kept, beside what everybody may see of the process that has it.
    let body = format!(
        "exec >{0}/$host.out; cat /proc/$$/cmdline /proc/$$/environ >{0}/$host.seen; cat >{0}/$host",
        dir.path().display()
    );
    let ssh = stand_in(&dir, &body);
    let names: Vec<String> = (0..300).map(|n| format!("host{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let start = Instant::now();
    let results = push(ssh).run(&hosts(&names), |_, _| ());
    let took = start.elapsed();
    assert!(results.iter().all(|pushed| pushed.result.is_err()), "nobody answered");
    let mut seeds: Vec<Vec<u8>> = names.iter().map(|name| fs::read(dir.join(name)).unwrap()).collect();
    for (name, seed) in names.iter().zip(&seeds) {
        assert_eq!(seed.len(), 64);
        let seen = fs::read(dir.join(format!("{name}.seen"))).unwrap();
        assert!(!seen.windows(16).any(|window| seed.starts_with(window)));
    }
    seeds.sort();
    seeds.dedup();
    assert_eq!(seeds.len(), 300, "a seed twice");
    assert!(took < Duration::from_secs(120), "{took:?}");
}

/// Runs a printed line in a shell of this machine, with a stand-in for ssh.
fn run_line(line: &str, ssh: &Ssh) -> String {
    let output = line_output(line, ssh);
    assert!(output.status.success(), "{line}\n{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn line_output(line: &str, ssh: &Ssh) -> Output {
    let folder = PathBuf::from(&ssh.program).parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-c", line]).env("PATH", path).stdin(Stdio::null()).output().unwrap()
}

fn line(os: Os, bytes: usize) -> Line {
    Line { os, bytes, sudo: false, credit: false, ssh: Vec::new() }
}

/// A host with a Weir that tells what it was given, by the sudo that lets nobody.
#[test]
fn a_printed_line_does_without_sudo_and_without_an_old_weir() {
    let dir = TempDir::new();
    let host = |weir: &str| {
        for (name, body) in [("weir", weir), ("sudo", "exit 1")] {
            fs::write(dir.join(name), format!("#!/bin/sh\n{body}\n")).unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        stand_in(&dir, "exec sh -c \"$command\"")
    };
    let new = host(
        "test \"$4\" = \"\" || echo \"asked: $*\"; case $3 in --help) exit;; *) echo \"took $(wc -c)\";; esac",
    );
    let text = Line { sudo: true, ..line(Os::Linux, 64) }.text(None);
    let said = run_line(&text, &new);
    assert!(said.contains("took 64") && said.contains("sudo -n was refused"), "{said}");
    let old = host("echo unrecognized subcommand >&2; exit 2");
    let said = run_line(&text, &old);
    assert!(said.contains("64+0 records out") && said.contains("mixed in"), "{said}");
    // Nothing, or less, is no seed.
    for less in ["true", "head -c 63 /dev/urandom"] {
        let less = text.replace("head -c 64 /dev/urandom", less);
        let output = line_output(&less, &old);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("mixed in"), "{output:?}");
    }
    let output = line_output(&Line { credit: true, ..line(Os::Linux, 64) }.text(None), &old);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_printed_line_seeds_a_host_from_a_shell() {
    let dir = TempDir::new();
    for shell in SHELLS {
        let (program, rest) = shell.split_once(' ').unwrap_or((shell, ""));
        let Some(program) = find(program) else {
            testkit::report_skip(testkit::test_name!(), &format!("there is no {program}"));
            continue;
        };
        let ssh = stand_in(&dir, &format!("exec {} {rest} -c \"$command\"", program.display()));
        for os in [Os::Linux, Os::MacOs] {
            let line = line(os, 48).text(Some(&"root@h".parse().unwrap()));
            let said = run_line(&line, &ssh);
            assert!(said.contains("48+0 records out") && said.contains("mixed in"), "{shell}: {said}");
            assert!(!is_root() || said.contains("reseeded"), "{shell}: {said}");
        }
    }
}

/// What PowerShell would send, sent by a shell: its text, with its byte order mark and its ends of lines.
#[test]
fn a_line_for_powershell_sends_what_a_host_understands() {
    let dir = TempDir::new();
    let line = line(Os::Windows, 32).text(Some(&"h".parse().unwrap()));
    let (_, rest) = line.split_once("+[Convert]::ToBase64String($b)+'").unwrap();
    let (script, rest) = rest.split_once("') | ssh -- h '").unwrap();
    let remote = rest.strip_suffix("'; Clear-Variable b").unwrap();
    let seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    // Without base64 nothing arrives.
    fs::write(dir.join("sent"), format!(":;S={seed}{script}\r\n").replace("base64", "nonesuch64")).unwrap();
    let nothing = Command::new("sh")
        .args(["-c", remote])
        .stdin(fs::File::open(dir.join("sent")).unwrap())
        .output()
        .unwrap();
    assert_eq!(nothing.status.code(), Some(3), "{nothing:?}");
    assert!(!String::from_utf8_lossy(&nothing.stdout).contains("mixed in"), "{nothing:?}");
    for mark in ["", "\u{feff}"] {
        fs::write(dir.join("sent"), format!("{mark}:;S={seed}{script}\r\n")).unwrap();
        for shell in SHELLS {
            let (program, rest) = shell.split_once(' ').unwrap_or((shell, ""));
            let Some(program) = find(program) else { continue };
            let mut login = Command::new(program);
            login.args(rest.split_whitespace()).args(["-c", remote]);
            let output = login.stdin(fs::File::open(dir.join("sent")).unwrap()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("32+0 records out") && said.contains("mixed in"), "{shell}: {said}");
            assert!(!said.contains(seed), "{shell}: {said}");
        }
    }
}
