//! The gateway's own certificate: made at the first start, until there is a better one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SerialNumber};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use weir_kernel::Purpose;
use zeroize::Zeroizing;

/// Whom a certificate is for until there is a better one: this machine, by its name and its addresses.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How long it is good for, as long as Kong's.
const DAYS: i64 = 7300;

/// A certificate chain and the key that belongs to it.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path}: {why}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No key can be drawn.
    #[error(transparent)]
    Random(#[from] weir_kernel::Error),
    /// No certificate can be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

impl Identity {
    /// Reads a chain and its key from PEM files.
    ///
    /// # Errors
    /// When one of them is not there, or not what it should be.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let content = |path: &Path| {
            let path = path.display().to_string();
            move |error: rustls_pki_types::pem::Error| match error {
                rustls_pki_types::pem::Error::Io(source) => CertificateError::File { path, source },
                other => CertificateError::Content { path, why: other.to_string() },
            }
        };
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(chain).map_err(content(chain))?.collect();
        let certificates = certificates.map_err(content(chain))?;
        if certificates.is_empty() {
            let path = chain.display().to_string();
            return Err(CertificateError::Content { path, why: "it holds no certificate".to_owned() });
        }
        Ok(Self { chain: certificates, key: PrivateKeyDer::from_pem_file(key).map_err(content(key))? })
    }

    /// Reads a chain and its key, or makes a self-signed certificate and writes both files where neither is there.
    ///
    /// # Errors
    /// As [`Identity::read`]; when no key can be drawn.
    pub fn read_or_make(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        if !chain.exists() && !key.exists() {
            let (certificate_pem, key_pem) = self_signed()?;
            write(key, key_pem.as_bytes(), 0o600)?;
            write(chain, certificate_pem.as_bytes(), 0o644)?;
        }
        Self::read(chain, key)
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

/// Written beside and moved into place, so that no reader and no crash sees half of it.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CertificateError> {
    let wrong = |source: io::Error| CertificateError::File { path: path.display().to_string(), source };
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside).map_err(wrong)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(wrong)?;
    fs::rename(&beside, path).map_err(wrong)
}

/// A certificate for this machine, and its key, both as PEM.
fn self_signed() -> Result<(String, Zeroizing<String>), CertificateError> {
    let key = key_pair()?;
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, NAMES[0]);
    name.push(DnType::OrganizationName, "Weir");
    params.distinguished_name = name;
    let mut serial = weir_kernel::array_for::<16>(Purpose::Other)?;
    // Positive, as DER takes its first bit for a sign.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let now = OffsetDateTime::from_unix_timestamp(weir_kernel::clock::unix_seconds())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // A clock that is a little behind must not find it not yet valid.
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(DAYS);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}

/// A P-256 key drawn from the kernel.
fn key_pair() -> Result<KeyPair, CertificateError> {
    // A string of 32 bytes is no private key once in 2^32 times; then it is drawn again.
    for _ in 0..8 {
        let mut scalar = Zeroizing::new([0; 32]);
        weir_kernel::fill_for(Purpose::Key, scalar.as_mut())?;
        let Ok(private) = PrivateKey::from_private_key(&ECDH_P256, scalar.as_ref()) else { continue };
        let public = private.compute_public_key().map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
        let der = Zeroizing::new(pkcs8(&scalar, public.as_ref()));
        let key = PrivatePkcs8KeyDer::from(der.as_slice());
        return Ok(KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)?);
    }
    Err(rcgen::Error::KeyGenerationUnavailable.into())
}

/// A P-256 key as PKCS #8 (RFC 5958) around an ECPrivateKey (RFC 5915). All lengths are fixed.
fn pkcs8(scalar: &[u8; 32], public: &[u8]) -> Vec<u8> {
    const HEAD: [u8; 36] = [
        0x30, 0x81, 0x87, 0x02, 0x01, 0x00, // SEQUENCE, version 0
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
        0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20, // ECPrivateKey, version 1, 32 bytes
    ];
    const MIDDLE: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00]; // [1] BIT STRING
    [&HEAD[..], scalar, &MIDDLE, public].concat()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        let made = Identity::read_or_make(&chain, &key).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        let again = Identity::read_or_make(&chain, &key).unwrap();
        assert_eq!(made.chain(), again.chain());
        let certificate = super::super::Certificate::new(&again).unwrap();
        super::super::ServerConfigs::new(&certificate, true).unwrap();
    }

    #[test]
    fn it_is_for_this_machine_by_name_and_by_address() {
        use rustls::client::WebPkiServerVerifier;
        use rustls::client::danger::ServerCertVerifier;
        use rustls_pki_types::{ServerName, UnixTime};
        let folder = tempfile::tempdir().unwrap();
        let made =
            Identity::read_or_make(&folder.path().join("a.crt"), &folder.path().join("a.key")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.chain()[0].clone()).unwrap();
        let provider = super::super::provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            weir_kernel::clock::unix_seconds().cast_unsigned(),
        ));
        let is_for = |name: &'static str| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&made.chain()[0], &[], &name, &[], now).is_ok()
        };
        assert!(is_for("localhost") && is_for("127.0.0.1") && is_for("::1"));
        assert!(!is_for("gateway.test") && !is_for("10.0.0.1"));
    }

    #[test]
    fn half_of_a_pair_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        fs::write(&chain, "nothing").unwrap();
        assert!(Identity::read_or_make(&chain, &key).is_err());
        assert_eq!(fs::read(&chain).unwrap(), b"nothing");
    }
}
