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

use crate::alphabet::Alphabet;
use crate::secret::Secret;
use crate::token::{CHECKSUM_CHARACTERS, Token, checksum};

/// What finds candidates in a text, in the syntax that scanners share.
pub const PATTERN: &str = r"\bweir_[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{38}\b";

const BRAND: &str = "weir_";
const RANDOM_CHARACTERS: usize = 32;
const MAX_KIND: usize = 16;

/// The length of the longest key in bytes.
pub const MAX_BYTES: usize = BRAND.len() + MAX_KIND + 1 + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS;

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
        if is_kind(kind) { Ok(Self(kind.to_owned())) } else { Err(KindError) }
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

fn is_kind(kind: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let begins = kind.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    (2..=MAX_KIND).contains(&kind.len()) && begins && kind.bytes().all(good)
}

/// Why [`fill`] made no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FillError {
    /// The text is no kind.
    Kind,
    /// The key has so many bytes, and there is not room for them.
    Room(usize),
    /// The kernel gave no random bytes.
    Draw(Error),
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => KindError.fmt(f),
            Self::Room(bytes) => write!(f, "the key takes {bytes} bytes, and there is not room for them"),
            Self::Draw(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FillError {}

/// The length in bytes of the keys of a kind; `None` if it is no kind.
#[must_use]
pub fn length(kind: &str) -> Option<usize> {
    is_kind(kind).then_some(BRAND.len() + kind.len() + 1 + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS)
}

/// Mints a key of `kind` into the beginning of `out`, without an allocation, and says how many bytes it has. There is
/// always room in [`MAX_BYTES`].
///
/// # Errors
/// [`FillError`]. `out` then holds nothing that was drawn.
pub fn fill(kind: &str, out: &mut [u8]) -> Result<usize, FillError> {
    let length = length(kind).ok_or(FillError::Kind)?;
    let key = out.get_mut(..length).ok_or(FillError::Room(length))?;
    let (beginning, sum) = key.split_at_mut(length - CHECKSUM_CHARACTERS);
    let (before, random) = beginning.split_at_mut(length - CHECKSUM_CHARACTERS - RANDOM_CHARACTERS);
    let text = BRAND.bytes().chain(kind.bytes()).chain([b'_']);
    before.iter_mut().zip(text).for_each(|(place, byte)| *place = byte);
    Alphabet::Base62.fill(random).map_err(FillError::Draw)?;
    sum.copy_from_slice(&checksum(beginning));
    Ok(length)
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
    fn a_key_fits_into_a_buffer_of_its_length_and_no_shorter_one() {
        for kind in ["ad", "key", "a123456789012345"] {
            let length = BRAND.len() + kind.len() + 39;
            let mut out = [b'#'; MAX_BYTES];
            assert_eq!(fill(kind, &mut out), Ok(length));
            let (key, rest) = out.split_at(length);
            let found = recognise(std::str::from_utf8(key).expect("ASCII"));
            assert_eq!(found.as_ref().map(Kind::as_str), Some(kind));
            assert!(rest.iter().all(|byte| *byte == b'#'));
            assert_eq!(fill(kind, &mut out[..length - 1]), Err(FillError::Room(length)));
        }
        assert_eq!(fill("K", &mut [0; MAX_BYTES]), Err(FillError::Kind));
        assert_eq!(fill("key", &mut []), Err(FillError::Room(47)));
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
