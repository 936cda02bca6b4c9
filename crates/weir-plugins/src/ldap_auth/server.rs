//! One directory server, as one instance asks it: connections, kept for a while and used again.
//!
//! What is kept is closed after a while of silence, and at once when the server says anything that was not asked for.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::message::{self, MAX_MESSAGE, Malformed, Response};
use crate::connect::{self, Idle, Tls, Wire};

/// So many connections are kept for an instance, on each worker.
const MAX_KEPT: usize = 16;

/// How the connection is protected.
pub(super) enum Security {
    /// Not at all.
    Plain,
    /// By TLS from the first byte.
    Ldaps(Tls),
    /// By TLS once the server agrees.
    StartTls(Tls),
}

/// A directory server.
pub(super) struct Server {
    host: String,
    port: u16,
    security: Security,
    keepalive: Duration,
    /// By which connections of this instance are told from others'.
    serial: u64,
}

/// Why nobody could tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the connection failed: {0}")]
    Broken(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the server answers something that was not asked")]
    Unexpected,
    #[error("the server refuses StartTLS with result code {0}")]
    NoTls(u32),
    #[error("the server answers a bind with result code {0}")]
    Code(u32),
    #[error("the server takes too long")]
    Slow,
}

struct Connection {
    wire: Wire,
    input: Vec<u8>,
    /// Of the last request.
    id: i32,
}

thread_local! {
    static IDLE: Idle<u64, Connection> = Idle::default();
}

impl Server {
    pub(super) fn new(host: String, port: u16, security: Security, keepalive: Duration) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Self { host, port, security, keepalive, serial: SERIAL.fetch_add(1, Relaxed) }
    }

    /// Whether this is the password of this name.
    pub(super) async fn accepts(&self, name: &str, password: &[u8]) -> Result<bool, Failure> {
        // The server may have closed what was kept. That a bind got no answer on it says nothing about the server.
        if let Some(mut kept) = connect::take(&IDLE, &self.serial, |_| true)
            && let Ok(accepted) = kept.bind(name, password).await
        {
            self.keep(kept);
            return Ok(accepted);
        }
        let mut connection = self.open().await?;
        let accepted = connection.bind(name, password).await?;
        self.keep(connection);
        Ok(accepted)
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let stream = connect::connect(&self.host, self.port).await.map_err(Failure::Connect)?;
        let wire: Wire = match &self.security {
            Security::Plain => Box::new(stream),
            Security::Ldaps(tls) => tls.over(stream, &self.host).await.map_err(Failure::Connect)?,
            Security::StartTls(tls) => self.start_tls(stream, tls).await?,
        };
        Ok(Connection { wire, input: Vec::new(), id: 0 })
    }

    async fn start_tls(&self, mut stream: TcpStream, tls: &Tls) -> Result<Wire, Failure> {
        let id = 1;
        stream.write_all(&message::start_tls(id)).await?;
        let mut input = Vec::new();
        let answer = receive(&mut stream, &mut input).await?;
        // What came along in plain would count as said under TLS.
        if answer.id != id || answer.kind != message::EXTENDED_RESPONSE || !input.is_empty() {
            return Err(Failure::Unexpected);
        }
        if answer.code != 0 {
            return Err(Failure::NoTls(answer.code));
        }
        tls.over(stream, &self.host).await.map_err(Failure::Connect)
    }

    fn keep(&self, connection: Connection) {
        // What came without being asked for is no beginning of the next answer.
        if !self.keepalive.is_zero() && connection.input.is_empty() {
            connect::keep(&IDLE, self.serial, connection, self.keepalive, MAX_KEPT);
        }
    }
}

impl Connection {
    async fn bind(&mut self, name: &str, password: &[u8]) -> Result<bool, Failure> {
        self.id = self.id.checked_add(1).ok_or(Failure::Unexpected)?;
        self.wire.write_all(&message::bind(self.id, name, password)).await?;
        self.wire.flush().await?;
        let answer = receive(&mut self.wire, &mut self.input).await?;
        if answer.id != self.id || answer.kind != message::BIND_RESPONSE {
            return Err(Failure::Unexpected);
        }
        verdict(answer.code)
    }
}

/// What a result code says of a name and its password (RFC 4511 A.2).
fn verdict(code: u32) -> Result<bool, Failure> {
    match code {
        0 => Ok(true),
        // constraintViolation (locked, by a password policy), noSuchObject, invalidDNSyntax, inappropriateAuthentication (it has
        // no password), invalidCredentials, insufficientAccessRights, unwillingToPerform (disabled).
        19 | 32 | 34 | 48 | 49 | 50 | 53 => Ok(false),
        // Busy, unavailable, wants TLS, a referral to elsewhere: this is not about who asks.
        other => Err(Failure::Code(other)),
    }
}

async fn receive(
    stream: &mut (impl connect::Duplex + ?Sized),
    input: &mut Vec<u8>,
) -> Result<Response, Failure> {
    loop {
        if let Some((response, length)) = message::read(input)? {
            input.drain(..length);
            return Ok(response);
        }
        // A message that is not complete is no longer than this, or it would have been refused.
        let room = (MAX_MESSAGE + 16).saturating_sub(input.len());
        if stream.take(room as u64).read_buf(input).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}
