//! Public keys, and the form that OpenSSH gives them (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4,
//! OpenSSH's PROTOCOL.certkeys and PROTOCOL.u2f).
//!
//! Contract: a key is the same whatever form it comes in, so that a host's key in a certificate is found equal to that of
//! sshd. Parsing is strict and bounded: a blob is one key to its last byte.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use dashu_int::UBig;
use dashu_int::ops::BitTest;
use sha2::{Digest, Sha256};

/// A public key, comparable over all forms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicKey {
    /// RSA, numbers without leading zeros.
    Rsa {
        /// The product of primes.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: Vec<u8>,
    },
    /// A point on a curve.
    Ec {
        /// Which curve.
        curve: Curve,
        /// The point as SEC 1 writes it, uncompressed or not.
        point: Vec<u8>,
    },
    /// Of RFC 8032.
    Ed25519([u8; 32]),
    /// Of another kind, which is only compared.
    Other {
        /// Its name, as its form gives it.
        algorithm: String,
        /// All of it.
        bytes: Vec<u8>,
    },
}

/// The curves of NIST that ssh and TLS both know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Curve {
    /// 256 bits.
    P256,
    /// 384 bits.
    P384,
    /// 521 bits.
    P521,
}

impl Curve {
    const fn bits(self) -> usize {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    fn of_ssh(name: &[u8]) -> Option<Self> {
        match name {
            b"nistp256" => Some(Self::P256),
            b"nistp384" => Some(Self::P384),
            b"nistp521" => Some(Self::P521),
            _ => None,
        }
    }
}

/// Why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not base64.
    #[error("is not base64")]
    Base64,
    /// Cut short, too long, or not in the form that its kind has.
    #[error("is damaged")]
    Malformed,
    /// The kind that it says it is of is another than the one written before it.
    #[error("says that it is of another kind than is written before it")]
    Kind,
    /// A kind that is not known here.
    #[error("is of a kind that is not known here")]
    Unknown,
    /// More than any key needs.
    #[error("is too long")]
    TooLong,
}

/// The longest blob: twice what an RSA key of 16384 bits with the certificate around it takes.
const MOST_BYTES: usize = 16 << 10;

impl PublicKey {
    /// RSA; zeros before the numbers do not count.
    #[must_use]
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        Self::Rsa { modulus: stripped(modulus).to_vec(), exponent: stripped(exponent).to_vec() }
    }

    /// The name of its kind and its length, for people: `RSA 2048`.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Rsa { modulus, .. } => format!("RSA {}", UBig::from_be_bytes(modulus).bit_len()),
            Self::Ec { curve, .. } => format!("ECDSA {}", curve.bits()),
            Self::Ed25519(_) => "Ed25519".to_owned(),
            Self::Other { algorithm, .. } => algorithm.clone(),
        }
    }

    /// Of RSA its modulus and exponent.
    #[must_use]
    pub fn rsa_numbers(&self) -> Option<(UBig, UBig)> {
        match self {
            Self::Rsa { modulus, exponent } => {
                Some((UBig::from_be_bytes(modulus), UBig::from_be_bytes(exponent)))
            }
            _ => None,
        }
    }

    /// The fingerprint that `ssh-keygen -l` shows: over the form of ssh, whatever form the key came in.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(self.to_ssh())))
    }

    /// In the form of ssh.
    fn to_ssh(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        match self {
            Self::Rsa { modulus, exponent } => {
                put(&mut blob, b"ssh-rsa");
                put_number(&mut blob, exponent);
                put_number(&mut blob, modulus);
            }
            Self::Ec { curve, point } => {
                let curve = format!("nistp{}", curve.bits());
                put(&mut blob, format!("ecdsa-sha2-{curve}").as_bytes());
                put(&mut blob, curve.as_bytes());
                put(&mut blob, point);
            }
            Self::Ed25519(key) => {
                put(&mut blob, b"ssh-ed25519");
                put(&mut blob, key);
            }
            Self::Other { bytes, .. } => blob.extend_from_slice(bytes),
        }
        blob
    }

    /// Parses the form of ssh: of a certificate of ssh the key that it certifies.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_ssh(blob: &[u8]) -> Result<Self, KeyError> {
        if blob.len() > MOST_BYTES {
            return Err(KeyError::TooLong);
        }
        let mut fields = Fields(blob);
        let name = std::str::from_utf8(fields.next()?).map_err(|_| KeyError::Malformed)?;
        let (plain, is_certificate) = match name.strip_suffix("-cert-v01@openssh.com") {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        if is_certificate {
            let _nonce = fields.next()?;
        }
        let key = match plain {
            "ssh-rsa" => {
                let exponent = fields.number()?;
                Self::rsa(fields.number()?, exponent)
            }
            "ssh-ed25519" => Self::Ed25519(fields.next()?.try_into().map_err(|_| KeyError::Malformed)?),
            _ => match plain.strip_prefix("ecdsa-sha2-").and_then(|name| Curve::of_ssh(name.as_bytes())) {
                Some(curve) => {
                    if Curve::of_ssh(fields.next()?) != Some(curve) {
                        return Err(KeyError::Malformed);
                    }
                    Self::Ec { curve, point: checked_point(fields.next()?, curve)? }
                }
                None if is_certificate => return Err(KeyError::Unknown),
                None => return other(plain, blob, fields),
            },
        };
        // What a certificate says beside its key is not looked at.
        if is_certificate || fields.0.is_empty() { Ok(key) } else { Err(KeyError::Malformed) }
    }

    /// Parses the base64 of a key's line, after the name of its kind.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_ssh_line(kind: &str, base64: &str) -> Result<Self, KeyError> {
        if base64.len() > MOST_BYTES * 4 / 3 {
            return Err(KeyError::TooLong);
        }
        let blob = STANDARD.decode(base64).map_err(|_| KeyError::Base64)?;
        match Fields(&blob).next()? {
            name if name == kind.as_bytes() => Self::from_ssh(&blob),
            _ => Err(KeyError::Kind),
        }
    }
}

