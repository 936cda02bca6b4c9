//! Keyed digests, by which secrets are looked up without being kept.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Digests secrets with a key: HMAC-SHA-256 (RFC 2104, FIPS 198-1).
///
/// Who has the digests but not the key can neither read the secrets nor test guesses. Looking a secret up by its
/// digest takes the same time whether it exists or not, and whatever it has in common with one that does.
#[derive(Clone)]
pub struct Digester {
    keyed: Hmac<Sha256>,
}

impl Digester {
    /// A digester with this key.
    pub fn new(key: &[u8; 32]) -> Self {
        // A key of 32 bytes is shorter than a block, which every length of key is accepted for.
        let keyed = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
        Self { keyed }
    }

    /// The digest of a secret: 32 bytes.
    pub fn digest(&self, secret: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(secret);
        mac.finalize().into_bytes().into()
    }

    /// Another key, for the purpose that `label` names: the first block of HKDF-Expand (RFC 5869, 2.3).
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(label.as_bytes());
        mac.update(&[1]);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digester(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 1 has a key of 20 bytes; zeros on the right change no HMAC key, so it fits here.
    #[test]
    fn rfc_4231_case_1() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let want = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        let got: String =
            Digester::new(&key).digest(b"Hi There").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn prints_nothing() {
        assert_eq!(format!("{:?}", Digester::new(&[7; 32])), "Digester(..)");
    }
}
