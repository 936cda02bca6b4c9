//! Running the program.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// The program with these arguments, words separated by spaces. What the tests' own environment says to Weir is not
/// for it.
pub(crate) fn weir(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.args(arguments.split_ascii_whitespace()).stdin(Stdio::null());
    command
}

/// Standard output of a run that must succeed.
pub(crate) fn stdout(arguments: &str) -> String {
    let output = weir(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A run under strace that answers some getrandom calls with an error, or `None` where there is no strace.
pub(crate) fn with_getrandom(error: &str, arguments: &str) -> Option<Output> {
    let inject = format!("inject=getrandom:error={error}");
    let program = env!("CARGO_BIN_EXE_weir");
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=getrandom", "-e", &inject, program];
    let words = strace.into_iter().chain(arguments.split_ascii_whitespace()).map(OsStr::new);
    let output = Command::new("strace").args(words).stdin(Stdio::null()).output().ok()?;
    // strace itself fails with its own name where tracing is forbidden.
    (!String::from_utf8_lossy(&output.stderr).starts_with("strace:")).then_some(output)
}
