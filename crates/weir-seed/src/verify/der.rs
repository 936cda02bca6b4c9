//! Public keys out of what X.509 and PKCS wrap around them: certificates (RFC 5280), requests (RFC 2986), keys alone (RFC
//! 5280, RFC 8017 appendix A.1), and the public half of RSA's private keys (RFC 8017, RFC 5958).
//!
//! Contract: nothing is verified. Of private keys the secret numbers are passed over and not kept.

use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_PKCS1_RSASSAPSS, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::key::{Curve, KeyError, PublicKey, checked_point};

/// A key and what is written beside it.
pub(super) struct Certified {
    pub(super) key: PublicKey,
    /// Who it is for.
    pub(super) subject: String,
    /// Whether it vouches for itself.
    pub(super) self_signed: bool,
}

pub(super) fn certificate(der: &[u8]) -> Result<Certified, KeyError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| KeyError::Malformed)?;
    Ok(Certified {
        key: of_info(certificate.public_key())?,
        subject: certificate.subject().to_string(),
        self_signed: certificate.subject() == certificate.issuer(),
    })
}

pub(super) fn request(der: &[u8]) -> Result<Certified, KeyError> {
    let (_, request) = X509CertificationRequest::from_der(der).map_err(|_| KeyError::Malformed)?;
    let info = &request.certification_request_info;
    Ok(Certified { key: of_info(&info.subject_pki)?, subject: info.subject.to_string(), self_signed: true })
}

pub(super) fn public_key(der: &[u8]) -> Result<PublicKey, KeyError> {
    match SubjectPublicKeyInfo::from_der(der) {
        Ok(([], info)) => of_info(&info),
        _ => Err(KeyError::Malformed),
    }
}

fn of_info(info: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, KeyError> {
    let algorithm = &info.algorithm.algorithm;
    let bits: &[u8] = &info.subject_public_key.data;
    if *algorithm == OID_PKCS1_RSAENCRYPTION || *algorithm == OID_PKCS1_RSASSAPSS {
        return rsa_public(bits);
    }
    if *algorithm == OID_SIG_ED25519 {
        return bits.try_into().map(PublicKey::Ed25519).map_err(|_| KeyError::Malformed);
    }
    let parameters = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let curve = match parameters {
        Some(curve) if curve == OID_EC_P256 => Some(Curve::P256),
        Some(curve) if curve == OID_NIST_EC_P384 => Some(Curve::P384),
        Some(curve) if curve == OID_NIST_EC_P521 => Some(Curve::P521),
        _ => None,
    };
    match curve.filter(|_| *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY) {
        Some(curve) => Ok(PublicKey::Ec { curve, point: checked_point(bits, curve)? }),
        None => Ok(PublicKey::Other { algorithm: algorithm.to_id_string(), bytes: info.raw.to_vec() }),
    }
}

/// RSAPublicKey: modulus, exponent.
pub(super) fn rsa_public(der: &[u8]) -> Result<PublicKey, KeyError> {
    let mut numbers = whole(der)?;
    let (modulus, exponent) = (numbers.positive()?, numbers.positive()?);
    if numbers.0.is_empty() { Ok(PublicKey::rsa(modulus, exponent)) } else { Err(KeyError::Malformed) }
}

/// RSAPrivateKey: version, modulus, public exponent, and the secret rest.
pub(super) fn rsa_private(der: &[u8]) -> Result<PublicKey, KeyError> {
    let mut numbers = whole(der)?;
    numbers.next(INTEGER)?;
    Ok(PublicKey::rsa(numbers.positive()?, numbers.positive()?))
}

/// PrivateKeyInfo around an RSAPrivateKey; of other kinds the public half is not in it, or not always.
pub(super) fn private(der: &[u8]) -> Result<Option<PublicKey>, KeyError> {
    /// 1.2.840.113549.1.1, of which 1 is rsaEncryption and 10 RSASSA-PSS.
    const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    let mut info = whole(der)?;
    info.next(INTEGER)?;
    let mut algorithm = Der(info.next(SEQUENCE)?);
    if !matches!(algorithm.next(OID)?.strip_prefix(PKCS1), Some([1 | 10])) {
        return Ok(None);
    }
    rsa_private(info.next(OCTETS)?).map(Some)
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// What is left of the content of a sequence.
struct Der<'a>(&'a [u8]);

/// The content of the one sequence that all of it is.
fn whole(der: &[u8]) -> Result<Der<'_>, KeyError> {
    let mut outer = Der(der);
    let content = outer.next(SEQUENCE)?;
    if outer.0.is_empty() { Ok(Der(content)) } else { Err(KeyError::Malformed) }
}

impl<'a> Der<'a> {
    /// The content of the next element, which has to have this tag (X.690, section 8.1; lengths up to 64 KiB).
    fn next(&mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        let (length, rest) = match *self.0 {
            [first, length @ 0..=0x7f, ref rest @ ..] if first == tag => (usize::from(length), rest),
            [first, 0x81, length @ 0x80..=0xff, ref rest @ ..] if first == tag => (usize::from(length), rest),
            [first, 0x82, high @ 1..=0xff, low, ref rest @ ..] if first == tag => {
                (usize::from(u16::from_be_bytes([high, low])), rest)
            }
            _ => return Err(KeyError::Malformed),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(KeyError::Malformed)?;
        self.0 = rest;
        Ok(content)
    }

    fn positive(&mut self) -> Result<&'a [u8], KeyError> {
        match self.next(INTEGER)? {
            [] | [0] | [0x80..=0xff, ..] => Err(KeyError::Malformed),
            number => Ok(number),
        }
    }
}
