//! `cargo xtask lint`: everything about the code's form that a program can check.
//!
//! [`CHECKS`] is the list. All of them run, so that one run tells all; what cannot run here is named in a line that begins
//! with `SKIPPED:`.

mod doors;
mod links;
mod manifest;
mod source;
mod traces;

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{layers, packages, process, workspace};

/// Check form: fmt, clippy, layers, dependencies, doors to randomness, traces of machines, links
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only these checks
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = NAMES)]
    only: Vec<String>,
}

/// What a check found.
enum Finding {
    Clean,
    Faults(Vec<String>),
    /// It could not run, for this reason.
    Skipped(&'static str),
}

type Check = (&'static str, fn() -> Result<Finding>);

const CHECKS: [Check; 9] = [
    ("fmt", fmt),
    ("layers", || Ok(faults(layers::offences()?))),
    ("manifest", || Ok(faults(manifest::faults()?))),
    ("doors", || Ok(faults(doors::faults()?))),
    ("traces", || Ok(faults(traces::faults()?))),
    ("links", || Ok(faults(links::faults()?))),
    ("deny", deny),
    ("clippy", clippy),
    ("operator", operator),
];

const NAMES: [&str; 9] =
    ["fmt", "layers", "manifest", "doors", "traces", "links", "deny", "clippy", "operator"];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
            continue;
        }
        match check().unwrap_or_else(|error| Finding::Faults(vec![format!("{error:#}")])) {
            Finding::Clean => println!("{name}: clean"),
            Finding::Skipped(reason) => eprintln!("SKIPPED: {name}: {reason}"),
            Finding::Faults(faults) => {
                faults.iter().for_each(|fault| eprintln!("{name}: {fault}"));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("lint failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn faults(list: Vec<String>) -> Finding {
    if list.is_empty() { Finding::Clean } else { Finding::Faults(list) }
}

fn command(command: &mut Command, advice: &str) -> Result<Finding> {
    Ok(match process::check(command) {
        Ok(()) => Finding::Clean,
        Err(_) => Finding::Faults(vec![advice.to_owned()]),
    })
}

fn fmt() -> Result<Finding> {
    let mut faults = Vec::new();
    // The workspace, and the packages apart from it.
    for manifest in ["Cargo.toml", "bench/Cargo.toml", "fuzz/Cargo.toml"] {
        let options = ["fmt", "--all", "--check", "--manifest-path", manifest];
        if workspace::root().join(manifest).exists()
            && process::check(&mut workspace::cargo(options)).is_err()
        {
            faults.push(format!("run cargo fmt --all --manifest-path {manifest}"));
        }
    }
    Ok(self::faults(faults))
}

fn clippy() -> Result<Finding> {
    let options = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    command(&mut workspace::cargo(options), "see above")
}

/// The operator's side alone, which is all that other systems than Linux build.
fn operator() -> Result<Finding> {
    let options = ["clippy", "--quiet", "--package", "weir", "--no-default-features", "--", "-D", "warnings"];
    command(&mut workspace::cargo(options), "without the feature `host`; see above")
}

/// Licences, advisories, duplicates, sources. The tool takes minutes to build, so it is used where it is there.
fn deny() -> Result<Finding> {
    if packages::find("cargo-deny").is_none() {
        return Ok(Finding::Skipped("cargo-deny is not installed (cargo install --locked cargo-deny)"));
    }
    // The list of advisories is a repository elsewhere: without a way to it, the rest is checked all the same.
    let all = workspace::cargo(["deny", "--all-features", "--log-level", "error", "fetch", "db"]).output()?;
    let checks: &[&str] = if all.status.success() {
        &["advisories", "bans", "licenses", "sources"]
    } else {
        eprintln!("SKIPPED: advisories: their list cannot be fetched");
        &["bans", "licenses", "sources"]
    };
    let mut deny = workspace::cargo(["deny", "--all-features", "--log-level", "error", "check"]);
    command(deny.args(checks), "see above, and deny.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_name() {
        assert_eq!(CHECKS.map(|(name, _)| name), NAMES);
    }
}
