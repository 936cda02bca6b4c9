//! `weir seed`: seeds for new machines. The list of its commands; each is a file of its own with an `Args` type and a `run`
//! function.

mod fetch;
mod serve;

use std::process::ExitCode;

use clap::Subcommand;

/// Seeds for new machines: make them, bring them, and prove that machines differ
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Fetch(fetch::Args),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Serve(args) => serve::run(args),
        Command::Fetch(args) => fetch::run(args),
    }
}
