//! `weir-feed`: makes a kernel's random number generator ready, keeps it fed, and notices when the machine was cloned.
//!
//! A small daemon that replaces haveged, rngd and jitterentropy-rngd: one thread, one poll, nothing asynchronous.
//! `weir-entropy` gathers, tests and reckons what is earned; here it is decided when, and the kernel is told.

mod daemon;
mod feeder;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod hooks;
mod kernel;
mod log;
mod notify;
mod options;
mod privilege;
mod publish;
mod report;
mod seed_file;
mod useful;
mod wake;
mod word;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use weir_kernel::host::{Daemon, FeedStatus, Processes, Root, published};

use crate::options::{Command, Options};

/// Why the program ends without having done what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The kernel does not let this process do it.
    NoRight(String),
    /// Anything else.
    Failed(String),
    /// Nobody to ask.
    NoDaemon(String),
}

/// As other daemons and test harnesses say "not possible here".
const NO_RIGHT: u8 = 77;
const USAGE: u8 = 2;
const NO_DAEMON: u8 = 3;

/// Does what the command line of this process asks for, and says how it went.
#[must_use]
pub fn run() -> ExitCode {
    let options = match Options::parse(std::env::args_os(), |name| std::env::var_os(name)) {
        Ok(options) => options,
        Err(why) => {
            let _ = writeln!(io::stderr(), "weir-feed: {why}");
            return ExitCode::from(USAGE);
        }
    };
    log::limit(options.level);
    let done = match options.command {
        Command::Help => print(&options::help()),
        Command::Version => print(concat!("weir-feed ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Status => status(&options),
        Command::RunHooks => run_hooks(&options),
        Command::Once => daemon::once(options),
        Command::Run => daemon::run(options),
    };
    let (why, code) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::NoRight(why)) => (why, NO_RIGHT),
        Err(Failure::Failed(why)) => (why, 1),
        Err(Failure::NoDaemon(why)) => (why, NO_DAEMON),
    };
    log::error!("{why}");
    ExitCode::from(code)
}

/// Whoever closed the pipe has read enough.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn status(options: &Options) -> Result<(), Failure> {
    let path = options.run_dir.join("status");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::NoDaemon(format!("no daemon has run here: {}: {error}", path.display())))?;
    let status = FeedStatus::parse(&text)
        .ok_or_else(|| Failure::Failed(format!("{} is no status of weir-feed", path.display())))?;
    let running = Processes::is_running(&Root::live(), Daemon::WeirFeed, status.pid);
    let runs = status.phase != "ended" && running;
    print(&if options.json {
        format!("{:#}\n", report::json(&status, runs))
    } else {
        report::text(&status, runs, weir_kernel::clock::unix_seconds())
    })?;
    if runs { Ok(()) } else { Err(Failure::NoDaemon("no daemon runs".to_owned())) }
}

fn run_hooks(options: &Options) -> Result<(), Failure> {
    let run_dir = &options.run_dir;
    let hooks = options.hooks.clone().unwrap_or_else(|| PathBuf::from("/etc/weir/clone.d"));
    let mut generation = generation(run_dir)?;
    let mut failed = 0;
    loop {
        let done = hooks::run_once(&hooks, &run_dir.join("hooks-done"), generation, &signal(run_dir));
        failed += done.map_err(|error| Failure::Failed(format!("{}: {error}", hooks.display())))?;
        // The machine may have been cloned while its hooks ran.
        match self::generation(run_dir)? {
            next if next == generation => break,
            next => generation = next,
        }
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Failed(format!("{failed} hooks failed"))) }
}

/// The published number.
fn generation(run_dir: &Path) -> Result<u64, Failure> {
    let path = run_dir.join("generation");
    let number = std::fs::read(&path).ok().and_then(|bytes| published::parse(&bytes));
    number.ok_or_else(|| Failure::NoDaemon(format!("{} says no generation", path.display())))
}

/// By what the daemon learned of the clone.
fn signal(run_dir: &Path) -> String {
    let said = std::env::var("WEIR_CLONE_SIGNAL").ok();
    let status =
        || std::fs::read_to_string(run_dir.join("status")).ok().and_then(|text| FeedStatus::parse(&text));
    said.or_else(|| Some(status()?.cloned?.why)).unwrap_or_default()
}
