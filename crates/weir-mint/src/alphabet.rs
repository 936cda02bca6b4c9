//! The characters that tokens are made of, and the uniform choice among them.
//!
//! Eight symbols come from one random word by multiplication: the high half of `word * size` is a symbol, the low half goes
//! on to the next. After k symbols that is Lemire's method for an interval of `size^k` (ACM TOMACS 29:1, 2019, algorithm 5),
//! one digit at a time, and so is the rejection that makes it exact: a word whose last low half is below
//! `2^64 mod size^k` is thrown away, which happens once in 84,000 words of base62.
//!
//! Characters are computed from symbols, eight at a time in the bytes of a word, and not looked up: a table's cache lines
//! would tell another process on the same core which part of the table a secret made us read. A custom alphabet is
//! read from end to end for each symbol.

use std::fmt;

use weir_kernel::{Error, Purpose};

use crate::secret::erase;

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

/// A checked list of characters that belongs to the caller: [`Alphabet::custom`] for those who may not allocate.
///
/// ```
/// let mut pin = [0; 6];
/// weir_mint::Characters::new("0123456789")?.fill(&mut pin)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Characters<'a>(&'a [u8]);

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

/// Words of one draw at most. Longer tokens take several draws.
const MAX_WORDS: usize = 16;
const WORD_BYTES: usize = 8;

impl Alphabet {
    /// An alphabet of these characters: printable ASCII without space, each once.
    ///
    /// # Errors
    /// [`AlphabetError`].
    pub fn custom(characters: &str) -> Result<Self, AlphabetError> {
        Characters::new(characters).map(|checked| Self::Custom(Custom(checked.0.into())))
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

    /// Fills `out` with uniformly chosen characters, without an allocation.
    ///
    /// # Errors
    /// Those of the draw. `out` is then all zeros.
    pub fn fill(&self, out: &mut [u8]) -> Result<(), Error> {
        self.fill_for(Purpose::Token, out)
    }

    /// As [`Alphabet::fill`], counted under `purpose`.
    fn fill_for(&self, purpose: Purpose, out: &mut [u8]) -> Result<(), Error> {
        // One loop for each, so that the compiler sees what they compute.
        match self {
            Self::Base62 => fill(purpose, 62, out, base62),
            Self::Base64Url => fill(purpose, 64, out, base64url),
            Self::Hex => fill(purpose, 16, out, hex),
            Self::Base32 => fill(purpose, 32, out, base32),
            Self::Custom(Custom(characters)) => Characters(characters).fill_for(purpose, out),
        }
    }

    /// Appends `count` uniformly chosen characters. The vector has room for them, so that it does not move and leave a
    /// copy behind. With an error, nothing is left in `out`.
    pub(crate) fn mint(&self, purpose: Purpose, count: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let at = out.len();
        out.resize(at + count, 0);
        let minted = self.fill_for(purpose, out.get_mut(at..).unwrap_or_default());
        if minted.is_err() {
            erase(out);
            out.clear();
        }
        minted
    }
}

impl<'a> Characters<'a> {
    /// These characters: printable ASCII without space, each once.
    ///
    /// # Errors
    /// [`AlphabetError`].
    pub fn new(characters: &'a str) -> Result<Self, AlphabetError> {
        let mut seen = 0u128;
        for character in characters.chars() {
            if !character.is_ascii_graphic() {
                return Err(AlphabetError::NotPrintableAscii(character));
            }
            let bit = 1 << u32::from(character);
            if seen & bit != 0 {
                return Err(AlphabetError::Repeated(character));
            }
            seen |= bit;
        }
        if characters.len() < 2 { Err(AlphabetError::TooFew) } else { Ok(Self(characters.as_bytes())) }
    }

    /// Fills `out` with uniformly chosen characters, without an allocation.
    ///
    /// # Errors
    /// Those of the draw. `out` is then all zeros.
    pub fn fill(self, out: &mut [u8]) -> Result<(), Error> {
        self.fill_for(Purpose::Token, out)
    }

