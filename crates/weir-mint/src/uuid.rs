//! UUIDs.

use std::fmt;
use std::str::FromStr;

/// A UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// Not a UUID.
#[derive(Debug, PartialEq, Eq)]
pub struct ParseUuidError;

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID")
    }
}

impl std::error::Error for ParseUuidError {}

impl Uuid {
    /// A random UUID (RFC 9562, 5.4).
    ///
    /// # Errors
    /// When the kernel's generator is not ready or refuses.
    pub fn v4() -> Result<Self, weir_kernel::Error> {
        let mut bytes = weir_kernel::array_for::<16>(weir_kernel::Purpose::Uuid)?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Ok(Self(bytes))
    }

    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        let digits = std::str::from_utf8(&hex).map_err(|_| ParseUuidError)?;
        let mut out = [0; 16];
        if digits.len() != 32 {
            return Err(ParseUuidError);
        }
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_| ParseUuidError)?;
        }
        Ok(Self(out))
    }
}