/// Whether a word is the name of a kind of key in ssh.
#[must_use]
pub fn is_ssh_kind(word: &str) -> bool {
    let plain = word.strip_suffix("-cert-v01@openssh.com").unwrap_or(word);
    plain == "ssh-rsa"
        || plain == "ssh-ed25519"
        || plain.strip_prefix("ecdsa-sha2-").is_some_and(|curve| Curve::of_ssh(curve.as_bytes()).is_some())
        || OTHERS.iter().any(|(known, _)| *known == word)
}

/// A point is 4 and two coordinates, or 2 or 3 and one (SEC 1, section 2.3.3).
pub(super) fn checked_point(point: &[u8], curve: Curve) -> Result<Vec<u8>, KeyError> {
    let coordinate = curve.bits().div_ceil(8);
    let length = match point.first() {
        Some(4) => 1 + 2 * coordinate,
        Some(2 | 3) => 1 + coordinate,
        _ => return Err(KeyError::Malformed),
    };
    if point.len() == length { Ok(point.to_vec()) } else { Err(KeyError::Malformed) }
}

/// A kind that is only compared, and how many fields it has after its name.
const OTHERS: &[(&str, usize)] = &[
    ("ssh-dss", 4),
    ("ssh-ed448", 1),
    ("sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
];

fn other(name: &str, blob: &[u8], mut fields: Fields<'_>) -> Result<PublicKey, KeyError> {
    let (_, count) = OTHERS.iter().find(|(known, _)| *known == name).ok_or(KeyError::Unknown)?;
    for _ in 0..*count {
        fields.next()?;
    }
    if !fields.0.is_empty() {
        return Err(KeyError::Malformed);
    }
    Ok(PublicKey::Other { algorithm: name.to_owned(), bytes: blob.to_vec() })
}

/// Fields with their length before them (RFC 4251 section 5).
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn next(&mut self) -> Result<&'a [u8], KeyError> {
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or(KeyError::Malformed)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| KeyError::Malformed)?;
        let (field, rest) = rest.split_at_checked(length).ok_or(KeyError::Malformed)?;
        self.0 = rest;
        Ok(field)
    }

    /// A positive number.
    fn number(&mut self) -> Result<&'a [u8], KeyError> {
        match self.next()? {
            [] | [0x80..=0xff, ..] => Err(KeyError::Malformed),
            number if stripped(number).is_empty() => Err(KeyError::Malformed),
            number => Ok(number),
        }
    }
}

fn put(blob: &mut Vec<u8>, field: &[u8]) {
    blob.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
    blob.extend_from_slice(field);
}

/// With a zero before it where it would be taken for negative.
fn put_number(blob: &mut Vec<u8>, number: &[u8]) {
    let sign: &[u8] = if number.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    put(blob, &[sign, number].concat());
}

fn stripped(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with ssh-keygen (OpenSSH 9.2) for this test; fingerprints are those that `ssh-keygen -l` shows.
    const KEYS: &str = include_str!("testdata/keys.txt");

    #[test]
    fn keys_have_the_fingerprints_that_ssh_keygen_shows() {
        let mut seen = 0;
        for line in KEYS.lines().filter(|line| !line.starts_with('#')) {
            let [fingerprint, name, kind, base64] = line.split('|').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let key = PublicKey::from_ssh_line(kind, base64).unwrap();
            assert_eq!((key.fingerprint().as_str(), key.kind().as_str()), (fingerprint, name));
            assert!(is_ssh_kind(kind), "{kind}");
            seen += 1;
        }
        assert_eq!(seen, 8);
    }

    #[test]
    fn blobs_that_are_cut_short_or_go_on_are_no_keys() {
        for line in KEYS.lines().filter(|line| !line.starts_with('#')) {
            let [kind, base64] = line.split('|').skip(2).collect::<Vec<_>>()[..] else { panic!("{line}") };
            let blob = STANDARD.decode(base64).unwrap();
            let is_certificate = kind.contains("-cert-");
            for length in 0..blob.len() {
                // Of a certificate only what comes before its key's end is needed.
                assert!(is_certificate || PublicKey::from_ssh(&blob[..length]).is_err(), "{kind} {length}");
            }
            let longer = [blob.as_slice(), &[0]].concat();
            assert!(is_certificate || PublicKey::from_ssh(&longer).is_err(), "{kind}");
            assert_eq!(PublicKey::from_ssh_line("ssh-nothing", base64), Err(KeyError::Kind));
        }
        assert_eq!(PublicKey::from_ssh_line("ssh-rsa", "AAA*"), Err(KeyError::Base64));
        assert_eq!(PublicKey::from_ssh(&vec![0; MOST_BYTES + 1]), Err(KeyError::TooLong));
        assert_eq!(PublicKey::from_ssh(&[0, 0, 0, 1, b'x']), Err(KeyError::Unknown));
    }
}