    fn fill_for(self, purpose: Purpose, out: &mut [u8]) -> Result<(), Error> {
        let scanned =
            |symbols: u64| u64::from_le_bytes(symbols.to_le_bytes().map(|symbol| scan(self.0, symbol)));
        fill(purpose, self.0.len() as u8, out, scanned)
    }
}

/// Fills `out` with characters of an alphabet of `size`; with zeros, if a draw fails.
#[inline(always)]
fn fill(purpose: Purpose, size: u8, out: &mut [u8], characters: impl Fn(u64) -> u64) -> Result<(), Error> {
    let mut at = 0;
    let per_word = symbols_per_word(size);
    while at < out.len() {
        let mut drawn = [0; MAX_WORDS * WORD_BYTES];
        let words = (out.len() - at).div_ceil(per_word).min(MAX_WORDS);
        let drawn = drawn.get_mut(..words * WORD_BYTES).unwrap_or_default();
        if let Err(error) = weir_kernel::fill_for(purpose, drawn) {
            erase(out);
            return Err(error);
        }
        for word in drawn.as_chunks().0 {
            let Some(groups) = symbols(u64::from_le_bytes(*word), size) else { continue };
            for group in groups.iter().take(per_word / WORD_BYTES) {
                at += put(characters(*group).to_le_bytes(), out.get_mut(at..).unwrap_or_default());
            }
        }
        erase(drawn);
    }
    Ok(())
}

/// Puts characters where there is room, and says how many.
#[inline(always)]
fn put(text: [u8; WORD_BYTES], room: &mut [u8]) -> usize {
    if let Some(whole) = room.first_chunk_mut() {
        *whole = text;
        return WORD_BYTES;
    }
    room.iter_mut().zip(text).for_each(|(place, character)| *place = character);
    room.len()
}

/// How many symbols a word gives: eight, or sixteen where a word that has to be thrown away stays rare.
#[inline(always)]
const fn symbols_per_word(size: u8) -> usize {
    if size <= 10 || size == 16 { 16 } else { 8 }
}

/// The symbols of a word, one in each byte, the first in the lowest; or `None` if the word has to be thrown away. Of two
/// groups the second is used only where a word gives sixteen.
#[inline(always)]
fn symbols(word: u64, size: u8) -> Option<[u64; 2]> {
    let per_word = symbols_per_word(size);
    let results = u128::from(size).pow(per_word as u32);
    let too_many = ((1u128 << 64) % results) as u64;
    let mut rest = word;
    let mut groups = [0; 2];
    for group in groups.iter_mut().take(per_word / WORD_BYTES) {
        for place in 0..WORD_BYTES {
            let product = u128::from(rest) * u128::from(size);
            *group |= ((product >> 64) as u64) << (8 * place);
            rest = product as u64;
        }
    }
    (rest >= too_many).then_some(groups)
}

/// A word with the same value in each byte.
const fn all(value: u8) -> u64 {
    u64::from_ne_bytes([value; WORD_BYTES])
}

/// `amount` in each byte whose symbol is above `limit`, without a branch. Symbols and limits are below 64.
#[inline(always)]
const fn above(symbols: u64, limit: u8, amount: u8) -> u64 {
    // The high bit of a byte is set by this addition exactly if its symbol is above; there is no carry out of it.
    let high = (symbols + all(127 - limit)) & all(128);
    (high >> 7) * amount as u64
}

#[inline(always)]
pub(crate) const fn base62(symbols: u64) -> u64 {
    // 0-9, then seven characters further A-Z, then six further a-z.
    symbols + all(b'0') + above(symbols, 9, 7) + above(symbols, 35, 6)
}

#[inline(always)]
const fn base64url(symbols: u64) -> u64 {
    // A-Z, six further a-z, back to 0-9, back to '-', on to '_'.
    let letters = symbols + all(b'A') + above(symbols, 25, 6);
    letters - above(symbols, 51, 75) - above(symbols, 61, 13) + above(symbols, 62, 49)
}

#[inline(always)]
pub(crate) const fn hex(symbols: u64) -> u64 {
    symbols + all(b'0') + above(symbols, 9, b'a' - b'9' - 1)
}

#[inline(always)]
const fn base32(symbols: u64) -> u64 {
    symbols + all(b'A') - above(symbols, 25, b'Z' + 1 - b'2')
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

    fn mapped(size: u8, characters: impl Fn(u64) -> u64) -> String {
        // Each symbol in each byte of a word, beside others.
        let character = |symbol: u8| {
            let bytes = characters(all(symbol)).to_le_bytes();
            assert_eq!(bytes, [bytes[0]; 8]);
            let beside = characters(u64::from(symbol) << 24).to_le_bytes();
            assert_eq!(beside[3], bytes[0]);
            char::from(bytes[0])
        };
        (0..size).map(character).collect()
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
        let printable: Vec<u8> = (b'!'..=b'~').collect();
        let scanned: Vec<u8> = (0..94).map(|symbol| scan(&printable, symbol)).collect();
        assert_eq!(scanned, printable);
    }

    /// The symbols of a word by the definition: digits of the high half of `word * size^k`, if the low half is not among
    /// the too many.
    fn by_definition(word: u64, size: u8, count: u32) -> Option<Vec<u8>> {
        let results = u128::from(size).pow(count);
        // word * size^count in two halves; size^count is at most 2^64.
        let (high, low) = match u64::try_from(results) {
            Ok(results) => {
                let product = u128::from(word) * u128::from(results);
                (product >> 64, product as u64)
            }
            Err(_) => (u128::from(word), 0),
        };
        let digit = |place: u32| (high / u128::from(size).pow(count - 1 - place) % u128::from(size)) as u8;
        (u128::from(low) >= (1 << 64) % results).then(|| (0..count).map(digit).collect())
    }

    #[test]
    fn symbols_are_the_digits_of_an_unbiased_number() {
        let mut words = vec![0, 1, u64::MAX, u64::MAX - 1, 1 << 63];
        words.extend((0..2000).map(|_| u64::from_ne_bytes(weir_kernel::array().expect("ready"))));
        for size in 2..=94u8 {
            let count = symbols_per_word(size);
            for word in &words {
                let bytes = |groups: [u64; 2]| groups.map(u64::to_le_bytes).concat()[..count].to_vec();
                let found = symbols(*word, size).map(bytes);
                assert_eq!(found, by_definition(*word, size, count as u32), "{word} of {size}");
            }
        }
    }

    #[test]
    fn few_words_are_thrown_away() {
        for size in 2..=94u8 {
            let results = u128::from(size).pow(symbols_per_word(size) as u32);
            assert!(results <= 1 << 64);
            let share = ((1u128 << 64) % results) as f64 / 2f64.powi(64);
            assert!(share < 0.001, "{size}: {share}");
        }
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
}
