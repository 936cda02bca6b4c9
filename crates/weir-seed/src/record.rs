//! What a host answers when it was given a seed: lines that people can read and [`Record::parse`] understands.
//!
//! The first line names the form, then one `key value` a line, then `end`. Whatever a login shell prints before the first
//! line is passed over. The far end may be anybody, so the parser is bounded and takes printable ASCII alone, which is also
//! all that is ever written. Keys that are not known are left to later versions; what is said twice is no record.
//!
//! Never in it: a byte of a seed.

use std::fmt;

use serde::Serialize;

/// No answer with a record in it is longer.
pub const MAX_BYTES: usize = 64 * 1024;
const FIRST: &str = "weir-seed record 1";
const LAST: &str = "end";
/// So many lines at most are between the first and the last.
const MAX_LINES: usize = 256;
/// No value is longer.
const MAX_VALUE: usize = 300;
/// Of so many keys at most the names are told.
const MAX_KEYS: usize = 64;

/// What became of a seed on a host, as far as the host knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// What took the seed: `weir` and its version, or `sh`.
    pub by: String,
    /// The host's own name.
    pub host: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// This boot. Clones of one snapshot share it.
    pub boot_id: Option<String>,
    /// Which life of the virtual machine this is, in words.
    pub generation: Option<String>,
    /// How many bytes were mixed in.
    pub bytes: u32,
    /// Whether root took the seed. Else the kernel could not be told to reseed.
    pub superuser: Option<bool>,
    /// Whether the kernel's generator was ready before.
    pub ready_before: Option<bool>,
    /// Whether it was afterwards.
    pub ready_after: Option<bool>,
    /// What was credited, in bits.
    pub credited_bits: u32,
    /// Why nothing was credited although it was asked for.
    pub credit_refused: Option<String>,
    /// Whether the kernel took a new key at once.
    pub reseeded: bool,
    /// Why not.
    pub reseed_refused: Option<String>,
    /// Why no note was made for `weir doctor`.
    pub note_failed: Option<String>,
    /// Well-known keys that were made in this boot before the generator was ready, where that can be told.
    pub early_keys: Option<Vec<String>>,
}

/// Why an answer holds no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// No line says that one begins.
    #[error("there is no record in the answer")]
    Absent,
    /// It breaks off.
    #[error("the record has no end")]
    Torn,
    /// A line of it is wrong.
    #[error("line {0} of the record is not as it should be")]
    Line(usize),
    /// What took the seed, or how many bytes, is not said.
    #[error("the record does not say how many bytes arrived")]
    Incomplete,
}

impl Record {
    /// Finds the record in an answer.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(answer: &[u8]) -> Result<Self, RecordError> {
        let answer = answer.get(..MAX_BYTES).unwrap_or(answer);
        let mut lines = answer.split_inclusive(|byte| *byte == b'\n');
        lines.find(|line| bare(line) == FIRST.as_bytes()).ok_or(RecordError::Absent)?;
        let mut reading = Reading::default();
        for (number, line) in lines.take(MAX_LINES).enumerate() {
            match bare(line) {
                text if text == LAST.as_bytes() => return reading.end(),
                _ if !line.ends_with(b"\n") => break,
                text => reading.take(text).ok_or(RecordError::Line(number + 2))?,
            }
        }
        Err(RecordError::Torn)
    }
}

/// A line without its end.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A record that is being read.
#[derive(Default)]
struct Reading<'a> {
    record: Record,
    seen: Vec<&'a str>,
}

impl<'a> Reading<'a> {
    /// Takes a line into account; `None` for one that cannot be.
    fn take(&mut self, line: &'a [u8]) -> Option<()> {
        let line = str::from_utf8(line).ok().filter(|line| line.bytes().all(is_printable))?;
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        if key.is_empty() || value.len() > MAX_VALUE {
            return None;
        }
        if key == "early-key" {
            let keys = self.record.early_keys.as_mut()?;
            keys.push(value.to_owned());
            return (keys.len() <= MAX_KEYS).then_some(());
        }
        if self.seen.contains(&key) {
            return None;
        }
        self.seen.push(key);
        let record = &mut self.record;
        match key {
            "by" => record.by = value.to_owned(),
            "host" => record.host = word(value),
            "kernel" => record.kernel = word(value),
            "boot-id" => record.boot_id = word(value),
            "generation" => record.generation = word(value),
            "bytes" => record.bytes = value.parse().ok()?,
            "superuser" => record.superuser = known(value)?,
            "ready-before" => record.ready_before = known(value)?,
            "ready-after" => record.ready_after = known(value)?,
            "credited-bits" => record.credited_bits = value.parse().ok()?,
            "credit-refused" => record.credit_refused = word(value),
            "reseeded" => record.reseeded = known(value)??,
            "reseed-refused" => record.reseed_refused = word(value),
            "note-failed" => record.note_failed = word(value),
            "early-keys" => record.early_keys = known(value)?.map(|_| Vec::new()),
            _ => {}
        }
        Some(())
    }

