//! `weir seed lint`

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::TempDir;

const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

fn lint(image: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["seed", "lint"]).arg(image).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn put(root: &TempDir, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A system with a host key, a machine's ID, a person's key and an authorized one.
fn system() -> TempDir {
    let root = TempDir::new();
    let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n");
    put(&root, "usr/bin/true", "");
    put(&root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    put(&root, "etc/ssh/ssh_host_ed25519_key", &key);
    put(&root, "root/.ssh/id_ed25519", &key);
    put(&root, "root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n");
    root
}

#[test]
fn the_status_says_how_grave_it_is() {
    let root = system();
    let status = |arguments: &[&str]| lint(root.path(), arguments).status.code();
    assert_eq!(status(&[]), Some(2));
    assert_eq!(status(&["--allow", "key.ssh-host,key.ssh-user"]), Some(1));
    assert_eq!(status(&["--allow", "key.ssh-host,key.ssh-user", "--allow", "identity.machine-id"]), Some(0));
    let all = ["--allow", "key.ssh-host,key.ssh-user,identity.machine-id"];
    assert_eq!(status(&[&all[..], &["--strict"]].concat()), Some(1));
    assert_eq!(status(&[&all[..], &["--strict", "--allow", "key.authorized"]].concat()), Some(0));
}

#[test]
fn the_report_is_for_people_or_for_machines_and_holds_no_secret() {
    let root = system();
    let output = lint(root.path(), &[]);
    let shown = text(&output);
    assert!(shown.contains("critical: its clones would share secrets"), "{shown}");
    assert!(shown.contains("$ rm -f -- ") && !shown.contains(SECRET) && !shown.contains('\x1b'), "{shown}");
    let output = lint(root.path(), &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!report.to_string().contains(SECRET));
    assert_eq!(report["schema"], "weir.seed.lint/1");
    assert_eq!(
        (&report["verdict"], &report["exit"], &report["kind"]),
        (&"critical".into(), &2.into(), &"folder".into())
    );
    let of = |id: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id}")).clone()
    };
    assert_eq!(of("identity.machine-id")["path"], "/etc/machine-id");
    assert_eq!(of("identity.machine-id")["fix"], "--fix");
    assert_eq!(of("key.ssh-user")["fix"], "--fix-keys");
    assert_eq!(of("key.authorized")["fix"], "person");
    let members: Vec<_> = of("key.ssh-host").as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["id", "verdict", "path", "what", "why", "command", "fix", "allowed"]);
}

