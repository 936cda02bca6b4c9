//! `weir assess sp800-90b --restart`: whether a source is as good after each start as it is while it runs (SP 800-90B 3.1.4).

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use weir_assess::sp800_90b::{self, Assessment, Done, RestartAssessment, Samples};

use super::input::Input;
use super::{FOUND, Failure};
use crate::commands::progress::Progress;

/// Samples of a restart matrix, and one to see that there are too many.
const MOST: usize = 1_000_001;

/// Assesses the samples of a thousand restarts, a thousand each, against the estimate of a source that ran on.
pub(super) fn run(input: Input, bits: Option<u32>, h_initial: f64, json: bool) -> Result<ExitCode, Failure> {
    let name = input.name.clone();
    let mut bytes = Vec::new();
    input.each(|piece| {
        let room = MOST - bytes.len();
        bytes.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        Ok(bytes.len() < MOST)
    })?;
    let failed = |error: String| Failure::Read(format!("{name}: {error}"));
    let samples = Samples::new(&bytes, bits).map_err(|error| failed(error.to_string()))?;
    let progress = Progress::new();
    let tell = |done: Done<'_>| {
        progress.at("SP 800-90B restarts", done.done as u64, Some(done.of as u64));
        ControlFlow::Continue(())
    };
    let found = sp800_90b::restart(&samples, h_initial, &tell).map_err(|error| failed(error.to_string()))?;
    drop(progress);
    match show(&name, &found, json) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Write(format!("standard output: {error}")))
        }
        _ => Ok(ExitCode::from(if found.validated { 0 } else { FOUND })),
    }
}

fn show(name: &str, found: &RestartAssessment, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, found)?;
        writeln!(out)?;
        return out.flush();
    }
    let word = |good: bool| if good { "passed" } else { "FAILED" };
    let of = |assessment: &Option<Assessment>| {
        assessment
            .as_ref()
            .map_or("not estimated".to_owned(), |found| format!("{:.6}", found.assessed_min_entropy))
    };
    writeln!(out, "{name}: 1,000 restarts of 1,000 samples\n")?;
    writeln!(out, "SP 800-90B  restart tests against {:.6} bits a sample (3.1.4)", found.h_initial)?;
    writeln!(
        out,
        "  one symbol {} times in a row and {} in a column, at most {} allowed: {}",
        found.most_in_row,
        found.most_in_column,
        found.cutoff,
        word(found.sanity_passed)
    )?;
    writeln!(out, "  assessed by rows       {:>14}", of(&found.rows))?;
    writeln!(out, "  assessed by columns    {:>14}", of(&found.columns))?;
    writeln!(
        out,
        "  half of the estimate in both: {}\n  assessed               {:>14.6} bits a sample, at most",
        word(found.validated),
        found.assessed_min_entropy
    )?;
    out.flush()
}
