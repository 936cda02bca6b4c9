//! Keys in JSON (RFC 7517; RFC 7518, 6; RFC 8037, 2), and sets of them as identity providers publish them.

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::der::Curve;
use super::{Algorithm, Key, KeyError, decode};

/// A set may have so many bytes,
const MAX_SET: usize = 512 << 10;
/// and so many keys that are looked at.
const MAX_KEYS: usize = 256;

/// A key with what is said about it.
#[derive(Debug)]
pub struct Jwk {
    /// `kid`: its name in the set.
    pub id: Option<Box<str>>,
    /// `alg`: the one algorithm that it is for; `None` for all of its kind.
    pub algorithm: Option<Algorithm>,
    /// The key.
    pub key: Key,
}

/// The members that are read. Others are ignored (RFC 7517, 4).
#[derive(Deserialize)]
struct Raw {
    kty: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<Zeroizing<String>>,
}

impl Jwk {
    /// Reads a key: `oct`, `RSA`, `EC` or `OKP`. Of a private key only the public part is taken.
    ///
    /// # Errors
    /// [`KeyError::Kind`] also for a key that is not for verifying (`use`, `key_ops`, `alg`).
    pub fn parse(json: &Value) -> Result<Self, KeyError> {
        let raw = Raw::deserialize(json).map_err(|_| KeyError::Form)?;
        let verifies = |operations: &Vec<String>| operations.iter().any(|name| name == "verify");
        if raw.r#use.as_deref().is_some_and(|r#use| r#use != "sig")
            || !raw.key_ops.as_ref().is_none_or(verifies)
        {
            return Err(KeyError::Kind);
        }
        let algorithm = match &raw.alg {
            Some(name) => Some(Algorithm::parse(name).ok_or(KeyError::Kind)?),
            None => None,
        };
        let key = raw.key()?;
        if algorithm.is_some_and(|algorithm| !key.fits(algorithm)) {
            return Err(KeyError::Kind);
        }
        Ok(Self { id: raw.kid.map(Into::into), algorithm, key })
    }

    /// Whether a token signed by this algorithm may be verified with the key.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.fits(algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

impl Raw {
    fn key(&self) -> Result<Key, KeyError> {
        let part = |text: &Option<String>| text.as_deref().and_then(decode).ok_or(KeyError::Form);
        match &*self.kty {
            "oct" => {
                let secret = self.k.as_ref().and_then(|text| decode(text)).map(Zeroizing::new);
                match secret {
                    Some(secret) if !secret.is_empty() => Ok(Key::from_secret(&secret)),
                    _ => Err(KeyError::Form),
                }
            }
            "RSA" => Key::rsa(number(&part(&self.n)?), number(&part(&self.e)?), false),
            "EC" => {
                let (curve, bytes) = match self.crv.as_deref() {
                    Some("P-256") => (Curve::P256, 32),
                    Some("P-384") => (Curve::P384, 48),
                    Some("P-521") => (Curve::P521, 66),
                    _ => return Err(KeyError::Kind),
                };
                let (x, y) = (part(&self.x)?, part(&self.y)?);
                if (x.len(), y.len()) != (bytes, bytes) {
                    return Err(KeyError::Form);
                }
                // Uncompressed (SEC 1, 2.3.3).
                Key::ec(curve, &[&[4], &*x, &*y].concat())
            }
            "OKP" if self.crv.as_deref() == Some("Ed25519") => Key::ed25519(&part(&self.x)?),
            _ => Err(KeyError::Kind),
        }
    }
}

/// A number without the leading zeros that it must not have (RFC 7518, 2) and sometimes has.
fn number(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// A set of public keys, as an identity provider publishes it.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

impl KeySet {
    /// Reads a set. Keys that cannot be used here are left out (RFC 7517, 5), and secrets too: whatever is published is
    /// none.
    ///
    /// # Errors
    /// [`KeyError::Form`] when it is no set, or too long.
    pub fn parse(json: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }

        if json.len() > MAX_SET {
            return Err(KeyError::Form);
        }
        let Set { keys } = serde_json::from_slice(json).map_err(|_| KeyError::Form)?;
        let published = keys.iter().take(MAX_KEYS).filter(|key| key["kty"] != "oct");
        Ok(Self { keys: published.filter_map(|key| Jwk::parse(key).ok()).collect() })
    }

    /// The keys that a token may be signed with whose header names this key and this algorithm. A token that names no key
    /// may be signed with any; one that does, with no other.
    pub fn candidates<'a>(
        &'a self,
        key_id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Jwk> {
        let named = move |jwk: &&Jwk| key_id.is_none() || jwk.id.as_deref() == key_id;
        self.keys.iter().filter(move |jwk| jwk.fits(algorithm)).filter(named)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
