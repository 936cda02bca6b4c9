//! What the kernel log says about randomness, line by line. Pure: text in, facts out.
//!
//! Three forms of line are understood: records of /dev/kmsg (`5,0,0,-;text`), syslog(2)'s (`<5>[    0.000000] text`) and
//! dmesg's (`[    0.000000] text`). Where a line says its facility, only the kernel's own (0) counts: any root process
//! may write to the log. Program names in it are chosen by whoever started the program, so they are cleaned and bounded.

use std::time::Duration;

/// The most programs of which early reads are kept by name.
const MAX_PROGRAMS: usize = 32;
/// The most forks and resumptions of which the moment is kept.
const MAX_EVENTS: usize = 1024;

/// A program that read from the generator before it was ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyReader {
    /// Its name as the kernel knows it: 15 bytes at most, not to be trusted.
    pub program: String,
    /// How many of its reads the log holds. The kernel leaves out most of a series.
    pub reads: u64,
    /// The bytes of those reads.
    pub bytes: u64,
    /// When the first was, after boot.
    pub first: Option<Duration>,
}

/// How the generator became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyBy {
    /// Enough entropy had been gathered, whatever it came from.
    Entropy,
    /// The CPU's generator was trusted at boot (old kernels say so).
    TrustedCpu,
}

/// The facts in a kernel log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// Whether it reaches back to the boot, so that what it does not say did not happen.
    pub from_boot: bool,
    /// When the generator became ready, after boot, and how. The time is missing where the log has none.
    pub ready: Option<(Option<Duration>, ReadyBy)>,
    /// Forks of this virtual machine that the kernel noticed.
    pub forks: Vec<Option<Duration>>,
    /// Resumptions after which the kernel reseeded.
    pub resumptions: Vec<Option<Duration>>,
    /// Programs that read before the generator was ready.
    pub early_readers: Vec<EarlyReader>,
    /// Such reads that the kernel counted and did not name.
    pub early_reads_unnamed: u64,
    /// What the kernel detected as its hypervisor, in its own words.
    pub hypervisor: Option<String>,
    /// The firmware handed over a seed and the kernel mixed it in.
    pub efi_seed: bool,
    /// The line with which gVisor's imitation of a kernel begins.
    pub gvisor: bool,
}

impl LogFacts {
    /// Reads a whole log.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut facts = Self::default();
        text.lines().for_each(|line| facts.add(line));
        facts
    }

    /// Takes one line into account.
    pub fn add(&mut self, line: &str) {
        let Some((at, text)) = split(line) else { return };
        if let Some(rest) = text.strip_prefix("random: ") {
            self.add_random(at, rest);
        } else if text.starts_with("Linux version ") {
            self.from_boot = true;
        } else if let Some(name) = text.strip_prefix("Hypervisor detected: ") {
            self.hypervisor = Some(clean(name, 64));
        } else if text == "efi: seeding entropy pool" {
            self.efi_seed = true;
        } else if text.starts_with("Starting gVisor") {
            self.gvisor = true;
        }
    }

    fn add_random(&mut self, at: Option<Duration>, text: &str) {
        if let Some((program, rest)) = early_read(text) {
            self.add_early_read(at, program, rest);
        } else if text.starts_with("crng init done") || text == "nonblocking pool is initialized" {
            self.ready.get_or_insert((at, ReadyBy::Entropy));
        } else if text.starts_with("crng done (trusting") {
            self.ready.get_or_insert((at, ReadyBy::TrustedCpu));
        } else if text == "crng reseeded due to virtual machine fork" {
            keep(&mut self.forks, at);
        } else if text == "crng reseeded on system resumption" {
            keep(&mut self.resumptions, at);
        } else if let Some((count, _)) = text.split_once(" urandom warning(s) missed") {
            self.early_reads_unnamed = self.early_reads_unnamed.saturating_add(count.parse().unwrap_or(0));
        }
    }

    fn add_early_read(&mut self, at: Option<Duration>, program: &str, bytes: u64) {
        let program = clean(program, 15);
        if let Some(reader) = self.early_readers.iter_mut().find(|reader| reader.program == program) {
            reader.reads += 1;
            reader.bytes = reader.bytes.saturating_add(bytes);
        } else if self.early_readers.len() < MAX_PROGRAMS {
            self.early_readers.push(EarlyReader { program, reads: 1, bytes, first: at });
        } else {
            self.early_reads_unnamed += 1;
        }
    }
}

fn keep(events: &mut Vec<Option<Duration>>, at: Option<Duration>) {
    if events.len() < MAX_EVENTS {
        events.push(at);
    }
}

/// The program and the bytes of a line about a read before readiness.
fn early_read(text: &str) -> Option<(&str, u64)> {
    // Linux 4.8 and later, then the older form, which gives no length.
    if let Some((program, rest)) = text.split_once(": uninitialized urandom read (") {
        let (bytes, _) = rest.split_once(" bytes read")?;
        return Some((program, bytes.parse().unwrap_or(0)));
    }
    let (program, rest) = text.split_once(" urandom read with ")?;
    rest.ends_with("bits of entropy available").then_some((program, 0))
}

/// The time of a line and its text. `None` if it is not the kernel's, or no line of a log.
fn split(line: &str) -> Option<(Option<Duration>, &str)> {
    let (line, facility) = match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((priority, rest)) => (rest, priority.parse::<u64>().ok()? >> 3),
        None => (line, 0),
    };
    if facility != 0 {
        return None;
    }
    if let Some(stamped) = line.strip_prefix('[') {
        let (time, text) = stamped.split_once(']')?;
        return Some((seconds(time.trim()), without_caller(text).trim_start()));
    }
    match kmsg(line) {
        Some((0, at, text)) => Some((Some(at), text)),
        Some(_) => None,
        None => Some((None, line)),
    }
}

