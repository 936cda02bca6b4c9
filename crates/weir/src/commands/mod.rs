//! The list of commands. Each is a file of its own with an `Args` type and a `run` function.

mod doctor;
mod mint;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An API gateway and randomness toolkit whose keys come from a pool it can vouch for.
#[derive(Parser)]
#[command(name = "weir", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Is this host's randomness good, was it when its keys were made, and does it need a daemon?
    Doctor(doctor::Args),
    /// Mint unguessable values: tokens, ids, bytes, passwords, integers, orders
    Mint(mint::Args),
    /// Print the version
    Version(version::Args),
}

/// Parses the command line and runs the command it names.
pub(crate) fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Doctor(args) => doctor::run(&args),
        Command::Mint(args) => mint::run(&args),
        Command::Version(args) => version::run(&args),
    }
}
