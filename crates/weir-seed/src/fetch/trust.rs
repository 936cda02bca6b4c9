//! Whom a client believes to be a server of its own: the authorities of the machine, those of a file, or pinned keys.
//!
//! A pin is SHA-256 of a public key in its DER form (SubjectPublicKeyInfo, RFC 7469, 2.4), written as curl has it:
//! `sha256//` and base64. It takes the place of authorities, names and validity: whoever holds the key is the server.
//! So a pin needs no clock, which a machine may not have at its first boot.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, Error, OtherError, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use weir_kernel::clock;

use crate::tls::{self, Judge, Shown};

/// SHA-256 of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// A text that is no pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pin: it should be sha256// and 44 characters of base64, as `weir seed serve` prints it")]
pub struct PinError(String);

const PREFIX: &str = "sha256//";

impl Pin {
    /// The pin of a certificate's key; `None` for what is no certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let key = ParsedCertificate::try_from(certificate).ok()?.subject_public_key_info();
        Some(Self(Sha256::digest(&key).into()))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| PinError(text.chars().take(100).collect()))
    }
}

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that this machine trusts.
    System,
    /// Those of a file in PEM form, and nobody else.
    File(PathBuf),
    /// Whoever holds one of these keys.
    Pins(Vec<Pin>),
}

impl Trust {
    /// The client's side of TLS. Reads files, which may take its time.
    pub(super) fn config(&self, provider: Arc<CryptoProvider>) -> Result<Arc<ClientConfig>, String> {
        let rooted = |provider, roots: RootCertStore| {
            let config =
                ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            Ok(config.with_root_certificates(roots).with_no_client_auth())
        };
        let config = match self {
            Self::Pins(pins) => tls::config(provider, Pinned(pins.clone())),
            Self::System => rooted(provider, system()?),
            Self::File(path) => rooted(provider, file(path)?),
        };
        let mut config = config.map_err(|error: Error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // One connection to each server: nothing is resumed, so nothing is kept.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs) {
        (0, _) => Err(
            "this machine has no certificates of authorities (Debian: ca-certificates); use --ca or --pin"
                .to_owned(),
        ),
        _ => Ok(roots),
    }
}

fn file(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&said(&error)))? {
        let certificate = certificate.map_err(|error| wrong(&said(&error)))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() { Err(wrong(&"it holds no certificate in PEM form")) } else { Ok(roots) }
}

/// Its own words where there are any.
fn said(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[derive(Debug)]
struct Pinned(Vec<Pin>);

/// The key is another one.
#[derive(Debug, thiserror::Error)]
#[error("its key is not a pinned one; it is {0}")]
struct NotPinned(Pin);

impl Judge for Pinned {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let pin = Pin::of(shown.certificate).ok_or(CertificateError::BadEncoding)?;
        if self.0.contains(&pin) {
            return Ok(());
        }
        Err(CertificateError::Other(OtherError(Arc::new(NotPinned(pin)))).into())
    }
}

/// What was wrong with a handshake, and what its user can do about it.
pub(super) fn explain(error: &Error) -> String {
    use CertificateError as C;
    let clock = || httpdate::fmt_http_date(clock::now());
    match error {
        Error::InvalidCertificate(why) => match why {
            C::NotValidYet | C::NotValidYetContext { .. } => format!(
                "its certificate is not valid yet by this machine's clock, which says {}; set the clock, or use --pin, which needs none",
                clock()
            ),
            C::Expired | C::ExpiredContext { .. } => format!(
                "its certificate has expired, if this machine's clock is right, which says {}; --pin needs no clock",
                clock()
            ),
            C::UnknownIssuer => {
                "its certificate is from no authority that is trusted here; use --ca or --pin".to_owned()
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            C::Other(other) if other.0.is::<NotPinned>() => other.to_string(),
            // The name is all that it shows of itself.
            C::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
                "its certificate is an authority's own, as `openssl req -x509` makes them, and no server's; use --pin".to_owned()
            }
            other => format!("its certificate is not valid: {other}"),
        },
        Error::FailedToGetRandomBytes => "TLS needs randomness, and the kernel gave none".to_owned(),
        Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        other => format!("TLS: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::client::danger::ServerCertVerifier;
    use rustls_pki_types::{ServerName, UnixTime};

    /// Made with `openssl req -x509 -newkey ec`; the pin is what curl's manual reckons it with: `openssl x509 -pubkey -noout |
    /// openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64`.
    const CERTIFICATE: &str = include_str!("../../testdata/pinned.pem");
    const PIN: &str = include_str!("../../testdata/pinned.pin");

    #[test]
    fn pins_are_those_of_curl() {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let pin = Pin::of(&certificate).unwrap();
        assert_eq!(pin.to_string(), PIN.trim());
        assert_eq!(PIN.trim().parse(), Ok(pin));
        for bad in ["", "sha256//", "sha256//AAAA", "sha1//AAAA", &PIN.trim()[8..], "sha256//!"] {
            assert!(bad.parse::<Pin>().is_err(), "{bad}");
        }
        assert_eq!(Pin::of(&CertificateDer::from_slice(b"x")), None);
    }

    #[test]
    fn a_clock_that_stands_at_1970_is_named_and_hinders_no_pin() {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let checker = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        )
        .build()
        .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let in_1970 = UnixTime::since_unix_epoch(std::time::Duration::from_secs(60));
        let error = checker.verify_server_cert(&certificate, &[], &name, &[], in_1970).unwrap_err();
        assert!(
            explain(&error)
                .starts_with("its certificate is not valid yet by this machine's clock, which says "),
            "{}",
            explain(&error)
        );
        let (certificate, name) = (&certificate, &name);
        let shown = Shown { certificate, intermediates: &[], name, ocsp_response: &[], now: in_1970 };
        assert!(Pinned(vec![PIN.trim().parse().unwrap()]).judge(&shown).is_ok());
        let error = Pinned(vec![Pin([0; 32])]).judge(&shown).unwrap_err();
        assert_eq!(explain(&error), format!("its key is not a pinned one; it is {}", PIN.trim()));
    }
}
