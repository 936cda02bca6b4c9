//! What certificates say (RFC 5280): of authorities, as they are configured, and of clients, as they are shown.
//!
//! Contract: nothing here verifies a signature. What a client's certificate says means something only once somebody else
//! found that an authority vouches for it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// More than any certificate needs.
const MAX_PEM: usize = 64 << 10;
/// So many alternative names are looked at.
const MAX_NAMES: usize = 64;

/// Who a certificate is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its distinguished name, in the order of the certificate: `CN=alice, O=Example`.
    pub distinguished_name: String,
    /// The first common name in it.
    pub common_name: Option<String>,
    /// DNS names, mail addresses and URIs for which it is as well.
    pub alternative_names: Vec<String>,
    /// Until when it is good, epoch seconds.
    pub not_after: i64,
}

impl Subject {
    /// Of a certificate in DER. `None` when it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = whole(der)?;
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok()).map(str::to_owned);
        let extension = certificate.subject_alternative_name().ok().flatten();
        let names = extension.iter().flat_map(|extension| &extension.value.general_names).take(MAX_NAMES);
        let alternative_names = names.filter_map(|name| match name {
            GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
                Some((*text).to_owned())
            }
            _ => None,
        });
        Some(Self {
            distinguished_name: subject.to_string(),
            common_name,
            alternative_names: alternative_names.collect(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

/// The one certificate of a PEM text, in DER.
///
/// # Errors
/// When there is none, or another.
pub fn one(pem: &str) -> Result<Vec<u8>, String> {
    if pem.len() > MAX_PEM {
        return Err("invalid certificate: it is too long".to_owned());
    }
    let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
    let (first, second) = (blocks.next(), blocks.next());
    match (first, second) {
        (Some(Ok(block)), None) if block.label == "CERTIFICATE" && whole(&block.contents).is_some() => {
            Ok(block.contents)
        }
        (Some(Ok(_)), Some(_)) => Err("please submit only one certificate at a time".to_owned()),
        _ => Err("invalid certificate: it is no certificate in PEM".to_owned()),
    }
}

/// SHA-256 of the one certificate of a PEM text, in hexadecimal.
pub fn digest(pem: &str) -> Option<String> {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(one(pem).ok()?) {
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// Whether the one certificate of a PEM text is an authority's, and good at this time, in epoch seconds.
///
/// # Errors
/// What is wrong with it.
pub fn check_authority(pem: &str, now: i64) -> Result<(), String> {
    let der = one(pem)?;
    let certificate = whole(&der).ok_or("invalid certificate")?;
    if certificate.validity().not_after.timestamp() < now {
        return Err("certificate expired, \"Not After\" time is in the past".to_owned());
    }
    match certificate.is_ca() {
        true => Ok(()),
        false => {
            Err("certificate does not appear to be a CA because it is missing the \"CA\" basic constraint"
                .to_owned())
        }
    }
}

fn whole(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .filter(|(rest, _)| rest.is_empty())
        .map(|(_, certificate)| certificate)
}
