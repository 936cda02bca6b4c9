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

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::der;
use super::key::PublicKey;
use crate::tls::{self, Judge};

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
    let config = tls::config(tls::provider(), Looking { seen }).map_err(|error| error.to_string())?;
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

/// Takes any certificate and notes it.
#[derive(Debug)]
struct Looking {
    seen: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Judge for Looking {
    fn judge(&self, shown: &tls::Shown<'_>) -> Result<(), rustls::Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(shown.certificate.to_vec());
        }
        Ok(())
    }
}
