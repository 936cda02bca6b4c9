//! `weir seed`: seeds for new machines. The list of its commands; each is a file of its own with an `Args` type and a `run`
//! function.

mod push;
mod receive;

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
    Push(push::Args),
    Receive(receive::Args),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Push(args) => push::run(args),
        Command::Receive(args) => receive::run(args),
    }
}
