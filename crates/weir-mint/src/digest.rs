//! Keyed digests, by which secrets are looked up without being kept.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{Secret, hex};

/// What a digest in the place of a secret begins with; the number is the version of the scheme.
const KEPT: &str = "weir:digest:1:";

/// Digests secrets with a key: HMAC-SHA-256 (RFC 2104, FIPS 198-1).
///
/// Who has the digests but not the key can neither read the secrets nor test guesses. Looking a secret up by its
/// digest takes a time that says nothing about what it has in common with one that exists.
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

    /// The digest of a secret as it is kept in the place of the secret, where only that is kept.
    pub fn keep(&self, secret: &str) -> String {
        let mut text = String::with_capacity(KEPT.len() + 64);
        text.push_str(KEPT);
        for byte in self.digest(secret.as_bytes()) {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The digest of a secret, of which perhaps only the digest is kept ([`Digester::keep`]).
    pub fn digest_of_kept(&self, kept: &str) -> [u8; 32] {
        kept_digest(kept).unwrap_or_else(|| self.digest(kept.as_bytes()))
    }

    /// Whether what somebody shows is a secret, of which perhaps only the digest is kept. In constant time.
    pub fn is_kept(&self, kept: &Secret, shown: &[u8]) -> bool {
        match kept_digest(kept.expose()) {
            Some(digest) => digest.ct_eq(&self.digest(shown)).into(),
            None => kept.matches(shown),
        }
    }

    /// Another key, for the purpose that `label` names: the first block of HKDF-Expand (RFC 5869, 2.3).
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(label.as_bytes());
        mac.update(&[1]);
        mac.finalize().into_bytes().into()
    }
}

/// Whether a text is a digest in the place of a secret.
pub fn is_digest(text: &str) -> bool {
    text.starts_with(KEPT)
}

fn kept_digest(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.strip_prefix(KEPT)?.as_bytes())
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
    fn a_digest_stands_in_for_its_secret() {
        let digester = Digester::new(&[7; 32]);
        let kept = digester.keep("hunter2");
        assert!(is_digest(&kept) && !kept.contains("hunter2"));
        assert_eq!(digester.digest_of_kept(&kept), digester.digest(b"hunter2"));
        assert_eq!(digester.digest_of_kept("hunter2"), digester.digest(b"hunter2"));
        for kept in [Secret::new(kept), Secret::new("hunter2".to_owned())] {
            assert!(digester.is_kept(&kept, b"hunter2"));
            assert!(!digester.is_kept(&kept, b"hunter3"));
            assert!(!digester.is_kept(&kept, kept.expose().as_bytes()) || kept.expose() == "hunter2");
        }
    }

    #[test]
    fn prints_nothing() {
        assert_eq!(format!("{:?}", Digester::new(&[7; 32])), "Digester(..)");
    }
}
