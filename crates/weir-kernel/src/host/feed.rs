//! What weir-feed says of itself: a small text file that it writes after each thing it does.
//!
//! One `key value` a line; a key may come again where there are several of a thing. Times are seconds since 1970. Keys
//! that a reader does not know are passed over, keys that are missing have nothing to say.

use std::fmt;

use super::root::{Fact, Root, Unknown};

/// Where it is.
pub const PATH: &str = "/run/weir-feed/status";
/// No such file is longer.
pub const MAX_BYTES: usize = 64 * 1024;
const FIRST: &str = "weir-feed status 1";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, in seconds since 1970.
    pub at: i64,
    /// What was the reason.
    pub why: String,
}

impl FeedSource {
    /// Whether it passed its tests, and failed none since.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.state == "healthy" || self.state == "resting"
    }
}

impl Event {
    /// How long ago it was, in the largest unit that still says something.
    #[must_use]
    pub fn ago(&self, now: i64) -> String {
        match now.saturating_sub(self.at) {
            seconds @ ..120 => format!("{} s ago", seconds.max(0)),
            seconds @ ..7200 => format!("{} min ago", seconds / 60),
            seconds @ ..172_800 => format!("{} h ago", seconds / 3600),
            seconds => format!("{} days ago", seconds / 86_400),
        }
    }
}

/// A source of noise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedSource {
    /// As the command line names it.
    pub name: String,
    /// `not-opened`, `absent`, `starting-up`, `healthy`, `resting`, `set-aside`.
    pub state: String,
    /// Bits of min-entropy that are claimed of a sample.
    pub claim: f64,
    /// What the last start-up test measured.
    pub measured: Option<f64>,
    /// Samples taken.
    pub samples: u64,
    /// Health tests that failed.
    pub failures: u64,
    /// Bits credited.
    pub credited_bits: u64,
    /// Why it is in this state.
    pub why: String,
}

/// What the daemon says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedStatus {
    /// Its version.
    pub version: String,
    /// Its process; the file stays when it has ended.
    pub pid: u32,
    /// When it was started.
    pub started: i64,
    /// The boot that it belongs to.
    pub boot_id: String,
    /// `seeding`, `watermark`, `schedule`, or `ended`.
    pub phase: String,
    /// The watermark in bits, or the time between two reseeds in seconds.
    pub setting: u64,
    /// How long after its start the kernel was ready, in microseconds; zero if it was before.
    pub ready_after_us: Option<u64>,
    /// The last time that it gave the kernel something.
    pub fed: Option<Event>,
    /// How often it did.
    pub rounds: u64,
    /// Bits credited in all.
    pub credited_bits: u64,
    /// The last time that it had the kernel reseed.
    pub reseeded: Option<Event>,
    /// How often it did.
    pub reseeds: u64,
    /// The generation of the machine.
    pub generation: u64,
    /// The last clone or restore.
    pub cloned: Option<Event>,
    /// By what it would learn of a clone.
    pub watches: Vec<String>,
    /// What became of the seed file.
    pub seed_file: Option<String>,
    /// What the operator should know.
    pub notes: Vec<String>,
    /// Its sources.
    pub sources: Vec<FeedSource>,
}

impl FeedStatus {
    /// Reads the file.
    pub(super) fn read(root: &Root) -> Fact<Self> {
        Self::parse(&root.text(PATH)?).ok_or(Unknown::Malformed("no status of weir-feed"))
    }

    /// Parses the file's content; `None` if it is another kind of file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST) {
            return None;
        }
        let mut status = Self::default();
        lines.filter_map(|line| line.split_once(' ')).for_each(|(key, value)| status.take(key, value));
        Some(status)
    }

    fn take(&mut self, key: &str, value: &str) {
        let number = || value.parse().unwrap_or_default();
        match key {
            "version" => value.clone_into(&mut self.version),
            "pid" => self.pid = value.parse().unwrap_or_default(),
            "started" => self.started = value.parse().unwrap_or_default(),
            "boot_id" => value.clone_into(&mut self.boot_id),
            "phase" => value.clone_into(&mut self.phase),
            "setting" => self.setting = number(),
            "ready_after_us" => self.ready_after_us = value.parse().ok(),
            "fed" => self.fed = event(value),
            "rounds" => self.rounds = number(),
            "credited_bits" => self.credited_bits = number(),
            "reseeded" => self.reseeded = event(value),
            "reseeds" => self.reseeds = number(),
            "generation" => self.generation = number(),
            "cloned" => self.cloned = event(value),
            "watches" => self.watches.push(value.to_owned()),
            "seed_file" => self.seed_file = Some(value.to_owned()),
            "note" => self.notes.push(value.to_owned()),
            "source" => self.sources.extend(source(value)),
            _ => {}
        }
    }
}

