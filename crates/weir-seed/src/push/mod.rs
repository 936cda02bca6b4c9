//! The sending end: a fresh seed for each host, over the system's ssh, in one round trip.
//!
//! The seed goes by standard input. What runs on the host is `weir seed receive` where Weir is installed there, else a line
//! of `sh` that does as much of it as `sh` can ([`Ask`]). Either answers with a [`Record`], and a seed has arrived only
//! when the record says that all of its bytes did.
//!
//! Absent on purpose: any kind of transport of our own; retries, which are for whoever reads the result.

mod command;
mod hosts;
pub mod print;

use std::time::{Duration, Instant};

use crate::record::{self, Record, RecordError};
use crate::ssh::{self, Answer, Host, Ssh, SshError};
use crate::{Seed, SeedError};

pub use command::{Ask, RemotePath, RemotePathError};
pub use hosts::{HostsError, parse_hosts};

/// How to bring seeds.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// How to reach hosts.
    pub ssh: Ssh,
    /// What to ask of them.
    pub ask: Ask,
    /// The length of a seed.
    pub bytes: usize,
    /// How many hosts at a time.
    pub at_once: usize,
}

/// What became of one host.
#[derive(Debug)]
pub struct Pushed {
    /// What it answered, or why it has no seed as far as we know.
    pub result: Result<Record, PushError>,
    /// How long it took.
    pub took: Duration,
}

/// Why a host has no seed as far as we know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// There was none to send.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The host was not reached, or did not answer.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// It was reached, and nothing there could take the seed.
    #[error("status {status} and no record{}", said(message))]
    Refused {
        /// The exit status.
        status: i32,
        /// What it said.
        message: String,
    },
    /// It answered something else than a record.
    #[error("{0}")]
    Record(RecordError),
    /// Other than all bytes arrived.
    #[error("{arrived} bytes arrived, and {sent} were sent")]
    Incomplete {
        /// How many there were.
        sent: usize,
        /// How many the host counted.
        arrived: u32,
    },
}

impl PushError {
    /// Which error it is, for programs; stable.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Seed(_) => "seed",
            Self::Ssh(SshError::Start { .. }) => "start",
            Self::Ssh(SshError::Late(_)) => "late",
            Self::Ssh(_) => "ssh",
            Self::Refused { .. } => "refused",
            Self::Record(_) => "record",
            Self::Incomplete { .. } => "incomplete",
        }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Push {
    /// Brings a fresh seed to each host, and calls `done` as each has answered, with its place in the list. Results come in
    /// the order of hosts.
    pub fn run(&self, hosts: &[Host], done: impl FnMut(usize, &Pushed)) -> Vec<Pushed> {
        let command = self.ask.command();
        let one = |host: &Host| {
            let start = Instant::now();
            Pushed { result: self.one(host, &command), took: start.elapsed() }
        };
        ssh::each(hosts, self.at_once, one, done)
    }

    fn one(&self, host: &Host, command: &str) -> Result<Record, PushError> {
        let seed = Seed::draw_of(self.bytes)?;
        let answer = self.ssh.run(host, command, seed.expose(), record::MAX_BYTES)?;
        let record = read(&answer)?;
        if usize::try_from(record.bytes) != Ok(self.bytes) {
            return Err(PushError::Incomplete { sent: self.bytes, arrived: record.bytes });
        }
        Ok(record)
    }
}

/// The record in an answer. One that ends in failure and has a record is judged by the record.
fn read(answer: &Answer) -> Result<Record, PushError> {
    match Record::parse(&answer.output) {
        Err(RecordError::Absent) => {
            let said = first_line(&answer.output);
            let answered = !said.is_empty() && (answer.status == 0 || answer.message.is_empty());
            let message = if answered { format!("it answered \"{said}\"") } else { answer.message.clone() };
            Err(PushError::Refused { status: answer.status, message })
        }
        other => other.map_err(PushError::Record),
    }
}

/// The first line with anything in it, as far as that can be printed: 100 characters at most.
fn first_line(output: &[u8]) -> String {
    let mut lines = output.split(|byte| *byte == b'\n').map(|line| {
        let printable = line.iter().filter(|byte| **byte == b' ' || byte.is_ascii_graphic());
        printable.map(|byte| char::from(*byte)).take(100).collect::<String>().trim().to_owned()
    });
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// Places of those results whose hosts answered with one boot ID: the same machine by several names, or clones of it.
/// Each group has two places at least.
#[must_use]
pub fn same_boot(results: &[Pushed]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, pushed) in results.iter().enumerate() {
        let Some(id) = pushed.result.as_ref().ok().and_then(|record| record.boot_id.as_deref()) else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == id) {
            Some((_, places)) => places.push(at),
            None => groups.push((id, vec![at])),
        }
    }
    groups.into_iter().map(|(_, places)| places).filter(|places| places.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(boot_id: Option<&str>) -> Pushed {
        let record = Record { boot_id: boot_id.map(str::to_owned), ..Record::default() };
        Pushed { result: Ok(record), took: Duration::ZERO }
    }

    #[test]
    fn machines_that_answer_with_one_boot_are_told() {
        let failed = Pushed { result: Err(PushError::Record(RecordError::Torn)), took: Duration::ZERO };
        let results =
            [pushed(Some("a")), pushed(None), pushed(Some("b")), failed, pushed(Some("a")), pushed(None)];
        assert_eq!(same_boot(&results), [[0, 4]]);
    }
}
