//! `weir seed verify`: are machines that came from one image different machines?
//!
//! Looks and compares; changes nothing on a host. What it compares, and what that means, is weir-seed's.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use weir_seed::ssh::{Host, Ssh};
use weir_seed::verify::batch_gcd::Plan;
use weir_seed::verify::{Ask, Doing, KeyFile, Report, Style, bundle, judge, survey, text};
use zeroize::Zeroizing;

const AFTER_HELP: &str = "\
Exit status: 0 all distinct, 1 a warning: something is shared or could not be looked at, 2 something critical: private keys
are shared, draws are equal, RSA keys share a prime (or wrong usage), 3 nothing could be looked at.

What is compared, what each finding means and the JSON form are described in docs/seeding/verify.md.

Examples:
  weir seed verify root@web1 root@web2 root@web3        machines from one image
  weir seed verify --hosts fleet.txt --json             one a line; for a machine
  weir seed verify --scan 10.0.0.7 10.0.0.8             host keys alone, without logging in
  weir seed verify --hosts fleet.txt --tls-port 443     and the keys of their certificates
  weir seed verify --files ~/.ssh/known_hosts *.pem     primes that RSA keys have in common";

/// Prove that machines from one image differ: their keys, their ids, what they draw
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Machines: [user@]host[:port], or aliases of ssh's configuration
    hosts: Vec<Host>,
    /// A file of more of them, one a line; - for standard input
    #[arg(long = "hosts", value_name = "FILE")]
    list: Option<PathBuf>,
    /// Servers of TLS, whose certificates' keys are compared
    #[arg(long, value_name = "HOST:PORT", num_args = 1.., value_parser = server)]
    tls: Vec<(String, u16)>,
    /// A port of every machine to look for TLS at
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tls_port: Option<u16>,
    /// Files with keys: known_hosts, authorized_keys, ssh-keyscan's output, PEM, DER, openssl's Modulus= lines
    #[arg(long, value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Do not log in: compare the host keys that ssh-keyscan sees
    #[arg(long)]
    scan: bool,
    /// How many machines to look at at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,
    /// How long one machine may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    /// Configuration file for ssh, as its -F
    #[arg(short = 'F', long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// Option for ssh, as its -o
    #[arg(short = 'o', long = "ssh-option", value_name = "KEY=VALUE")]
    ssh_options: Vec<String>,
    /// For machines: one JSON document
    #[arg(long)]
    json: bool,
}

const USAGE: u8 = 2;
const COULD_NOT_LOOK: u8 = 3;
/// Longest list of hosts, and longest file of keys: more than a million keys.
const MOST_LIST: u64 = 16 << 20;
const MOST_FILE: u64 = 1 << 30;
/// How long a connection may take to come about, within the time that a machine has.
const MOST_CONNECT: u32 = 10;

pub(crate) fn run(args: &Args) -> ExitCode {
    let hosts = match hosts(args) {
        Ok(hosts) => hosts,
        Err(why) => return fail(&why, COULD_NOT_LOOK),
    };
    if hosts.is_empty() && args.tls.is_empty() && args.files.is_empty() {
        return fail("name machines, --hosts, --tls or --files", USAGE);
    }
    let report = look(args, hosts);
    // Whoever closed the pipe has read enough; the status still says what was found.
    match show(&report, args.json) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(&format!("standard output: {error}"), COULD_NOT_LOOK)
        }
        _ => ExitCode::from(report.exit_status()),
    }
}

fn fail(why: &str, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "weir: {why}");
    ExitCode::from(status)
}

fn server(text: &str) -> Result<(String, u16), String> {
    let host: Host = text.parse().map_err(|error: weir_seed::ssh::HostError| error.to_string())?;
    match (host.user(), host.port()) {
        (None, Some(port)) => Ok((host.name().to_owned(), port)),
        (Some(_), _) => Err("a server of TLS has no user".to_owned()),
        (_, None) => Err("name the port too: host:port".to_owned()),
    }
}

/// Those of the command line, then those of the list.
fn hosts(args: &Args) -> Result<Vec<Host>, String> {
    let mut hosts = args.hosts.clone();
    let Some(path) = &args.list else { return Ok(hosts) };
    let (name, list): (String, Box<dyn Read>) = match path.as_os_str() == "-" {
        true => ("standard input".to_owned(), Box::new(io::stdin())),
        false => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
            (name, Box::new(file))
        }
    };
    for (at, line) in io::BufReader::new(list.take(MOST_LIST)).lines().enumerate() {
        let line = line.map_err(|error| format!("{name}: {error}"))?;
        let host = line.split('#').next().unwrap_or_default().trim();
        if !host.is_empty() {
            hosts.push(host.parse().map_err(|error| format!("{name}, line {}: {error}", at + 1))?);
        }
    }
    Ok(hosts)
}

fn look(args: &Args, hosts: Vec<Host>) -> Report {
    let progress = Progress::new();
    let ask = Ask {
        hosts,
        ssh: ssh(args),
        at_once: args.at_once.into(),
        scan: args.scan.then(|| OsString::from("ssh-keyscan")),
        tls: args.tls.clone(),
        tls_port: args.tls_port,
        tls_limit: Duration::from_secs(args.timeout.min(MOST_CONNECT).into()),
        files: args.files.iter().map(|path| key_file(path)).collect(),
    };
    let evidence = survey(ask, &mut |doing| match doing {
        Doing::Hosts(done, all) => progress.at("machines", done, all),
        Doing::Servers(done, all) => progress.at("servers", done, all),
        Doing::TellingApart => (),
    });
    judge(&evidence, Plan::default(), &|done, all| progress.at("primes in common", done, all))
}

fn ssh(args: &Args) -> Ssh {
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(path) = &args.ssh_config {
        arguments.extend(["-F".into(), path.into()]);
    }
    for option in &args.ssh_options {
        arguments.extend(["-o".into(), option.into()]);
    }
    Ssh {
        arguments,
        connect: Duration::from_secs(args.timeout.min(MOST_CONNECT).into()),
        limit: Duration::from_secs(args.timeout.into()),
        ..Ssh::default()
    }
}

/// A private key may be in it: what was read is erased.
fn key_file(path: &Path) -> KeyFile {
    let read = || -> io::Result<Zeroizing<Vec<u8>>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length > MOST_FILE {
            return Err(io::Error::other("it is longer than a file of keys can be"));
        }
        // Room for all of it at once, lest a part stays behind where it was before it grew.
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
        file.take(MOST_FILE).read_to_end(&mut content)?;
        Ok(content)
    };
    let keys = read().map(|content| bundle::parse(&content)).map_err(|error| error.to_string());
    KeyFile { name: path.display().to_string(), keys }
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

/// A line on the terminal for whoever waits, from the first second on, wiped at the end.
struct Progress {
    start: Instant,
    shown: Mutex<Option<Instant>>,
}

impl Progress {
    fn new() -> Self {
        Self { start: Instant::now(), shown: Mutex::new(None) }
    }

    fn at(&self, what: &str, done: usize, all: usize) {
        const FIRST_AFTER: Duration = Duration::from_secs(1);
        const AGAIN_AFTER: Duration = Duration::from_millis(100);
        if !io::stderr().is_terminal() || self.start.elapsed() < FIRST_AFTER {
            return;
        }
        let Ok(mut shown) = self.shown.lock() else { return };
        if shown.is_none_or(|last| last.elapsed() >= AGAIN_AFTER) {
            *shown = Some(Instant::now());
            let _ = write!(io::stderr(), "\r\x1b[K{what}: {done} of {all}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.lock().is_ok_and(|shown| shown.is_some()) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
