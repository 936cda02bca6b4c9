//! TLS to servers whose certificates are judged by other rules than a browser's: by a pin, or only looked at.
//!
//! What a [`Judge`] leaves out, names, authorities and validity, it leaves out on purpose; the handshake's signatures, which
//! prove that the server holds the certificate's key, are checked in any case.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, SecureRandom, WebPkiSupportedAlgorithms, aws_lc_rs,
    verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use weir_kernel::Purpose;

/// A certificate as it was shown, and what there is to judge it by.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The server's own.
    pub certificate: &'a CertificateDer<'a>,
    /// Those between it and an authority.
    pub intermediates: &'a [CertificateDer<'a>],
    /// Whom one wanted to reach.
    pub name: &'a ServerName<'a>,
    /// What was stapled to it.
    pub ocsp_response: &'a [u8],
    /// The time by this machine's clock.
    pub now: UnixTime,
}

/// Who decides about a server's certificate.
pub trait Judge: fmt::Debug + Send + Sync + 'static {
    /// Whether the connection goes on.
    ///
    /// # Errors
    /// Why not.
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error>;
}

/// Cryptography of AWS-LC, with the kernel's generator for what rustls draws itself.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { secure_random: &Kernel, ..aws_lc_rs::default_provider() })
}

/// The client's side of TLS, with certificates left to a judge.
///
/// # Errors
/// That the provider is of no use for any version of TLS.
pub fn config(provider: Arc<CryptoProvider>, judge: impl Judge) -> Result<ClientConfig, Error> {
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(Judged { judge, algorithms });
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct Kernel;

impl SecureRandom for Kernel {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        weir_kernel::fill_for(Purpose::Tls, buffer).map_err(|_| GetRandomFailed)
    }
}

#[derive(Debug)]
struct Judged<J> {
    judge: J,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<J: Judge> ServerCertVerifier for Judged<J> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge.judge(&Shown { certificate, intermediates, name, ocsp_response, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
