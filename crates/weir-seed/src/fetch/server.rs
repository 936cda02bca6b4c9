//! Which server: `https://host[:port][/path]`, the scheme being optional, as for pollinate.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use rustls_pki_types::ServerName;

/// A server of seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
    path: String,
    plain: bool,
}

/// Why a text names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no server: {why}; it should be https://host[:port][/path]")]
pub struct ServerError {
    text: String,
    why: &'static str,
}

/// No address is longer.
const MAX_BYTES: usize = 2048;
/// Of a name's addresses so many are tried.
const MOST_ADDRESSES: usize = 6;

impl Server {
    /// Whether everybody on the way can read what it says.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    pub(super) fn name(&self) -> Option<ServerName<'static>> {
        ServerName::try_from(self.host.clone()).ok()
    }

    /// Path and query, from the first slash.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as the field `Host` has them.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == standard_port(self.plain) { host } else { format!("{host}:{}", self.port) }
    }

    /// Whether it was named by its address.
    pub(super) fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// Its addresses, in the order to try them. Asks the system, which may take any time.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let mut found: Vec<_> = found.map_err(|error| error.to_string())?.collect();
        found.truncate(MOST_ADDRESSES);
        if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
    }
}

fn standard_port(plain: bool) -> u16 {
    if plain { 80 } else { 443 }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain { "http" } else { "https" };
        let path = if self.path == "/" { "" } else { &self.path };
        f.pad(&format!("{scheme}://{}{path}", self.authority()))
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let wrong = |why| ServerError { text: text.chars().take(300).collect(), why };
        if text.len() > MAX_BYTES {
            return Err(wrong("it is too long"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it has a character in it that no address has"));
        }
        let (plain, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (true, rest),
            Some(_) => return Err(wrong("only https and http are spoken")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if let Some((_, place)) = authority.rsplit_once('@') {
            // What is before it may be a password, which nobody needs to see.
            let text = format!("…@{place}");
            return Err(ServerError { text, why: "a user's name and password have no place in it" });
        }
        let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, port))) => (host, port),
            Some(None) => return Err(wrong("a bracket is not closed")),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => standard_port(plain),
            port => match port.and_then(|port| port.parse().ok()) {
                Some(port @ 1..) => port,
                _ => return Err(wrong("the port is no number from 1 to 65535")),
            },
        };
        if ServerName::try_from(host).is_err() {
            return Err(wrong("its host is no name and no address"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), port, path, plain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_as_for_pollinate() {
        for (text, shown, host, path) in [
            ("https://seeds.example/", "https://seeds.example", "seeds.example", "/"),
            ("seeds.example:8443", "https://seeds.example:8443", "seeds.example:8443", "/"),
            ("HTTP://seeds.example/a?b#c", "http://seeds.example/a?b", "seeds.example", "/a?b"),
            ("https://[2001:db8::1]:443?x", "https://[2001:db8::1]/?x", "[2001:db8::1]", "/?x"),
            ("192.0.2.1", "https://192.0.2.1", "192.0.2.1", "/"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(
                (server.to_string().as_str(), server.authority().as_str(), server.path()),
                (shown, host, path)
            );
            assert_eq!(server.to_string().parse(), Ok(server), "{text}");
        }
        let named = "https://u:secret@x/".parse::<Server>().unwrap_err().to_string();
        assert!(named.contains("user's name") && !named.contains("secret"), "{named}");
        for bad in [
            "",
            "ftp://x",
            "https://",
            "x:0",
            "x:65536",
            "x:y",
            "x:",
            "https://[::1",
            "[::1]x",
            "a b",
            "u@x",
            "::1",
            "x\r\ny",
        ] {
            assert!(bad.parse::<Server>().is_err(), "{bad:?}");
        }
    }
}
