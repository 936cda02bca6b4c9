//! Where a proxy spends its time under load, by symbol.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::contenders::Running;
use super::load::{Load, Saturation};
use crate::process::{self, Guard, descendants};

/// Samples a second: a prime, so as not to beat with timers.
const FREQUENCY: &str = "1999";
/// Symbols shown.
const TOP: usize = 50;

pub(super) fn run(title: &str, running: &Running, load: &Saturation, kind: Load, seconds: u32) -> Result<()> {
    println!("{title}: {} for {seconds} s", kind.title());
    load.run(&running.target, kind, 1)?; // connections to the origin are made
    let data = load.folder.join("perf.data");
    let pids: Vec<_> = descendants(running.pid()).iter().map(u32::to_string).collect();
    let mut perf = Command::new("perf");
    // The clock's samples: they work in virtual machines, where counters of the hardware may not.
    perf.args(["record", "--quiet", "--event", "cpu-clock", "--freq", FREQUENCY, "--pid", &pids.join(",")]);
    let mut recording =
        Guard::new(perf.arg("--output").arg(&data).stdout(Stdio::null()).stderr(Stdio::null()))?;
    let outcome = load.run(&running.target, kind, seconds)?;
    process::signal("INT", &[recording.pid()]);
    while recording.ended()?.is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    println!("{:.0} requests/s while being watched", outcome.requests as f64 / outcome.seconds);
    let mut report = Command::new("perf");
    report.args([
        "report",
        "--stdio",
        "--no-children",
        "--percent-limit",
        "0.2",
        "--sort",
        "dso,symbol",
        "--input",
    ]);
    let text = process::read(report.arg(&data)).context("perf recorded nothing to report")?;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).take(TOP) {
        println!("{}", line.trim_end());
    }
    println!("more: perf report --input {}", data.display());
    Ok(())
}
