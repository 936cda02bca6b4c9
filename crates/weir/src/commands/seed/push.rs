//! `weir seed push`: a fresh seed for each of many hosts, through the system's ssh.
//!
//! Contract: a host that fails stops nobody and is told as soon as it does, unless the report tells it on the same terminal; the
//! result of every host is told at the end, in the order in which they were named. On a terminal, of many hosts those alone
//! are told of which there is something to say. The status says whether all is well.

mod progress;
mod text;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use weir_seed::push::print::{Line, Os};
use weir_seed::push::{Ask, Push, PushError, Pushed, RemotePath, same_boot};
use weir_seed::ssh::Host;
use weir_seed::{Record, Seed};

use self::progress::Progress;
use super::hosts::Hosts;

const AFTER_HELP: &str = "\
Exit status: 0 every host has its seed, 1 some have none, or were to credit it and did not, 2 wrong usage, 3 no host has one.

Hosts need no Weir. What they answer, what is done where, and why a seed is not credited unless you say so is described in
docs/seeding/push.md.

Examples:
  weir seed push root@web1 root@web2:2222
  weir seed push --hosts hosts.txt --sudo                 a host a line; as root by sudo -n
  weir seed push --hosts - --json < hosts.txt             for a machine
  weir seed push --ssh-option IdentityFile=~/.ssh/fleet root@web1
  weir seed push --print --os windows root@web1           a line to paste where Weir is not installed";

/// Give each of many hosts a fresh seed, through ssh
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    hosts: Hosts,
    /// Become root on the host by sudo -n
    #[arg(long)]
    sudo: bool,
    /// Have the host credit the seed with eight bits a byte, which makes a kernel ready that is not
    #[arg(long)]
    credit: bool,
    /// Length of a seed: 32 to 4096
    #[arg(long, value_name = "N", default_value_t = Seed::BYTES as u16, value_parser = clap::value_parser!(u16).range(Seed::MIN_BYTES as i64..=Seed::MAX_BYTES as i64))]
    bytes: u16,
    /// Where Weir is on the hosts, if it is not on their PATH
    #[arg(long, value_name = "PATH")]
    remote_weir: Option<RemotePath>,
    /// For machines: one JSON document
    #[arg(long)]
    json: bool,
    /// Tell failures alone
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Push nothing: print for each host a line that does it from a machine without Weir
    #[arg(long, conflicts_with_all = ["json", "quiet", "ssh", "remote_weir"])]
    print: bool,
    /// What that machine runs [this one's system]
    #[arg(long, value_enum, requires = "print")]
    os: Option<System>,
}

#[derive(Clone, Copy, ValueEnum)]
enum System {
    Linux,
    Macos,
    Windows,
}

const SOME: u8 = 1;
const USAGE: u8 = 2;
const NONE: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    let hosts = match hosts(args) {
        Ok(hosts) => hosts,
        Err(message) => {
            complain(&message);
            return ExitCode::from(USAGE);
        }
    };
    if args.print {
        return ended(print(args, &hosts), 0);
    }
    let start = Instant::now();
    let report_here = !args.quiet && !args.json && io::stdout().is_terminal() && io::stderr().is_terminal();
    let mut progress = Progress::new(hosts.len(), !args.quiet, report_here);
    let results = push(args).run(&hosts, |at, pushed| {
        let failure = pushed.result.as_ref().err();
        let failure = failure.and_then(|error| Some(format!("{}: {error}", hosts.get(at)?)));
        progress.done(failure.as_deref());
    });
    drop(progress);
    let report = Report { hosts: &hosts, results: &results, ask_sudo: args.sudo, took: start.elapsed() };
    ended(report.show(args), report.status(args.credit))
}

fn push(args: &Args) -> Push {
    Push {
        ssh: args.hosts.ssh(),
        ask: Ask { sudo: args.sudo, credit: args.credit, weir: args.remote_weir.clone() },
        bytes: args.bytes.into(),
        at_once: args.hosts.at_once(),
    }
}

