//! Passwords that people type: of characters, or of words.
//!
//! Each password is uniform over all that fit its description; its strength is the logarithm of how many those are, which
//! holds even against a guesser who knows the description.
//!
//! Words are looked up in a table at a place that is secret. That is fine here: a passphrase is made for a person and
//! shown on a screen, some dozens of lookups in a lifetime, and its text differs in length anyway. Characters are
//! computed as in [`crate::Alphabet`].

use std::fmt;
use std::sync::OnceLock;

use weir_kernel::{Error, Purpose};
use zeroize::Zeroize;

use crate::alphabet::Alphabet;
use crate::integer::Words;
use crate::secret::Secret;

/// A kind of character that a password may have to contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CharacterClass {
    /// `a-z`
    Lower,
    /// `A-Z`
    Upper,
    /// `0-9`
    Digit,
    /// Punctuation that keyboards have and that forms, shells and connection strings rarely choke on.
    Symbol,
}

impl CharacterClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Lower, Self::Upper, Self::Digit, Self::Symbol];

    fn characters(self) -> &'static str {
        match self {
            Self::Lower => "abcdefghijklmnopqrstuvwxyz",
            Self::Upper => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Self::Digit => "0123456789",
            Self::Symbol => "!#%*+,-./:=?@^_~",
        }
    }
}

/// Characters that are read for one another.
const AMBIGUOUS: &str = "0OoQ1Il5S2Z8B";

/// What a password looks like. Made once, minted from many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// `alphabet` is the union of the (disjoint) classes, of each of which there must be one.
    Characters {
        length: usize,
        classes: Vec<String>,
        alphabet: Alphabet,
    },
    Words {
        count: usize,
        separator: String,
    },
}

/// Why there is no such password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// Fewer characters than classes, or more than 1024.
    Length,
    /// No class of characters.
    NoClass,
    /// No words, or more than 64.
    WordCount,
    /// A separator with control characters, or of more than 8.
    Separator,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a password has at least one character of each class, and at most 1024",
            Self::NoClass => "a password needs at least one class of characters",
            Self::WordCount => "a passphrase has 1 to 64 words",
            Self::Separator => "a separator is at most 8 characters without control characters",
        })
    }
}

impl std::error::Error for PasswordError {}

impl Password {
    /// A password of `length` characters with at least one of each class.
    ///
    /// `unambiguous` leaves out what is easily misread, such as `0` and `O`.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn characters(
        length: usize,
        classes: &[CharacterClass],
        unambiguous: bool,
    ) -> Result<Self, PasswordError> {
        let wanted = CharacterClass::ALL.into_iter().filter(|class| classes.contains(class));
        let kept = |c: &char| !(unambiguous && AMBIGUOUS.contains(*c));
        let classes: Vec<String> =
            wanted.map(|class| class.characters().chars().filter(kept).collect()).collect();
        if classes.is_empty() {
            return Err(PasswordError::NoClass);
        }
        if !(classes.len()..=1024).contains(&length) {
            return Err(PasswordError::Length);
        }
        let alphabet = Alphabet::custom(&classes.concat()).map_err(|_| PasswordError::NoClass)?;
        Ok(Self(Form::Characters { length, classes, alphabet }))
    }

    /// A passphrase of `count` words of a list of 7776, with `separator` between them.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn words(count: usize, separator: &str) -> Result<Self, PasswordError> {
        if !(1..=64).contains(&count) {
            return Err(PasswordError::WordCount);
        }
        if separator.chars().count() > 8 || separator.chars().any(char::is_control) {
            return Err(PasswordError::Separator);
        }
        Ok(Self(Form::Words { count, separator: separator.to_owned() }))
    }

    /// How many bits a guesser has to guess who knows the description.
    #[must_use]
    pub fn strength_bits(&self) -> f64 {
        match &self.0 {
            Form::Words { count, .. } => *count as f64 * (word_list().len() as f64).log2(),
            Form::Characters { length, classes, alphabet } => {
                let length = *length as f64;
                length * alphabet.bits_per_character() + share_with_each_class(length, classes).log2()
            }
        }
    }

    /// Mints one.
    ///
    /// # Errors
    /// Those of the draws.
    pub fn mint(&self) -> Result<Secret, Error> {
        match &self.0 {
            Form::Words { count, separator } => phrase(*count, separator),
            Form::Characters { length, classes, alphabet } => {
                let mut text = Vec::with_capacity(*length);
                // All over again until it fits: the only way that leaves every fitting one equally likely. At worst
                // one in a dozen fits.
                loop {
                    text.clear();
                    alphabet.mint(Purpose::Password, *length, &mut text)?;
                    if classes.iter().all(|class| contains_any(&text, class.as_bytes())) {
                        return Ok(Secret::new(String::from_utf8(text).unwrap_or_default()));
                    }
                    text.zeroize();
                }
            }
        }
    }
}

