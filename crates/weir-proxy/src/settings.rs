//! How the gateway behaves, apart from its entities. A value: a change of settings is another value.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Whether clients may speak HTTP/2: after ALPN with TLS, with prior knowledge without.
    pub http2: bool,
    /// How many connections the kernel keeps waiting.
    pub backlog: u32,
}

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which header fields the gateway adds.
    pub headers: HeaderSettings,
    /// Peers that are believed when they say who they speak for.
    pub trusted: Vec<IpNet>,
    /// The field in which they say it.
    pub real_ip_header: String,
    /// Whether trusted addresses are skipped when that field holds several.
    pub real_ip_recursive: bool,
    /// Pages that replace the built-in ones for errors.
    pub templates: Templates,
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// The most bytes of a request's body; 0 for no limit.
    pub max_body: u64,
    /// The most bytes of a request's body that are kept in memory.
    pub body_buffer: usize,
    /// Connections to services.
    pub keepalive: Keepalive,
}

/// Which header fields the gateway adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderSettings {
    /// `Server` on answers of its own.
    pub server: bool,
    /// `Via` on answers of services, and on requests to them.
    pub via: bool,
    /// `X-Kong-Upstream-Latency`.
    pub upstream_latency: bool,
    /// `X-Kong-Proxy-Latency`.
    pub proxy_latency: bool,
    /// `X-Kong-Response-Latency`.
    pub response_latency: bool,
    /// `X-Kong-Upstream-Status`.
    pub upstream_status: bool,
    /// `X-Kong-Request-Id` on answers.
    pub request_id: bool,
    /// `X-Kong-Request-Id` on requests to services.
    pub request_id_upstream: bool,
}

/// Pages for errors. `%s` stands for the message, a second one for the request's id.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// For those who accept HTML.
    pub html: Option<String>,
    /// For those who accept JSON.
    pub json: Option<String>,
    /// For those who accept XML.
    pub xml: Option<String>,
    /// For those who accept plain text.
    pub plain: Option<String>,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From a connection or the end of an answer to the next request's first byte.
    pub keepalive: Duration,
    /// From there to the end of its head.
    pub head: Duration,
    /// Between two reads of its body.
    pub body: Duration,
    /// Between two writes of the answer.
    pub send: Duration,
    /// For the TLS handshake.
    pub handshake: Duration,
}

/// Connections to services that wait for the next request.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// The most that a worker keeps for one address; 0 keeps none.
    pub pool_size: usize,
    /// The most requests over one connection.
    pub max_requests: u32,
    /// How long one waits.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            headers: HeaderSettings::default(),
            trusted: Vec::new(),
            real_ip_header: "X-Real-IP".to_owned(),
            real_ip_recursive: false,
            templates: Templates::default(),
            timeouts: Timeouts::default(),
            max_body: 0,
            body_buffer: 1024 * 1024,
            keepalive: Keepalive::default(),
        }
    }
}

impl Default for HeaderSettings {
    fn default() -> Self {
        Self {
            server: true,
            via: true,
            upstream_latency: true,
            proxy_latency: true,
            response_latency: true,
            upstream_status: false,
            request_id: true,
            request_id_upstream: true,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(75),
            head: Duration::from_secs(60),
            body: Duration::from_secs(60),
            send: Duration::from_secs(60),
            handshake: Duration::from_secs(60),
        }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { pool_size: 512, max_requests: 10_000, idle: Duration::from_secs(60) }
    }
}

impl Settings {
    /// Whether a peer is believed when it says who it speaks for.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&ip))
    }
}
