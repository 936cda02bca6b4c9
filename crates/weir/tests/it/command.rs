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

#[test]
fn every_command_has_a_manual_page_and_completions() {
    let folder = testkit::TempDir::new();
    stdout(&format!("manual {}", folder.path().display()));
    let page = |name: &str| std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
    for name in ["weir", "weir-start", "weir-mint-token", "weir-seed"] {
        let page = page(name);
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout(&format!("completions {shell}"));
        assert!(["doctor", "mint", "seed"].iter().all(|command| script.contains(command)), "{shell}");
    }
    let output = weir("manual /dev/null/here").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/null/here: "), "{output:?}");
}
