//! The characters that tokens are made of, and the uniform choice among them.
//!
//! A symbol is a group of as many bits as the alphabet needs; groups beyond the alphabet are thrown away. So every symbol
//! is equally likely, and which groups were thrown away says nothing about those that were kept.
//!
//! Characters are computed from symbols and not looked up: a table's cache lines would tell another process on the same
//! core which part of the table a secret made us read. A custom alphabet is read from end to end for each symbol.

use std::fmt;

use weir_kernel::{Error, Purpose};
use zeroize::Zeroize;

/// The characters of a token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Alphabet {
    /// `0-9A-Za-z`: 5.95 bits a character. Survives double-click, URL and shell.
    #[default]
    Base62,
    /// `A-Za-z0-9-_`: 6 bits (RFC 4648 section 5).
    Base64Url,
    /// `0-9a-f`: 4 bits.
    Hex,
    /// `A-Z2-7`: 5 bits (RFC 4648 section 6). For people who read aloud, and for file systems without case.
    Base32,
    /// Others; made by [`Alphabet::custom`].
    Custom(Custom),
}

/// A checked list of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom(Box<[u8]>);

/// Why a list of characters is no alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlphabetError {
    /// Fewer than two characters leave nothing to choose.
    TooFew,
    /// This character is there twice, so it would come up twice as often.
    Repeated(char),
    /// This character is not printable ASCII.
    NotPrintableAscii(char),
}

impl fmt::Display for AlphabetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew => f.write_str("an alphabet needs at least two characters"),
            Self::Repeated(c) => write!(f, "an alphabet must not hold {c:?} twice"),
            Self::NotPrintableAscii(c) => {
                write!(f, "an alphabet must be printable ASCII without space, not {c:?}")
            }
        }
    }
}

impl std::error::Error for AlphabetError {}

/// As many bytes as a symbol has bits make this many symbols.
const GROUP: usize = u8::BITS as usize;
/// Groups of one draw at most. Longer tokens take several draws.
const MAX_GROUPS: usize = 16;
/// What [`Alphabet::mint`] may write behind the last character before it cuts that off again; a vector with so much room
/// is not moved.
pub(crate) const SLACK: usize = GROUP;

impl Alphabet {
    /// An alphabet of these characters: printable ASCII without space, each once.
    ///
    /// # Errors
    /// [`AlphabetError`].
    pub fn custom(characters: &str) -> Result<Self, AlphabetError> {
        if let Some(bad) = characters.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(AlphabetError::NotPrintableAscii(bad));
        }
        let bytes = characters.as_bytes();
        if let Some((_, twice)) =
            bytes.iter().enumerate().find(|(at, c)| bytes.iter().take(*at).any(|d| d == *c))
        {
            return Err(AlphabetError::Repeated(char::from(*twice)));
        }
        if bytes.len() < 2 { Err(AlphabetError::TooFew) } else { Ok(Self::Custom(Custom(bytes.into()))) }
    }

    /// How many characters there are.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Base62 => 62,
            Self::Base64Url => 64,
            Self::Hex => 16,
            Self::Base32 => 32,
            Self::Custom(Custom(characters)) => characters.len(),
        }
    }

    /// Bits of entropy in one uniformly chosen character.
    #[must_use]
    pub fn bits_per_character(&self) -> f64 {
        (self.size() as f64).log2()
    }

    /// Appends `count` uniformly chosen characters. With an error, nothing is left in `out`.
    pub(crate) fn mint(&self, purpose: Purpose, count: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        // One loop for each, so that the compiler sees what they compute.
        let minted = match self {
            Self::Base62 => fill::<6>(purpose, 62, count, out, base62),
            Self::Base64Url => fill::<6>(purpose, 64, count, out, base64url),
            Self::Hex => fill::<4>(purpose, 16, count, out, hex),
            Self::Base32 => fill::<5>(purpose, 32, count, out, base32),
            Self::Custom(Custom(characters)) => custom(purpose, characters, count, out),
        };
        if minted.is_err() {
            out.zeroize();
        }
        minted
    }
}

