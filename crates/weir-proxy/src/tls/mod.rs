//! TLS: the cryptography that handshakes use, certificates, and configurations for both sides.

mod ask;
mod certificate;
mod provider;
mod served;
mod tickets;
mod verify;

use std::cell::OnceCell;
use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

pub use certificate::{CertificateError, Identity};
pub use provider::provider;
pub use served::Certificate;
pub(crate) use tickets::watch;

/// The configurations of a listener. A session that one of them began is not resumed by the other: whoever was not asked
/// for a certificate shakes hands anew once certificates are asked for.
#[derive(Clone)]
pub(crate) struct ServerConfigs {
    /// For clients that are not asked for a certificate.
    silent: Arc<ServerConfig>,
    /// For clients that are, and need not have one.
    asking: Arc<ServerConfig>,
}

impl ServerConfigs {
    /// # Errors
    /// When the provider lacks what TLS needs.
    pub(crate) fn new(certificate: &Arc<Certificate>, http2: bool) -> Result<Self, rustls::Error> {
        let config = |ask| server_config(certificate, http2, ask);
        Ok(Self { silent: config(false)?, asking: config(true)? })
    }

    /// The one for clients that are asked for a certificate, or are not.
    pub(crate) fn get(&self, ask: bool) -> Arc<ServerConfig> {
        Arc::clone(if ask { &self.asking } else { &self.silent })
    }
}

fn server_config(
    certificate: &Arc<Certificate>,
    http2: bool,
    ask: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match ask {
        true => builder.with_client_cert_verifier(Arc::new(ask::Ask::new(provider()))),
        false => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificate) as _);
    resume_by_tickets(&mut config);
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

/// The configuration of a listener that lets only clients in that show a certificate of these authorities, if there are
/// any. HTTP/1.1 alone.
///
/// # Errors
/// When an authority's certificate cannot be used.
pub fn private_server_config(
    certificate: &Arc<Certificate>,
    authorities: Option<&[CertificateDer<'static>]>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match authorities {
        None => builder.with_no_client_auth(),
        Some(list) => {
            let mut roots = RootCertStore::empty();
            for certificate in list {
                roots.add(certificate.clone())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| rustls::Error::General(error.to_string()))?,
            )
        }
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificate) as _);
    resume_by_tickets(&mut config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Lets clients come back by a ticket, and keeps no session. Each configuration has keys of its own: what was agreed with a
/// client without a certificate must not be resumed where one is asked for.
fn resume_by_tickets(config: &mut ServerConfig) {
    config.ticketer = Arc::new(tickets::Tickets::default());
    config.session_storage = Arc::new(NoServerSessionStorage {});
}

/// Configurations for connections to services, made when the first service needs them.
#[derive(Default)]
pub(crate) struct ClientConfigs {
    trusting: OnceCell<Arc<ClientConfig>>,
    verifying: OnceCell<Arc<ClientConfig>>,
}

impl ClientConfigs {
    /// The configuration for services whose certificate is verified, or is not.
    pub(crate) fn get(&self, verify: bool) -> Result<Arc<ClientConfig>, rustls::Error> {
        let cell = if verify { &self.verifying } else { &self.trusting };
        if let Some(config) = cell.get() {
            return Ok(Arc::clone(config));
        }
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let config = if verify {
            builder.with_root_certificates(system_roots()?).with_no_client_auth()
        } else {
            let verifier = Arc::new(verify::Anyone::new(provider()));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        };
        Ok(Arc::clone(cell.get_or_init(|| Arc::new(config))))
    }
}

/// The authorities that this machine trusts.
fn system_roots() -> Result<RootCertStore, rustls::Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = "this machine has no certificates of authorities (Debian: ca-certificates)";
        return Err(rustls::Error::General(why.to_owned()));
    }
    Ok(roots)
}
