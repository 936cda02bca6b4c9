//! `weir assess`: how unpredictable are these bytes? Four published suites of tests over a file, a stream or a noise source.
//!
//! Contract: the input is read once. ENT and FIPS 140-2 take any length in constant memory; SP 800-22 and SP 800-90B take the
//! first part, of a size that the options set and the report names. The exit status is that of the verdict over
//! all p-values together, whose odds of a false alarm are stated; min-entropy is measured, not judged.
//!
//! Deliberately absent: the word "random" as a verdict. Tests find faults or find none.

mod input;
mod judge;
mod restart;
mod rngtest;
mod text;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use self::input::Input;
use self::judge::{Plan, Report};

const AFTER_HELP: &str = "\
Exit status: 0 nothing found, 1 something is odder than chance explains, 2 wrong usage, 3 could not read the input, or
there is too little of it for any test. With --compat, that of rngtest.

What no test can prove, the odds, and the JSON forms are described in docs/assess.md. A file that is called like a test is
written with its folder: ./ent.

Examples:
  weir assess dump.bin                                     all four, and what they say together
  weir mint bytes 64MiB | weir assess fips140-2 -          a stream of any length
  weir assess sp800-90b --source jitter                    raw samples of a noise source, before conditioning
  weir assess sp800-90b --bits 4 samples.bin --json        min-entropy of symbols of 4 bits, one a byte
  weir assess sp800-90b --restart 3.5 restarts.bin         a thousand samples of each of a thousand restarts
  weir assess dump.bin --plot dump.svg                     and a picture
  weir assess fips140-2 --compat -c 1000 < /dev/hwrng      in place of rngtest";

/// How unpredictable are these bytes? SP 800-90B, FIPS 140-2, SP 800-22 and ENT
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    test: Option<TestArgs>,
    /// What to read; - or nothing for standard input
    file: Option<OsString>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    /// Read symbols of so many bits, one a byte; the tests that read bits take them end to end
    #[arg(long, global = true, value_name = "1..8", value_parser = clap::value_parser!(u32).range(1..=8))]
    bits: Option<u32>,
    /// Instead of a file, raw samples of a noise source: jitter, rdseed, rdrand, hwrng, tpm, file:PATH ..., or getrandom
    #[arg(long, global = true, value_name = "NAME")]
    source: Option<String>,
    /// How many samples of the source to take, or of the input for SP 800-90B [4 Mi by name, else a million]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_SAMPLES))]
    samples: Option<u64>,
    /// Assess the whole input by SP 800-90B, whatever its length; memory grows with it
    #[arg(long, global = true, conflicts_with = "samples")]
    all: bool,
    /// For machines: one JSON document
    #[arg(long, global = true)]
    json: bool,
    /// Draw a picture into a file, as SVG
    #[arg(long, global = true, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// The odds at which a healthy source may be found fault with
    #[arg(long, global = true, value_name = "P", default_value_t = weir_assess::verdict::FALSE_ALARM, value_parser = probability)]
    false_alarm: f64,
}

#[derive(Subcommand)]
enum TestArgs {
    /// Min-entropy of noise, by the ten estimators of SP 800-90B
    #[command(name = "sp800-90b")]
    Sp800_90b(Sp80090bArgs),
    /// FIPS 140-2's five tests block by block, judged over all blocks
    #[command(name = "fips140-2")]
    Fips140_2(FipsArgs),
    /// The fifteen tests of SP 800-22
    #[command(name = "sp800-22")]
    Sp800_22(Sp80022Args),
    /// The figures of ENT
    Ent(EntArgs),
}

#[derive(clap::Args)]
struct Sp80090bArgs {
    /// What to read; - or nothing for standard input
    file: Option<OsString>,
    /// The other track of the standard: test whether samples are independent and identically distributed (section 5), and
    /// if so take the most common value's estimate alone
    #[arg(long)]
    iid: bool,
    /// Test instead whether a source is as good after a start (3.1.4): the input is 1000 samples of each of 1000 restarts, the
    /// number what was assessed of the source while it ran, in bits a sample
    #[arg(long, value_name = "BITS", conflicts_with = "iid", value_parser = entropy)]
    restart: Option<f64>,
}

