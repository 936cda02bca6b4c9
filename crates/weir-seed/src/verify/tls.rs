//! The key of a server's TLS certificate, looked at by beginning a connection.
//!
//! The handshake is carried to its end where the server lets it, which proves that it holds the key; nothing is sent over
//! the connection, and no certificate is found wanting: it is there to be looked at. All of it is bounded in time, even a
//! resolver that hangs or a server that sends byte by byte.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use weir_kernel::Purpose;

use super::der;
use super::key::PublicKey;

/// A server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its key.
    pub key: PublicKey,
    /// Who it is for, as it says.
    pub subject: String,
    /// Whether it vouches for itself, as those that an installation makes do.
    pub self_signed: bool,
    /// Whether the server proved that it has the key.
    pub proved: bool,
}

/// Connects and looks.
///
/// # Errors
/// Why no certificate was seen, in words.
pub fn look(host: &str, port: u16, limit: Duration) -> Result<Shown, String> {
    let (said, hear) = mpsc::channel();
    let name = host.to_owned();
    let until = Instant::now() + limit;
    // On a thread of its own: a resolver cannot be interrupted.
    let spawned =
        thread::Builder::new().name("tls".to_owned()).spawn(move || said.send(connect(&name, port, until)));
    spawned.map_err(|error| error.to_string())?;
    let answer = hear.recv_timeout(until.saturating_duration_since(Instant::now()));
    answer.unwrap_or_else(|_| Err(format!("no certificate within {} s", limit.as_secs())))
}

fn connect(host: &str, port: u16, until: Instant) -> Result<Shown, String> {
    let seen = Arc::new(Mutex::new(None));
    let mut connection = prepare(host, Arc::clone(&seen))?;
    let stream = stream(host, port, until)?;
    let mut stream = Until { stream, until };
    let mut ended = Ok(());
    while connection.is_handshaking() && ended.is_ok() {
        ended = connection.complete_io(&mut stream).map(|_| ());
    }
    let certificate = seen.lock().ok().and_then(|mut seen| seen.take());
    let Some(certificate) = certificate else {
        return Err(ended.err().map_or("it showed no certificate".to_owned(), |error| error.to_string()));
    };
    let read = der::certificate(&certificate).map_err(|why| format!("its certificate {why}"))?;
    Ok(Shown {
        key: read.key,
        subject: super::answer::fit(&read.subject, 200),
        self_signed: read.self_signed,
        proved: ended.is_ok(),
    })
}

fn prepare(host: &str, seen: Arc<Mutex<Option<Vec<u8>>>>) -> Result<ClientConnection, String> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| "no name that a certificate could be for")?;
    let provider = Arc::new(CryptoProvider { secure_random: &Kernel, ..aws_lc_rs::default_provider() });
    let looking = Looking { provider: Arc::clone(&provider), seen };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(looking))
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())
}

/// The first address that takes the connection.
fn stream(host: &str, port: u16, until: Instant) -> Result<TcpStream, String> {
    let mut last = "no address".to_owned();
    for address in (host, port).to_socket_addrs().map_err(|error| error.to_string())? {
        let left = left(until).map_err(|error| error.to_string())?;
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn left(until: Instant) -> io::Result<Duration> {
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long")),
        left => Ok(left),
    }
}

/// A connection that ends when its time is over, however busy it is.
struct Until {
    stream: TcpStream,
    until: Instant,
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Until {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The kernel's generator for what rustls draws itself.
#[derive(Debug)]
struct Kernel;

impl SecureRandom for Kernel {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        weir_kernel::fill_for(Purpose::Tls, buffer).map_err(|_| GetRandomFailed)
    }
}

/// Takes any certificate and notes it. Signatures of the handshake must be right.
#[derive(Debug)]
struct Looking {
    provider: Arc<CryptoProvider>,
    seen: Arc<Mutex<Option<Vec<u8>>>>,
}

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(end_entity.to_vec());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
