//! The list of commands. Each is a file of its own with an `Args` type and a `run` function.

mod assess;
mod check;
mod completions;
mod control;
mod doctor;
mod manual;
mod mint;
mod seed;
mod start;
mod version;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// An API gateway and randomness toolkit whose keys come from a pool it can vouch for.
#[derive(Parser)]
#[command(name = "weir", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Start(start::Args),
    Check(check::Args),
    Stop(control::StopArgs),
    Reload(control::ReloadArgs),
    Health(control::HealthArgs),
    /// Is this host's randomness good, was it when its keys were made, and does it need a daemon?
    Doctor(doctor::Args),
    /// Mint unguessable values: tokens, ids, bytes, passwords, integers, orders
    Mint(mint::Args),
    /// How unpredictable are these bytes? SP 800-90B, FIPS 140-2, SP 800-22 and ENT
    Assess(assess::Args),
    Seed(seed::Args),
    Completions(completions::Args),
    Manual(manual::Args),
    Version(version::Args),
}

/// Parses the command line and runs the command it names.
pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Start(args) => start::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Stop(args) => control::stop(&args),
        Command::Reload(args) => control::reload(&args),
        Command::Health(args) => control::health(&args),
        Command::Doctor(args) => return doctor::run(&args),
        Command::Mint(args) => return mint::run(&args),
        Command::Assess(args) => return assess::run(&args),
        Command::Seed(args) => return seed::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
        Command::Manual(args) => manual::run(&args, Cli::command()),
        Command::Version(args) => return version::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}
