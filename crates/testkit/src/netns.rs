//! A network of the test's own.
//!
//! A test that needs default ports, a dead route or a host of its own runs in a network namespace, where nothing else
//! listens and loopback is all there is. That needs root, or a kernel that lets users make namespaces; where neither is
//! to be had the test is skipped.

use std::env;
use std::io;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Tells a test that it runs inside of its namespace already.
const INSIDE: &str = "WEIR_TEST_INSIDE_NETNS";

/// Runs the body of a test in a network namespace of its own, or skips the test.
///
/// `test` is the test's name as the harness knows it: [`crate::test_name!`]. The test's program is started again for this
/// one test, inside of the namespace; the body runs there and its failure is the test's.
///
/// ```
/// // In a test: testkit::netns::isolated(testkit::test_name!(), || { ... });
/// # if false {
/// testkit::netns::isolated(testkit::test_name!(), || {
///     std::net::TcpListener::bind("127.0.0.1:8000").expect("nobody else listens in here");
/// });
/// # }
/// ```
///
/// # Panics
/// When the body does, and when the program cannot be started again.
#[track_caller]
pub fn isolated(test: &str, body: impl FnOnce()) {
    if env::var(INSIDE).is_ok_and(|inside| inside == test) {
        return body();
    }
    if let Err(reason) = available() {
        return crate::report_skip(test, reason);
    }
    let program = env::current_exe().expect("the test's own program");
    let mut again = command(program);
    again.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(INSIDE, test);
    let output = again.output().expect("unshare, which was found a moment ago");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        panic!("inside of the network namespace:\n{text}");
    }
    assert!(text.contains("1 passed"), "the harness knows no test {test:?}:\n{text}");
    // A skip inside of the namespace has to be seen outside.
    for line in text.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")) {
        if let Some((name, reason)) = line.split_once(": ") {
            crate::report_skip(name, reason);
        }
    }
}

/// A command that will run in a new network namespace with loopback up. It also gets process ids of its own: when the
/// program ends, everything that it started is killed.
///
/// ```
/// if testkit::netns::available().is_ok() {
///     let links = testkit::netns::command("ip").args(["-brief", "link"]).output()?;
///     assert_eq!(String::from_utf8_lossy(&links.stdout).lines().count(), 1);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command.args(OPTIONS);
    if !is_root() {
        command.args(AS_USER);
    }
    // `ip` takes loopback up; then the program takes the shell's place.
    command.args(["--", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command.arg(program);
    command
}

const OPTIONS: [&str; 5] = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];

/// Whether [`command`] works here; tried once.
///
/// # Errors
/// Why not.
pub fn available() -> Result<(), &'static str> {
    static TRIED: OnceLock<Result<(), String>> = OnceLock::new();
    TRIED.get_or_init(attempt).as_ref().copied().map_err(String::as_str)
}

fn attempt() -> Result<(), String> {
    match command("true").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(format!("no network namespace: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("no network namespace: unshare (util-linux) is not installed".into())
        }
        Err(error) => Err(format!("no network namespace: {error}")),
    }
}

fn is_root() -> bool {
    // The owner of this very process's entry in /proc, as asking for the user id is beyond std.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}
