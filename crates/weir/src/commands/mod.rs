//! The list of commands. Each is a file of its own with an `Args` type and a `run` function.

#[cfg(feature = "host")]
mod assess;
#[cfg(feature = "host")]
mod check;
mod completions;
#[cfg(feature = "host")]
mod control;
#[cfg(feature = "host")]
mod doctor;
mod manual;
#[cfg(feature = "host")]
mod mint;
mod progress;
mod seed;
#[cfg(feature = "host")]
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
    #[cfg(feature = "host")]
    Start(start::Args),
    #[cfg(feature = "host")]
    Check(check::Args),
    #[cfg(feature = "host")]
    Stop(control::StopArgs),
    #[cfg(feature = "host")]
    Reload(control::ReloadArgs),
    #[cfg(feature = "host")]
    Health(control::HealthArgs),
    #[cfg(feature = "host")]
    /// Is this host's randomness good, was it when its keys were made, and does it need a daemon?
    Doctor(doctor::Args),
    #[cfg(feature = "host")]
    /// Mint unguessable values: tokens, ids, bytes, passwords, integers, orders
    Mint(mint::Args),
    #[cfg(feature = "host")]
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
        #[cfg(feature = "host")]
        Command::Start(args) => start::run(&args),
        #[cfg(feature = "host")]
        Command::Check(args) => check::run(&args),
        #[cfg(feature = "host")]
        Command::Stop(args) => control::stop(&args),
        #[cfg(feature = "host")]
        Command::Reload(args) => control::reload(&args),
        #[cfg(feature = "host")]
        Command::Health(args) => control::health(&args),
        #[cfg(feature = "host")]
        Command::Doctor(args) => return doctor::run(&args),
        #[cfg(feature = "host")]
        Command::Mint(args) => return mint::run(&args),
        #[cfg(feature = "host")]
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
