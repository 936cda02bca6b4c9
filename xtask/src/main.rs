//! Developer commands: `cargo xtask --help`.
//!
//! Purpose: what a developer and the continuous integration run, written once, in the language of the workspace.
//!
//! Contract: a command installs what it needs on a fresh Debian machine where it may, says what it could not have and what
//! it therefore left out, and exits non-zero when what it checks does not hold.
//!
//! Deliberately absent: heavy dependencies (`cargo xtask` has to be there in seconds) and anything that ships.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands for people speak to a terminal")]

mod bench;
mod fuzz;
mod install;
mod install_feed;
mod install_weir;
mod layers;
mod lint;
mod packages;
mod process;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Weir
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test: Rust's, the recorded cases, the tour in README.md
    Test(test::Args),
    /// Check form: fmt, clippy, layers, dependencies, doors to randomness, traces of machines, links
    Lint(lint::Args),
    /// Check that the crates depend on each other in one direction only
    Layers(layers::Args),
    /// Run the fuzz targets for a while each
    Fuzz(fuzz::Args),
    /// Measure, beside others
    Bench(bench::Args),
    /// Build weir and install it with its manual pages, completions and the units of `weir seed`
    Install(install_weir::Args),
    /// Build libweir and install it with its header, pkg-config file and Lua module
    InstallFfi(install::Args),
    /// Build weir-feed and install it with its units, hooks and manual page
    InstallFeed(install_feed::Args),
    /// Send requests at a fixed rate (a part of `bench`, in a process of its own)
    #[command(hide = true)]
    Pace(bench::PaceArgs),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Layers(args) => layers::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Install(args) => install_weir::run(&args),
        Command::InstallFfi(args) => install::run(&args),
        Command::InstallFeed(args) => install_feed::run(&args),
        Command::Pace(args) => bench::pace(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
