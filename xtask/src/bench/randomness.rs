//! Draws and tokens, beside the other ways to come by them.
//!
//! The program that measures is the package in `bench/`, apart from the workspace: it is linked with the libraries that
//! Weir is compared with. This builds it, runs it on one core and makes a table of what it prints. The ways of a round
//! are measured one after the other, so ratios are taken within rounds, and their median is what is shown: whatever
//! slows the machine down for a while slows all ways alike.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Args, report};
use crate::{packages, process, workspace};

/// Milliseconds that each round of each way lasts.
const ROUND_MS: u32 = 2;
/// Rounds for one of the proxies' rounds: these last milliseconds.
const ROUNDS: u32 = 40;

/// A line of the program: a way and its rounds.
#[derive(Debug, PartialEq)]
pub(super) struct Way {
    pub(super) group: String,
    pub(super) name: String,
    bytes: f64,
    pub(super) rounds_ns: Vec<f64>,
}

/// A part of the table: a group, its title, and whose cost is 1.
struct Part {
    group: &'static str,
    title: &'static str,
    ours: &'static str,
}

const PARTS: [Part; 3] = [
    Part { group: "draw", title: "A draw of 32 bytes", ours: "weir_kernel::fill" },
    Part { group: "token", title: "A credential of 32 letters and digits", ours: "weir_mint::key" },
    Part { group: "bulk", title: "A draw of 64 KiB", ours: "weir_kernel::fill" },
];

/// The way that a draw of ours is made of.
const BOUND: &str = "vDSO, bare call";

/// What Weir promises.
struct Promise {
    group: &'static str,
    name: &'static str,
    what: Least,
}

/// What a figure must be at least.
#[derive(Clone, Copy)]
enum Least {
    /// The way's cost, where Weir's own is 1.
    Ratio(f64),
    /// The way's gigabytes a second.
    Speed(f64),
}

const PROMISES: [Promise; 7] = [
    promise("draw", "vDSO, bare call", Least::Ratio(1.0 / 1.2)),
    promise("draw", "getrandom(2)", Least::Ratio(4.0)),
    promise("draw", "/dev/urandom, opened each time", Least::Ratio(20.0)),
    promise("token", "weir_kernel::fill, 32 bytes", Least::Ratio(1.0 / 3.0)),
    promise("token", "Kong's way, in LuaJIT", Least::Ratio(15.0)),
    promise("bulk", "getrandom(2)", Least::Ratio(10.0)),
    promise("bulk", "weir_kernel::fill", Least::Speed(2.0)),
];

const fn promise(group: &'static str, name: &'static str, what: Least) -> Promise {
    Promise { group, name, what }
}

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
    let text = table(&ways);
    let conditions =
        format!("{}; CPU time on one core, medians of {rounds} interleaved rounds.", report::machine()?);
    println!("\n{text}\n{conditions}");
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

pub(super) fn parse(said: &str) -> Result<Vec<Way>> {
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

const HEAD: [&str; 6] = ["", "median", "best", "to ours", "speed", "promised"];

fn table(ways: &[Way]) -> String {
    report::table(&HEAD, &PARTS.iter().flat_map(|part| rows(ways, part)).collect::<Vec<_>>())
}

/// The rows of a part, its title first.
fn rows(ways: &[Way], part: &Part) -> Vec<Vec<String>> {
    let ways: Vec<_> = ways.iter().filter(|way| way.group == part.group).collect();
    let ours = ways.iter().find(|way| way.name == part.ours);
    let bound = ways.iter().find(|way| way.name == BOUND);
    let mut rows = vec![vec![String::new(); HEAD.len()]];
    rows[0][0] = format!("**{}**", part.title);
    rows.extend(ways.iter().map(|way| {
        let (median, best) = (report::median(&way.rounds_ns), best(way));
        let ratio = ours.map(|ours| ratio(way, ours));
        // Only the long draws are about speed.
        let speed = (part.group == "bulk").then(|| way.bytes / median);
        vec![
            way.name.clone(),
            format!("{median:.0} ns"),
            format!("{best:.0} ns"),
            ratio.map_or(String::new(), |ratio| format!("{ratio:.2}×")),
            speed.map_or(String::new(), |speed| format!("{speed:.2} GB/s")),
            promised(way, ratio, speed, bound.map(|bound| self::ratio(way, bound))),
        ]
    }));
    rows
}

/// What was promised of a way, and whether it is kept. `bound` is the way's cost beside that of the bare call, which no draw
/// can go below: what it misses, this host's kernel misses.
fn promised(way: &Way, ratio: Option<f64>, speed: Option<f64>, bound: Option<f64>) -> String {
    let Some(promise) = PROMISES.iter().find(|one| one.group == way.group && one.name == way.name) else {
        return String::new();
    };
    let (least, unit, figure) = match promise.what {
        Least::Ratio(least) => (least, "×", ratio),
        Least::Speed(least) => (least, " GB/s", speed),
    };
    let kept = match bound {
        _ if figure.is_some_and(|figure| figure >= least) => "kept".to_owned(),
        Some(bound) if bound < least => format!("missed by the vDSO itself ({bound:.2}×)"),
        _ => "MISSED".to_owned(),
    };
    format!("≥ {least:.2}{unit}, {kept}")
}

/// The median of the rounds' ratios.
pub(super) fn ratio(way: &Way, ours: &Way) -> f64 {
    let ratios = way.rounds_ns.iter().zip(&ours.rounds_ns).map(|(way, ours)| way / ours);
    report::median(&ratios.collect::<Vec<_>>())
}

pub(super) fn best(way: &Way) -> f64 {
    way.rounds_ns.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "draw|vDSO, bare call|32 95 190\n\
        draw|weir_kernel::fill|32 100.00 200\n\
        draw|getrandom(2)|32 390 780\n\
        draw|/dev/urandom, opened each time|32 1700 3400\n\
        bulk|weir_kernel::fill|65536 16384 32768";

    #[test]
    fn lines_are_read() {
        let ways = parse(SAID).unwrap();
        assert_eq!((&*ways[0].name, ways[0].bytes), ("vDSO, bare call", 32.0));
        assert_eq!(ways[1].rounds_ns, [100.0, 200.0]);
        assert!(parse("draw|x").is_err());
    }

    #[test]
    fn ratios_are_taken_within_rounds_and_held_against_what_was_promised() {
        let text = table(&parse(SAID).unwrap());
        let row = |name: &str, at: usize| {
            let row = text.lines().filter(|line| line.contains(name)).nth(at).unwrap();
            row.split('|').map(str::trim).collect::<Vec<_>>()
        };
        assert_eq!(row("vDSO", 0)[2..7], ["142 ns", "95 ns", "0.95×", "", "≥ 0.83×, kept"]);
        // 390 is four times 95, and not four times 100.
        assert_eq!(row("getrandom(2)", 0)[4..7], ["3.90×", "", "≥ 4.00×, MISSED"]);
        let opened = row("/dev/urandom, opened", 0);
        assert_eq!(opened[4..7], ["17.00×", "", "≥ 20.00×, missed by the vDSO itself (17.89×)"]);
        assert_eq!(row("weir_kernel::fill", 1)[4..7], ["1.00×", "2.67 GB/s", "≥ 2.00 GB/s, kept"]);
    }
}
