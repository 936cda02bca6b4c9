//! Opaque tokens: what a credential, a session or an API key is made of.

use std::fmt;

use weir_kernel::{Error, Purpose};

use crate::alphabet::{Alphabet, base62};
use crate::crc32::crc32;
use crate::secret::Secret;

/// Characters of the default credential.
const KEY_CHARACTERS: usize = 32;
/// Characters of a checksum: the fewest that hold 32 bits in base62.
pub(crate) const CHECKSUM_CHARACTERS: usize = 6;

/// One default credential: 32 characters of base62, 190.5 bits.
///
/// # Errors
/// Those of the draw.
pub fn key() -> Result<Secret, Error> {
    let mut text = Vec::with_capacity(KEY_CHARACTERS);
    Alphabet::Base62.mint(Purpose::Token, KEY_CHARACTERS, &mut text)?;
    Ok(secret(text))
}

/// What a token looks like. Made once, minted from many times.
///
/// ```
/// use weir_mint::{Alphabet, Token};
///
/// let session = Token::builder().bits(256).alphabet(Alphabet::Base64Url).build()?;
/// assert_eq!((session.characters(), session.strength_bits()), (43, 258.0));
/// let secret = session.mint()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    alphabet: Alphabet,
    characters: usize,
    prefix: String,
    checksum: bool,
}

impl Default for Token {
    /// What [`key`] mints.
    fn default() -> Self {
        Self {
            alphabet: Alphabet::Base62,
            characters: KEY_CHARACTERS,
            prefix: String::new(),
            checksum: false,
        }
    }
}

impl Token {
    /// The most random characters.
    pub const MAX_CHARACTERS: usize = 1 << 20;
    /// The longest prefix.
    pub const MAX_PREFIX: usize = 64;

    /// Begins with what [`key`] mints.
    pub fn builder() -> TokenBuilder {
        TokenBuilder { token: Self::default(), length: Length::Characters(KEY_CHARACTERS) }
    }

    /// A default credential with this before it and a checksum after it.
    pub(crate) fn with_checksum(prefix: String) -> Self {
        Self { prefix, checksum: true, ..Self::default() }
    }

    /// How many random characters it has.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.characters
    }

    /// How many bits a guesser has to guess. Prefix and checksum add none.
    #[must_use]
    pub fn strength_bits(&self) -> f64 {
        self.characters as f64 * self.alphabet.bits_per_character()
    }

    /// Mints one.
    ///
    /// # Errors
    /// Those of the draw.
    pub fn mint(&self) -> Result<Secret, Error> {
        let more = if self.checksum { CHECKSUM_CHARACTERS } else { 0 };
        // The right capacity at once: growing would leave a copy of the secret behind.
        let mut text = Vec::with_capacity(self.prefix.len() + self.characters + more);
        text.extend_from_slice(self.prefix.as_bytes());
        self.alphabet.mint(Purpose::Token, self.characters, &mut text)?;
        if self.checksum {
            let sum = checksum(&text);
            text.extend_from_slice(&sum);
        }
        Ok(secret(text))
    }
}

/// Says what a [`Token`] is to look like.
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing before `build`"]
pub struct TokenBuilder {
    token: Token,
    length: Length,
}

#[derive(Debug, Clone, Copy)]
enum Length {
    Characters(usize),
    Bits(u32),
}

impl TokenBuilder {
    /// So many random characters. The last of this and [`TokenBuilder::bits`] holds.
    pub fn length(mut self, characters: usize) -> Self {
        self.length = Length::Characters(characters);
        self
    }

    /// As many characters as at least so many bits take in the alphabet.
    pub fn bits(mut self, bits: u32) -> Self {
        self.length = Length::Bits(bits);
        self
    }

    /// Out of these characters.
    pub fn alphabet(mut self, alphabet: Alphabet) -> Self {
        self.token.alphabet = alphabet;
        self
    }

    /// With this before the random part.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.token.prefix);
        self
    }

    /// With six characters of base62 after the random part: the CRC-32 of all that is before them, as in
    /// [`crate::scannable`].
    pub fn checksum(mut self, checksum: bool) -> Self {
        self.token.checksum = checksum;
        self
    }

    /// The token, if there can be such a one.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn build(self) -> Result<Token, TokenError> {
        let Self { mut token, length } = self;
        token.characters = match length {
            Length::Characters(characters) => characters,
            // The quotient of two logarithms can come out a hair above a whole number that it equals.
            Length::Bits(bits) => {
                (f64::from(bits) / token.alphabet.bits_per_character() - 1e-9).ceil().max(0.0) as usize
            }
        };
        if !(1..=Token::MAX_CHARACTERS).contains(&token.characters) {
            return Err(TokenError::Length);
        }
        if token.prefix.len() > Token::MAX_PREFIX || !token.prefix.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(TokenError::Prefix);
        }
        Ok(token)
    }
}

/// Why there is no such token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// No random characters at all, or more than [`Token::MAX_CHARACTERS`].
    Length,
    /// The prefix holds what is not printable ASCII, or is longer than [`Token::MAX_PREFIX`].
    Prefix,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "a token has 1 to {} random characters", Token::MAX_CHARACTERS),
            Self::Prefix => {
                write!(
                    f,
                    "a prefix is at most {} characters of printable ASCII without space",
                    Token::MAX_PREFIX
                )
            }
        }
    }
}

impl std::error::Error for TokenError {}

/// The checksum of a token's beginning, as the six characters at its end: CRC-32, most significant digit first.
pub(crate) fn checksum(beginning: &[u8]) -> [u8; CHECKSUM_CHARACTERS] {
    let sum = u64::from(crc32(beginning));
    let digit = |place: u32| sum / 62u64.pow(place) % 62;
    let digits = (0..CHECKSUM_CHARACTERS as u32).fold(0, |digits, place| digits << 8 | digit(place));
    let [text @ .., _, _] = base62(digits).to_le_bytes();
    text
}

/// Characters of an alphabet, which are ASCII, as a secret.
fn secret(characters: Vec<u8>) -> Secret {
    Secret::new(String::from_utf8(characters).unwrap_or_default())
}
