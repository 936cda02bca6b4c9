//! Draws on operating systems other than Linux: their own generators, as the getrandom crate reaches them (getentropy(2),
//! ProcessPrng and so on).
//!
//! The contract of a draw is the same: right bytes or an error, and nothing weaker in between. Those systems seed their
//! generators before any program runs, so a draw never waits. Draws are not counted.

#![cfg_attr(target_os = "linux", allow(unreachable_pub, reason = "for its own tests here, public elsewhere"))]

use zeroize::Zeroize;

use crate::{Error, Purpose};

/// As on Linux; always so.
#[must_use]
pub fn is_ready() -> bool {
    true
}

/// Fills `buf` from the system's generator.
///
/// # Errors
/// [`Error::Unsupported`] or [`Error::Os`]. `buf` is then all zeros.
pub fn fill(buf: &mut [u8]) -> Result<(), Error> {
    #[allow(clippy::disallowed_methods, reason = "this is the door")]
    getrandom::fill(buf).map_err(|error| {
        buf.zeroize();
        error.raw_os_error().map_or(Error::Unsupported, Error::Os)
    })
}

/// As [`fill`].
///
/// # Errors
/// As [`fill`].
pub fn fill_for(_: Purpose, buf: &mut [u8]) -> Result<(), Error> {
    fill(buf)
}

/// As [`fill`].
///
/// # Errors
/// As [`fill`].
pub fn try_fill(buf: &mut [u8]) -> Result<(), Error> {
    fill(buf)
}

/// As [`fill`].
///
/// # Errors
/// As [`fill`].
pub fn try_fill_for(_: Purpose, buf: &mut [u8]) -> Result<(), Error> {
    fill(buf)
}

/// An array of `N` bytes from the system's generator.
///
/// # Errors
/// As [`fill`].
pub fn array<const N: usize>() -> Result<[u8; N], Error> {
    array_for(Purpose::Other)
}

/// As [`array()`].
///
/// # Errors
/// As [`fill`].
pub fn array_for<const N: usize>(purpose: Purpose) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    fill_for(purpose, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_whole_and_differ() {
        // Two of 256 bits each: alike with odds of 2^-256.
        let (one, other): ([u8; 32], [u8; 32]) = (array().unwrap(), array_for(Purpose::Seed).unwrap());
        assert_ne!(one, other);
        let mut long = vec![0; 10_000];
        try_fill(&mut long).and_then(|()| try_fill_for(Purpose::Key, &mut long)).unwrap();
        // A run of 16 zeros in 10,000 bytes: odds of 2^-114.
        assert!(!long.windows(16).any(|run| run == [0; 16]) && is_ready());
    }
}
