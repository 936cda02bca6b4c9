//! `weir seed receive`: takes a seed from standard input or a file, gives it to this host's kernel, and answers what became of it.
//!
//! The other end of `weir seed push`. Contract: once the seed is in the pool, nothing that fails afterwards takes that back or
//! keeps the record from being answered; the seed is never printed, written or kept.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use weir_doctor::early_keys;
use weir_kernel::host::{Host, Root};
use weir_seed::receive::{self, Given, InputError};
use weir_seed::{Record, Seed};

const AFTER_HELP: &str = "\
Exit status: 0 mixed in, 1 mixed in, and something else that was asked for could not be done, 2 wrong usage, 3 nothing was
mixed in.

To mix a seed in takes no right. To have the kernel feel it at once, and to credit it, takes root.
The record that is answered is described in docs/seeding/push.md.

Examples:
  head -c 64 /dev/urandom | ssh root@web1 weir seed receive
  weir seed receive --file /sys/firmware/qemu_fw_cfg/by_name/opt/org.weir-seed/seed/raw
  weir seed receive --file /run/seed --remove";

/// Take a seed from standard input, mix it into this host's pool, and answer what became of it
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Credit it with eight bits a byte: whoever sent it vouches that it is fresh, and that nobody else has seen it
    #[arg(long, conflicts_with = "file")]
    credit: bool,
    /// Read it from a file instead: 32 to 4096 bytes, as they are
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// And remove the file once the seed is mixed in
    #[arg(long, requires = "file")]
    remove: bool,
    /// Note that it came from there [the address that ssh tells]
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    from: Option<String>,
    /// For machines: one JSON document
    #[arg(long)]
    json: bool,
}

/// The way of a seed of which nobody says whence it comes.
const PIPE: &str = "pipe";
const PARTLY: u8 = 1;
const USAGE: u8 = 2;
const NOTHING: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    let (given, note) = match take(args) {
        Ok(taken) => taken,
        Err((message, status)) => {
            complain(&message);
            return ExitCode::from(status);
        }
    };
    if let Err(error) = &note {
        complain(&format!("no note of it could be made, so that weir doctor will not know of it: {error}"));
    }
    let mut status = 0;
    if let Err(why) = &given.credited_bits {
        complain(&format!("not credited: {why}; it is mixed in all the same"));
        status = PARTLY;
    } else if args.credit && origin(args).0 == PIPE {
        complain(
            "credited, though it did not come through ssh: whoever piped it vouches that nobody saw it on its way",
        );
    }
    if args.remove
        && let Some(file) = &args.file
        && let Err(error) = std::fs::remove_file(file)
    {
        complain(&format!("{} is not removed: {error}", file.display()));
        status = PARTLY;
    }
    match show(&record(&given, note), args.json) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            ExitCode::from(PARTLY)
        }
        _ => ExitCode::from(status),
    }
}

/// Reads the seed, mixes it in and makes the note, whose failure is told and nothing more.
fn take(args: &Args) -> Result<(Given, io::Result<()>), (String, u8)> {
    let seed = match &args.file {
        Some(file) => receive::read_file(file).map_err(|error| format!("{}: {error}", file.display())),
        None => match receive::read_stdin() {
            Err(InputError::Terminal) => return Err((InputError::Terminal.to_string(), USAGE)),
            other => other.map_err(|error| format!("standard input: {error}")),
        },
    };
    let seed = seed.map_err(|message| (message, NOTHING))?;
    let given = receive::give(seed.expose(), if args.credit { all_bits(&seed) } else { 0 });
    let given = given.map_err(|error| (format!("the seed could not be mixed in: {error}"), NOTHING))?;
    let (way, from) = origin(args);
    let note = receive::note(Path::new("/"), &given.arrival(way, &from));
    Ok((given, note))
}

/// Whoever asks for credit says that every bit of the seed was drawn from a generator that is ready, for this host alone, and
/// came over a channel that nobody reads: then it has eight bits a byte, and none of them can be had otherwise.
fn all_bits(seed: &Seed) -> u32 {
    u32::try_from(8 * seed.expose().len()).unwrap_or(0)
}

/// By which way it came, and from where.
fn origin(args: &Args) -> (&'static str, String) {
    if let Some(file) = &args.file {
        return ("file", file.display().to_string());
    }
    let client = env::var("SSH_CONNECTION").ok();
    let client = client.and_then(|said| said.split_ascii_whitespace().next().map(str::to_owned));
    let named = args.from.clone().filter(|from| !from.is_empty());
    match named.or(client) {
        Some(from) => ("push", from),
        None => (PIPE, "-".to_owned()),
    }
}

fn record(given: &Given, note: io::Result<()>) -> Record {
    let host = Host::read(&Root::live());
    let early = early_keys(&host).map(|keys| keys.iter().map(|key| key.path.clone()).collect());
    let note_failed = note.err().map(|error| error.to_string());
    Record { note_failed, ..given.record(&host, weir_kernel::generation(), early) }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    record: &'a Record,
}

fn show(record: &Record, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &Document { schema: "weir.seed.record/1", record })?;
        writeln!(out)?;
    } else {
        write!(out, "{record}")?;
    }
    out.flush()
}

fn complain(message: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "weir: {message}");
}
