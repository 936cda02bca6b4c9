//! Connections to those whom plugins ask: TCP, and TLS on top.
//!
//! Contract: everything here takes as long as the other side likes; callers put an end to it. TLS uses the cryptography
//! that the process has chosen for itself ([`CryptoProvider::get_default`]) and verifies against the authorities that this
//! machine trusts, or those in `SSL_CERT_FILE`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::LocalKey;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A connection, in plain or over TLS.
pub(crate) type Wire = Box<dyn Duplex>;

/// How TLS connections are made.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Connections to servers whose certificate is verified, or is not.
    ///
    /// # Errors
    /// When the process's cryptography lacks what TLS needs.
    pub(crate) fn new(verify: bool) -> Result<Self, rustls::Error> {
        static CONFIGS: [OnceLock<Tls>; 2] = [OnceLock::new(), OnceLock::new()];
        let cell = &CONFIGS[usize::from(verify)];
        match cell.get() {
            Some(tls) => Ok(tls.clone()),
            None => {
                let made = Self(Arc::new(config(verify)?));
                Ok(cell.get_or_init(|| made).clone())
            }
        }
    }

    /// Speaks TLS over a connection to this host.
    pub(crate) async fn over(&self, stream: TcpStream, host: &str) -> io::Result<Wire> {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        // A handshake draws, and what aws-lc draws would wait, with the whole worker.
        if !weir_kernel::is_ready() {
            return Err(io::Error::other("the kernel's random number generator is not ready for TLS"));
        }
        Ok(Box::new(TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?))
    }
}

/// Connects to a host, by its name or its address.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Idle connections by whom they lead to, each with the time until which it is kept. A connection belongs to the worker that
/// made it, as its socket is part of that worker's event loop.
pub(crate) type Idle<K, T> = RefCell<HashMap<K, Vec<(T, Instant)>>>;

/// A connection that was kept and is still good.
pub(crate) fn take<K: Eq + Hash, T>(
    idle: &'static LocalKey<Idle<K, T>>,
    whom: &K,
    is_good: impl Fn(&T) -> bool,
) -> Option<T> {
    let now = Instant::now();
    idle.with_borrow_mut(|all| {
        let kept = all.get_mut(whom)?;
        kept.retain(|(connection, until)| *until > now && is_good(connection));
        kept.pop().map(|(connection, _)| connection)
    })
}

/// Keeps a connection for so long, unless there are `max` to the same already. What nobody takes is closed before twice that
/// time is over, by a task that ends when there is nothing left.
pub(crate) fn keep<K: Clone + Eq + Hash + 'static, T: 'static>(
    idle: &'static LocalKey<Idle<K, T>>,
    whom: K,
    connection: T,
    life: Duration,
    max: usize,
) {
    let Some(until) = Instant::now().checked_add(life) else { return };
    let is_first = idle.with_borrow_mut(|all| {
        let is_first = !all.contains_key(&whom);
        let kept = all.entry(whom.clone()).or_default();
        if kept.len() < max {
            kept.push((connection, until));
        }
        is_first
    });
    if is_first {
        tokio::task::spawn_local(sweep(idle, whom, life));
    }
}

async fn sweep<K: Eq + Hash, T>(idle: &'static LocalKey<Idle<K, T>>, whom: K, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let now = Instant::now();
        let is_over = idle.with_borrow_mut(|all| {
            let kept = all.get_mut(&whom);
            let is_over = kept.is_none_or(|kept| {
                kept.retain(|(_, until)| *until > now);
                kept.is_empty()
            });
            if is_over {
                all.remove(&whom);
            }
            is_over
        });
        if is_over {
            return;
        }
    }
}

fn config(verify: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = CryptoProvider::get_default()
        .map_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()), Arc::clone);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    if !verify {
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)));
        return Ok(builder.with_no_client_auth());
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read some of this machine's certificate authorities");
    }
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 {
        tracing::warn!("this machine trusts no certificate authority: nobody's certificate is good");
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Takes any certificate, from a server that proves to have its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