/// A record of /dev/kmsg: facility, time, text. Dictionary lines begin with a space and are no records.
fn kmsg(line: &str) -> Option<(u64, Duration, &str)> {
    let (prefix, text) = line.split_once(';')?;
    let mut fields = prefix.split(',');
    let priority: u64 = fields.next()?.parse().ok()?;
    let _sequence: u64 = fields.next()?.parse().ok()?;
    let microseconds: u64 = fields.next()?.parse().ok()?;
    Some((priority >> 3, Duration::from_micros(microseconds), text))
}

/// Seconds with six decimals, as printk prints them.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.')?;
    let microseconds: u32 = fraction.parse().ok().filter(|_| fraction.len() == 6)?;
    Some(Duration::new(whole.parse().ok()?, microseconds.checked_mul(1000)?))
}

/// Kernels with CONFIG_PRINTK_CALLER put `[    T1]` or `[    C0]` after the time.
fn without_caller(text: &str) -> &str {
    let caller = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match caller {
        Some((name, rest)) if name.trim_start().starts_with(['T', 'C']) => rest,
        _ => text,
    }
}

/// Text of the log that may be shown: printable, at most `most` characters.
fn clean(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Option<Duration> {
        Some(Duration::from_millis(milliseconds))
    }

    #[test]
    fn all_three_forms_say_the_same() {
        for log in [
            "5,0,0,-;Linux version 6.1\n SUBSYSTEM=x\n5,9,40000,-;random: crng init done",
            "<5>[    0.000000] Linux version 6.1\n<5>[    0.040000] random: crng init done",
            "[    0.000000] Linux version 6.1\n[    0.040000] random: crng init done",
            "[    0.000000][    T0] Linux version 6.1\n[    0.040000][   T12] random: crng init done",
        ] {
            let facts = LogFacts::parse(log);
            assert!(facts.from_boot, "{log}");
            assert_eq!(facts.ready, Some((ms(40), ReadyBy::Entropy)), "{log}");
        }
    }

    #[test]
    fn a_line_without_a_time_still_counts() {
        let facts = LogFacts::parse("Linux version 2.6\nrandom: nonblocking pool is initialized");
        assert_eq!((facts.from_boot, facts.ready), (true, Some((None, ReadyBy::Entropy))));
    }

    #[test]
    fn what_a_process_wrote_to_the_log_is_not_the_kernels_word() {
        for line in [
            "12,5,1000,-;random: crng init done",
            "<14>[    1.000000] random: crng init done",
            "<x>random: crng init done",
        ] {
            assert_eq!(LogFacts::parse(line), LogFacts::default(), "{line}");
        }
    }

    #[test]
    fn early_reads_are_gathered_by_program() {
        let facts = LogFacts::parse(
            "[    1.500000] random: systemd: uninitialized urandom read (16 bytes read)\n\
             [    2.000000] random: ssh-keygen: uninitialized urandom read (32 bytes read, 12 bits of entropy available)\n\
             [    2.500000] random: systemd: uninitialized urandom read (16 bytes read)\n\
             [    2.600000] random: mktemp urandom read with 5 bits of entropy available\n\
             [    9.000000] random: 7 urandom warning(s) missed due to ratelimiting",
        );
        let expected = [("systemd", 2, 32, 1500), ("ssh-keygen", 1, 32, 2000), ("mktemp", 1, 0, 2600)];
        let expected = expected.map(|(program, reads, bytes, first)| EarlyReader {
            program: program.to_owned(),
            reads,
            bytes,
            first: ms(first),
        });
        assert_eq!(facts.early_readers, expected);
        assert_eq!(facts.early_reads_unnamed, 7);
    }

    #[test]
    fn a_hostile_program_name_is_cut_and_cleaned() {
        let facts =
            LogFacts::parse("6,1,0,-;random: \x1b[31m: evil: uninitialized urandom read (1 bytes read)");
        assert_eq!(facts.early_readers[0].program, "\u{fffd}[31m: evil");
        let many: String =
            (0..100).map(|n| format!("random: p{n}: uninitialized urandom read (1 bytes read)\n")).collect();
        let facts = LogFacts::parse(&many);
        assert_eq!((facts.early_readers.len(), facts.early_reads_unnamed), (32, 68));
    }

    #[test]
    fn forks_resumptions_firmware_and_hypervisor() {
        let facts = LogFacts::parse(
            "[    0.000000] efi: seeding entropy pool\n\
             [    0.000000] Hypervisor detected: Microsoft Hyper-V\n\
             [    0.000000] random: crng done (trusting CPU's manufacturer)\n\
             [   77.000000] random: crng reseeded due to virtual machine fork\n\
             [   99.000000] random: crng reseeded on system resumption\n\
             [  100.000000] random: crng reseeded due to virtual machine fork",
        );
        assert_eq!(facts.forks, [ms(77_000), ms(100_000)]);
        assert_eq!(facts.resumptions, [ms(99_000)]);
        assert_eq!(facts.ready, Some((ms(0), ReadyBy::TrustedCpu)));
        assert_eq!(facts.hypervisor.as_deref(), Some("Microsoft Hyper-V"));
        assert!(facts.efi_seed && !facts.from_boot);
    }
}
