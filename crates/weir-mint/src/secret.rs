//! Secrets.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A text that is not printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is it, in constant time.
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

/// A default credential.
///
/// # Errors
/// When the kernel's generator is not ready or refuses.
pub fn key() -> Result<Secret, weir_kernel::Error> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(32);
    while text.len() < 32 {
        for byte in weir_kernel::array_for::<40>(weir_kernel::Purpose::Token)? {
            if byte < 248 && text.len() < 32 {
                text.push(char::from(ALPHABET[usize::from(byte) % 62]));
            }
        }
    }
    Ok(text.into())
}
