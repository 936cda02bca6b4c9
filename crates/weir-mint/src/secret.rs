//! How a minted credential is held.

use std::fmt;

use subtle::ConstantTimeEq;

/// A text that is to be known to as few as possible.
///
/// It does not print, it compares in constant time (only a difference of lengths shows), and it erases itself when
/// dropped. [`Secret::expose`] is the one way to the text, so that whoever reads code can search for it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes over a text that is a secret. No copy of it is left elsewhere.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares with what somebody presented, in constant time.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        // Whatever was there before the text became shorter, too.
        bytes.resize(bytes.capacity(), 0);
        erase(&mut bytes);
    }
}

/// Overwrites with zeros, which the compiler may not leave out although nobody reads them. Whole registers at a time:
/// byte for byte, erasing would cost a third of what drawing a credential does.
#[inline]
pub fn erase(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// For `#[serde(serialize_with = "weir_mint::expose")]`: writes the text of a field that is meant to be shown, such as a
/// credential in the answer to the request that made it. `Secret` itself has no `Serialize`.
///
/// # Errors
/// Those of the serializer.
#[cfg(feature = "serde")]
pub fn expose<S: serde::Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(…) Some(Secret(…))");
    }

    #[test]
    fn erased_is_zeros_to_the_last_byte() {
        for length in [0, 1, 7, 32, 1000] {
            let mut bytes = vec![0xa5; length];
            erase(&mut bytes);
            assert_eq!(bytes, vec![0; length]);
        }
    }

    #[test]
    fn equality_is_that_of_the_texts() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(secret, Secret::new("hunter2".to_owned()));
        for other in ["hunter3", "Hunter2", "hunter", "hunter22", ""] {
            assert_ne!(secret, Secret::new(other.to_owned()));
            assert!(!secret.matches(other.as_bytes()));
        }
    }
}