impl fmt::Display for FeedStatus {
    /// The file's content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST}")?;
        writeln!(f, "version {}\npid {}\nstarted {}", line(&self.version), self.pid, self.started)?;
        writeln!(
            f,
            "boot_id {}\nphase {}\nsetting {}",
            line(&self.boot_id),
            line(&self.phase),
            self.setting
        )?;
        if let Some(us) = self.ready_after_us {
            writeln!(f, "ready_after_us {us}")?;
        }
        let events = [("fed", &self.fed), ("reseeded", &self.reseeded), ("cloned", &self.cloned)];
        for (key, event) in events {
            if let Some(event) = event {
                writeln!(f, "{key} {} {}", event.at, line(&event.why))?;
            }
        }
        writeln!(f, "rounds {}\ncredited_bits {}", self.rounds, self.credited_bits)?;
        writeln!(f, "reseeds {}\ngeneration {}", self.reseeds, self.generation)?;
        self.watches.iter().try_for_each(|what| writeln!(f, "watches {}", line(what)))?;
        self.seed_file.iter().try_for_each(|what| writeln!(f, "seed_file {}", line(what)))?;
        self.notes.iter().try_for_each(|what| writeln!(f, "note {}", line(what)))?;
        self.sources.iter().try_for_each(|source| write_source(f, source))
    }
}

/// Text that fits into a line.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect()
}

fn event(value: &str) -> Option<Event> {
    let (at, why) = value.split_once(' ').unwrap_or((value, ""));
    Some(Event { at: at.parse().ok()?, why: why.to_owned() })
}

fn write_source(f: &mut fmt::Formatter<'_>, source: &FeedSource) -> fmt::Result {
    // The name comes first and may hold blanks (a command); they are written as a sign that no name has.
    write!(f, "source {} {}", line(&source.name).replace(' ', "\u{a0}"), line(&source.state))?;
    write!(f, " {} {}", source.claim, source.measured.map_or("-".to_owned(), |bits| bits.to_string()))?;
    write!(f, " {} {} {}", source.samples, source.failures, source.credited_bits)?;
    writeln!(f, " {}", line(&source.why))
}

fn source(value: &str) -> Option<FeedSource> {
    let mut words = value.splitn(8, ' ');
    let mut next = || words.next().unwrap_or_default();
    Some(FeedSource {
        name: next().replace('\u{a0}', " "),
        state: next().to_owned(),
        claim: finite(next())?,
        measured: finite(next()),
        samples: next().parse().ok()?,
        failures: next().parse().ok()?,
        credited_bits: next().parse().ok()?,
        why: next().to_owned(),
    })
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn example() -> FeedStatus {
        let event = |why: &str| Some(Event { at: 1_700_000_000, why: why.to_owned() });
        FeedStatus {
            version: "1.2.3".to_owned(),
            pid: 17,
            started: 1_700_000_000,
            boot_id: "6f9619ff-8b86-d011-b42d-00cf4fc964ff".to_owned(),
            phase: "schedule".to_owned(),
            setting: 600,
            ready_after_us: Some(12_345),
            fed: event("boot"),
            rounds: 2,
            credited_bits: 510,
            reseeded: event("the clock was set"),
            reseeds: 3,
            generation: 2,
            cloned: event("VM generation ID"),
            watches: vec!["the kernel log".to_owned(), "unix:/run/x".to_owned()],
            seed_file: Some("credited with 256 bits".to_owned()),
            notes: vec!["it rains".to_owned()],
            sources: vec![
                FeedSource {
                    name: "command:/usr/bin/noise -x 1".to_owned(),
                    state: "set-aside".to_owned(),
                    claim: 0.5,
                    measured: Some(1.25),
                    samples: 2048,
                    failures: 1,
                    credited_bits: 7,
                    why: "the same value 61 times".to_owned(),
                },
                FeedSource { name: "tpm".to_owned(), state: "absent".to_owned(), ..FeedSource::default() },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let status = example();
        assert_eq!(FeedStatus::parse(&status.to_string()), Some(status));
        let empty = FeedStatus::default();
        assert_eq!(FeedStatus::parse(&empty.to_string()), Some(empty));
    }

    #[test]
    fn a_line_stays_a_line_and_what_is_strange_is_passed_over() {
        let mut text = String::new();
        let status = FeedStatus { notes: vec!["two\nlines".to_owned()], ..FeedStatus::default() };
        let _ = write!(text, "{status}");
        assert_eq!(FeedStatus::parse(&text).unwrap().notes, ["two lines"]);
        assert_eq!(FeedStatus::parse("another file"), None);
        let strange =
            FeedStatus::parse(&format!("{FIRST}\npid many\nsource x\nfed\ncolour red\n\n")).unwrap();
        assert_eq!(strange, FeedStatus::default());
    }
}
