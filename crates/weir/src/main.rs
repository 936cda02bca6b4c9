//! The `weir` command: the only place that sees every crate.

mod commands;
#[cfg(feature = "host")]
mod config;
#[cfg(feature = "host")]
mod gateway;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