    fn end(self) -> Result<Record, RecordError> {
        let complete = ["by", "bytes"].iter().all(|key| self.seen.contains(key));
        // More than eight bits a byte nobody can have credited.
        let believable = u64::from(self.record.credited_bits) <= 8 * u64::from(self.record.bytes);
        if complete && believable { Ok(self.record) } else { Err(RecordError::Incomplete) }
    }
}

impl fmt::Display for Record {
    /// All lines, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |key, value: &Option<String>, f: &mut fmt::Formatter<'_>| match value {
            Some(value) => line(key, value, f),
            None => Ok(()),
        };
        writeln!(f, "{FIRST}")?;
        line("by", &self.by, f)?;
        some("host", &self.host, f)?;
        some("kernel", &self.kernel, f)?;
        some("boot-id", &self.boot_id, f)?;
        some("generation", &self.generation, f)?;
        line("bytes", &self.bytes.to_string(), f)?;
        line("superuser", said(self.superuser), f)?;
        line("ready-before", said(self.ready_before), f)?;
        line("ready-after", said(self.ready_after), f)?;
        line("credited-bits", &self.credited_bits.to_string(), f)?;
        some("credit-refused", &self.credit_refused, f)?;
        line("reseeded", said(Some(self.reseeded)), f)?;
        some("reseed-refused", &self.reseed_refused, f)?;
        some("note-failed", &self.note_failed, f)?;
        let early = self.early_keys.as_ref();
        line("early-keys", said(early.map(|keys| !keys.is_empty())), f)?;
        early.into_iter().flatten().take(MAX_KEYS).try_for_each(|key| line("early-key", key, f))?;
        writeln!(f, "{LAST}")
    }
}

/// A line whose value is what the parser takes: other characters become question marks.
fn line(key: &str, value: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let clean = |c: char| if u8::try_from(c).is_ok_and(is_printable) { c } else { '?' };
    writeln!(f, "{key} {}", value.chars().map(clean).take(MAX_VALUE).collect::<String>())
}

fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

fn word(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn known(value: &str) -> Option<Option<bool>> {
    match value {
        "yes" => Some(Some(true)),
        "no" => Some(Some(false)),
        "unknown" => Some(None),
        _ => None,
    }
}

fn said(known: Option<bool>) -> &'static str {
    match known {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Record {
        Record {
            by: "weir 1.0".to_owned(),
            host: Some("web1".to_owned()),
            boot_id: Some("0f1e".to_owned()),
            generation: Some("counter 7".to_owned()),
            bytes: 64,
            superuser: Some(true),
            ready_before: Some(false),
            ready_after: None,
            credited_bits: 512,
            reseeded: true,
            early_keys: Some(vec![
                "/etc/ssh/ssh_host_rsa_key".to_owned(),
                "/etc/wireguard/a b.conf".to_owned(),
            ]),
            ..Record::default()
        }
    }

    #[test]
    fn what_is_written_is_read_whatever_a_shell_says_before_it() {
        let written = example().to_string();
        assert_eq!(Record::parse(written.as_bytes()), Ok(example()));
        let noisy = format!("Welcome!\x1b[2J\nto web1\n{}logout\n", written.replace('\n', "\r\n"));
        assert_eq!(Record::parse(noisy.as_bytes()), Ok(example()));
        let odd = Record { host: Some("w\u{e4}b\x1b[1m\n1".to_owned()), ..example() };
        let read = Record::parse(odd.to_string().as_bytes()).unwrap();
        assert_eq!(read.host.as_deref(), Some("w?b?[1m?1"));
    }

    #[test]
    fn what_could_mislead_is_no_record() {
        let parse = |middle: &str| Record::parse(format!("{FIRST}\n{middle}\n{LAST}\n").as_bytes());
        assert_eq!(parse("by sh\nbytes 64\nboot-id \nlater thing").unwrap().boot_id, None);
        assert_eq!(parse("by sh"), Err(RecordError::Incomplete));
        assert_eq!(parse("by sh\nbytes 64\ncredited-bits 513"), Err(RecordError::Incomplete));
        for bad in [
            "host a\x1b[2J",
            "host \u{202e}b",
            "bytes -1",
            "bytes 64\nbytes 64",
            "reseeded maybe",
            "reseeded unknown",
            "early-key /etc/x",
            " by sh",
            "",
            &format!("host {}", "x".repeat(301)),
        ] {
            assert!(matches!(parse(&format!("by sh\n{bad}")), Err(RecordError::Line(_))), "{bad:?}");
        }
        let many = "early-keys yes\n".to_owned() + &"early-key k\n".repeat(65);
        assert!(matches!(parse(&many), Err(RecordError::Line(_))));
        let long: String = (0..300).map(|n| format!("later-{n} x\n")).collect();
        assert_eq!(parse(&long), Err(RecordError::Torn));
        let torn = example().to_string();
        assert_eq!(Record::parse(&torn.as_bytes()[..torn.len() - 4]), Err(RecordError::Torn));
        assert_eq!(Record::parse(b"sh: not found\n"), Err(RecordError::Absent));
    }
}
