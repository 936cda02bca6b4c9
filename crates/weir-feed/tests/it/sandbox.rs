//! The daemon in the sandbox that its unit describes, under a systemd that was booted for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::units;

const SYSTEMD: &str = "/usr/lib/systemd/systemd";
/// A systemd that cannot boot here has not begun by then.
const BEGIN: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(120);

struct Booted(Child);

impl Drop for Booted {
    fn drop(&mut self) {
        // The namespace ends with its first process, and takes all others along.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn boot(dir: &Path) -> Booted {
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox").join(name);
    let (root, out) = (dir.join("root"), dir.join("out"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&out).unwrap();
    let mut command = Command::new("unshare");
    command.args([
        "--pid",
        "--mount",
        "--fork",
        "--uts",
        "--ipc",
        "--kill-child=KILL",
        "--propagation=private",
    ]);
    command.arg("bash").arg(script("boot.sh")).arg(env!("CARGO_BIN_EXE_weir-feed")).arg(units::folder());
    command.arg(root).arg(out).arg(script("check.sh"));
    Booted(command.stdin(Stdio::null()).spawn().unwrap())
}

/// Waits until a file holds a text.
fn said(path: &Path, text: &str, patience: Duration) -> Option<String> {
    let until = Instant::now() + patience;
    loop {
        match fs::read_to_string(path) {
            Ok(said) if said.contains(text) => return Some(said),
            _ if Instant::now() >= until => return None,
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn section<'a>(said: &'a str, title: &str) -> &'a str {
    let begin = format!("== {title}\n");
    let rest = said.split_once(&begin).unwrap_or_else(|| panic!("no section {title} in\n{said}")).1;
    rest.split_once("\n== ").map_or(rest, |(section, _)| section)
}

#[test]
fn the_unit_works_in_its_own_sandbox() {
    if !rustix::process::geteuid().is_root() {
        testkit::skip!("namespaces and crediting need root");
    }
    if !Path::new(SYSTEMD).exists() || Command::new("unshare").arg("--version").output().is_err() {
        testkit::skip!("there is no systemd or no unshare");
    }
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("out/said");
    let booted = boot(dir.path());
    if said(&path, "== unit", BEGIN).is_none() {
        testkit::skip!("systemd does not boot in namespaces here");
    }
    let said = said(&path, "== end", END).unwrap_or_else(|| panic!("{}", fs::read_to_string(&path).unwrap()));
    drop(booted);
    println!("{said}");

    let unit = section(&said, "unit");
    for line in ["Result=success", "ActiveState=active", "StatusText=The kernel is ready"] {
        assert!(unit.contains(line), "{unit}");
    }
    let process = section(&said, "process");
    // CAP_SYS_ADMIN is bit 21, CAP_SYSLOG bit 34: the latter is given up, the former in effect only while it is used.
    for line in ["CapPrm:\t0000000000200000", "CapEff:\t0000000000000000", "CapBnd:\t0000000400200000"] {
        assert!(process.contains(line), "{process}");
    }
    assert!(process.contains("Seccomp:\t2") && process.contains("NoNewPrivs:\t1"), "{process}");
    let mounts = section(&said, "mounts");
    assert!(mounts.contains("/ ro") && mounts.contains("/proc/sys ro"), "{mounts}");
    let status = section(&said, "status");
    assert!(status.contains("unix:/run/weir-feed/word") && status.contains("1 reseeds"), "{status}");
    assert_eq!(section(&said, "words"), "ok 2\nok 2\nok 3");
    // Two clones in a breath may be one run of the hooks, for the later: what counts is the last, and nothing twice.
    let hooks = section(&said, "hooks");
    let generations: Vec<&str> = hooks.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(generations == ["2", "3"] || generations == ["3"], "{hooks}");
    assert!(
        hooks.lines().all(|line| line.ends_with("the hypervisor's word at unix:/run/weir-feed/word")),
        "{hooks}"
    );
    let stopped = section(&said, "stopped");
    assert!(stopped.contains("Result=success") && stopped.contains("ActiveState=inactive"), "{stopped}");
    assert!(stopped.contains("700 ") && stopped.contains("600 144 /var/lib/weir-feed/seed"), "{stopped}");
    let again = section(&said, "again");
    assert!(
        again.contains("ActiveState=active")
            && again.contains("generation  3, last clone")
            && !again.contains("never"),
        "{again}"
    );
    assert!(again.contains("seed file   mixed in at the start"), "{again}");
    assert_eq!(section(&said, "hooks again"), hooks, "a daemon that was started anew is no clone");
    assert!(!section(&said, "log").contains("enied"), "{}", section(&said, "log"));
}
