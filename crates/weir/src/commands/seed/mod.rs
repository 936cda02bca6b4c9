//! `weir seed`: seeds for new machines. The list of its commands; each is a file of its own with an `Args` type and a `run`
//! function.

#[cfg(feature = "host")]
mod fetch;
mod hosts;
#[cfg(feature = "host")]
mod lint;
mod new;
mod push;
#[cfg(feature = "host")]
mod receive;
#[cfg(feature = "host")]
mod serve;
mod verify;

use std::io::{self, Write};
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
    New(new::Args),
    Push(push::Args),
    #[cfg(feature = "host")]
    Receive(receive::Args),
    #[cfg(feature = "host")]
    Serve(serve::Args),
    #[cfg(feature = "host")]
    Fetch(fetch::Args),
    #[cfg(feature = "host")]
    Lint(lint::Args),
    Verify(verify::Args),
}

/// As each of them exits when it could do nothing.
const COULD_NOT: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    // Before any of them holds a seed.
    if let Err(error) = weir_seed::no_core_dumps() {
        let _ = writeln!(io::stderr(), "weir: core dumps cannot be turned off: {error}");
        return ExitCode::from(COULD_NOT);
    }
    match &args.command {
        Command::New(args) => new::run(args),
        Command::Push(args) => push::run(args),
        #[cfg(feature = "host")]
        Command::Receive(args) => receive::run(args),
        #[cfg(feature = "host")]
        Command::Serve(args) => serve::run(args),
        #[cfg(feature = "host")]
        Command::Fetch(args) => fetch::run(args),
        #[cfg(feature = "host")]
        Command::Lint(args) => lint::run(args),
        Command::Verify(args) => verify::run(args),
    }
}
