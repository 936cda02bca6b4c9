//! Keys that give themselves away where they should not be: in a repository, a log, a paste.
//!
//! ```text
//! weir_<kind>_<32 characters of base62><6 characters of checksum>
//! ```
//!
//! The kind says what the key opens: a lower-case letter, then 1 to 15 lower-case letters or digits. The checksum is the
//! CRC-32 (that of zlib) of everything before it, underscores included, in base62 (`0-9A-Za-z`), most significant
//! digit first. A scanner needs one regular expression and one library call; a random text passes for a key
//! once in 2^32 times. The 190.5 random bits are those of [`crate::key`]; the rest adds none.
//!
//! `docs/tokens.md` says the same for those who write scanners.

use std::fmt;

use weir_kernel::Error;

use crate::secret::Secret;
use crate::token::{CHECKSUM_CHARACTERS, Token, checksum};

/// What finds candidates in a text, in the syntax that scanners share.
pub const PATTERN: &str = r"\bweir_[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{38}\b";

const BRAND: &str = "weir_";
const RANDOM_CHARACTERS: usize = 32;
const MAX_KIND: usize = 16;

/// What a key opens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind(String);

/// Why a text is no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindError;

impl fmt::Display for KindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kind is a lower-case letter and then 1 to 15 lower-case letters or digits")
    }
}

impl std::error::Error for KindError {}

impl Kind {
    /// A kind of key.
    ///
    /// # Errors
    /// [`KindError`].
    pub fn new(kind: &str) -> Result<Self, KindError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (2..=MAX_KIND).contains(&kind.len()) && kind.bytes().all(good);
        let begins = kind.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if fits && begins { Ok(Self(kind.to_owned())) } else { Err(KindError) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What its keys look like.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::with_checksum(format!("{BRAND}{}_", self.0))
    }

    /// Mints a key of this kind.
    ///
    /// # Errors
    /// Those of the draw.
    pub fn mint(&self) -> Result<Secret, Error> {
        self.token().mint()
    }
}

/// The kind of a key, if the text is one from its first to its last character and its checksum is right.
#[must_use]
pub fn recognise(text: &str) -> Option<Kind> {
    let (beginning, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_CHARACTERS)?)?;
    let (kind, random) = beginning.strip_prefix(BRAND)?.split_once('_')?;
    let kind = Kind::new(kind).ok()?;
    let alphanumeric = random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let right =
        alphanumeric && random.len() == RANDOM_CHARACTERS && checksum(beginning.as_bytes()) == sum.as_bytes();
    right.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_key_is_recognised() {
        // Its checksum was computed with Python's zlib.crc32, see docs/tokens.md.
        const KEY: &str = "weir_key_0123456789ABCDEFGHIJKLMNOPQRSTUV0yXW0P";
        assert_eq!(recognise(KEY).map(|kind| kind.0), Some("key".to_owned()));
    }

    #[test]
    fn one_wrong_character_anywhere_is_noticed() {
        let key = Kind::new("key").expect("a kind").mint().expect("ready");
        assert_eq!(key.expose().len(), 47);
        assert_eq!(recognise(key.expose()).map(|kind| kind.0), Some("key".to_owned()));
        for at in 0..key.expose().len() {
            let mut wrong = key.expose().as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'a' { b'b' } else { b'a' };
            let wrong = String::from_utf8(wrong).expect("ASCII");
            assert_eq!(recognise(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_only_resembles_a_key_is_none() {
        for text in [
            "",
            "weir_",
            "weir_key_",
            "weir_key_short",
            "weir__0123456789ABCDEFGHIJKLMNOPQRSTUV000000",
            "ü".repeat(24).as_str(),
        ] {
            assert_eq!(recognise(text), None, "{text}");
        }
    }

    #[test]
    fn kinds_are_checked() {
        for good in ["key", "ad", "admin2", "a123456789012345"] {
            assert!(Kind::new(good).is_ok(), "{good}");
        }
        for bad in ["", "k", "Key", "2key", "a_b", "a-b", "a1234567890123456", "ké"] {
            assert_eq!(Kind::new(bad), Err(KindError), "{bad}");
        }
    }
}