#[derive(clap::Args)]
struct FipsArgs {
    /// What to read; - or nothing for standard input
    file: Option<OsString>,
    /// Behave as rngtest 5 does: its output, its exit status, its handling of the edges of blocks
    #[arg(long)]
    compat: bool,
    /// As rngtest's: end after so many blocks
    #[arg(
        short = 'c',
        long = "blockcount",
        value_name = "N",
        requires = "compat",
        allow_hyphen_values = true
    )]
    block_count: Option<String>,
    /// As rngtest's: statistics every so many blocks
    #[arg(
        short = 'b',
        long = "blockstats",
        value_name = "N",
        requires = "compat",
        allow_hyphen_values = true
    )]
    block_stats: Option<String>,
    /// As rngtest's: statistics every so many seconds
    #[arg(
        short = 't',
        long = "timedstats",
        value_name = "SECONDS",
        requires = "compat",
        allow_hyphen_values = true
    )]
    timed_stats: Option<String>,
    /// As rngtest's: work silently, and pass on good blocks
    #[arg(short = 'p', long, requires = "compat")]
    pipe: bool,
}

#[derive(clap::Args)]
struct Sp80022Args {
    /// What to read; - or nothing for standard input
    file: Option<OsString>,
    /// Which parameters: those that the standard recommends for the length, or those of its published results
    #[arg(long, value_enum, default_value_t = Parameters::Recommended)]
    parameters: Parameters,
    /// Assess so many sequences, one after the other, and their p-values together (section 4.2)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    streams: u32,
    /// Bits of a sequence
    #[arg(long, value_name = "BITS", default_value_t = judge::SEQUENCE_BITS, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    length: u32,
}

#[derive(clap::Args)]
struct EntArgs {
    /// What to read; - or nothing for standard input
    file: Option<OsString>,
    /// Take bits as symbols
    #[arg(short = 'b', long = "bit-mode")]
    bit_mode: bool,
    /// The lines of `ent -t`: comma-separated values
    #[arg(short, long, conflicts_with = "json")]
    terse: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Parameters {
    Recommended,
    Published,
}

/// As many samples as SP 800-90B's estimators take at once.
const MOST_SAMPLES: u64 = weir_assess::sp800_90b::MAX_SAMPLES as u64;
const FOUND: u8 = 1;
const USAGE: u8 = 2;
const COULD_NOT_READ: u8 = 3;

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if p > 0.0 && p < 1.0 => Ok(p),
        _ => Err("a probability between 0 and 1".to_owned()),
    }
}

fn entropy(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(bits) if (0.0..=8.0).contains(&bits) => Ok(bits),
        _ => Err("bits of min-entropy a sample, from 0 to 8".to_owned()),
    }
}

/// Why nothing was assessed.
enum Failure {
    /// The options do not fit together, in a way that clap cannot see.
    Usage(String),
    /// The input could not be read, or is too short.
    Read(String),
    /// The report or the picture could not be written.
    Write(String),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(TestArgs::Fips140_2(fips)) = &args.test
        && fips.compat
    {
        return compatible(args, fips);
    }
    match assess(args) {
        Ok(status) => status,
        Err(failure) => {
            let (message, status) = match failure {
                Failure::Usage(message) => (message, USAGE),
                Failure::Read(message) | Failure::Write(message) => (message, COULD_NOT_READ),
            };
            let _ = writeln!(io::stderr(), "weir: {message}");
            ExitCode::from(status)
        }
    }
}

