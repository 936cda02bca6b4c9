//! `weir assess`, beside the tools that people assess with: NIST's for SP 800-90B, rngtest for FIPS 140-2, ent.
//!
//! All read the same file, of bytes that the kernel drew for this run. NIST's tools (`ea_non_iid`, `ea_iid`) are in no
//! distribution: they take part where they are in the PATH. Time is by the wall, since more than one core may be used; what the
//! machine did else is in the line of conditions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::{Args, report};
use crate::{packages, process, workspace};

/// Samples for SP 800-90B: as many as it asks for.
const SAMPLES: u64 = 1_000_000;
/// Bytes for the other two, which are quick.
const BYTES: u64 = 64 << 20;

/// A tool on a task.
struct Contender {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
}

/// What several tools do alike. The first is ours.
struct Task {
    title: &'static str,
    contenders: Vec<Contender>,
}

/// Seconds by the wall, and the most memory that the process had, in MiB.
struct Run {
    seconds: f64,
    peak_mib: f64,
}

pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BENCH_ASSESS)?;
    let weir = match &args.weir {
        Some(program) => program.clone(),
        None => workspace::build_weir(&["--release", "--package", "weir"])?,
    };
    let folder = workspace::target()?.join("bench/assess");
    fs::create_dir_all(&folder)?;
    let (samples, bytes) = (folder.join("samples"), folder.join("bytes"));
    draw(&weir, &samples, SAMPLES)?;
    draw(&weir, &bytes, BYTES)?;
    let mut rows = Vec::new();
    for task in tasks(&weir, &samples, &bytes)? {
        rows.extend(measure(&task, args.rounds)?);
    }
    let text = report::table(&["", "seconds", "peak memory", "to ours"], &rows);
    let conditions = format!(
        "{}; wall time, medians of {} interleaved rounds; {SAMPLES} samples of 8 bits, {} MiB for FIPS 140-2 and ENT.",
        report::machine()?,
        args.rounds,
        BYTES >> 20
    );
    println!("\n{text}\n{conditions}");
    match &args.write {
        Some(file) => report::put(file, "assess", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

fn tasks(weir: &Path, samples: &Path, bytes: &Path) -> Result<Vec<Task>> {
    let (samples, bytes) = (path(samples)?, path(bytes)?);
    let ours = |arguments: &[&str]| contender("weir assess", weir.to_owned(), arguments);
    let theirs = |name: &'static str, arguments: &[&str]| {
        packages::find(name).map(|at| contender(name, at, arguments))
    };
    let task = |title, ours: Contender, other: Option<Contender>| Task {
        title,
        contenders: std::iter::once(ours).chain(other).collect(),
    };
    Ok(vec![
        task(
            "SP 800-90B, not assumed independent",
            ours(&["sp800-90b", &samples]),
            theirs("ea_non_iid", &["-i", "-a", &samples, "8"]),
        ),
        task(
            "SP 800-90B, with the tests for independence",
            ours(&["sp800-90b", "--iid", &samples]),
            theirs("ea_iid", &["-i", "-a", &samples, "8"]),
        ),
        task("FIPS 140-2", ours(&["fips140-2", &bytes]), theirs("rngtest", &[])),
        task("ENT", ours(&["ent", &bytes]), theirs("ent", &[&bytes])),
    ])
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a folder has to be named in UTF-8")?.to_owned())
}

fn contender(name: &'static str, program: PathBuf, arguments: &[&str]) -> Contender {
    let mut arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    if name == "weir assess" {
        arguments.insert(0, "assess".to_owned());
    }
    Contender { name, program, arguments }
}

/// Rounds in turn, so that whatever slows the machine slows all.
fn measure(task: &Task, rounds: u32) -> Result<Vec<Vec<String>>> {
    let mut runs: Vec<Vec<Run>> = task.contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contender, runs) in task.contenders.iter().zip(&mut runs) {
            runs.push(contender.run()?);
        }
    }
    let seconds = |runs: &[Run]| report::median(&runs.iter().map(|run| run.seconds).collect::<Vec<_>>());
    let ours = runs.first().map_or(f64::NAN, |runs| seconds(runs));
    let mut rows = vec![vec![format!("**{}**", task.title), String::new(), String::new(), String::new()]];
    for (contender, runs) in task.contenders.iter().zip(&runs) {
        let peak = runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
        rows.push(vec![
            contender.name.to_owned(),
            format!("{:.2}", seconds(runs)),
            format!("{peak:.0} MiB"),
            format!("{:.1}×", seconds(runs) / ours),
        ]);
    }
    Ok(rows)
}

impl Contender {
    fn run(&self) -> Result<Run> {
        // GNU time writes the most memory that its child had, in KiB, to a file.
        let peak = workspace::target()?.join("bench/assess/peak");
        let mut command = Command::new("/usr/bin/time");
        command.args(["--format=%M", "--output"]).arg(&peak).arg(&self.program).args(&self.arguments);
        let input = match self.name {
            "rngtest" => Stdio::from(File::open(workspace::target()?.join("bench/assess/bytes"))?),
            _ => Stdio::null(),
        };
        let begun = Instant::now();
        let status = command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        let seconds = begun.elapsed().as_secs_f64();
        // 1 is a verdict: of so many bytes, a block fails now and then by rngtest's measure.
        if !matches!(status.code(), Some(0 | 1)) {
            bail!("{}: {status}", self.name);
        }
        let text = fs::read_to_string(&peak)?;
        let kib: f64 = text.lines().last().and_then(|line| line.parse().ok()).context("no peak memory")?;
        Ok(Run { seconds, peak_mib: kib / 1024.0 })
    }
}

/// Bytes of this very run, so that nobody's figures depend on a file that was chosen.
fn draw(weir: &Path, path: &Path, bytes: u64) -> Result<()> {
    let mut command = Command::new(weir);
    process::check(command.args(["mint", "bytes", &bytes.to_string()]).stdout(File::create(path)?))
}
