//! The program: what it answers with which status, and that it feeds this kernel.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn feed() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-feed"));
    command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether this process may feed this kernel.
fn may_feed() -> bool {
    feed().args(["--once", "--no-seed-file"]).output().unwrap().status.code() != Some(77)
}

/// A daemon in folders of its own.
struct Daemon {
    child: Child,
    dir: tempfile::TempDir,
}

impl Daemon {
    fn start(dir: tempfile::TempDir, more: &[&str]) -> Self {
        let mut command = feed();
        command.arg("--run-dir").arg(dir.path().join("run")).arg("--state-dir").arg(dir.path().join("state"));
        let child = command.args(more).stderr(Stdio::null()).spawn().unwrap();
        let daemon = Self { child, dir };
        daemon.until(|status| status["phase"] != "ended" && status["pid"] == daemon.child.id());
        daemon
    }

    fn status(&self) -> Value {
        let run_dir = self.dir.path().join("run");
        let output = feed().args(["--status", "--json", "--run-dir"]).arg(run_dir).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Asks until the answer is right.
    fn until(&self, right: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.status();
            if right(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{status:#}");
            std::thread::yield_now();
        }
    }

    fn stop(mut self) -> tempfile::TempDir {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        let ended = self.status();
        assert_eq!((&ended["phase"], &ended["running"]), (&"ended".into(), &false.into()));
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn word(path: &Path, nonce: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    writeln!(stream, "clone {nonce}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn a_wrong_command_line_is_explained() {
    let output = feed().arg("--watermark=7").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--watermark"), "{}", said(&output));
}

#[test]
fn without_rights_it_says_so_in_a_sentence_and_ends_with_77() {
    if !rustix::process::geteuid().is_root() {
        testkit::skip!("this user has no rights to give up");
    }
    let mut command = feed();
    // As nobody, who may open /dev/random and not feed it.
    let output = command.args(["--once", "--no-seed-file"]).uid(65534).gid(65534).output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", said(&output));
    assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    assert!(said(&output).contains("CAP_SYS_ADMIN"), "{}", said(&output));
}

#[test]
fn without_a_daemon_the_status_is_3() {
    let dir = tempfile::tempdir().unwrap();
    let output = feed().arg("--status").arg("--run-dir").arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("no daemon has run here"), "{}", said(&output));
}

#[test]
fn this_kernel_is_fed_and_reseeded() {
    if !may_feed() {
        testkit::skip!("this process may not feed this kernel");
    }
    let dir = tempfile::tempdir().unwrap();
    let metrics = dir.path().join("metrics.prom");
    let daemon = Daemon::start(dir, &["--metrics", metrics.to_str().unwrap()]);
    let status = daemon.until(|status| status["phase"] == "schedule" || status["phase"] == "watermark");
    assert!(status["reseeds"].as_u64() >= Some(1), "{status:#}");
    assert!(status["credited_bits"].as_u64() >= Some(256), "{status:#}");
    let sources = status["sources"].as_array().unwrap();
    let credited: u64 = sources.iter().filter_map(|source| source["credited_bits"].as_u64()).sum();
    assert!(credited <= status["credited_bits"].as_u64().unwrap(), "{status:#}");
    assert!(fs::read_to_string(&metrics).unwrap().contains("\nweir_feed_ready 1\n"));
    let dir = daemon.stop();
    assert_eq!(fs::metadata(dir.path().join("state/seed")).unwrap().len(), 144);
}

#[test]
fn a_word_makes_a_generation_once_also_for_the_next_daemon_and_after_a_kill() {
    if !may_feed() {
        testkit::skip!("this process may not feed this kernel");
    }
    let dir = tempfile::tempdir().unwrap();
    let (path, hooks) = (dir.path().join("word"), dir.path().join("clone.d"));
    fs::create_dir(&hooks).unwrap();
    let ran = dir.path().join("ran");
    let hook = hooks.join("10-say");
    fs::write(&hook, format!("#!/bin/sh\necho $WEIR_GENERATION >> {}\n", ran.display())).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let place = format!("unix:{}", path.display());
    let arguments = ["--word", &place, "--hooks", hooks.to_str().unwrap()];
    let mut daemon = Daemon::start(dir, &arguments);
    assert_eq!(word(&path, &"01".repeat(16)), "ok 2\n");
    assert_eq!(word(&path, &"01".repeat(16)), "ok 2\n");
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let dir = std::mem::replace(&mut daemon.dir, tempfile::tempdir().unwrap());
    drop(daemon);
    let next = Daemon::start(dir, &arguments);
    assert_eq!(next.status()["generation"], 2);
    assert_eq!(word(&path, &"01".repeat(16)), "ok 2\n");
    assert_eq!(word(&path, &"02".repeat(16)), "ok 3\n");
    let end = Instant::now() + Duration::from_secs(30);
    let both = |text: &str| text.lines().last() == Some("3");
    while !fs::read_to_string(&ran).is_ok_and(|text| both(&text)) {
        assert!(Instant::now() < end, "the hooks did not run");
        std::thread::yield_now();
    }
    let text = fs::read_to_string(&ran).unwrap();
    assert!(text == "2\n3\n" || text == "3\n", "{text}");
    next.stop();
}
