//! One request on its way through the gateway: what plugins see and change.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use weir_mint::Uuid;
use weir_model::typed::{Consumer, Protocol, Route, Service};

use crate::{Directory, Headers};

/// Which of the two schemes the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it is written in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Client {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Its address, written out.
    pub peer_text: Arc<str>,
    /// The client's address: the peer's, or what a trusted peer says it is.
    pub ip: IpAddr,
    /// That address, written out.
    pub ip_text: Arc<str>,
    /// Whether the peer is trusted to say who it speaks for.
    pub trusted: bool,
    /// The port that the client connected to.
    pub port: u16,
    /// What the client speaks.
    pub scheme: Scheme,
    /// The server name that it asked for in the TLS handshake.
    pub sni: Option<Arc<str>>,
    /// The certificates that it showed in the handshake, its own first: DER. It proved that it holds the key of its own;
    /// who vouches for it is for others to see.
    pub certificates: Option<Arc<[Vec<u8>]>>,
}

/// A request's id: 32 hexadecimal digits, unpredictable and unique.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

impl RequestId {
    /// From 16 random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(random) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// Its digits, as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A credential that a client showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its primary key.
    pub id: Uuid,
    /// Whose it is.
    pub consumer: Uuid,
}

/// Who the request is from.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The consumer.
    pub consumer: &'a Consumer,
    /// What it showed; `None` for a stand-in that showed nothing.
    pub credential: Option<Credential>,
}

/// One request on its way through the gateway. It lives as long as the snapshot of the configuration that it sees.
pub struct Ctx<'a> {
    /// Its id.
    pub id: RequestId,
    /// Who is at the other end.
    pub client: &'a Client,
    /// The method.
    pub method: Method,
    /// The path and query as the client wrote them.
    pub target: String,
    /// The host that the request is for: lower case, without a port.
    pub host: String,
    /// The header fields. What is changed here is changed on the way upstream.
    pub headers: Headers,
    /// The body, where an instance asked for it and it fits in memory. What is put here goes upstream in its place.
    pub body: Option<Bytes>,
    /// When the head of the request was complete.
    pub started: Instant,
    /// The same moment, epoch milliseconds.
    pub started_ms: u64,
    /// The route that matched.
    pub route: Option<&'a Route>,
    /// The service that the route leads to.
    pub service: Option<&'a Service>,
    /// The path and query that go upstream.
    pub upstream_target: String,
    /// Who the request is from, once a plugin found out.
    pub identity: Option<Identity<'a>>,
    /// Header fields for the answer, whoever makes it.
    pub response: Headers,
    /// Who a client is that somebody else vouches for (a directory, an identity provider) and that is no consumer here.
    pub subject: Option<String>,
    /// The groups that whoever authenticated the client puts it in, where that is not this gateway: a directory, an
    /// identity provider.
    pub groups: Option<Vec<String>>,
    /// What may be looked up.
    pub directory: &'a dyn Directory,
}

impl<'a> Ctx<'a> {
    /// The path that the client wrote, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query that the client wrote, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The consumer, if a plugin found out who it is.
    pub fn consumer(&self) -> Option<&'a Consumer> {
        self.identity.map(|identity| identity.consumer)
    }

    /// Whether the client showed something that was good: it is more than a stand-in.
    pub fn is_authenticated(&self) -> bool {
        self.subject.is_some() || self.identity.is_some_and(|identity| identity.credential.is_some())
    }

    /// Settles that the request is from somebody who is no consumer here, and tells the service: X-Credential-Identifier.
    /// What the client sent under this and the names of [`Ctx::authenticate`] is gone.
    pub fn authenticate_subject(&mut self, subject: String) {
        self.headers.retain(|name, _| !tells_identity(name));
        self.headers.append("X-Credential-Identifier", subject.as_bytes());
        self.identity = None;
        self.subject = Some(subject);
    }

    /// The protocol that plugins are chosen by.
    pub fn protocol(&self) -> Protocol {
        match self.client.scheme {
            Scheme::Http => Protocol::Http,
            Scheme::Https => Protocol::Https,
        }
    }

    /// Settles who the request is from, and tells the service: X-Consumer-ID, X-Consumer-Username,
    /// X-Consumer-Custom-ID, and X-Credential-Identifier, or X-Anonymous-Consumer for a stand-in. What the client sent
    /// under these names is gone.
    pub fn authenticate(&mut self, consumer: &'a Consumer, credential: Option<Credential>) {
        let headers = &mut self.headers;
        headers.retain(|name, _| !tells_identity(name));
        headers.append("X-Consumer-ID", consumer.id.text());
        if let Some(custom_id) = &consumer.custom_id {
            headers.append("X-Consumer-Custom-ID", custom_id.as_bytes());
        }
        if let Some(username) = &consumer.username {
            headers.append("X-Consumer-Username", username.as_bytes());
        }
        match credential {
            Some(credential) => headers.append("X-Credential-Identifier", credential.id.text()),
            None => headers.append("X-Anonymous-Consumer", "true"),
        }
        self.identity = Some(Identity { consumer, credential });
        self.subject = None;
    }
}

/// Whether a field tells the service who a request is from.
fn tells_identity(name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    match name.len() {
        13 => is("X-Consumer-ID"),
        19 => is("X-Consumer-Username"),
        20 => is("X-Consumer-Custom-ID") || is("X-Anonymous-Consumer"),
        23 => is("X-Credential-Identifier"),
        _ => false,
    }
}

/// Who made the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream service.
    Upstream,
    /// The gateway: a plugin, or there was no route.
    Gateway,
    /// The gateway, because the service failed.
    Failed,
}

/// What is known when an answer is over.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// The answer's status.
    pub status: StatusCode,
    /// Who made it.
    pub outcome: Outcome,
    /// From the head of the request to the end of the answer.
    pub total: Duration,
    /// Of that, until the gateway turned to the service, or made its own answer.
    pub gateway: Duration,
    /// From then until the service's first byte; `None` when the service was not asked.
    pub upstream: Option<Duration>,
    /// Bytes of the request: its head and what was read of its body.
    pub bytes_in: u64,
    /// Bytes of the answer: its head and what was sent of its body.
    pub bytes_out: u64,
}
