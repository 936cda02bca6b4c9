//! Public keys as operators have them: PEM around SubjectPublicKeyInfo (RFC 5280, 4.1), around PKCS #1 (RFC 8017, A.1.1),
//! or a certificate, of which nothing but its key is read. What is inside is DER (X.690), read strictly and no deeper
//! than it takes to find the key; whether the key is a good one is the cryptographic library's to see.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::KeyError;

/// More than any key or certificate needs.
const MAX_PEM: usize = 64 << 10;

/// A public key by its parts, as they stand in the DER.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    /// Modulus and exponent, big-endian, without leading zeros. `pss`: the key says that it is for RSASSA-PSS alone.
    Rsa { n: &'a [u8], e: &'a [u8], pss: bool },
    /// A point in one of its encodings (SEC 1, 2.3.3).
    Ec { curve: Curve, point: &'a [u8] },
    /// The 32 bytes of RFC 8032.
    Ed25519(&'a [u8]),
}

/// The curves of RFC 7518 (6.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

// Contents of object identifiers: RFC 3279 (2.3.1), RFC 4055 (1.2), RFC 5480 (2.1.1), RFC 8410 (3).
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x2b\x81\x04\x00\x23";
const ED25519: &[u8] = b"\x2b\x65\x70";

/// What a PEM text holds.
pub(super) enum Pem {
    /// SubjectPublicKeyInfo.
    Spki(Vec<u8>),
    /// RSAPublicKey of PKCS #1.
    Pkcs1(Vec<u8>),
    /// A certificate of X.509.
    Certificate(Vec<u8>),
}

impl Pem {
    /// The first block of a PEM text (RFC 7468), if it is one of a public key.
    pub(super) fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let rest = text.strip_prefix("-----BEGIN ").ok_or(KeyError::Form)?;
        let (label, rest) = rest.split_once("-----").ok_or(KeyError::Form)?;
        let (body, rest) = rest.split_once("-----END ").ok_or(KeyError::Form)?;
        if text.len() > MAX_PEM || !rest.strip_prefix(label).is_some_and(|rest| rest.starts_with("-----")) {
            return Err(KeyError::Form);
        }
        let body: String = body.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::Form)?;
        match label {
            "PUBLIC KEY" => Ok(Self::Spki(der)),
            "RSA PUBLIC KEY" => Ok(Self::Pkcs1(der)),
            "CERTIFICATE" => Ok(Self::Certificate(der)),
            _ => Err(KeyError::Form),
        }
    }

    /// The public key in it.
    pub(super) fn public_key(&self) -> Result<PublicKey<'_>, KeyError> {
        match self {
            Self::Spki(der) => whole(der, SEQUENCE).and_then(spki),
            Self::Pkcs1(der) => whole(der, SEQUENCE).and_then(|content| rsa(content, false)),
            Self::Certificate(der) => whole(der, SEQUENCE).and_then(certificate),
        }
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed: a certificate's version.
const VERSION: u8 = 0xa0;

/// Certificate, 4.1: the key in its TBSCertificate.
fn certificate(content: &[u8]) -> Result<PublicKey<'_>, KeyError> {
    let mut rest = content;
    let mut tbs = expect(&mut rest, SEQUENCE)?;
    if tbs.first() == Some(&VERSION) {
        expect(&mut tbs, VERSION)?;
    }
    expect(&mut tbs, INTEGER)?;
    // Signature, issuer, validity, subject.
    for _ in 0..4 {
        expect(&mut tbs, SEQUENCE)?;
    }
    spki(expect(&mut tbs, SEQUENCE)?)
}

/// SubjectPublicKeyInfo, 4.1.
fn spki(content: &[u8]) -> Result<PublicKey<'_>, KeyError> {
    let mut rest = content;
    let mut algorithm = expect(&mut rest, SEQUENCE)?;
    let bits = expect(&mut rest, BIT_STRING)?;
    let Some((0, key)) = bits.split_first() else { return Err(KeyError::Form) };
    let oid = expect(&mut algorithm, OID)?;
    let parameters = algorithm;
    if !rest.is_empty() {
        return Err(KeyError::Form);
    }
    match oid {
        _ if oid == RSA && (parameters.is_empty() || parameters == [NULL, 0]) => {
            rsa(whole(key, SEQUENCE)?, false)
        }
        // With parameters the key would be for one digest alone (RFC 4055, 3.3): those are rare, and not understood.
        _ if oid == RSA_PSS && parameters.is_empty() => rsa(whole(key, SEQUENCE)?, true),
        _ if oid == EC => {
            let curve = match whole(parameters, OID)? {
                P256 => Curve::P256,
                P384 => Curve::P384,
                P521 => Curve::P521,
                _ => return Err(KeyError::Kind),
            };
            Ok(PublicKey::Ec { curve, point: key })
        }
        _ if oid == ED25519 && parameters.is_empty() => Ok(PublicKey::Ed25519(key)),
        _ => Err(KeyError::Kind),
    }
}

/// RSAPublicKey, RFC 8017, A.1.1.
fn rsa(content: &[u8], pss: bool) -> Result<PublicKey<'_>, KeyError> {
    let mut rest = content;
    let (n, e) = (positive(&mut rest)?, positive(&mut rest)?);
    if rest.is_empty() { Ok(PublicKey::Rsa { n, e, pss }) } else { Err(KeyError::Form) }
}

/// A positive integer in its shortest form (X.690, 8.3.2), without the zero that keeps it positive.
fn positive<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], KeyError> {
    let content = expect(rest, INTEGER)?;
    match (content.first(), content.get(1)) {
        (Some(0), Some(0x80..)) => Ok(&content[1..]),
        (Some(1..=0x7f), _) => Ok(content),
        _ => Err(KeyError::Form),
    }
}

/// The content of the one value that the input is.
fn whole(der: &[u8], tag: u8) -> Result<&[u8], KeyError> {
    let mut rest = der;
    let content = expect(&mut rest, tag)?;
    if rest.is_empty() { Ok(content) } else { Err(KeyError::Form) }
}

/// The content of the next value, which has this tag and is shorter than 64 KiB; the length is in its shortest form
/// (X.690, 8.1.3 and 10.1).
fn expect<'a>(rest: &mut &'a [u8], tag: u8) -> Result<&'a [u8], KeyError> {
    let (found, after) = rest.split_first().ok_or(KeyError::Form)?;
    let (length, after) = match after {
        [length @ 0..=0x7f, after @ ..] => (usize::from(*length), after),
        [0x81, length @ 0x80..=0xff, after @ ..] => (usize::from(*length), after),
        [0x82, high @ 1..=0xff, low, after @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), after),
        _ => return Err(KeyError::Form),
    };
    let (content, after) = after.split_at_checked(length).ok_or(KeyError::Form)?;
    if *found != tag {
        return Err(KeyError::Form);
    }
    *rest = after;
    Ok(content)
}
