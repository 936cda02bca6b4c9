//! `weir version`: what this program is.

use std::io::{self, Write};
use std::process::ExitCode;

/// Print the version
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> ExitCode {
    match writeln!(io::stdout(), "weir {}", env!("CARGO_PKG_VERSION")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
