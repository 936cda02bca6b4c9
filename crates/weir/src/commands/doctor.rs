//! `weir doctor`: is this host's randomness good, was it good when its keys were made, does it need a daemon?
//!
//! Reads and judges; changes nothing. Works for every user: what only root may see is listed as not seen.

mod probe;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use weir_doctor::{Report, Style, examine, examine_with_probe, text};
use weir_kernel::host::{Host, Root};

use self::probe::{Running, Target};

const AFTER_HELP: &str = "\
Exit status: 0 nothing is wrong, 1 a warning, 2 something critical, 3 could not look.

The JSON form and every finding are described in docs/doctor.md.

Examples:
  weir doctor                                   look at this host
  sudo weir doctor                              and see everything
  weir doctor --json | jq .verdict              for a machine
  weir doctor --root /mnt/image                 look at a mounted image
  weir doctor --probe https://api.example:8443  where do the seconds of a connection go?";

/// Is this host's randomness good, was it when its keys were made, and does it need a daemon?
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// For machines: one JSON document
    #[arg(long)]
    json: bool,
    /// Look at the files under a folder instead: a mounted image, or a recorded host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Connect to an HTTPS server and time each phase; certificates are checked and do not stop it
    #[arg(long, value_name = "URL", conflicts_with = "root")]
    probe: Option<Target>,
    /// How long the probe may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "probe", value_parser = clap::value_parser!(u32).range(1..=3600))]
    probe_timeout: u32,
}

const COULD_NOT_LOOK: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    let root = match &args.root {
        None => Root::live(),
        Some(dir) => match Root::at(dir) {
            Ok(root) => root,
            Err(why) => {
                let why =
                    if dir.exists() && !dir.is_dir() { "not a folder".to_owned() } else { why.to_string() };
                let _ = writeln!(io::stderr(), "weir: {}: {why}", dir.display());
                return ExitCode::from(COULD_NOT_LOOK);
            }
        },
    };
    let report = match &args.probe {
        None => examine(&Host::read(&root)),
        Some(target) => examine_probing(&root, target, Duration::from_secs(args.probe_timeout.into())),
    };
    // Whoever closed the pipe has read enough; the status still says what was found.
    match show(&report, args.json) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "weir: standard output: {error}");
            ExitCode::from(COULD_NOT_LOOK)
        }
        _ => ExitCode::from(report.exit_status()),
    }
}

/// Looks at the host while the probe runs, so that who waits for randomness is seen waiting.
fn examine_probing(root: &Root, target: &Target, limit: Duration) -> Report {
    let mut running = Running::start(target, limit);
    let mut host = Host::read(root);
    if !running.ends_within(weir_doctor::SLOW) {
        host = Host::read(root);
    }
    examine_with_probe(&host, &running.end())
}

fn show(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        out.write_all(text(report, if colour { Style::Colour } else { Style::Plain }).as_bytes())?;
    }
    out.flush()
}
