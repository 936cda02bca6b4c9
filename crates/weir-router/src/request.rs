//! What the router looks at in a request.

use std::fmt;

use crate::header::{Headers, NoHeaders};

/// A request as the router sees it: borrowed, nothing copied.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// The host that the request is for, without its port ([`crate::split_port`]) and in any case. Empty if there is none.
    pub host: &'a str,
    /// The port that the request is for: the one named with the host, else the one it came in at.
    pub port: u16,
    /// The path in normal form, see [`crate::path::normalize`].
    pub path: &'a str,
    /// Whether the request came over TLS.
    pub tls: bool,
    /// The server name that the TLS client asked for.
    pub sni: Option<&'a str>,
    /// The request's headers.
    pub headers: &'a dyn Headers,
}

impl Default for Request<'_> {
    /// `GET /` in the clear, for no host.
    fn default() -> Self {
        Request { method: "GET", host: "", port: 80, path: "/", tls: false, sni: None, headers: &NoHeaders }
    }
}

impl fmt::Debug for Request<'_> {
    /// All but the headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("path", &self.path)
            .field("tls", &self.tls)
            .field("sni", &self.sni)
            .finish_non_exhaustive()
    }
}
