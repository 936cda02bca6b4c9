//! What the kernel says about processes and cores.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::{descendants, stat_field};

/// The unit of times in /proc: `USER_HZ`, 100 on every architecture that we run on.
const TICKS_A_SECOND: f64 = 100.0;

/// The CPU time that a process and everything it started have used so far, user and system, in seconds.
pub(super) fn cpu_seconds(root: u32) -> f64 {
    let mut ticks = 0;
    for pid in descendants(root) {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // 14 to 17 of proc(5): its own user and system time, and that of the children it has waited for.
        ticks += (14..=17).filter_map(|field| stat_field(&stat, field)).sum::<u64>();
    }
    ticks as f64 / TICKS_A_SECOND
}

/// The CPU time that this process, and the children that it has waited for, have used so far, in seconds.
pub(super) fn own_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    (14..=17).filter_map(|field| stat_field(&stat, field)).sum::<u64>() as f64 / TICKS_A_SECOND
}

/// Memory of a process and everything it started, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Resident: pages that processes share count in each of them.
    pub(super) rss_mib: f64,
    /// Proportional: a page shared by n processes counts 1/n in each.
    pub(super) pss_mib: f64,
}

/// How much memory a process and everything it started hold now.
pub(super) fn memory(root: u32) -> Memory {
    let mut memory = Memory::default();
    for pid in descendants(root) {
        let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
        memory.rss_mib += kib_field(&rollup, "Rss:") / 1024.0;
        memory.pss_mib += kib_field(&rollup, "Pss:") / 1024.0;
    }
    memory
}

fn kib_field(rollup: &str, name: &str) -> f64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// What a core has done since the machine started, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Core {
    /// Anything but idling.
    pub(super) busy: f64,
    /// Time in which it would have run, had the host not run something else.
    pub(super) stolen: f64,
}

/// What a core has done so far.
pub(super) fn core(number: usize) -> Result<Core> {
    let stat = fs::read_to_string(Path::new("/proc/stat"))?;
    parse_core(&stat, number).with_context(|| format!("this machine has no core {number}"))
}

fn parse_core(stat: &str, number: usize) -> Option<Core> {
    let name = format!("cpu{number}");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '))?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
    let busy = user + nice + system + irq + softirq;
    Some(Core { busy: busy / TICKS_A_SECOND, stolen: steal / TICKS_A_SECOND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_told_apart() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 100 0 200 999 5 0 50 25 0 0\ncpu10 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_core(stat, 1), Some(Core { busy: 3.5, stolen: 0.25 }));
        assert_eq!(parse_core(stat, 2), None);
    }

    #[test]
    fn this_very_process_has_used_time_and_memory() {
        let id = std::process::id();
        assert!(memory(id).rss_mib > 0.5 && memory(id).pss_mib > 0.1);
        while cpu_seconds(id) == 0.0 {
            std::hint::spin_loop();
        }
    }
}
