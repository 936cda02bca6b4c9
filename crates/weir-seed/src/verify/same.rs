//! Whether two names lead to one machine, or to two that say the same of themselves.
//!
//! A machine that is listed twice and two that were restored from one snapshot of memory look alike: the same boot, the same
//! uptime, the same keys. What tells them apart is made after they parted: each host is given a name that was drawn for it just
//! now, as an empty folder in /dev/shm or /tmp, and each is asked which of the names it sees. Then the folders are removed.
//! This is the one thing that is ever changed on a host, for a moment, and only on those that share a boot id.

use std::collections::BTreeSet;

use crate::ssh::{Host, Ssh, each};

/// What was seen from where.
pub(super) struct Seen {
    /// Of each host whether its folder was made.
    placed: Vec<bool>,
    /// Of each host whose folders it sees, or that it could not be asked.
    sees: Vec<Option<BTreeSet<usize>>>,
}

impl Seen {
    /// Whether two hosts are one machine, if that could be found out.
    pub(super) fn are_one(&self, one: usize, other: usize) -> Option<bool> {
        self.sees_from(one, other).or_else(|| self.sees_from(other, one))
    }

    fn sees_from(&self, one: usize, other: usize) -> Option<bool> {
        let placed = self.placed.get(one).copied().unwrap_or_default();
        let sees = self.sees.get(other)?.as_ref()?;
        placed.then(|| sees.contains(&one))
    }
}

/// More than the answers have: a line for each of the hosts.
const BYTES_PER_HOST: usize = 256;

/// Asks these hosts, which share a boot id. `None` where no names could be drawn.
pub(super) fn look(ssh: &Ssh, at_once: usize, hosts: &[&Host]) -> Option<Seen> {
    let names: Option<Vec<String>> = hosts.iter().map(|_| name()).collect();
    let names = names?;
    let asked: Vec<(&Host, &str)> = hosts.iter().copied().zip(names.iter().map(String::as_str)).collect();
    let most = 4096 + hosts.len() * BYTES_PER_HOST;
    let ask = |host: &Host, script: &str| {
        ssh.run(host, "/bin/sh -s", script.as_bytes(), most).ok().map(|answer| lines(&answer.output))
    };
    let place = |&(host, name): &(&Host, &str)| {
        ask(host, &script(&format!("place {name}")))
            .is_some_and(|lines| lines.iter().any(|line| line == name))
    };
    let placed = each(&asked, at_once, place, |_, _| ());
    let look = script(&format!("look {}", names.join(" ")));
    let sees = |&(host, own): &(&Host, &str)| {
        let lines = ask(host, &look)?;
        let seen: BTreeSet<usize> =
            names.iter().enumerate().filter(|(_, name)| lines.contains(name)).map(|(at, _)| at).collect();
        // One that does not even see its own lies, or its folder went to another place meanwhile.
        let own = names.iter().position(|name| name == own)?;
        (seen.contains(&own) || placed.get(own) == Some(&false)).then_some(seen)
    };
    let sees = each(&asked, at_once, sees, |_, _| ());
    each(&asked, at_once, |&(host, name)| ask(host, &script(&format!("remove {name}"))), |_, _| ());
    Some(Seen { placed, sees })
}

/// A name that no machine had when it was cloned.
fn name() -> Option<String> {
    weir_mint::Uuid::v4().ok().map(|name| name.to_string())
}

fn script(command: &str) -> String {
    const FUNCTIONS: &str = "\
root=${WEIR_VERIFY_ROOT-}
place() {
    for folder in \"$root/dev/shm\" \"$root/tmp\"; do
        mkdir -m 700 \"$folder/weir-verify-$1\" && echo \"$1\" && return
    done
}
look() {
    for name do
        for folder in \"$root/dev/shm\" \"$root/tmp\"; do
            [ -d \"$folder/weir-verify-$name\" ] && echo \"$name\"
        done
    done
}
remove() { rmdir \"$root/dev/shm/weir-verify-$1\" \"$root/tmp/weir-verify-$1\"; }
";
    format!("{FUNCTIONS}{command} 2>/dev/null\n")
}

fn lines(output: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(output).lines().map(|line| line.trim().to_owned()).collect()
}
