//! The judgement: what is shared among machines, servers and files, what that means, and what to do.
//!
//! Pure: evidence in, report out. Everything that is shared by the same machines for the same reason is one finding.

mod ids;
mod keys;
mod moduli;

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Facts;
use super::batch_gcd::Plan;
use super::bundle::Bundle;
use super::key::PublicKey;
use weir_report::Verdict;

use super::report::{Compared, Finding, MachineSummary, Report, SCHEMA, Unseen};
use super::tls::Shown;

/// Everything that was learnt.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Machines, each once.
    pub machines: Vec<Machine>,
    /// Pairs of machines, by their places, of which it could not be found out whether they are one.
    pub undecided: Vec<(usize, usize)>,
    /// Servers of TLS.
    pub servers: Vec<Server>,
    /// Files with keys.
    pub files: Vec<KeyFile>,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Under which names it was given, the first of them to be called by.
    pub names: Vec<String>,
    /// What was learnt, or why nothing.
    pub learnt: Result<Learnt, String>,
}

/// What was learnt of a machine.
#[derive(Debug, Clone)]
pub enum Learnt {
    /// From within.
    Told(Box<Facts>),
    /// From without: host keys alone.
    Scanned(Vec<PublicKey>),
}

/// A server of TLS.
#[derive(Debug, Clone)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Which of the machines it is on, if it was named as one.
    pub machine: Option<usize>,
    /// What it showed, or why nothing.
    pub shown: Result<Shown, String>,
}

/// A file with keys.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// How it was named.
    pub name: String,
    /// What is in it, or why it could not be read.
    pub keys: Result<Bundle, String>,
}

/// Judges. `progress` is told how far the search for common factors is.
#[must_use]
pub fn judge(evidence: &Evidence, plan: Plan, progress: &(dyn Fn(usize, usize) + Sync)) -> Report {
    let mut case = Case { evidence, compared: Vec::new(), findings: Vec::new(), unseen: Vec::new() };
    case.hosts();
    case.ids();
    case.keys();
    case.moduli(plan, progress);
    case.report()
}

/// A judgement under way.
struct Case<'a> {
    evidence: &'a Evidence,
    compared: Vec<Compared>,
    findings: Vec<Finding>,
    unseen: Vec<Unseen>,
}

impl<'a> Case<'a> {
    fn report(mut self) -> Report {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        let gravest = self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
        let has_seen = self.evidence.machines.iter().any(|machine| machine.learnt.is_ok())
            || self.evidence.servers.iter().any(|server| server.shown.is_ok())
            || self
                .evidence
                .files
                .iter()
                .any(|file| file.keys.as_ref().is_ok_and(|keys| !keys.found.is_empty()));
        Report {
            schema: SCHEMA,
            verdict: if has_seen { gravest } else { Verdict::Unknown },
            machines: self.evidence.machines.iter().map(Machine::summary).collect(),
            compared: self.compared,
            findings: self.findings,
            unseen: self.unseen,
        }
    }

    /// Who was looked at, and who is who.
    fn hosts(&mut self) {
        let machines = &self.evidence.machines;
        let mut unreached = Vec::new();
        for machine in machines {
            if let Err(why) = &machine.learnt {
                self.not_seen(machine.name(), "anything", why);
                unreached.push(machine.name().to_owned());
            }
            if let [first, rest @ ..] = machine.names.as_slice()
                && !rest.is_empty()
            {
                let what = format!("{first} and {} are one machine, and count as one.", and(rest));
                let why = "A folder that was made under one name was seen under the others.";
                self.find("hosts.same", Verdict::Note, what, why).machines = vec![first.clone()];
            }
        }
        if !unreached.is_empty() {
            let what = format!("Could not be looked at: {}", and(&unreached));
            let why = "What was not looked at cannot be said to be distinct.";
            self.find("hosts.unreached", Verdict::Warning, what, why).machines = unreached;
        }
        let servers = self.evidence.servers.iter().filter(|server| server.shown.is_err());
        let files = self
            .evidence
            .files
            .iter()
            .filter(|file| file.keys.as_ref().map_or(true, |keys| keys.found.is_empty()));
        let places: Vec<String> =
            servers.map(Server::place).chain(files.map(|file| file.name.clone())).collect();
        if !places.is_empty() {
            let what = format!("No key could be had from {}", and(&places));
            let why = "What was not looked at cannot be said to be distinct.";
            self.find("places.unread", Verdict::Warning, what, why).places = places;
        }
        for &(one, other) in &self.evidence.undecided {
            let names = self.names([one, other]);
            let what = format!(
                "{} are in the same boot: one machine under two names, or a machine and its clone",
                and(&names)
            );
            let why =
                "Neither /dev/shm nor /tmp could be written there, which would have told one from the other.";
            self.find("hosts.undecided", Verdict::Warning, what, why).machines = names;
        }
    }

