//! Which processes feed the generator and which wait for it.
//!
//! A process waits for randomness if the kernel function that it sleeps in is one of the generator's. The kernel names that
//! function only to those who may trace the process, so an unprivileged look sees its own processes alone; how many
//! were hidden is part of the answer.

use super::root::{Fact, Root, Unknown};

/// Looked at for each process; the rest of its threads goes unseen.
const MAX_THREADS: usize = 256;

/// Programs that feed the kernel's generator, by the name that the kernel keeps (15 bytes).
const DAEMONS: &[(&str, Daemon)] = &[
    ("haveged", Daemon::Haveged),
    ("rngd", Daemon::Rngd),
    ("jitterentropy-r", Daemon::Jitterentropy),
    ("jitterentropy-rn", Daemon::Jitterentropy),
    ("weir-feed", Daemon::WeirFeed),
    ("egd.pl", Daemon::Egd),
    ("ekeyd", Daemon::Egd),
    ("ekeyd-egd-linux", Daemon::Egd),
];

/// Where the kernel puts who waits, from Linux 3.17 to 6.18.
const WAITS: &[&str] = &[
    "wait_for_random_bytes",
    "try_to_generate_entropy",
    "random_read",
    "_random_read",
    "random_read_iter",
    "extract_entropy_user",
    "sys_getrandom",
    "__do_sys_getrandom",
    "__x64_sys_getrandom",
    "__arm64_sys_getrandom",
];

/// A program that feeds the kernel's generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Daemon {
    /// haveged.
    Haveged,
    /// rngd of rng-tools.
    Rngd,
    /// jitterentropy-rngd.
    Jitterentropy,
    /// weir-feed.
    WeirFeed,
    /// A hardware key's or an entropy gathering daemon's client.
    Egd,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name: 15 bytes at most, chosen by itself.
    pub name: String,
}

/// What the process table says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// Feeders that run.
    pub daemons: Vec<(Daemon, Process)>,
    /// Processes that wait for randomness, each with the kernel function that it sleeps in.
    pub waiting: Vec<(Process, String)>,
    /// Processes whose wait could not be seen.
    pub hidden: usize,
}

impl Processes {
    /// Whether a process of this number runs that is such a daemon.
    #[must_use]
    pub fn is_running(root: &Root, daemon: Daemon, pid: u32) -> bool {
        let name = root.line(&format!("/proc/{pid}/comm"));
        let known = name.is_ok_and(|name| DAEMONS.contains(&(name.as_str(), daemon)));
        known && !is_over(root, pid)
    }

    pub(super) fn read(root: &Root) -> Fact<Self> {
        let mut found = Self::default();
        let pids: Vec<u32> = root.list("/proc")?.iter().filter_map(|name| name.parse().ok()).collect();
        if pids.is_empty() {
            // A host without processes is one that was looked at without its /proc.
            return Err(Unknown::Absent);
        }
        pids.into_iter().for_each(|pid| found.look_at(root, pid));
        Ok(found)
    }

    fn look_at(&mut self, root: &Root, pid: u32) {
        let Ok(name) = root.line(&format!("/proc/{pid}/comm")) else { return };
        if is_over(root, pid) {
            return;
        }
        let process = || Process { pid, name: name.chars().filter(|c| !c.is_control()).take(15).collect() };
        if let Some((_, daemon)) = DAEMONS.iter().find(|(known, _)| *known == name) {
            self.daemons.push((*daemon, process()));
        }
        match wait(root, pid) {
            Wait::Randomness(function) => self.waiting.push((process(), function)),
            Wait::Hidden => self.hidden += 1,
            Wait::Other => {}
        }
    }
}

enum Wait {
    Randomness(String),
    Other,
    Hidden,
}

/// What a process's threads sleep in.
fn wait(root: &Root, pid: u32) -> Wait {
    let threads = root.list(&format!("/proc/{pid}/task")).unwrap_or_default();
    let main = std::iter::once(format!("/proc/{pid}"));
    let others = threads.iter().take(MAX_THREADS).filter(|thread| thread.parse() != Ok(pid));
    for thread in main.chain(others.map(|thread| format!("/proc/{pid}/task/{thread}"))) {
        let Ok(function) = root.line(&format!("{thread}/wchan")) else { continue };
        // The compiler marks parts and clones of functions after a dot.
        let plain = function.split('.').next().unwrap_or_default();
        if WAITS.contains(&plain) {
            return Wait::Randomness(plain.to_owned());
        }
    }
    // Who may not trace a process is told "0" for every wait, and may not read this file. Kernel threads do not count.
    let traceable = root.bytes(&format!("/proc/{pid}/syscall"), 1) != Err(Unknown::Denied);
    if traceable || is_kernel_thread(root, pid) { Wait::Other } else { Wait::Hidden }
}

/// By the flag PF_KTHREAD, the seventh field after the name in parentheses.
fn is_kernel_thread(root: &Root, pid: u32) -> bool {
    const PF_KTHREAD: u64 = 0x0020_0000;
    let flags = stat_field(root, pid, 6).and_then(|field| field.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

/// Whether it has ended, and is listed only until its parent looks: the first field after the name.
fn is_over(root: &Root, pid: u32) -> bool {
    stat_field(root, pid, 0).is_some_and(|state| state == "Z" || state == "X")
}

/// A field of the process's status, counted from the one after its name, which may hold anything.
fn stat_field(root: &Root, pid: u32, number: usize) -> Option<String> {
    let stat = root.line(&format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number).map(str::to_owned)
}
