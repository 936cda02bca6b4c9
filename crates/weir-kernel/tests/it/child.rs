//! Running a part of this test binary in a process of its own.
//!
//! A scenario is a function in [`SCENARIOS`]; [`run`] starts this same binary again so that it runs that one and prints
//! what it found. What happens to the child before it begins (a system-call filter, say) comes from the parent, so the
//! code under test does not know of it.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::{draws, faults, pool};

const NAME: &str = "WEIR_TEST_SCENARIO";

/// Everything that can run in a child.
const SCENARIOS: &[(&str, fn())] = &[
    ("fill_short", faults::fill_short),
    ("fill_bulk", faults::fill_bulk),
    ("try_fill", faults::try_fill),
    ("wait_ready", faults::wait_ready),
    ("strict", draws::draw_without_system_calls),
    ("signals", draws::draw_in_signal_handlers),
    ("thread_churn", draws::draw_on_many_threads),
    ("counters", draws::count_draws),
    ("without_rights", pool::without_rights),
];

/// Runs a scenario in a child, after `before` ran in it between fork and exec.
pub(crate) fn run(
    scenario: &str,
    before: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) -> Output {
    assert!(SCENARIOS.iter().any(|(name, _)| *name == scenario), "no scenario {scenario}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::entry", "--nocapture", "--test-threads=1"]).env(NAME, scenario);
    // SAFETY: `before` makes system calls only; it neither allocates nor locks.
    unsafe { command.pre_exec(before) };
    command.output().unwrap()
}

/// Where a child begins. In the parent's run it has nothing to do.
#[test]
fn entry() {
    let Ok(wanted) = std::env::var(NAME) else { return };
    let (_, scenario) = SCENARIOS.iter().find(|(name, _)| *name == wanted).expect("a known scenario");
    scenario();
}

/// The words after `marker` on a line of a child's output.
pub(crate) fn said(output: &Output, marker: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| Some(line.split_once(marker)?.1));
    line.unwrap_or_else(|| {
        panic!(
            "no {marker:?} from the child: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    })
    .trim()
    .to_owned()
}
