//! The kernel's own account: its version, its pool, its command line, its clocks.

use std::time::Duration;

use super::root::{Fact, Root, Unknown};
use crate::clock;

/// How the kernel counts entropy. Told by the pool's size, because distributions backported the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounting {
    /// To 256 bits, where it stays for ever: 256 is full (Linux 5.18, 5.10.119, 5.15.44 and later).
    Full256,
    /// An estimate up to 4096 bits that goes down with use.
    Estimate4096,
}

/// The generator's files in /proc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntropyPool {
    /// How it counts.
    pub accounting: Fact<Accounting>,
    /// The pool's size in bits.
    pub size_bits: Fact<u64>,
    /// What it says it holds, in bits.
    pub available_bits: Fact<u64>,
    /// Below this estimate feeders are woken, in bits. Without effect on new kernels.
    pub write_wakeup_bits: Fact<u64>,
    /// Above this estimate blocked readers of /dev/random are woken, in bits. Only on kernels before 5.6.
    pub read_wakeup_bits: Fact<u64>,
}

impl EntropyPool {
    /// Reads them.
    #[must_use]
    pub fn read(root: &Root) -> Self {
        let number = |name: &str| root.number(&format!("/proc/sys/kernel/random/{name}"));
        let size_bits = number("poolsize");
        let accounting = size_bits.clone().and_then(|bits| match bits {
            256 => Ok(Accounting::Full256),
            4096 => Ok(Accounting::Estimate4096),
            _ => Err(Unknown::Malformed("a pool size that no kernel has")),
        });
        Self {
            accounting,
            size_bits,
            available_bits: number("entropy_avail"),
            write_wakeup_bits: number("write_wakeup_threshold"),
            read_wakeup_bits: number("read_wakeup_threshold"),
        }
    }
}

/// Which kernel this is and since when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` gives it. For people; nothing is concluded from it.
    pub release: Fact<String>,
    /// /proc/version: who built it, and how.
    pub version: Fact<String>,
    /// The host name.
    pub hostname: Fact<String>,
    /// Made anew at each boot. Clones of one snapshot share it.
    pub boot_id: Fact<String>,
    /// Since the boot.
    pub uptime: Fact<Duration>,
    /// The moment of the boot in seconds since 1970, by today's clock.
    pub booted: Fact<i64>,
    /// The present moment in seconds since 1970. In a recorded tree: when it was recorded.
    pub now: Fact<i64>,
    /// What the boot loader told the kernel about trust.
    pub trust: Fact<Trust>,
}

/// The kernel's command line, as far as randomness goes. `None`: not said, the kernel's default holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trust {
    /// `random.trust_cpu`: whether the CPU's generator alone may make the kernel ready.
    pub cpu: Option<bool>,
    /// `random.trust_bootloader`: whether a seed from firmware or boot loader may.
    pub bootloader: Option<bool>,
    /// `nordrand`: the CPU's instruction is not to be used at all (before Linux 6.0).
    pub no_rdrand: bool,
}

impl Trust {
    fn parse(command_line: &str) -> Self {
        let mut trust = Self::default();
        // What follows `--` is for init.
        for word in command_line.split_ascii_whitespace().take_while(|word| *word != "--") {
            match word.split_once('=') {
                Some(("random.trust_cpu", value)) => trust.cpu = truth(value).or(trust.cpu),
                Some(("random.trust_bootloader", value)) => {
                    trust.bootloader = truth(value).or(trust.bootloader);
                }
                None if word == "nordrand" => trust.no_rdrand = true,
                _ => {}
            }
        }
        trust
    }
}

/// What the kernel's kstrtobool takes for yes and no.
fn truth(value: &str) -> Option<bool> {
    match value.get(..1)?.to_ascii_lowercase().as_str() {
        "1" | "y" | "t" => Some(true),
        "0" | "n" | "f" => Some(false),
        "o" => match value.get(1..2)?.to_ascii_lowercase().as_str() {
            "n" => Some(true),
            "f" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

impl Kernel {
    pub(super) fn read(root: &Root) -> Self {
        let (uptime, booted, now) = clocks(root);
        Self {
            release: root.line("/proc/sys/kernel/osrelease"),
            version: root.line("/proc/version"),
            hostname: root.line("/proc/sys/kernel/hostname"),
            boot_id: root.line("/proc/sys/kernel/random/boot_id"),
            uptime,
            booted,
            now,
            trust: root.line("/proc/cmdline").map(|line| Trust::parse(&line)),
        }
    }
}

/// Time since the boot, the moment of the boot, and the present moment.
fn clocks(root: &Root) -> (Fact<Duration>, Fact<i64>, Fact<i64>) {
    if root.is_live() {
        // From the kernel's clocks and not from files, because containers are shown the container's uptime there.
        let (uptime, now) = (clock::since_boot(), clock::unix_seconds());
        return (Ok(uptime), Ok(now.saturating_sub_unsigned(uptime.as_secs())), Ok(now));
    }
    let uptime = root.line("/proc/uptime").and_then(|line| uptime(&line));
    let booted = root.text("/proc/stat").and_then(|stat| boot_time(&stat));
    let now = match (&booted, &uptime) {
        (Ok(booted), Ok(uptime)) => Ok(booted.saturating_add_unsigned(uptime.as_secs())),
        (Err(why), _) | (_, Err(why)) => Err(why.clone()),
    };
    (uptime, booted, now)
}

/// The first field of /proc/uptime: seconds with two decimals.
fn uptime(line: &str) -> Fact<Duration> {
    let malformed = Unknown::Malformed("no uptime");
    let seconds: f64 =
        line.split(' ').next().and_then(|field| field.parse().ok()).ok_or(malformed.clone())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| malformed)
}

/// The line `btime` of /proc/stat.
fn boot_time(stat: &str) -> Fact<i64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|value| value.trim().parse().ok()).ok_or(Unknown::Malformed("no time of boot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_what_the_kernel_would_understand() {
        let trust = |line| Trust::parse(line);
        assert_eq!(
            trust("quiet random.trust_cpu=on random.trust_bootloader=0"),
            Trust { cpu: Some(true), bootloader: Some(false), no_rdrand: false }
        );
        assert_eq!(trust("random.trust_cpu=off random.trust_cpu=Y").cpu, Some(true));
        assert_eq!(trust("random.trust_cpu=maybe random.trust_cpu").cpu, None);
        assert_eq!(trust("-- random.trust_cpu=1 nordrand"), Trust::default());
        assert!(trust("nordrand").no_rdrand);
    }

    #[test]
    fn uptime_and_boot_time_are_bounded() {
        assert_eq!(uptime("12.50 3.00"), Ok(Duration::from_millis(12_500)));
        for bad in ["", "x", "-1", "inf", "NaN", "1e300"] {
            assert!(uptime(bad).is_err(), "{bad}");
        }
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Ok(1_700_000_000));
        assert!(boot_time("cpu 1 2").is_err());
    }
}
