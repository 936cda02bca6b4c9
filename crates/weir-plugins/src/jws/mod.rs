//! JSON Web Signatures in their compact form (RFC 7515), and what JSON Web Tokens say in them (RFC 7519).
//!
//! [`Compact::parse`] takes a token apart; [`Compact::header`] and [`Compact::claims`] read what it says;
//! [`Compact::verify`] holds it against a [`Key`]. Nothing that a token says is true before that.
//!
//! ```
//! use weir_plugins::jws::{Algorithm, Compact, Key};
//!
//! let key = Key::from_secret(b"a secret of at least 32 bytes ...");
//! let text = key.sign(Algorithm::Hs256, r#"{"alg":"HS256"}"#, r#"{"iss":"joe"}"#).unwrap();
//! let token = Compact::parse(&text)?;
//! let header = token.header()?;
//! token.verify(&key, header.algorithm().unwrap())?;
//! assert_eq!(token.claims()?.text("iss"), Some("joe"));
//! # Ok::<(), weir_plugins::jws::Error>(())
//! ```
//!
//! Invariants: a key verifies by the algorithms of its own kind alone, so that nobody signs with a public key as if it
//! were a secret; `none` is no algorithm; whoever verifies names the algorithm, and must have settled that it is one that
//! the key's owner signs by (RFC 8725, 3.1). Every token is bounded ([`MAX_TOKEN`]), and so is the work to read it.
//!
//! Absent on purpose: encryption (JWE), the JSON forms, detached payloads (`b64`), keys that a token brings along (`jwk`,
//! `jku`, `x5u`, `x5c`), Ed448 and secp256k1.

mod compact;
mod der;
mod jwk;
mod key;
mod members;
mod times;

pub use compact::{Compact, Header, MAX_TOKEN};
pub use jwk::{Jwk, KeySet};
pub use key::{Key, KeyError};
pub use members::Members;
pub use times::{TimeError, Times};

/// An algorithm that tokens are signed by (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    const ALL: [(&str, Self); 13] = [
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("ES512", Self::Es512),
        ("EdDSA", Self::EdDsa),
    ];

    /// The algorithm of this name, in this very case. `none` is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Whether whoever verifies could sign as well: HS256 and its like.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

/// Why a token is refused. The client's fault; the same token will be refused again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is too long, has not three parts, or one of them is no base64url (RFC 7515, 2: without padding).
    #[error("it is no compact JWS")]
    Form,
    /// The header or the claims are no JSON object, or hold the same name twice (RFC 7515, 4; RFC 7519, 4).
    #[error("the header or the claims are no good JSON object")]
    Json,
    /// It says that something must be understood that is not (RFC 7515, 4.1.11).
    #[error("it has critical extensions")]
    Critical,
    /// The key is not one for the algorithm.
    #[error("the key is not one for this algorithm")]
    Algorithm,
    /// Somebody else signed it, or something else was signed.
    #[error("the signature is wrong")]
    Signature,
}

/// Decodes base64url without padding; bits that mean nothing must be zero.
fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod vectors;