/// Of all texts of the length, the share that has at least one character of each class (inclusion and exclusion).
fn share_with_each_class(length: f64, classes: &[String]) -> f64 {
    let total: usize = classes.iter().map(String::len).sum();
    (0..1u32 << classes.len())
        .map(|without| {
            let left_out = classes.iter().enumerate().filter(|(at, _)| without >> at & 1 == 1);
            let missing: usize = left_out.map(|(_, class)| class.len()).sum();
            let share = (1.0 - missing as f64 / total as f64).powf(length);
            if without.count_ones() % 2 == 0 { share } else { -share }
        })
        .sum()
}

fn contains_any(text: &[u8], class: &[u8]) -> bool {
    text.iter().any(|byte| class.contains(byte))
}

fn phrase(count: usize, separator: &str) -> Result<Secret, Error> {
    let list = word_list();
    // Room for the longest, because growing would leave a copy behind.
    let mut text = String::with_capacity(count * (LONGEST_WORD + separator.len()));
    let mut random = Words::new(Purpose::Password, count);
    for at in 0..count {
        if at > 0 {
            text.push_str(separator);
        }
        let choice = random.up_to(list.len().saturating_sub(1) as u64)?;
        text.push_str(list.get(choice as usize).copied().unwrap_or_default());
    }
    Ok(Secret::new(text))
}

/// Letters of the longest word of the list.
const LONGEST_WORD: usize = 9;

/// The Electronic Frontier Foundation's large list; see words/README.md.
fn word_list() -> &'static [&'static str] {
    static LIST: OnceLock<Vec<&str>> = OnceLock::new();
    LIST.get_or_init(|| include_str!("../words/eff-large.txt").lines().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_word_list_is_whole() {
        let list = word_list();
        assert_eq!(list.len(), 7776);
        assert_eq!(list.iter().collect::<HashSet<_>>().len(), 7776);
        for word in list {
            assert!((3..=LONGEST_WORD).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{word}");
        }
        // None begins another, so that a phrase without separators can be read in one way only.
        let mut sorted = list.to_vec();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| !pair[1].starts_with(pair[0])));
    }

    #[test]
    fn strength_is_the_logarithm_of_how_many_there_are() {
        let bits = |length, classes: &[CharacterClass]| {
            Password::characters(length, classes, false).expect("valid").strength_bits()
        };
        use CharacterClass::{Digit, Lower};
        assert!((bits(1, &[Digit]) - 10f64.log2()).abs() < 1e-9);
        // One letter and one digit in two places: 2 * 26 * 10.
        assert!((bits(2, &[Lower, Digit]) - 520f64.log2()).abs() < 1e-9);
        // Three places: 36^3 - 26^3 - 10^3.
        assert!((bits(3, &[Lower, Digit]) - 28080f64.log2()).abs() < 1e-9);
        // Four classes in four places: 4! * 26 * 26 * 10 * 16.
        assert!((bits(4, &CharacterClass::ALL) - 2_595_840f64.log2()).abs() < 1e-9);
        let words = Password::words(6, "-").expect("valid").strength_bits();
        assert!((words - 77.549).abs() < 0.001, "{words}");
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        const ALL: [CharacterClass; 4] = CharacterClass::ALL;
        assert_eq!(Password::characters(3, &ALL, false), Err(PasswordError::Length));
        assert_eq!(Password::characters(1025, &ALL, false), Err(PasswordError::Length));
        assert_eq!(Password::characters(8, &[], false), Err(PasswordError::NoClass));
        assert_eq!(Password::words(0, "-"), Err(PasswordError::WordCount));
        assert_eq!(Password::words(65, "-"), Err(PasswordError::WordCount));
        assert_eq!(Password::words(6, "\n"), Err(PasswordError::Separator));
        assert_eq!(Password::words(6, "123456789"), Err(PasswordError::Separator));
    }
}
