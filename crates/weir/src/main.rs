//! The `weir` command: the only place that sees every crate.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
