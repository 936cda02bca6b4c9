//! The clone guard: whether this machine has become another one, told once for each time.
//!
//! What is known is kept in a file beside the published number, so that a daemon that is started anew neither misses a clone
//! that happened meanwhile nor reports one twice. The file belongs to the boot; a boot is a new life anyway.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use weir_kernel::Signal;

use crate::word::Word;

/// Words are remembered as digests, and so many of them: a hypervisor that repeats itself does it soon.
const REMEMBERED: usize = 64;

/// What is known of the machine's lives.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    seen: Signal,
    words: Vec<String>,
}

impl Guard {
    /// Goes on from what the file says. Answers also whether the machine was cloned since it was written.
    pub(crate) fn open(path: PathBuf, now: Signal) -> (Self, bool) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let (mut before, mut words) = (None, Vec::new());
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("signal", value)) => before = parse(value),
                Some(("word", digest)) => words.push(digest.to_owned()),
                _ => {}
            }
        }
        let cloned = before.is_some_and(|before| differ(before, now));
        // Kept as it was until the clone has been answered: who is killed before that is told again.
        let guard = Self { path, seen: before.filter(|_| cloned).unwrap_or(now), words };
        guard.keep();
        (guard, cloned)
    }

    /// Whether the machine was cloned since what is known. It stays so until [`Guard::answered`].
    pub(crate) fn look(&mut self, now: Signal) -> bool {
        let cloned = differ(self.seen, now);
        if !cloned && self.seen != now {
            self.answered(now);
        }
        cloned
    }

    /// What was seen has been answered, and need not be told again.
    pub(crate) fn answered(&mut self, now: Signal) {
        self.seen = now;
        self.keep();
    }

    /// Whether a word is new. It stays so until [`Guard::heard`].
    pub(crate) fn is_new(&self, word: &Word) -> bool {
        !self.words.contains(&digest(word))
    }

    /// A word has been answered, and is a repetition from now on.
    pub(crate) fn heard(&mut self, word: &Word) {
        if self.words.len() >= REMEMBERED {
            self.words.remove(0);
        }
        self.words.push(digest(word));
        self.keep();
    }

    /// Without the file a clone may be told twice, which is the lesser evil.
    fn keep(&self) {
        let mut text = match self.seen {
            Signal::Counter(number) => format!("signal counter {number}\n"),
            Signal::Forks(number) => format!("signal forks {number}\n"),
            _ => String::new(),
        };
        self.words.iter().for_each(|digest| text.push_str(&format!("word {digest}\n")));
        if let Err(error) = replace(&self.path, text.as_bytes(), 0o600) {
            crate::log::debug!("{}: {error}", self.path.display());
        }
    }
}

fn digest(word: &Word) -> String {
    Sha256::digest(word.nonce()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(value: &str) -> Option<Signal> {
    match value.split_once(' ')? {
        ("counter", number) => number.parse().ok().map(Signal::Counter),
        ("forks", number) => number.parse().ok().map(Signal::Forks),
        _ => None,
    }
}

/// Two answers of one kind that are not the same. A log that forgot what it told of is no clone.
fn differ(before: Signal, now: Signal) -> bool {
    match (before, now) {
        (Signal::Counter(before), Signal::Counter(now)) => before != now,
        (Signal::Forks(before), Signal::Forks(now)) => now > before,
        _ => false,
    }
}

/// Writes a file such that a reader sees the old one or the new one.
///
/// # Errors
/// That it cannot be written.
pub(crate) fn replace(path: &std::path::Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(digits: &str) -> Word {
        Word::parse(format!("clone {}", digits.repeat(16)).as_bytes()).unwrap()
    }

    #[test]
    fn a_clone_is_told_until_it_is_answered_also_to_the_next_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard");
        let (mut first, cloned) = Guard::open(path.clone(), Signal::Forks(3));
        assert!(!cloned, "what was before the first daemon is not its business");
        assert!(!first.look(Signal::Forks(3)));
        assert!(first.look(Signal::Forks(4)) && first.look(Signal::Forks(4)));
        // Killed before it answered.
        let (mut second, cloned) = Guard::open(path.clone(), Signal::Forks(4));
        assert!(cloned);
        second.answered(Signal::Forks(4));
        assert!(!second.look(Signal::Forks(4)));
        assert!(!Guard::open(path.clone(), Signal::Forks(4)).1);
        assert!(!Guard::open(path.clone(), Signal::Forks(1)).1, "a log that was overwritten");
        let (mut counter, cloned) = Guard::open(path.clone(), Signal::Counter(9));
        assert!(!cloned && counter.look(Signal::Counter(8)));
        assert!(Guard::open(path, Signal::Counter(7)).1);
    }

    #[test]
    fn a_word_is_new_until_it_is_answered_also_to_the_next_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard");
        let (mut guard, _) = Guard::open(path.clone(), Signal::Unseen);
        assert!(guard.is_new(&word("01")) && guard.is_new(&word("01")));
        guard.heard(&word("01"));
        assert!(!guard.is_new(&word("01")) && guard.is_new(&word("02")));
        let (mut next, cloned) = Guard::open(path.clone(), Signal::Unseen);
        assert!(!cloned && !next.is_new(&word("01")) && next.is_new(&word("02")));
        for number in 0..2 * REMEMBERED {
            next.heard(&word(&format!("{number:02x}{number:02x}")));
        }
        assert!(fs::read_to_string(path).unwrap().lines().count() <= REMEMBERED);
    }
}