fn assess(args: &Args) -> Result<ExitCode, Failure> {
    if let Some(TestArgs::Sp800_90b(Sp80090bArgs { restart: Some(h_initial), .. })) = &args.test {
        if args.common.source.is_some() || args.common.plot.is_some() {
            return Err(Failure::Usage(
                "--restart takes a file of samples from restarts, and draws nothing".to_owned(),
            ));
        }
        return restart::run(open(args)?, args.common.bits, *h_initial, args.common.json);
    }
    let plan = Plan::of(args)?;
    let report = judge::assess(open(args)?, &plan)?;
    if let Some(path) = &args.common.plot {
        let drawn = std::fs::write(path, report.draw());
        drawn.map_err(|error| Failure::Write(format!("{}: {error}", path.display())))?;
    }
    // Whoever closed the pipe has read enough; the status still says what was found.
    match show(&report, args) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Write(format!("standard output: {error}")))
        }
        _ => Ok(ExitCode::from(if report.has_findings() { FOUND } else { 0 })),
    }
}

fn show(report: &Report, args: &Args) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.common.json {
        serde_json::to_writer_pretty(&mut out, &report.json())?;
        writeln!(out)?;
    } else if let Some(TestArgs::Ent(EntArgs { terse: true, .. })) = &args.test {
        for line in report.ent().terse() {
            writeln!(out, "{line}")?;
        }
    } else {
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        out.write_all(text::write(report, colour).as_bytes())?;
    }
    out.flush()
}

impl Args {
    /// The file, wherever on the command line it stands.
    fn file(&self) -> Result<Option<&OsString>, Failure> {
        let after_test = match &self.test {
            None => None,
            Some(TestArgs::Sp800_90b(test)) => test.file.as_ref(),
            Some(TestArgs::Fips140_2(test)) => test.file.as_ref(),
            Some(TestArgs::Sp800_22(test)) => test.file.as_ref(),
            Some(TestArgs::Ent(test)) => test.file.as_ref(),
        };
        match (&self.file, after_test, &self.common.source) {
            (Some(file), Some(_), _) => {
                Err(Failure::Usage(format!("one file at a time; {} is a second one", file.to_string_lossy())))
            }
            (Some(_), None, _) if self.test.is_some() => {
                Err(Failure::Usage("the test comes first, then the file".to_owned()))
            }
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err(Failure::Usage("a file or --source, not both".to_owned()))
            }
            (file, after_test, _) => Ok(file.as_ref().or(after_test)),
        }
    }
}

fn open(args: &Args) -> Result<Input, Failure> {
    match (args.file()?, &args.common.source) {
        (Some(path), _) => Input::file(path),
        (None, Some(source)) => Input::source(source, args.common.samples.unwrap_or(judge::SAMPLES)),
        (None, None) if io::stdin().is_terminal() => {
            Err(Failure::Usage("name a file, or - for standard input, or a --source".to_owned()))
        }
        (None, None) => Ok(Input::stdin()),
    }
}

fn compatible(args: &Args, fips: &FipsArgs) -> ExitCode {
    let options = rngtest::Options {
        block_count: fips.block_count.as_deref(),
        block_stats: fips.block_stats.as_deref(),
        timed_stats: fips.timed_stats.as_deref(),
        pipe: fips.pipe,
    };
    if args.common.source.is_some()
        || args.common.json
        || args.common.plot.is_some()
        || args.common.bits.is_some()
    {
        let _ = writeln!(io::stderr(), "weir: --compat takes only the options of rngtest");
        return ExitCode::from(rngtest::USAGE);
    }
    match args.file() {
        Ok(Some(path)) if path != "-" => match std::fs::File::open(path) {
            Ok(mut file) => rngtest::run(&options, &mut file),
            Err(error) => {
                let _ = writeln!(io::stderr(), "weir: {}: {error}", path.to_string_lossy());
                ExitCode::from(rngtest::IO_ERROR)
            }
        },
        Ok(_) => rngtest::run(&options, &mut io::stdin().lock()),
        Err(_) => {
            let _ = writeln!(io::stderr(), "weir: one file at a time, after the test");
            ExitCode::from(rngtest::USAGE)
        }
    }
}