#[test]
fn a_fix_says_what_it_does_and_the_next_finds_nothing() {
    let root = system();
    let shown = text(&lint(root.path(), &["--fix", "--dry-run"]));
    assert!(
        shown.ends_with("\n\nwould empty /etc/machine-id\nwould remove /etc/ssh/ssh_host_ed25519_key\n"),
        "{shown}"
    );
    assert!(root.join("etc/ssh/ssh_host_ed25519_key").exists());
    let output = lint(root.path(), &["--fix"]);
    let shown = text(&output);
    assert!(
        shown.starts_with("emptied /etc/machine-id\nremoved /etc/ssh/ssh_host_ed25519_key\n\n"),
        "{shown}"
    );
    assert_eq!(output.status.code(), Some(2), "a person's key is left");
    assert!(root.join("root/.ssh/id_ed25519").exists());
    let shown = text(&lint(root.path(), &["--fix"]));
    assert!(shown.starts_with("nothing to change; keys take --fix-keys\n"), "{shown}");
    let output = lint(root.path(), &["--fix", "--fix-keys", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["done"][0]["path"], "/root/.ssh/id_ed25519");
    assert_eq!(output.status.code(), Some(0), "a note is left");
    assert!(text(&lint(root.path(), &["--fix", "--fix-keys"])).starts_with("nothing to change\n"));
}

#[test]
fn what_cannot_be_looked_at_is_status_3() {
    let empty = TempDir::new();
    let says = |image: &Path, arguments: &[&str], part: &str| {
        let output = lint(image, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.starts_with("weir: ") && said.contains(part) && said.lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty());
    };
    says(empty.path(), &[], "neither etc nor usr");
    says(Path::new("/nonexistent"), &[], "No such file");
    says(Path::new("/dev/null"), &[], "neither a folder nor a file");
    says(Path::new("/"), &["--fix"], "the system that runs");
    put(&empty, "text", "hello");
    says(&empty.join("text"), &[], "not an image");
    fs::write(empty.join("disk.qcow2"), b"QFI\xfb\0\0\0\x03").unwrap();
    says(&empty.join("disk.qcow2"), &[], "cut off");
    fs::write(empty.join("cut.tgz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xed").unwrap();
    says(&empty.join("cut.tgz"), &[], "it ends in the middle");
}

#[test]
fn an_output_that_takes_nothing_is_to_blame_itself() {
    let root = system();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = command.args(["seed", "lint"]).arg(root.path()).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("weir: standard output: No space left"), "{said}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn wrong_options_are_status_2() {
    let root = system();
    for arguments in [&["--allow", "key.nonsense"][..], &["--dry-run"], &["--fix-keys"], &["--rules"]] {
        let output = lint(root.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
    let said = String::from_utf8(lint(root.path(), &["--allow", "key.nonsense"]).stderr).unwrap();
    assert!(said.contains("key.ssh-host"), "{said}");
}

#[test]
fn every_rule_is_listed_and_documented() {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(["seed", "lint", "--rules"]).output().unwrap();
    let listed = text(&output);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/seeding/lint.md");
    let page = fs::read_to_string(page).unwrap();
    for rule in weir_seed::lint::RULES {
        let verdict = format!("{:?}", rule.verdict).to_lowercase();
        assert!(listed.contains(&format!("{verdict:10}{}:", rule.id)), "{}", rule.id);
        let row = format!("| `{}` | {verdict} | {} | {} |", rule.id, rule.what, rule.fix());
        assert!(page.contains(&row), "the page lacks: {row}");
    }
}

/// `weir seed lint` for a disk, with programs of this test's own in `bin`.
fn on_disk(bin: &TempDir, programs: &[(&str, &str)], arguments: &[&str]) -> Command {
    for (name, script) in programs {
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let disk = bin.join("disk.raw");
    let mut content = vec![0; 1 << 20];
    content[510..512].copy_from_slice(b"\x55\xaa");
    fs::write(&disk, content).unwrap();
    fs::create_dir_all(bin.join("tmp")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["seed", "lint"]).arg(disk).args(arguments);
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("TMPDIR", bin.join("tmp")).env_remove("LIBGUESTFS_TMPDIR");
    command
}

/// A disk, and a guestfish that answers for it and shows `tree` at its mount point, as FUSE would.
fn with_stand_in(root: &TempDir, bin: &TempDir, arguments: &[&str]) -> Output {
    let script = format!(
        "#!/bin/sh\nwhile read -r first rest; do case \"$first\" in\n\
         echo) echo \"$rest\";;\ninspect-os) echo /dev/sda2;;\n\
         inspect-get-mountpoints) echo '/: /dev/sda2'; echo '/x y: /dev/sda3';;\n\
         mountpoints) echo '/dev/sda1: /weir-esp-0';;\n\
         list-filesystems) echo '/dev/sda1: vfat'; echo '/dev/sda2: ext4';;\n\
         mount-local) set -- $rest; ln -s '{}' \"$1/weir-root\"; mkdir -p \"$1/weir-esp-0/loader\"; \
         echo seed > \"$1/weir-esp-0/loader/random-seed\";;\nesac; done\n",
        root.path().display()
    );
    let unmount = "#!/bin/sh\nrm -r \"$2/weir-root\" \"$2/weir-esp-0\"\n";
    let programs = [("guestfish", script.as_str()), ("fusermount3", unmount)];
    on_disk(bin, &programs, arguments).output().unwrap()
}

#[test]
fn a_disk_is_looked_at_through_guestfish() {
    let (root, bin) = (system(), TempDir::new());
    let output = with_stand_in(&root, &bin, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(report["kind"], "disk");
    assert_eq!(report["findings"][0]["path"], "/loader/random-seed of the EFI system partition");
    assert_eq!(report["unseen"][0]["what"], "/x y: /dev/sda3");
    let output = with_stand_in(&root, &bin, &["--fix"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("opening the disk") && said.lines().count() == 1, "{said}");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("removed /loader/random-seed of the EFI system partition\n"), "{shown}");
    assert!(!root.join("etc/ssh/ssh_host_ed25519_key").exists());
    assert_eq!(fs::read_dir(bin.join("tmp")).unwrap().count(), 0, "nothing is left mounted");
}

/// A guestfish that never opens anything, with a helper in a process group of its own, as its virtual machine is. It
/// tells who they are.
const HUNG: &str = "#!/bin/bash\nset -m\nsleep 1000 &\ntouch \"$LIBGUESTFS_TMPDIR/of-guestfish\"\n\
    echo \"$$ $!\" > \"$TMPDIR/../pids.new\"; mv \"$TMPDIR/../pids.new\" \"$TMPDIR/../pids\"\n\
    while :; do wait; sleep 1000; done\n";

fn nothing_is_left(bin: &TempDir) {
    for pid in fs::read_to_string(bin.join("pids")).unwrap().split_whitespace() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A helper whose parent is gone may wait for whoever inherits it.
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
    assert_eq!(fs::read_dir(bin.join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_disk_that_does_not_open_has_a_time_limit() {
    let bin = TempDir::new();
    let output = on_disk(&bin, &[("guestfish", HUNG)], &["--timeout", "1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("in 1 s;") && said.contains("LIBGUESTFS_BACKEND_SETTINGS=force_tcg"), "{said}");
    nothing_is_left(&bin);
}

#[test]
fn a_signal_ends_guestfish_too() {
    let bin = TempDir::new();
    let mut child = on_disk(&bin, &[("guestfish", HUNG)], &[]).stderr(Stdio::piped()).spawn().unwrap();
    while !bin.join("pids").exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    let sent = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(15), "{output:?}");
    nothing_is_left(&bin);
}

#[test]
fn a_disk_without_guestfish_says_what_to_do() {
    let bin = TempDir::new();
    let disk = bin.join("disk.raw");
    let mut content = vec![0; 1024];
    content[510..512].copy_from_slice(b"\x55\xaa");
    fs::write(&disk, content).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = command.args(["seed", "lint"]).arg(disk).env("PATH", bin.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(said.contains("libguestfs-tools") && said.contains("make a tar"), "{said}");
}

/// As installed, and what a fix leaves of it. Takes minutes and the network.
#[test]
fn a_fresh_debian_is_clean_after_the_fix() {
    if std::env::var_os("WEIR_LAB").is_none() {
        testkit::skip!("takes minutes: set WEIR_LAB");
    }
    let root = TempDir::new();
    let bootstrap = Command::new("debootstrap")
        .args(["--variant=minbase", "--include=openssh-server,systemd", "bookworm"])
        .arg(root.path())
        .output();
    match bootstrap {
        Ok(output) if output.status.success() => {}
        other => testkit::skip!("no debootstrap, not root, or no network: {other:?}"),
    }
    let report: Value = serde_json::from_slice(&lint(root.path(), &["--json"]).stdout).unwrap();
    let has = |id: &str| report["findings"].as_array().unwrap().iter().any(|finding| finding["id"] == id);
    assert!(has("key.ssh-host") && has("identity.machine-id"), "{report:#}");
    assert_eq!(report["unseen"], Value::Array(Vec::new()));
    let keys = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["id"] == "key.ssh-host")
        .unwrap();
    assert!(keys["why"].as_str().unwrap().contains("ssh-keygen -A"), "Debian makes none at a boot");
    let output = lint(root.path(), &["--fix"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shown = text(&lint(root.path(), &["--fix"]));
    assert!(shown.starts_with("nothing to change\n"), "{shown}");
    assert!(shown.contains("key") || !shown.contains("warning"), "{shown}");
}
