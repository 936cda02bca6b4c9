//! Protocols of routes, and whether a request that a route matched may use it.
//!
//! Protocols take no part in matching: a request over plain HTTP matches a route that is for HTTPS only, and is then
//! told to come back over TLS. What HTTP answer a refusal becomes is the caller's business.

use std::fmt;

/// A protocol that a route may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// HTTP in the clear
    Http = 1 << 0,
    /// HTTP over TLS
    Https = 1 << 1,
    /// gRPC in the clear
    Grpc = 1 << 2,
    /// gRPC over TLS
    Grpcs = 1 << 3,
    /// a byte stream
    Tcp = 1 << 4,
    /// a byte stream over TLS, ended here
    Tls = 1 << 5,
    /// datagrams
    Udp = 1 << 6,
    /// TLS passed on as it is
    TlsPassthrough = 1 << 7,
}

impl Protocol {
    /// Every protocol, in the order of their declaration.
    pub const ALL: [Protocol; 8] = [
        Protocol::Http,
        Protocol::Https,
        Protocol::Grpc,
        Protocol::Grpcs,
        Protocol::Tcp,
        Protocol::Tls,
        Protocol::Udp,
        Protocol::TlsPassthrough,
    ];

    /// The protocol's name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Grpc => "grpc",
            Protocol::Grpcs => "grpcs",
            Protocol::Tcp => "tcp",
            Protocol::Tls => "tls",
            Protocol::Udp => "udp",
            Protocol::TlsPassthrough => "tls_passthrough",
        }
    }

    /// The protocol with this name in configuration.
    pub fn from_name(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// A set of protocols.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocols(u8);

impl Protocols {
    /// No protocol.
    pub const NONE: Protocols = Protocols(0);
    /// `http` and `https`, a route's default.
    pub const WEB: Protocols = Protocols(Protocol::Http as u8 | Protocol::Https as u8);

    const GRPC: Protocols = Protocols(Protocol::Grpc as u8 | Protocol::Grpcs as u8);
    const HTTP_FAMILY: Protocols = Protocols(Protocols::WEB.0 | Protocols::GRPC.0);

    /// Whether the protocol is in the set.
    pub fn contains(self, protocol: Protocol) -> bool {
        self.0 & protocol as u8 != 0
    }

    /// Whether a request of HTTP or gRPC can match a route of these protocols.
    pub fn any_http(self) -> bool {
        self.0 & Protocols::HTTP_FAMILY.0 != 0
    }

    /// Whether a request that came so may use a route of these protocols.
    ///
    /// A route for `http` alone also takes requests over TLS.
    pub fn admit(self, arrival: Arrival) -> Result<(), Refusal> {
        if self.contains(Protocol::Https) && !self.contains(Protocol::Http) && !arrival.tls {
            return Err(Refusal::TlsRequired);
        }
        if self.0 & Protocols::GRPC.0 != 0 {
            if !arrival.grpc {
                return Err(Refusal::NotGrpc);
            }
            if !arrival.http2 {
                return Err(Refusal::Http2Required);
            }
            if !self.contains(Protocol::Grpc) && !arrival.tls {
                return Err(Refusal::GrpcTlsRequired);
            }
        }
        Ok(())
    }
}

impl Default for Protocols {
    fn default() -> Self {
        Protocols::WEB
    }
}

impl FromIterator<Protocol> for Protocols {
    fn from_iter<I: IntoIterator<Item = Protocol>>(protocols: I) -> Self {
        Protocols(protocols.into_iter().fold(0, |set, protocol| set | protocol as u8))
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(Protocol::ALL.into_iter().filter(|p| self.contains(*p)).map(Protocol::name))
            .finish()
    }
}

/// How a request came, as far as a route's protocols care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// Over TLS, here or, on a trusted proxy's word, before it.
    pub tls: bool,
    /// As HTTP/2.
    pub http2: bool,
    /// With a content type of gRPC.
    pub grpc: bool,
}

/// Why a request may not use the route that it matched. The client is at fault, and may come again differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The route is for HTTPS: answer with the route's redirect code, or 426 and `Please use HTTPS protocol`.
    TlsRequired,
    /// The route is for gRPC and the request is not: 415.
    NotGrpc,
    /// The route is for gRPC, which needs HTTP/2: 426.
    Http2Required,
    /// The route is for gRPC over TLS: a gRPC error, status 1.
    GrpcTlsRequired,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> Protocols {
        names.iter().map(|name| Protocol::from_name(name).unwrap()).collect()
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("HTTP"), None);
        assert_eq!(format!("{:?}", set(&["http", "tls_passthrough"])), r#"{"http", "tls_passthrough"}"#);
    }

    #[test]
    fn admission() {
        let plain = Arrival::default();
        let tls = Arrival { tls: true, ..plain };
        let grpc = Arrival { grpc: true, http2: true, ..plain };
        for (protocols, arrival, expected) in [
            (set(&["http", "https"]), plain, Ok(())),
            (set(&["http"]), tls, Ok(())),
            (set(&["https"]), tls, Ok(())),
            (set(&["https"]), plain, Err(Refusal::TlsRequired)),
            (set(&["grpc"]), plain, Err(Refusal::NotGrpc)),
            (set(&["grpc"]), grpc, Ok(())),
            (set(&["grpc", "grpcs"]), grpc, Ok(())),
            (set(&["grpc"]), Arrival { http2: false, ..grpc }, Err(Refusal::Http2Required)),
            (set(&["grpcs"]), grpc, Err(Refusal::GrpcTlsRequired)),
            (set(&["grpcs"]), Arrival { tls: true, ..grpc }, Ok(())),
        ] {
            assert_eq!(protocols.admit(arrival), expected, "{protocols:?} {arrival:?}");
        }
    }
}