fn custom(purpose: Purpose, characters: &[u8], count: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let size = characters.len() as u8;
    let character = |symbol| scan(characters, symbol);
    match size {
        0..=2 => fill::<1>(purpose, size, count, out, character),
        3..=4 => fill::<2>(purpose, size, count, out, character),
        5..=8 => fill::<3>(purpose, size, count, out, character),
        9..=16 => fill::<4>(purpose, size, count, out, character),
        17..=32 => fill::<5>(purpose, size, count, out, character),
        33..=64 => fill::<6>(purpose, size, count, out, character),
        _ => fill::<7>(purpose, size, count, out, character),
    }
}

/// Appends `count` characters of an alphabet of `size`, which takes `BITS` bits.
#[inline(always)]
fn fill<const BITS: usize>(
    purpose: Purpose,
    size: u8,
    count: usize,
    out: &mut Vec<u8>,
    character: impl Fn(u8) -> u8,
) -> Result<(), Error> {
    // Room behind the draw for reading its last group as a whole word.
    let mut drawn = [0; MAX_GROUPS * 7 + 8];
    let start = out.len();
    let end = start + count;
    out.resize(end + SLACK, 0);
    let mut at = start;
    while at < end {
        let drawn_bytes = groups::<BITS>(size, end - at) * BITS;
        weir_kernel::fill_for(purpose, drawn.get_mut(..drawn_bytes).unwrap_or_default())?;
        for group in (0..drawn_bytes).step_by(BITS) {
            let word = drawn.get(group..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
            let places = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
            at += keep::<BITS>(u64::from_le_bytes(word), size, places.unwrap_or(&mut [0; GROUP]));
            if at >= end {
                break;
            }
        }
        drawn.get_mut(..drawn_bytes).unwrap_or_default().zeroize();
    }
    let symbols = out.get_mut(start..).unwrap_or_default();
    symbols.iter_mut().for_each(|symbol| *symbol = character(*symbol));
    // The slack holds symbols that nobody will see.
    out.get_mut(end..).unwrap_or_default().zeroize();
    out.truncate(end);
    Ok(())
}

/// Puts the symbols of a word that are below `size` in their places, one after the other, and says how many they are.
#[inline(always)]
fn keep<const BITS: usize>(word: u64, size: u8, places: &mut [u8; GROUP]) -> usize {
    let mask = (1u64 << BITS) - 1;
    let mut kept = 0;
    for symbol in 0..GROUP {
        let symbol = (word >> (symbol * BITS) & mask) as u8;
        // Written in any case; one that is out of range is overwritten by the next.
        places[kept & (GROUP - 1)] = symbol;
        kept += usize::from(symbol < size);
    }
    kept
}

/// How many groups to draw so that `count` symbols are enough most of the time.
#[inline(always)]
fn groups<const BITS: usize>(size: u8, count: usize) -> usize {
    let (size, symbols) = (usize::from(size), 1 << BITS);
    let count = count.min(MAX_GROUPS * GROUP);
    // The expected number, and two more for alphabets that reject: for 32 of base62, 36, which are rounded up to 40 and
    // too few once in 10^5 times.
    let expected = if size == symbols { count } else { (count * symbols).div_ceil(size) + 2 };
    expected.div_ceil(GROUP).min(MAX_GROUPS)
}

/// `amount` if `symbol` is above `limit`, else 0, without a branch. Symbols are below 128.
#[inline(always)]
const fn above(symbol: u8, limit: u8, amount: u8) -> u8 {
    // The difference wraps to a number with its high bit set exactly if the symbol is above.
    let mask = 0u8.wrapping_sub(limit.wrapping_sub(symbol) >> 7);
    mask & amount
}

#[inline(always)]
pub(crate) const fn base62(symbol: u8) -> u8 {
    // 0-9, then seven characters further A-Z, then six further a-z.
    b'0'.wrapping_add(symbol).wrapping_add(above(symbol, 9, 7)).wrapping_add(above(symbol, 35, 6))
}

#[inline(always)]
const fn base64url(symbol: u8) -> u8 {
    // A-Z, six further a-z, back to 0-9, back to '-', on to '_'.
    let letter = b'A'.wrapping_add(symbol).wrapping_add(above(symbol, 25, 6));
    let digit = letter.wrapping_sub(above(symbol, 51, 75));
    digit.wrapping_sub(above(symbol, 61, 13)).wrapping_add(above(symbol, 62, 49))
}

#[inline(always)]
pub(crate) const fn hex(symbol: u8) -> u8 {
    b'0'.wrapping_add(symbol).wrapping_add(above(symbol, 9, b'a' - b'9' - 1))
}

#[inline(always)]
const fn base32(symbol: u8) -> u8 {
    b'A'.wrapping_add(symbol).wrapping_sub(above(symbol, 25, b'Z' + 1 - b'2'))
}

/// The character at a secret place, with all of them read.
fn scan(characters: &[u8], symbol: u8) -> u8 {
    let pick = |found, (at, character): (usize, &u8)| {
        let same = 0u8.wrapping_sub(((at as u8 ^ symbol).wrapping_sub(1) & !(at as u8 ^ symbol)) >> 7);
        found | (same & character)
    };
    characters.iter().enumerate().fold(0, pick)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(size: u8, character: impl Fn(u8) -> u8) -> String {
        (0..size).map(|symbol| char::from(character(symbol))).collect()
    }

    #[test]
    fn symbols_become_the_characters_of_their_alphabet() {
        let digits = "0123456789";
        let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let lower = "abcdefghijklmnopqrstuvwxyz";
        assert_eq!(mapped(62, base62), format!("{digits}{upper}{lower}"));
        assert_eq!(mapped(64, base64url), format!("{upper}{lower}{digits}-_"));
        assert_eq!(mapped(16, hex), "0123456789abcdef");
        assert_eq!(mapped(32, base32), format!("{upper}234567"));
        let all: String = ('!'..='~').collect();
        assert_eq!(mapped(94, |symbol| scan(all.as_bytes(), symbol)), all);
    }

    #[test]
    fn custom_alphabets_are_checked() {
        assert_eq!(Alphabet::custom("ab").map(|alphabet| alphabet.size()), Ok(2));
        assert_eq!(Alphabet::custom(""), Err(AlphabetError::TooFew));
        assert_eq!(Alphabet::custom("a"), Err(AlphabetError::TooFew));
        assert_eq!(Alphabet::custom("abca"), Err(AlphabetError::Repeated('a')));
        for (bad, character) in [("a b", ' '), ("aé", 'é'), ("a\n", '\n'), ("a\u{7f}", '\u{7f}')] {
            assert_eq!(Alphabet::custom(bad), Err(AlphabetError::NotPrintableAscii(character)));
        }
    }

    #[test]
    fn a_draw_is_as_long_as_it_must_be() {
        assert_eq!(groups::<6>(62, 32), 5);
        assert_eq!(groups::<6>(64, 32), 4);
        assert_eq!(groups::<4>(16, 33), 5);
        assert_eq!(groups::<7>(94, 1 << 20), MAX_GROUPS);
        assert_eq!(groups::<1>(2, 1), 1);
    }

    #[test]
    fn symbols_out_of_range_leave_no_gap() {
        let word = [61, 62, 0, 63, 1, 2, 62, 3].iter().rev().fold(0u64, |word, symbol| word << 6 | symbol);
        let mut places = [0; GROUP];
        assert_eq!(keep::<6>(word, 62, &mut places), 5);
        assert_eq!(places[..5], [61, 0, 1, 2, 3]);
        assert_eq!(keep::<6>(word, 64, &mut places), 8);
        assert_eq!(keep::<6>(u64::MAX, 62, &mut places), 0);
    }
}
