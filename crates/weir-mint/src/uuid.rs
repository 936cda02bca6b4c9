//! Universally unique identifiers, RFC 9562.
//!
//! - Version 4 (section 5.4): 122 random bits. Unguessable, and says nothing.
//! - Version 7 (section 5.7): time first, so that ids made later sort later, as an index likes them. 48 bits of
//!   milliseconds, then the 12 bits of `rand_a` carry the fraction of the millisecond (section 6.2, method 3), then 62
//!   random bits.
//!
//! How monotonic version 7 is here: of two ids, the one made at least 245 ns later by the wall clock sorts later, on whatever
//! thread or host of one time. Ids made within the same 245 ns sort at random; when the clock is set back, so do the ids.
//! There is no counter kept between ids: it would be shared by all threads, and by the clones of a machine.
//! Neither version is a credential: 122 and 62 bits are for uniqueness, and a version 7 tells when it was made.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use weir_kernel::{Error, Purpose, clock};

use crate::alphabet::hex;

/// A UUID. Ordered as its bytes are, which for version 7 is the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// A text that is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UuidError;

impl fmt::Display for UuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID is 32 hexadecimal digits, with hyphens after 8, 12, 16 and 20 or without any")
    }
}

impl std::error::Error for UuidError {}

impl Uuid {
    /// A random UUID.
    ///
    /// # Errors
    /// Those of the draw.
    pub fn v4() -> Result<Self, Error> {
        Ok(Self(weir_kernel::array_for(Purpose::Uuid)?).marked(4))
    }

    /// A UUID that sorts by the present time.
    ///
    /// # Errors
    /// Those of the draw.
    pub fn v7() -> Result<Self, Error> {
        Self::v7_at(clock::since_unix_epoch())
    }

    fn v7_at(since_epoch: Duration) -> Result<Self, Error> {
        let random: [u8; 8] = weir_kernel::array_for(Purpose::Uuid)?;
        let ms = since_epoch.as_millis() as u64;
        let fraction = u64::from(since_epoch.subsec_nanos() % 1_000_000) * 4096 / 1_000_000;
        let time = ms << 16 | fraction;
        let mut bytes = [0; 16];
        let (first, last) = bytes.split_at_mut(8);
        first.copy_from_slice(&time.to_be_bytes());
        last.copy_from_slice(&random);
        Ok(Self(bytes).marked(7))
    }

    /// With the fields of version (section 4.2) and variant (4.1) set.
    fn marked(mut self, version: u8) -> Self {
        let [.., sixth, _, eighth, _, _, _, _, _, _, _] = &mut self.0;
        *sixth = *sixth & 0x0f | version << 4;
        *eighth = *eighth & 0x3f | 0x80;
        self
    }

    /// Of these bytes, in the order of the text.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, in the order of the text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The version field.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.0[6] >> 4
    }

    /// For version 7: milliseconds since 1970 when it was made.
    #[must_use]
    pub fn unix_ms(&self) -> Option<u64> {
        let [a, b, c, d, e, f, ..] = self.0;
        (self.version() == 7).then(|| u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The text with hyphens, in lower case: ASCII. Computed, not looked up, since an id may be a secret to some.
    #[must_use]
    pub fn text(self) -> [u8; 36] {
        let mut digits = [0; 32];
        for (eight, four) in digits.as_chunks_mut::<8>().0.iter_mut().zip(self.0.as_chunks::<4>().0) {
            // Eight digits, one in each byte of a word: the bytes spread out, then each byte's halves.
            let word = u64::from(u32::from_le_bytes(*four));
            let word = (word | word << 16) & 0x0000_ffff_0000_ffff;
            let word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
            *eight =
                hex(word >> 4 & 0x000f_000f_000f_000f | (word & 0x000f_000f_000f_000f) << 8).to_le_bytes();
        }
        let mut text = [b'-'; 36];
        for (place, from, count) in [(0, 0, 8), (9, 8, 4), (14, 12, 4), (19, 16, 4), (24, 20, 12)] {
            text[place..place + count].copy_from_slice(&digits[from..from + count]);
        }
        text
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let mut digits = [0; 32];
        let characters = text.as_bytes();
        match characters.len() {
            32 => digits.copy_from_slice(characters),
            36 if [8, 13, 18, 23].iter().all(|at| characters.get(*at) == Some(&b'-')) => {
                let places = characters.iter().enumerate().filter(|(at, _)| ![8, 13, 18, 23].contains(at));
                digits.iter_mut().zip(places).for_each(|(digit, (_, character))| *digit = *character);
            }
            _ => return Err(UuidError),
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().try_fold(0, |value, digit| Ok(value << 4 | nibble(*digit)?))?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, UuidError> {
    let value = char::from(digit).to_digit(16).ok_or(UuidError)?;
    Ok(value as u8)
}

#[cfg(feature = "serde")]
impl serde::Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Uuid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_7_has_the_layout_of_the_rfc() {
        // RFC 9562 appendix A.6: Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00 is 0x017F22E279B0 ms.
        let uuid = Uuid::v7_at(Duration::from_millis(0x017f_22e2_79b0)).expect("ready");
        assert!(uuid.to_string().starts_with("017f22e2-79b0-7000-"), "{uuid}");
        assert_eq!((uuid.version(), uuid.unix_ms()), (7, Some(0x017f_22e2_79b0)));
        assert_eq!(uuid.as_bytes()[8] >> 6, 0b10);
        let half = Uuid::v7_at(Duration::from_nanos(1_500_000)).expect("ready");
        assert!(half.to_string().starts_with("00000000-0001-7800-"), "{half}");
        let most = Uuid::v7_at(Duration::from_nanos(1_999_999)).expect("ready");
        assert!(most.to_string().starts_with("00000000-0001-7fff-"), "{most}");
    }

    #[test]
    fn a_later_version_7_sorts_later() {
        let mut last = None;
        for nanoseconds in (0..10_000_000).step_by(245) {
            let uuid = Uuid::v7_at(Duration::from_nanos(nanoseconds)).expect("ready");
            assert!(last < Some(uuid), "{nanoseconds}");
            last = Some(uuid);
        }
    }
}
