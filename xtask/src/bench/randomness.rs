//! Draws and tokens, beside the other ways to come by them.
//!
//! The program that measures is the package in `bench/`, apart from the workspace: it is linked with the libraries that
//! Weir is compared with. This builds it, runs it on one core and makes tables of what it prints.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Args, report};
use crate::{packages, process, workspace};

/// Milliseconds that each round of each way lasts.
const ROUND_MS: u32 = 4;
/// Rounds for one of the proxies' rounds: these last milliseconds.
const ROUNDS: u32 = 8;
/// A median so far above the best round means that the machine was busy with something else.
const SPREAD: f64 = 0.25;

/// A line of the program: a way and its rounds.
#[derive(Debug, PartialEq)]
struct Way {
    group: String,
    name: String,
    bytes: f64,
    rounds_ns: Vec<f64>,
}

/// The tables: a group, its title, and whose cost is 1.
const TABLES: [(&str, &str, &str); 3] = [
    ("draw", "A draw of 32 bytes", "weir_kernel::fill"),
    ("token", "A credential of 32 letters and digits", "weir_mint::key"),
    ("bulk", "A draw of 64 KiB", "weir_kernel::fill"),
];

pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BENCH_RANDOMNESS)?;
    let folder = workspace::root().join("bench");
    let target = workspace::target()?.join("bench/randomness");
    let mut build = workspace::cargo(["build", "--quiet", "--release"]);
    process::check(build.current_dir(&folder).arg("--target-dir").arg(&target))?;
    let mut program = Command::new("taskset");
    program.args(["-c", &args.cores.proxy.to_string()]).arg(target.join("release/bench"));
    let rounds = (args.rounds * ROUNDS).to_string();
    let ways = parse(&process::read(program.args([&rounds, &ROUND_MS.to_string()]))?)?;
    let text: String = TABLES.iter().map(|table| show(&ways, *table)).collect();
    let conditions = format!("{}; one core, the best of {rounds} rounds.", report::machine()?);
    println!("\n{text}{conditions}");
    if let Some(file) = &args.json {
        let rows: Vec<_> = ways
            .iter()
            .map(|way| json!({"group": way.group, "name": way.name, "bytes": way.bytes, "ns": way.rounds_ns}))
            .collect();
        // The name itself is the proxies' file, when both are measured in one run.
        let both = args.what == super::What::All;
        let file = if both { file.with_extension("randomness.json") } else { file.clone() };
        std::fs::write(&file, serde_json::to_vec_pretty(&json!({"conditions": conditions, "ways": rows}))?)
            .with_context(|| file.display().to_string())?;
    }
    match &args.write {
        Some(file) => report::put(file, "randomness", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

fn parse(said: &str) -> Result<Vec<Way>> {
    let line = |line: &str| {
        // Names hold blanks; what follows the last bar does not.
        let (what, numbers) = line.rsplit_once('|')?;
        let (group, name) = what.split_once('|')?;
        let numbers: Vec<f64> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let (bytes, rounds_ns) = numbers.split_first()?;
        Some(Way { group: group.into(), name: name.into(), bytes: *bytes, rounds_ns: rounds_ns.to_vec() })
    };
    said.lines().map(|text| line(text).with_context(|| format!("the program said {text:?}"))).collect()
}

fn show(ways: &[Way], (group, title, base): (&str, &str, &str)) -> String {
    let ways: Vec<_> = ways.iter().filter(|way| way.group == group).collect();
    let base = ways.iter().find(|way| way.name == base).map(|way| best(way));
    let row = |way: &&Way| {
        let (best, median) = (best(way), report::median(&way.rounds_ns));
        let speed = if group == "bulk" { format!("{:.2} GB/s", way.bytes / best) } else { String::new() };
        let doubt = if median / best > 1.0 + SPREAD { " (median far above)" } else { "" };
        let ratio = base.map_or(String::new(), |base| format!("{:.2}×", best / base));
        vec![way.name.clone(), format!("{best:.0} ns{doubt}"), ratio, speed]
    };
    let rows: Vec<_> = ways.iter().map(row).collect();
    let head = ["", "cost", "to ours", if group == "bulk" { "speed" } else { "" }];
    // Without the column that only bulk draws have.
    let columns = if group == "bulk" { 4 } else { 3 };
    let rows: Vec<_> = rows.into_iter().map(|row| row[..columns].to_vec()).collect();
    format!("{title}:\n\n{}\n", report::table(&head[..columns], &rows))
}

/// The best round: what disturbs a measurement of nanoseconds only ever makes it longer.
fn best(way: &Way) -> f64 {
    way.rounds_ns.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_shown() {
        let ways = parse("draw|weir_kernel::fill|32 100.00 110.50\ndraw|/dev/urandom, kept open|32 250 400")
            .unwrap();
        assert_eq!(ways[1].name, "/dev/urandom, kept open");
        assert_eq!(ways[0].rounds_ns, [100.0, 110.5]);
        let text = show(&ways, TABLES[0]);
        assert!(text.contains("| 100 ns |") || text.contains("100 ns | "), "{text}");
        assert!(text.contains("250 ns (median far above)") && text.contains("2.50×"), "{text}");
        assert!(parse("draw|x").is_err());
    }
}
