//! How the content of a cookie is kept from everybody but the gateway: encrypted and signed, under a key of its own.
//!
//! A sealed text is base64url of: version 1 (1 byte), salt (16), nonce (12), ciphertext and tag of AES-256-GCM (NIST SP
//! 800-38D). The key is HKDF-SHA-256 (RFC 5869) of the plugin's secret and the salt, so that each cookie that is written
//! has another: no number of cookies wears a key out, and none tells anything about the next. A seal is bound to the
//! cookie's name and the audience. Under another secret nothing opens.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weir_kernel::Purpose;

const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const HEAD_LEN: usize = 1 + SALT_LEN + NONCE_LEN;
const LABEL: &[u8] = b"weir session cookie 1";

/// Seals and opens.
pub(crate) struct Seal {
    secret: Prk,
    audience: String,
}

impl Seal {
    pub(crate) fn new(secret: &[u8], audience: &str) -> Self {
        let secret = Salt::new(HKDF_SHA256, LABEL).extract(secret);
        Self { secret, audience: audience.to_owned() }
    }

    /// Seals a text for the cookie of this name.
    ///
    /// # Errors
    /// Those of drawing the salt and the nonce; never waits.
    pub(crate) fn seal(&self, cookie: &str, text: &[u8]) -> Result<String, weir_kernel::Error> {
        let mut out = vec![0; HEAD_LEN];
        out[0] = VERSION;
        weir_kernel::try_fill_for(Purpose::Key, &mut out[1..])?;
        let mut body = text.to_vec();
        let sealed = self
            .key(&out)
            .zip(nonce(&out))
            .and_then(|(key, nonce)| key.seal_in_place_append_tag(nonce, self.place(cookie), &mut body).ok());
        // Sealing fails only for texts of many gigabytes.
        sealed.ok_or(weir_kernel::Error::Broken)?;
        out.extend_from_slice(&body);
        Ok(URL_SAFE_NO_PAD.encode(out))
    }

    /// Opens what was sealed for the cookie of this name.
    pub(crate) fn open(&self, cookie: &str, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        if bytes.len() < HEAD_LEN || bytes[0] != VERSION {
            return None;
        }
        let mut body = bytes.split_off(HEAD_LEN);
        let length =
            self.key(&bytes)?.open_in_place(nonce(&bytes)?, self.place(cookie), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }

    fn key(&self, head: &[u8]) -> Option<LessSafeKey> {
        let info = [LABEL, head.get(1..=SALT_LEN)?];
        let key = self.secret.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }

    fn place(&self, cookie: &str) -> Aad<Vec<u8>> {
        Aad::from([cookie.as_bytes(), self.audience.as_bytes()].join(&0))
    }
}

fn nonce(head: &[u8]) -> Option<Nonce> {
    Nonce::try_assume_unique_for_key(head.get(1 + SALT_LEN..HEAD_LEN)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let seal = Seal::new(b"secret", "default");
        let text = seal.seal("session", b"alice").unwrap();
        assert_eq!(seal.open("session", &text).as_deref(), Some(&b"alice"[..]));
        assert_ne!(seal.seal("session", b"alice").unwrap(), text, "each has a key of its own");
        assert_eq!(seal.open("remember", &text), None);
        assert_eq!(Seal::new(b"secret", "other").open("session", &text), None);
        assert_eq!(Seal::new(b"secreu", "default").open("session", &text), None);
    }

    #[test]
    fn a_bit_that_is_changed_anywhere_is_noticed() {
        let seal = Seal::new(b"secret", "default");
        let text = seal.seal("session", b"alice").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[at / 8] ^= 1 << (at % 8);
            assert_eq!(seal.open("session", &URL_SAFE_NO_PAD.encode(forged)), None, "bit {at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(seal.open("session", &URL_SAFE_NO_PAD.encode(&bytes[..length])), None);
        }
        assert_eq!(seal.open("session", &format!("{text}=")), None);
        assert_eq!(seal.open("session", "not base64!"), None);
    }
}
