//! The looking: many hosts at once, then those again that may be one, then TLS.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::answer::{self, Facts, Hash};
use super::judge::{Evidence, KeyFile, Learnt, Machine, Server};
use super::{same, scan, tls};
use crate::ssh::{Host, Ssh, each};

/// What is to be looked at, and how.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Hosts.
    pub hosts: Vec<Host>,
    /// How to reach them.
    pub ssh: Ssh,
    /// How many at a time.
    pub at_once: usize,
    /// Do not log in: only host keys are looked at, with this program.
    pub scan: Option<OsString>,
    /// Servers of TLS: name and port.
    pub tls: Vec<(String, u16)>,
    /// A port of every host to look for TLS at.
    pub tls_port: Option<u16>,
    /// How long a TLS handshake may take.
    pub tls_limit: Duration,
    /// Files with keys, read by the caller.
    pub files: Vec<KeyFile>,
}

/// What is being done, for whoever waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// So many of so many hosts have answered.
    Hosts(usize, usize),
    /// Hosts that may be one are being told apart.
    TellingApart,
    /// So many of so many servers have answered.
    Servers(usize, usize),
}

/// Looks.
#[must_use]
pub fn survey(ask: Ask, tell: &mut dyn FnMut(Doing)) -> Evidence {
    let (hosts, names) = once_each(&ask.hosts, ask.scan.is_some());
    let mut done = 0;
    let learnt = each(
        &hosts,
        ask.at_once,
        |host| learn(&ask, host),
        |_, _| {
            done += 1;
            tell(Doing::Hosts(done, hosts.len()));
        },
    );
    let mut found = Grouped::of_each(&learnt);
    tell_apart(&ask, &hosts, &learnt, &mut found, tell);
    let servers = servers(&ask, &hosts, &found, tell);
    let machines = found.machines(names, learnt);
    Evidence { machines, undecided: found.undecided, servers, files: ask.files }
}

/// Every host once. From without it is the same whichever user it is named with.
fn once_each(all: &[Host], from_without: bool) -> (Vec<Host>, Vec<Vec<String>>) {
    let mut hosts: Vec<Host> = Vec::new();
    for host in all {
        let is_same = |other: &Host| match from_without {
            true => other.name() == host.name() && other.port().unwrap_or(22) == host.port().unwrap_or(22),
            false => other == host,
        };
        if !hosts.iter().any(is_same) {
            hosts.push(host.clone());
        }
    }
    let names = hosts.iter().map(|host| vec![host.to_string()]).collect();
    (hosts, names)
}

fn learn(ask: &Ask, host: &Host) -> Result<Learnt, String> {
    if let Some(program) = &ask.scan {
        return scan::scan(program, &ask.ssh, host).map(Learnt::Scanned);
    }
    let answer = ask.ssh.run(host, "/bin/sh -s", answer::SCRIPT.as_bytes(), answer::MOST_BYTES);
    let answer = answer.map_err(|error| error.to_string())?;
    match answer::parse(&answer.output) {
        Ok(facts) => Ok(Learnt::Told(Box::new(facts))),
        Err(why) if answer.message.is_empty() => Err(why.to_string()),
        Err(why) => Err(format!("{why} ({})", answer.message)),
    }
}

/// Which hosts are one machine.
struct Grouped {
    /// For each host the first one of its machine.
    first: Vec<usize>,
    /// Pairs of machines that may be one.
    undecided: Vec<(usize, usize)>,
}

impl Grouped {
    fn of_each(learnt: &[Result<Learnt, String>]) -> Self {
        Self { first: (0..learnt.len()).collect(), undecided: Vec::new() }
    }

    /// The machine of a host, in the order of machines.
    fn machine(&self, host: usize) -> Option<usize> {
        let first = *self.first.get(host)?;
        Some(self.first.iter().enumerate().take(first).filter(|(at, first)| at == *first).count())
    }

    fn machines(&self, names: Vec<Vec<String>>, learnt: Vec<Result<Learnt, String>>) -> Vec<Machine> {
        let mut machines: Vec<Machine> = Vec::new();
        for (host, (names, learnt)) in names.into_iter().zip(learnt).enumerate() {
            match self.machine(host).and_then(|at| machines.get_mut(at)) {
                Some(machine) => machine.add(names, learnt),
                None => machines.push(Machine { names, learnt }),
            }
        }
        machines
    }
}

