//! `weir seed`: seeds for new machines. The list of its commands; each is a file of its own with an `Args` type and a `run`
//! function.

mod lint;

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
    Lint(lint::Args),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Lint(args) => lint::run(args),
    }
}
