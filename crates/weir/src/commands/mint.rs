//! `weir mint`: values from the kernel's generator, on standard output.
//!
//! Contract: nothing is written before the generator is ready; a value is written whole or not at all; memory does not
//! grow with the number of values; a reader that closes the pipe ends the command quietly and with success, since it
//! has had what it wanted. With `--json` each value is an object on a line of its own.

mod bytes;
mod int;
mod output;
mod password;
mod progress;
mod shuffle;
mod token;
mod uuid;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

const AFTER_HELP: &str = "\
Exit status: 0 minted (also when the reader closed the pipe), 1 failed, 2 wrong usage, 3 the kernel's generator is
not ready yet.

Examples:
  weir mint token                          one credential: 32 characters, 190.5 bits
  weir mint token --kind key               one that secret scanners recognise: weir_key_...
  weir mint uuid --v7 -n 1000 --json       a thousand ids that sort by time
  weir mint bytes 64KiB > seed             raw bytes
  weir mint password --words 6             a passphrase
  weir mint int 1 6 -n 5                   five throws of a die
  weir mint shuffle --lines names.txt      lines in a random order";

/// Mint unguessable values from the kernel's random number generator
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Opaque tokens, such as API keys and session ids
    Token(token::Args),
    /// UUIDs of version 4 or 7 (RFC 9562)
    Uuid(uuid::Args),
    /// Random bytes, raw or as text
    Bytes(bytes::Args),
    /// Passwords of characters or words
    Password(password::Args),
    /// Uniform integers of a range
    Int(int::Args),
    /// Items or lines in a random order
    Shuffle(shuffle::Args),
}

/// What every value can be asked for with.
#[derive(clap::Args)]
struct Common {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Wait until the kernel's generator is ready, at most so many seconds if given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true)]
    wait: Option<Option<u64>>,
}

/// How many values.
#[derive(clap::Args)]
struct Count {
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    count: u64,
}

/// Why nothing, or not all, was minted.
enum Failure {
    /// The options do not fit together, in a way that clap cannot see.
    Usage(String),
    /// The generator was not ready, and not after so many seconds of waiting either.
    NotReady(Option<u64>),
    Draw(weir_mint::Error),
    /// What was to be shuffled could not be read.
    Input(String),
    /// Standard output did not take it.
    Output(io::Error),
}

impl From<weir_mint::Error> for Failure {
    fn from(error: weir_mint::Error) -> Self {
        Self::Draw(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// The status that says so.
const NOT_READY: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    let outcome = match &args.what {
        What::Token(args) => token::run(args),
        What::Uuid(args) => uuid::run(args),
        What::Bytes(args) => bytes::run(args),
        What::Password(args) => password::run(args),
        What::Int(args) => int::run(args),
        What::Shuffle(args) => shuffle::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(failure),
    }
}

fn report(failure: Failure) -> ExitCode {
    let (message, status) = match failure {
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Failure::Output(error) => (format!("standard output: {error}"), 1),
        Failure::Input(message) => (message, 1),
        Failure::Usage(message) => (message, 2),
        Failure::NotReady(None) => (
            "the kernel's random number generator is not ready yet, so nothing was minted; \
             add --wait to wait for it, and see what it lacks with `weir doctor`"
                .to_owned(),
            NOT_READY,
        ),
        Failure::NotReady(Some(seconds)) => (
            format!(
                "the kernel's random number generator was still not ready after {seconds} s, so nothing was minted; \
                 see what it lacks with `weir doctor`"
            ),
            NOT_READY,
        ),
        Failure::Draw(error) => (error.to_string(), if error.is_retryable() { NOT_READY } else { 1 }),
    };
    output::complain(&message);
    ExitCode::from(status)
}

impl Common {
    /// Returns once the generator is ready, or with the reason why it will not be waited for.
    fn ensure_ready(&self) -> Result<(), Failure> {
        let patience = match self.wait {
            None => Duration::ZERO,
            Some(None) => Duration::MAX,
            Some(Some(seconds)) => Duration::from_secs(seconds),
        };
        if patience > Duration::ZERO && !weir_kernel::is_ready() && io::stderr().is_terminal() {
            output::complain("waiting for the kernel's random number generator");
        }
        weir_kernel::wait_ready(patience).map_err(|error| match error {
            weir_mint::Error::NotReady => Failure::NotReady(self.wait.flatten()),
            other => Failure::Draw(other),
        })
    }
}