    fn find(
        &mut self,
        id: &'static str,
        verdict: Verdict,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> &mut Finding {
        let at = self.findings.len();
        self.findings.push(Finding {
            id,
            verdict,
            what: what.into(),
            list: None,
            why: why.into(),
            commands: Vec::new(),
            machines: Vec::new(),
            keys: Vec::new(),
            places: Vec::new(),
        });
        &mut self.findings[at]
    }

    fn not_seen(&mut self, of: &str, what: &'static str, why: impl Into<String>) {
        self.unseen.push(Unseen { of: of.to_owned(), what, why: why.into() });
    }

    /// Notes what was compared. Things of which one at most has any were not compared with anything.
    fn compared(
        &mut self,
        what: &'static str,
        (among, unit): (usize, &'static str),
        values: usize,
        distinct: bool,
    ) {
        if among >= 2 {
            self.compared.push(Compared { what, among, unit, values, distinct });
        }
    }

    fn names(&self, machines: impl IntoIterator<Item = usize>) -> Vec<String> {
        let name = |at: usize| self.evidence.machines.get(at).map(|machine| machine.name().to_owned());
        machines.into_iter().filter_map(name).collect()
    }

    /// Machines that were looked at from within, with their places.
    fn told(&self) -> impl Iterator<Item = (usize, &'a Facts)> + use<'a> {
        let facts = |machine: &'a Machine| match &machine.learnt {
            Ok(Learnt::Told(facts)) => Some(&**facts),
            _ => None,
        };
        self.evidence.machines.iter().enumerate().filter_map(move |(at, machine)| Some((at, facts(machine)?)))
    }
}

impl Server {
    /// As HOST:PORT.
    fn place(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Machine {
    /// What to call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or("?", String::as_str)
    }

    fn host_keys(&self) -> &[PublicKey] {
        match &self.learnt {
            Ok(Learnt::Told(facts)) => &facts.host_keys,
            Ok(Learnt::Scanned(keys)) => keys,
            Err(_) => &[],
        }
    }

    fn summary(&self) -> MachineSummary {
        let facts = match &self.learnt {
            Ok(Learnt::Told(facts)) => Some(facts),
            _ => None,
        };
        MachineSummary {
            names: self.names.clone(),
            reached: self.learnt.is_ok(),
            hostname: facts.and_then(|facts| facts.hostname.clone()),
            kernel: facts.and_then(|facts| facts.kernel.clone()),
            host_keys: self.host_keys().iter().map(PublicKey::fingerprint).collect(),
        }
    }
}

/// Who has what, of things that more than one has: by those who have it, what they have.
fn shared<T: Ord, O: Ord + Clone>(things: impl IntoIterator<Item = (T, O)>) -> BTreeMap<BTreeSet<O>, Vec<T>> {
    let mut owners: BTreeMap<T, BTreeSet<O>> = BTreeMap::new();
    for (thing, owner) in things {
        owners.entry(thing).or_default().insert(owner);
    }
    let mut groups: BTreeMap<BTreeSet<O>, Vec<T>> = BTreeMap::new();
    for (thing, owners) in owners.into_iter().filter(|(_, owners)| owners.len() > 1) {
        groups.entry(owners).or_default().push(thing);
    }
    groups
}

/// `a, b and c`; of many the first ones and how many more.
fn and(names: &[impl AsRef<str>]) -> String {
    const MOST: usize = 12;
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= MOST => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more", names.get(..MOST).unwrap_or_default().join(", "), names.len() - MOST),
    }
}

/// A sentence that ends with a list, and the two apart if there is more than one in it.
fn listed(beginning: String, items: Vec<String>) -> (String, Option<(String, Vec<String>)>) {
    let what = format!("{beginning}: {}", and(&items));
    (what, (items.len() > 1).then_some((beginning, items)))
}

/// `weir seed push` for these machines.
fn push(names: &[String]) -> String {
    let words: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("weir seed push {}", words.join(" "))
}

/// As a word of the shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@.:_-[]%+".contains(c);
    // A bracket begins a pattern, which matches no file but may be an error.
    if word.chars().all(is_plain) && !word.contains('[') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