impl Machine {
    /// Another answer of the same machine. Draws are another matter each time: all of them are compared.
    fn add(&mut self, names: Vec<String>, learnt: Result<Learnt, String>) {
        self.names.extend(names);
        if let (Ok(Learnt::Told(one)), Ok(Learnt::Told(other))) = (&mut self.learnt, learnt) {
            one.draws.extend(other.draws);
        }
    }
}

fn facts(learnt: &Result<Learnt, String>) -> Option<&Facts> {
    match learnt {
        Ok(Learnt::Told(facts)) => Some(facts),
        _ => None,
    }
}

/// Hosts in the same boot are one, or clones of one another.
fn tell_apart(
    ask: &Ask,
    hosts: &[Host],
    learnt: &[Result<Learnt, String>],
    found: &mut Grouped,
    tell: &mut dyn FnMut(Doing),
) {
    let mut boots: BTreeMap<Hash, Vec<usize>> = BTreeMap::new();
    for (at, facts) in learnt.iter().enumerate().filter_map(|(at, learnt)| Some((at, facts(learnt)?))) {
        if let Some(boot) = facts.boot_id.hash() {
            boots.entry(*boot).or_default().push(at);
        }
    }
    let mut open = Vec::new();
    for group in boots.into_values().filter(|group| group.len() > 1) {
        tell(Doing::TellingApart);
        let asked: Vec<&Host> = group.iter().filter_map(|at| hosts.get(*at)).collect();
        let seen = same::look(&ask.ssh, ask.at_once, &asked);
        for (place, &host) in group.iter().enumerate() {
            for (before, &other) in group.iter().enumerate().take(place) {
                match seen.as_ref().and_then(|seen| seen.are_one(before, place)) {
                    Some(true) => found.join(other, host),
                    Some(false) => (),
                    None => open.push((other, host)),
                }
            }
        }
    }
    for (one, other) in open {
        if let (Some(one), Some(other)) = (found.machine(one), found.machine(other))
            && one != other
            && !found.undecided.contains(&(one, other))
        {
            found.undecided.push((one, other));
        }
    }
}

impl Grouped {
    fn join(&mut self, one: usize, other: usize) {
        let (Some(&one), Some(&other)) = (self.first.get(one), self.first.get(other)) else { return };
        let (first, later) = (one.min(other), one.max(other));
        self.first.iter_mut().filter(|at| **at == later).for_each(|at| *at = first);
    }
}

fn servers(ask: &Ask, hosts: &[Host], found: &Grouped, tell: &mut dyn FnMut(Doing)) -> Vec<Server> {
    // TLS knows nothing of ssh's aliases.
    let real: Vec<String> = match ask.tls_port {
        Some(_) => each(hosts, ask.at_once, |host| ask.ssh.real_name(host), |_, _| ()),
        None => hosts.iter().map(|host| host.name().to_owned()).collect(),
    };
    let on_hosts = real.iter().filter_map(|name| Some((name.clone(), ask.tls_port?)));
    let mut places: Vec<(String, u16)> = Vec::new();
    for place in on_hosts.chain(ask.tls.iter().cloned()) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut done = 0;
    let shown = each(
        &places,
        ask.at_once,
        |(host, port)| tls::look(host, *port, ask.tls_limit),
        |_, _| {
            done += 1;
            tell(Doing::Servers(done, places.len()));
        },
    );
    let machine = |name: &str| {
        let is_so = |at: &usize| {
            hosts.get(*at).is_some_and(|host| host.name() == name)
                || real.get(*at).is_some_and(|real| real == name)
        };
        let mut named = (0..hosts.len()).filter(is_so);
        let first = named.next().and_then(|at| found.machine(at))?;
        // A name with several ports of ssh behind it is no name of a machine.
        named.all(|at| found.machine(at) == Some(first)).then_some(first)
    };
    let server =
        |((host, port), shown): ((String, u16), _)| Server { machine: machine(&host), host, port, shown };
    places.into_iter().zip(shown).map(server).collect()
}
