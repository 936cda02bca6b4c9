//! Sizes as people write them: `4096`, `64KiB`, `1M`.

use std::fmt;

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SizeError {
    /// It does not begin with a whole number.
    NoNumber,
    /// What follows the number is no unit.
    UnknownUnit,
    /// More bytes than 2^64 - 1.
    TooLarge,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNumber => "a size begins with a whole number, such as 32, 64KiB or 1M",
            Self::UnknownUnit => {
                "the units of a size are B, K, M, G, T (1024), KiB to TiB (1024) and kB to TB (1000)"
            }
            Self::TooLarge => "a size must be below 2^64 bytes",
        })
    }
}

impl std::error::Error for SizeError {}

/// Bytes from a number with an optional unit. `K`, `M`, `G`, `T` and `KiB` to `TiB` count in 1024, `kB` to `TB` in 1000, as
/// dd(1) does. Case does not matter, nor does one space before the unit.
///
/// # Errors
/// [`SizeError`].
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(SizeError::NoNumber);
    }
    let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    number.checked_mul(factor(&unit).ok_or(SizeError::UnknownUnit)?).ok_or(SizeError::TooLarge)
}

fn factor(unit: &str) -> Option<u64> {
    let (letter, base) = match unit.as_bytes() {
        [] | [b'b'] => return Some(1),
        [letter] | [letter, b'i', b'b'] => (letter, 1024u64),
        [letter, b'b'] => (letter, 1000),
        _ => return None,
    };
    let power = b"kmgt".iter().position(|known| known == letter)?;
    base.checked_pow(u32::try_from(power).ok()? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_mean_what_they_say() {
        for (text, bytes) in [
            ("0", 0),
            ("32", 32),
            ("32B", 32),
            ("1K", 1024),
            ("1k", 1024),
            ("64KiB", 65_536),
            (" 64 kib ", 65_536),
            ("1M", 1 << 20),
            ("1MB", 1_000_000),
            ("2G", 2 << 30),
            ("3TiB", 3 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_an_error() {
        for text in ["", "K", "-1", "+1", "1.5M", "x"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(parse_size("1X"), Err(SizeError::UnknownUnit));
        assert_eq!(parse_size("1KiBs"), Err(SizeError::UnknownUnit));
        assert_eq!(parse_size("1.5M"), Err(SizeError::UnknownUnit));
        assert_eq!(parse_size("18446744073709551616"), Err(SizeError::TooLarge));
        assert_eq!(parse_size("99999999999T"), Err(SizeError::TooLarge));
    }
}
