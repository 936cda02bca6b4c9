//! Seeds that arrived in this boot, as `weir seed` notes them: what came, when, by which way, and what became of it.
//!
//! A text file in /run, which no clone's disk and no image carries over. The first line names the format, then one arrival
//! a line, oldest first; never a byte of a seed.

use std::fmt;
use std::time::Duration;

use super::root::{Fact, Root, Unknown};

/// Where it is.
pub const PATH: &str = "/run/weir-seed/arrivals";
/// No such file is longer.
pub const MAX_BYTES: usize = 32 * 1024;
/// So many of the newest are kept. Whoever notes without Weir may leave half as many again.
pub const KEPT: usize = 64;
const FIRST: &str = "weir-seed arrivals 1";

/// A seed that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When, in seconds since 1970, by the clock of that time.
    pub at: i64,
    /// When, after the boot, in whole milliseconds.
    pub since_boot: Duration,
    /// By which way: `push`, `fetch`, `file`, `pipe`. A word.
    pub way: String,
    /// From where, as far as the receiving end knows: an address, a server, a file. Never a blank.
    pub from: String,
    /// How many bytes were mixed into the pool.
    pub bytes: u32,
    /// How many bits were credited.
    pub credited_bits: u32,
    /// Whether the kernel was ready before.
    pub ready_before: bool,
    /// Whether it was afterwards.
    pub ready_after: bool,
    /// Whether the kernel took a new key at once. Else it feels the seed at its next own reseed.
    pub reseeded: bool,
}

impl Arrival {
    /// Parses a line; `None` for what is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if line.chars().any(char::is_control) {
            return None;
        }
        let mut words = line.split(' ');
        let mut next = || words.next();
        let arrival = Self {
            at: next()?.parse().ok()?,
            since_boot: Duration::from_millis(next()?.parse().ok()?),
            way: next()?.to_owned(),
            from: next()?.to_owned(),
            bytes: next()?.parse().ok()?,
            credited_bits: next()?.parse().ok()?,
            ready_before: yes(next()?)?,
            ready_after: yes(next()?)?,
            reseeded: yes(next()?)?,
        };
        Some(arrival)
    }
}

impl fmt::Display for Arrival {
    /// The line, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.at, self.since_boot.as_millis(), word(&self.way), word(&self.from))?;
        write!(f, " {} {}", self.bytes, self.credited_bits)?;
        [self.ready_before, self.ready_after, self.reseeded]
            .iter()
            .try_for_each(|said| f.write_str(if *said { " yes" } else { " no" }))
    }
}

/// All of the file; empty for another kind of file. Lines that are no arrival are passed over.
#[must_use]
pub fn parse(text: &str) -> Vec<Arrival> {
    let mut lines = text.lines();
    if lines.next() != Some(FIRST) {
        return Vec::new();
    }
    lines.filter_map(Arrival::parse).collect()
}

/// The file that says the newest [`KEPT`] of `arrivals`, or fewer where it would be too long.
#[must_use]
pub fn format(arrivals: &[Arrival]) -> String {
    let mut left = MAX_BYTES - FIRST.len() - 1;
    let lines: Vec<String> = arrivals
        .iter()
        .rev()
        .take(KEPT)
        .map(|arrival| format!("{arrival}\n"))
        .take_while(|line| {
            let fits = line.len() <= left;
            left = left.saturating_sub(line.len());
            fits
        })
        .collect();
    lines.iter().rev().fold(format!("{FIRST}\n"), |text, line| text + line)
}

pub(super) fn read(root: &Root) -> Fact<Vec<Arrival>> {
    match root.text(PATH) {
        Ok(text) => Ok(parse(&text)),
        Err(Unknown::Absent) => Ok(Vec::new()),
        Err(other) => Err(other),
    }
}

/// Text without blanks, of a bounded length.
fn word(text: &str) -> String {
    let word: String =
        text.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).take(200).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

fn yes(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(at: i64) -> Arrival {
        Arrival {
            at,
            since_boot: Duration::from_millis(2_345),
            way: "push".to_owned(),
            from: "192.0.2.7".to_owned(),
            bytes: 64,
            credited_bits: 0,
            ready_before: false,
            ready_after: true,
            reseeded: true,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let all = [example(1_700_000_000), Arrival { reseeded: false, ..example(-5) }];
        assert_eq!(parse(&format(&all)), all);
        assert_eq!(example(7).to_string(), "7 2345 push 192.0.2.7 64 0 no yes yes");
        let odd = Arrival { from: "a b\nc".to_owned(), way: String::new(), ..example(7) };
        assert_eq!(parse(&format(&[odd])), [Arrival { from: "a_b_c".into(), way: "-".into(), ..example(7) }]);
    }

    #[test]
    fn a_file_that_would_be_too_long_loses_its_oldest_lines() {
        let long = |at| Arrival { from: "f".repeat(200), way: "w".repeat(200), ..example(at) };
        for (many, least) in
            [((0..2_000).map(example).collect::<Vec<_>>(), KEPT), ((0..2_000).map(long).collect(), 60)]
        {
            let text = format(&many);
            assert!(text.len() <= MAX_BYTES);
            let kept = parse(&text);
            assert!((least..=KEPT).contains(&kept.len()));
            assert_eq!(kept.last().unwrap().at, 1_999);
        }
    }

    #[test]
    fn other_files_say_nothing() {
        for text in
            ["", "7 2345 push 192.0.2.7 64 0 no yes yes\n", "weir-feed status 1\n7 1 a b 1 0 no no no\n"]
        {
            assert_eq!(parse(text), []);
        }
        assert_eq!(Arrival::parse("7 2345 push \x1b[2J 64 0 no yes yes"), None);
        let torn = format(&[example(1), example(2)]);
        assert_eq!(parse(&torn[..torn.len() - 3]), [example(1)]);
    }
}
