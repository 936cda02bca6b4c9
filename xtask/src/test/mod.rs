//! `cargo xtask test`: every test there is, and one line that sums them up.
//!
//! Three parts, each a file: Rust's own tests ([`rust`]), the cases recorded from Kong ([`recorded`], held against the
//! table in [`areas`]), and the tour in README.md ([`tour`]). A part that cannot run here says why in a line that begins
//! with `SKIPPED:`; in continuous integration a missing package is a failure instead.
//!
//! The build is the development profile's throughout: one build serves all three parts.

mod areas;
mod recorded;
mod rust;
mod script;
mod tour;

use std::fmt;
use std::fs;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use crate::{packages, workspace};

/// Run every test: Rust's, the recorded cases, the tour in README.md
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only tests and cases with this in their name (the tour's is `tour`)
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Run only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,

    /// Run the recorded cases of every area, and tell how those fare that the table does not hold us to yet
    #[arg(long)]
    all_areas: bool,

    /// Ask this program, as installed say, instead of the one that is built from this tree
    #[arg(long, value_name = "PROGRAM")]
    weir: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Rust,
    Recorded,
    Tour,
}

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The closing line, in the form that readers of test logs look for.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let Err(missing) = packages::ensure(packages::TEST) {
        if workspace::in_ci() {
            return Err(missing);
        }
        eprintln!("warning: {missing:#}");
    }
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let filter = args.filter.as_deref();
    let tour_wanted = wanted(Part::Tour) && filter.is_none_or(|filter| "tour".contains(filter));
    let mut total = Tally::default();
    if wanted(Part::Rust) {
        total += part("Rust's tests", || rust::run(filter));
    }
    if wanted(Part::Recorded) || tour_wanted {
        let weir = match &args.weir {
            Some(weir) => Ok(fs::canonicalize(weir)?),
            None => rust::build_weir(),
        };
        match weir {
            Ok(weir) => {
                if wanted(Part::Recorded) {
                    total += part("recorded cases", || recorded::run(&weir, filter, args.all_areas));
                }
                if tour_wanted {
                    total += part("the tour", || tour::run(&weir));
                }
            }
            Err(error) => {
                eprintln!("FAILED: building weir: {error:#}");
                total.failed += 1;
            }
        }
    }
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a part. That it could not run to its end counts as a failure.
fn part(name: &str, run: impl FnOnce() -> Result<Tally>) -> Tally {
    println!("==> {name}");
    let start = Instant::now();
    let tally = run().unwrap_or_else(|error| {
        eprintln!("FAILED: {name}: {error:#}");
        Tally { failed: 1, ..Tally::default() }
    });
    // Not in the closing line's own form: that is said once, at the end.
    let Tally { passed, failed, skipped } = tally;
    println!("==> {name}: {passed} ok, {failed} bad, {skipped} left out, in {:.0?}", start.elapsed());
    tally
}

/// Says that something is left out.
fn skip(what: &str, reason: &str) -> Tally {
    eprintln!("SKIPPED: {what}: {reason}");
    Tally { skipped: 1, ..Tally::default() }
}
