//! `cargo xtask fuzz`: each fuzz target for a while.
//!
//! The targets live in `fuzz/`, in cargo-fuzz's layout. cargo-fuzz asks for a nightly compiler, of which it needs the
//! sanitizers; the stable one has them too and is told so by `RUSTC_BOOTSTRAP=1`. A run begins with the
//! inputs in `fuzz/corpus/TARGET/`, which are the tree's, and what it learns stays in the target folder for the next; what
//! made a target fail is in `fuzz/artifacts/`.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{packages, process, workspace};

/// Run the fuzz targets for a while each
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The targets to run; all when none is named
    targets: Vec<String>,

    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
}

/// Building a target with its sanitizer, before its seconds begin.
const BUILD: Duration = Duration::from_secs(20 * 60);

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !workspace::root().join("fuzz/Cargo.toml").exists() {
        bail!("there is no fuzz/Cargo.toml");
    }
    packages::ensure(packages::FUZZ)?;
    if packages::find("cargo-fuzz").is_none() {
        println!("installing cargo-fuzz");
        process::check(&mut workspace::cargo(["install", "--locked", "cargo-fuzz"]))?;
    }
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    let wanted = if args.targets.is_empty() { &all } else { &args.targets };
    let mut rows = Vec::new();
    for target in wanted {
        println!("==> {target}");
        rows.push((target, fuzz(target, args.seconds)?));
    }
    println!(
        "{:<32} {:>12} {:>9} {:>9} {:>8}  outcome",
        "target", "executions", "a second", "coverage", "corpus"
    );
    for (target, row) in &rows {
        let Summary { executions, rate, coverage, corpus, ok } = row;
        let outcome = if *ok { "clean".into() } else { format!("FAILED: see fuzz/artifacts/{target}") };
        println!("{target:<32} {executions:>12} {rate:>9} {coverage:>9} {corpus:>8}  {outcome}");
    }
    let clean = rows.iter().all(|(_, row)| row.ok);
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn targets() -> Result<Vec<String>> {
    let listing = process::read(workspace::cargo(["fuzz", "list"]).env("RUSTC_BOOTSTRAP", "1"))?;
    Ok(listing.lines().map(str::to_owned).collect())
}

/// What libFuzzer said of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    executions: u64,
    rate: u64,
    coverage: u64,
    corpus: u64,
    ok: bool,
}

impl Summary {
    /// A line of its progress: `#1024 DONE cov: 107 ft: 230 corp: 18/64b lim: 4 exec/s: 0 rss: 33Mb`.
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let Some(executions) = words.first().and_then(|word| word.strip_prefix('#')?.parse().ok()) else {
            return;
        };
        self.executions = executions;
        let after = |name: &str| {
            let value = words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1))?;
            value.split('/').next()?.parse().ok()
        };
        self.coverage = after("cov:").unwrap_or(self.coverage);
        self.corpus = after("corp:").unwrap_or(self.corpus);
        self.rate = after("exec/s:").unwrap_or(self.rate);
    }
}

fn fuzz(target: &str, seconds: u64) -> Result<Summary> {
    let learnt = workspace::target()?.join("fuzz-corpus").join(target);
    fs::create_dir_all(&learnt)?;
    let given = workspace::root().join("fuzz/corpus").join(target);
    let mut command = workspace::cargo(["fuzz", "run", target]);
    // libFuzzer writes to the first folder and only reads the others.
    command.arg(&learnt);
    if given.is_dir() {
        command.arg(given);
    }
    command.args(["--", &format!("-max_total_time={seconds}"), "-print_final_stats=1"]);
    let mut summary = Summary::default();
    let deadline = BUILD + Duration::from_secs(seconds * 2);
    let status = process::listen(command.env("RUSTC_BOOTSTRAP", "1"), deadline, |line| summary.hear(line))?;
    summary.ok = status.success();
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read() {
        let mut summary = Summary::default();
        summary.hear("INFO: seed corpus: files: 1");
        summary.hear("#2\tINITED cov: 5 ft: 5 corp: 1/1b exec/s: 0 rss: 30Mb");
        summary.hear("#900\tDONE   cov: 107 ft: 230 corp: 18/64b lim: 4 exec/s: 450 rss: 33Mb");
        summary.hear("Done 900 runs in 2 second(s)");
        assert_eq!(summary, Summary { executions: 900, rate: 450, coverage: 107, corpus: 18, ok: false });
    }
}
