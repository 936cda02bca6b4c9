//! Rust's own tests: units, integration, documentation.
//!
//! `cargo test` runs them, as it is what every machine with Rust has. Its output is passed on and counted: the harness's
//! `test result:` lines, less the tests that ended with a `SKIPPED:` line (the harness takes those for passed).

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::Tally;
use crate::{process, workspace};

/// The whole build and all tests; a hang is ended while there is time left to say so.
const DEADLINE: Duration = Duration::from_secs(35 * 60);

/// What `cargo test` builds, built by name too, so that the features of dependencies are chosen once for all parts.
const TARGETS: [&str; 5] = ["--workspace", "--lib", "--bins", "--tests", "--examples"];

/// Runs all tests of the workspace, or those with `filter` in their name.
pub(super) fn run(filter: Option<&str>) -> Result<Tally> {
    let mut counter = Counter::default();
    let mut command = workspace::cargo(["test", "--workspace", "--no-fail-fast"]);
    command.args(filter);
    let status = process::listen(&mut command, DEADLINE, |line| counter.hear(line))?;
    let mut tally = counter.tally();
    if !status.success() && tally.failed == 0 {
        // It did not build, or a test's process died without a result.
        tally.failed = 1;
    }
    Ok(tally)
}

/// Builds the gateway's program the way the tests are built, and tells where it is.
pub(super) fn build_weir() -> Result<PathBuf> {
    workspace::build_weir(&TARGETS)
}

/// Counts what the harness and the tests say.
#[derive(Default)]
struct Counter {
    sum: Tally,
    skipped: HashSet<String>,
}

impl Counter {
    fn hear(&mut self, line: &str) {
        let line = strip_colour(line);
        if let Some(result) = line.strip_prefix("test result: ") {
            let count = |what: &str| {
                let before = result.split(what).next().unwrap_or_default();
                before.rsplit([' ', ';', '.']).find_map(|word| word.parse::<usize>().ok()).unwrap_or(0)
            };
            self.sum +=
                Tally { passed: count(" passed"), failed: count(" failed"), skipped: count(" ignored") };
        } else if let Some((test, _reason)) =
            line.strip_prefix("SKIPPED: ").and_then(|rest| rest.split_once(": "))
        {
            self.skipped.insert(test.to_owned());
        }
    }

    fn tally(&self) -> Tally {
        let skipped = self.skipped.len();
        let Tally { passed, failed, skipped: ignored } = self.sum;
        Tally { passed: passed.saturating_sub(skipped), failed, skipped: ignored + skipped }
    }
}

/// Takes out what colours a line for a terminal (ECMA-48 8.3.117).
fn strip_colour(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once('m').map_or(part, |(_colour, text)| text);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut counter = Counter::default();
        lines.iter().for_each(|line| counter.hear(line));
        counter.tally()
    }

    #[test]
    fn results_are_summed_over_binaries() {
        let lines = [
            "test result: ok. 22 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.21s",
            "test a::b ... ok",
            "test result: \x1b[31mFAILED\x1b[m. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        assert_eq!(tally(&lines), Tally { passed: 29, failed: 2, skipped: 1 });
    }

    #[test]
    fn skipped_tests_are_not_passed_ones() {
        let lines = [
            "SKIPPED: clone::is_noticed: needs /dev/kvm",
            "SKIPPED: clone::is_noticed: needs /dev/kvm: and more",
            "SKIPPED: clock::steps: needs root",
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        assert_eq!(tally(&lines), Tally { passed: 3, failed: 0, skipped: 2 });
    }
}
