//! Keys, and what each of them verifies.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::der::{Curve, Pem, PublicKey};
use super::{Algorithm, Error};

/// RSA keys have so many bits: fewer are no good (RFC 7518, 3.3 and 3.5), more take too long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What tokens are verified with. It verifies by the algorithms of its kind alone, and does not print.
pub struct Key {
    material: Material,
}

enum Material {
    /// A secret, and what each digest makes of it once it is asked for.
    Secret {
        secret: Zeroizing<Vec<u8>>,
        ready: Box<[OnceLock<hmac::Key>; 3]>,
    },
    /// `pss`: RS256 and its like are not for this key.
    Rsa {
        n: Box<[u8]>,
        e: Box<[u8]>,
        pss: bool,
        ready: Box<[OnceLock<Option<ParsedPublicKey>>; 6]>,
    },
    /// A point on the curve of the one algorithm.
    Ec(Algorithm, ParsedPublicKey),
    Ed25519(ParsedPublicKey),
}

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is malformed.
    #[error("it is no public key, certificate or JSON Web Key")]
    Form,
    /// It is a key for something else.
    #[error("it is no key of RSA, P-256, P-384, P-521 or Ed25519")]
    Kind,
    /// It is an RSA key of fewer than 2048 or more than 8192 bits.
    #[error("an RSA key needs 2048 to 8192 bits")]
    Size,
    /// It has the right form but is not on its curve, or an impossible number.
    #[error("it is not a valid key")]
    Invalid,
}

impl Key {
    /// A secret that both sides know. RFC 7518 (3.2) wants as many bytes as the digest has; what people chose before is
    /// taken all the same.
    pub fn from_secret(secret: &[u8]) -> Self {
        let secret = Zeroizing::new(secret.to_vec());
        Self { material: Material::Secret { secret, ready: Default::default() } }
    }

    /// A public key in PEM: `PUBLIC KEY`, `RSA PUBLIC KEY`, or a `CERTIFICATE`, of which only the key counts.
    ///
    /// # Errors
    /// When it is none, or none that can be used.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        match Pem::parse(text)?.public_key()? {
            PublicKey::Rsa { n, e, pss } => Self::rsa(n, e, pss),
            PublicKey::Ec { curve, point } => Self::ec(curve, point),
            PublicKey::Ed25519(bytes) => Self::ed25519(bytes),
        }
    }

    pub(super) fn rsa(n: &[u8], e: &[u8], pss: bool) -> Result<Self, KeyError> {
        let leading = n.first().ok_or(KeyError::Form)?.leading_zeros() as usize;
        if !RSA_BITS.contains(&(n.len() * 8 - leading)) {
            return Err(KeyError::Size);
        }
        // RFC 8017, 3.1: odd. An exponent of 1 would let everybody sign; long ones only take time.
        if e.len() > 4 || e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
            return Err(KeyError::Invalid);
        }
        let material = Material::Rsa { n: n.into(), e: e.into(), pss, ready: Default::default() };
        let key = Self { material };
        key.rsa_ready(Algorithm::Ps256).ok_or(KeyError::Invalid)?;
        Ok(key)
    }

    pub(super) fn ec(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, verification) = match curve {
            Curve::P256 => (Algorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED),
            Curve::P384 => (Algorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED),
            Curve::P521 => (Algorithm::Es512, &signature::ECDSA_P521_SHA512_FIXED),
        };
        let parsed = ParsedPublicKey::new(verification, point).map_err(|_| KeyError::Invalid)?;
        Ok(Self { material: Material::Ec(algorithm, parsed) })
    }

    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 32 {
            return Err(KeyError::Invalid);
        }
        let parsed = ParsedPublicKey::new(&signature::ED25519, bytes).map_err(|_| KeyError::Invalid)?;
        Ok(Self { material: Material::Ed25519(parsed) })
    }

    /// Whether the key is one for this algorithm.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match &self.material {
            Material::Secret { .. } => algorithm.is_symmetric(),
            Material::Rsa { pss, .. } => match algorithm {
                Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => !pss,
                Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => true,
                _ => false,
            },
            Material::Ec(own, _) => algorithm == *own,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        }
    }

    /// Whether this is the signature of these bytes. Secrets are compared in constant time.
    ///
    /// # Errors
    /// [`Error::Algorithm`] when the key is for another, [`Error::Signature`].
    pub fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Result<(), Error> {
        if !self.fits(algorithm) {
            return Err(Error::Algorithm);
        }
        let verified = match &self.material {
            Material::Secret { .. } => match self.mac(algorithm) {
                Some(key) => hmac::verify(key, signed, signature),
                None => return Err(Error::Algorithm),
            },
            Material::Rsa { .. } => match self.rsa_ready(algorithm) {
                Some(key) => key.verify_sig(signed, signature),
                None => return Err(Error::Algorithm),
            },
            Material::Ec(_, key) | Material::Ed25519(key) => key.verify_sig(signed, signature),
        };
        verified.map_err(|_| Error::Signature)
    }

    /// A token in the compact form, signed by HS256, HS384 or HS512. `None` when the key is no secret. That the header
    /// names the algorithm is the caller's to see.
    pub fn sign(&self, algorithm: Algorithm, header: &str, claims: &str) -> Option<String> {
        let mut text = URL_SAFE_NO_PAD.encode(header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut text);
        let tag = hmac::sign(self.mac(algorithm)?, text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut text);
        Some(text)
    }

    fn mac(&self, algorithm: Algorithm) -> Option<&hmac::Key> {
        let Material::Secret { secret, ready } = &self.material else { return None };
        let (at, digest) = match algorithm {
            Algorithm::Hs256 => (0, hmac::HMAC_SHA256),
            Algorithm::Hs384 => (1, hmac::HMAC_SHA384),
            Algorithm::Hs512 => (2, hmac::HMAC_SHA512),
            _ => return None,
        };
        Some(ready[at].get_or_init(|| hmac::Key::new(digest, secret)))
    }

    fn rsa_ready(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        let Material::Rsa { n, e, ready, .. } = &self.material else { return None };
        let (at, parameters): (_, &'static RsaParameters) = match algorithm {
            Algorithm::Rs256 => (0, &signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => (1, &signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => (2, &signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => (3, &signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => (4, &signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => (5, &signature::RSA_PSS_2048_8192_SHA512),
            _ => return None,
        };
        let parse = || RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok();
        ready[at].get_or_init(parse).as_ref()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.material {
            Material::Secret { .. } => "Key(secret)",
            Material::Rsa { .. } => "Key(RSA)",
            Material::Ec(..) => "Key(EC)",
            Material::Ed25519(_) => "Key(Ed25519)",
        })
    }
}
