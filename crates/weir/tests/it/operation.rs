//! What whoever runs a gateway is told: at its start, by `weir check`, at a reload.

use std::time::Duration;

use testkit::Launch;

use crate::command::with_getrandom;

const PROGRAM: &str = env!("CARGO_BIN_EXE_weir");

#[test]
fn a_start_waits_for_the_kernel_and_says_so() {
    if with_getrandom("EAGAIN", "version").is_none() {
        testkit::skip!("no strace that may trace");
    }
    // Without `-f` the first thread alone is told so; `-D` leaves the gateway the process that was started.
    let inject = "inject=getrandom:error=EAGAIN:when=1..8";
    let strace = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=getrandom", "-e", inject];
    let mut gateway = Launch::new(PROGRAM).under(strace).start();
    let log = gateway.log();
    let (waiting, ready) =
        (log.find("waiting for the kernel's random number generator"), log.find("ready version="));
    assert!(waiting.is_some() && waiting < ready, "{log}");
    assert!(gateway.terminate(Duration::from_secs(20)).unwrap().success());
}

#[test]
fn a_start_without_randomness_is_refused() {
    let prefix = testkit::TempDir::new();
    let arguments = format!("start --prefix {}", prefix.path().display());
    let Some(output) = with_getrandom("EPERM", &arguments) else {
        testkit::skip!("no strace that may trace");
    };
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("seccomp"), "{message}");
}