/// Each once.
fn hosts(args: &Args) -> Result<Vec<Host>, String> {
    let all = args.hosts.all()?;
    let mut seen = std::collections::HashSet::new();
    let (hosts, again): (Vec<Host>, Vec<Host>) = all.into_iter().partition(|host| seen.insert(host.clone()));
    let mut told = std::collections::HashSet::new();
    for host in again.into_iter().filter(|host| told.insert(host.clone())) {
        complain(&format!("{host} is named more than once, and gets one seed"));
    }
    let for_anybody = args.print && !args.hosts.have_list();
    if hosts.is_empty() && !for_anybody {
        return Err("name a host, or a file of hosts with --hosts".to_owned());
    }
    Ok(hosts)
}

fn print(args: &Args, hosts: &[Host]) -> io::Result<()> {
    let os = match args.os {
        Some(System::Linux) => Os::Linux,
        Some(System::Macos) => Os::MacOs,
        Some(System::Windows) => Os::Windows,
        None if cfg!(windows) => Os::Windows,
        None => Os::Linux,
    };
    let ssh = args.hosts.ssh().arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let line = Line { os, bytes: args.bytes.into(), sudo: args.sudo, credit: args.credit, ssh };
    let mut out = io::stdout().lock();
    if hosts.is_empty() {
        writeln!(out, "{}", line.text(None))?;
    }
    hosts.iter().try_for_each(|host| writeln!(out, "{}", line.text(Some(host))))?;
    out.flush()
}

/// What became of all.
struct Report<'a> {
    hosts: &'a [Host],
    results: &'a [Pushed],
    ask_sudo: bool,
    took: Duration,
}

/// The JSON form.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    seeded: usize,
    failed: usize,
    seconds: f64,
    hosts: Vec<Entry<'a>>,
    same_boot: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    host: String,
    seconds: f64,
    record: Option<&'a Record>,
    error: Option<Failure>,
}

#[derive(Serialize)]
struct Failure {
    kind: &'static str,
    message: String,
}

impl Report<'_> {
    fn seeded(&self) -> usize {
        self.results.iter().filter(|pushed| pushed.result.is_ok()).count()
    }

    fn status(&self, credit: bool) -> u8 {
        let well = |record: &Record| !credit || record.credit_refused.is_none() && record.credited_bits > 0;
        let well = self.results.iter().filter(|pushed| pushed.result.as_ref().is_ok_and(well)).count();
        match self.seeded() {
            0 => NONE,
            _ if well == self.results.len() => 0,
            _ => SOME,
        }
    }

    /// Names of hosts that answered with one boot ID.
    fn same_boot(&self) -> Vec<Vec<String>> {
        let name = |at: usize| self.hosts.get(at).map(ToString::to_string);
        same_boot(self.results)
            .into_iter()
            .map(|group| group.into_iter().filter_map(name).collect())
            .collect()
    }

    fn show(&self, args: &Args) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if args.json {
            serde_json::to_writer_pretty(&mut out, &self.document())?;
            writeln!(out)?;
        } else if !args.quiet {
            out.write_all(text::write(self, out.is_terminal()).as_bytes())?;
        }
        out.flush()
    }

    fn document(&self) -> Document<'_> {
        let failure = |error: &PushError| Failure { kind: error.kind(), message: error.to_string() };
        let hosts = self.hosts.iter().zip(self.results).map(|(host, pushed)| Entry {
            host: host.to_string(),
            seconds: pushed.took.as_secs_f64(),
            record: pushed.result.as_ref().ok(),
            error: pushed.result.as_ref().err().map(failure),
        });
        Document {
            schema: "weir.seed.push/1",
            seeded: self.seeded(),
            failed: self.results.len() - self.seeded(),
            seconds: self.took.as_secs_f64(),
            hosts: hosts.collect(),
            same_boot: self.same_boot(),
        }
    }
}

/// Whoever closed the pipe has read enough; the status still says what was done.
fn ended(shown: io::Result<()>, status: u8) -> ExitCode {
    match shown {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            ExitCode::from(status.max(SOME))
        }
        _ => ExitCode::from(status),
    }
}

fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "weir: {message}");
}
