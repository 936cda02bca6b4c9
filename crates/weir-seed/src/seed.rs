//! The seed itself.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Fresh bytes for one machine. Does not print, is erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(Zeroizing<Vec<u8>>);

/// Why bytes are no seed, or there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// Fewer than [`Seed::MIN_BYTES`].
    #[error("a seed of {0} bytes is too short: it takes {least} to make a generator ready, better {usual}", least = Seed::MIN_BYTES, usual = Seed::BYTES)]
    TooShort(usize),
    /// More than [`Seed::MAX_BYTES`].
    #[error("a seed of {0} bytes is too long: more than {most} is of no use", most = Seed::MAX_BYTES)]
    TooLong(usize),
    /// The kernel gave none.
    #[error("no randomness: {0}")]
    Kernel(#[from] weir_kernel::Error),
}

impl Seed {
    /// The usual length: two times what any kernel's generator holds.
    pub const BYTES: usize = 64;
    /// The shortest: 256 bits. With less no kernel becomes ready.
    pub const MIN_BYTES: usize = 32;
    /// The longest.
    pub const MAX_BYTES: usize = 4096;

    /// A fresh one of the usual length.
    ///
    /// # Errors
    /// [`SeedError::Kernel`].
    pub fn draw() -> Result<Self, SeedError> {
        Self::draw_of(Self::BYTES)
    }

    /// A fresh one of `bytes` bytes.
    ///
    /// # Errors
    /// [`SeedError`].
    pub fn draw_of(bytes: usize) -> Result<Self, SeedError> {
        let mut seed = Self::checked(Zeroizing::new(vec![0; bytes]))?;
        weir_kernel::fill(&mut seed.0)?;
        Ok(seed)
    }

    /// One that came from elsewhere.
    ///
    /// # Errors
    /// [`SeedError::TooShort`], [`SeedError::TooLong`]; the bytes are erased then.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SeedError> {
        Self::checked(Zeroizing::new(bytes))
    }

    fn checked(bytes: Zeroizing<Vec<u8>>) -> Result<Self, SeedError> {
        match bytes.len() {
            length if length < Self::MIN_BYTES => Err(SeedError::TooShort(length)),
            length if length > Self::MAX_BYTES => Err(SeedError::TooLong(length)),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As standard base64 with padding, in one line.
    #[must_use]
    pub fn base64(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len().div_ceil(3) * 4));
        STANDARD.encode_string(self.expose(), &mut text);
        text
    }

    /// As lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> Zeroizing<String> {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
        let mut text = Zeroizing::new(String::with_capacity(2 * self.0.len()));
        self.0.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
        text
    }

    /// The SHA-256 of the bytes, as hexadecimal digits: who has kept it can say later which seed a machine got, and it
    /// tells nothing of one of 256 bits or more.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Sha256::digest(self.expose()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Parses standard base64, with white space anywhere.
    ///
    /// # Errors
    /// `None` for what is no base64; else as [`Seed::from_bytes`].
    pub fn from_base64(text: &str) -> Option<Result<Self, SeedError>> {
        let mut packed = Zeroizing::new(String::with_capacity(text.len()));
        packed.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
        let mut bytes = vec![0; packed.len()];
        match STANDARD.decode_slice(packed.as_bytes(), &mut bytes) {
            Ok(length) => {
                bytes.truncate(length);
                Some(Self::from_bytes(bytes))
            }
            Err(_) => {
                bytes.zeroize();
                None
            }
        }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_a_length_that_makes_a_kernel_ready() {
        assert_eq!(Seed::draw().unwrap().expose().len(), 64);
        assert_eq!(Seed::draw_of(31), Err(SeedError::TooShort(31)));
        assert_eq!(Seed::from_bytes(vec![0; 4097]), Err(SeedError::TooLong(4097)));
        assert!(Seed::draw_of(32).is_ok() && Seed::draw_of(4096).is_ok());
        // Two of 512 bits each: alike with odds of 2^-512.
        assert_ne!(Seed::draw(), Seed::draw());
    }

    #[test]
    fn a_seed_has_three_forms_and_prints_none() {
        let seed = Seed::from_bytes((0..32).collect()).unwrap();
        assert_eq!(seed.base64().as_str(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        assert_eq!(seed.hex().as_str(), "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
        assert_eq!(format!("{seed:?}"), "Seed(32 bytes)");
        // Of `printf` and `sha256sum`.
        assert_eq!(seed.fingerprint(), "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd");
        let folded = format!("{}\n {}\n", &seed.base64()[..20], &seed.base64()[20..]);
        assert_eq!(Seed::from_base64(&folded), Some(Ok(seed)));
        assert_eq!(Seed::from_base64("no base64!"), None);
        assert_eq!(Seed::from_base64("AAAA"), Some(Err(SeedError::TooShort(3))));
    }
}
