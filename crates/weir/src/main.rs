//! The `weir` command: the only place that sees every crate.

mod commands;
mod config;
mod gateway;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
