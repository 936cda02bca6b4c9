//! `weir seed verify`: are machines that came from one image different machines?
//!
//! Looks and compares; changes nothing on a host. What it compares, and what that means, is weir-seed's.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use weir_seed::ssh::Host;
use weir_seed::verify::batch_gcd::Plan;
use weir_seed::verify::{Ask, Doing, KeyFile, Report, Style, bundle, judge, survey, text};
use zeroize::Zeroizing;

use super::hosts::Hosts;
use crate::commands::progress::Progress;

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
    #[command(flatten)]
    hosts: Hosts,
    /// Servers of TLS, whose certificates' keys are compared
    #[arg(long, value_name = "HOST:PORT", num_args = 1.., value_parser = server)]
    tls: Vec<(String, u16)>,
    /// A port of every machine to look for TLS at
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tls_port: Option<u16>,
    /// Files with keys: known_hosts, authorized_keys, ssh-keyscan's output, PEM, DER, openssl's Modulus= lines; - for
    /// standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Do not log in: compare the host keys that ssh-keyscan sees
    #[arg(long)]
    scan: bool,
    /// For machines: one JSON document
    #[arg(long)]
    json: bool,
}

const USAGE: u8 = 2;
const COULD_NOT_LOOK: u8 = 3;
/// Longest file of keys, in bytes: some hundred thousand of RSA, or millions of Ed25519.
const MOST_FILE: usize = 256 << 20;

pub(crate) fn run(args: &Args) -> ExitCode {
    let hosts = match args.hosts.all() {
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

fn look(args: &Args, hosts: Vec<Host>) -> Report {
    let progress = Progress::new();
    let at = |what: &str, done: usize, all: usize| progress.at(what, done as u64, Some(all as u64));
    let ask = Ask {
        hosts,
        ssh: args.hosts.ssh(),
        at_once: args.hosts.at_once(),
        scan: args.scan.then(|| OsString::from("ssh-keyscan")),
        tls: args.tls.clone(),
        tls_port: args.tls_port,
        tls_limit: args.hosts.connect(),
        files: args.files.iter().map(|path| key_file(path)).collect(),
    };
    let evidence = survey(ask, &mut |doing| match doing {
        Doing::Hosts(done, all) => at("machines", done, all),
        Doing::Servers(done, all) => at("servers", done, all),
        Doing::TellingApart => (),
    });
    judge(&evidence, Plan::default(), &|done, all| at("primes in common", done, all))
}

fn key_file(path: &Path) -> KeyFile {
    let (name, content) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), read(io::stdin().lock(), 0))
    } else {
        (path.display().to_string(), open(path).and_then(|(file, length)| read(file, length)))
    };
    let keys = content.map(|content| bundle::parse(&content)).map_err(|error| error.to_string());
    KeyFile { name, keys }
}

/// A file, and how long it is now. A pipe or a device is none: to open one may wait for ever, and to read it, too.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let wrong = || io::Error::other("it is no regular file; give what a pipe has on standard input, named -");
    if !fs::metadata(path)?.is_file() {
        return Err(wrong());
    }
    let file = File::open(path)?;
    let found = file.metadata()?;
    if found.is_file() { Ok((file, found.len())) } else { Err(wrong()) }
}

/// All of it, if that is no more than [`MOST_FILE`]. A private key may be in it: what was read is erased, also where it was
/// before it grew.
fn read(mut input: impl Read, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    const LEAST: usize = 64 << 10;
    let too_long = || io::Error::other(format!("it is longer than {} MiB", MOST_FILE >> 20));
    let expected = usize::try_from(length).ok().filter(|length| *length <= MOST_FILE).ok_or_else(too_long)?;
    let mut content = Zeroizing::new(Vec::with_capacity(expected.max(LEAST) + 1));
    loop {
        let free = content.capacity() - content.len();
        let more = input.by_ref().take(free as u64).read_to_end(&mut content)?;
        if content.len() > MOST_FILE {
            return Err(too_long());
        }
        if more < free {
            return Ok(content);
        }
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * content.capacity()));
        larger.extend_from_slice(&content);
        content = larger;
    }
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
