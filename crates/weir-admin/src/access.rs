//! Who may use the Admin API.
//!
//! On loopback whoever is on this machine may, but no page of a website that a browser on it shows: the Host must be this
//! machine's (DNS rebinding), and so must the Origin, if there is one. Elsewhere a token or a client certificate is
//! needed; the certificate is the TLS layer's business, the token is looked at here.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode};
use weir_mint::Secret;

use crate::respond::{self, Answer};

/// The field that the token comes in, by Kong's name.
const TOKEN_FIELD: &str = "kong-admin-token";

/// What a listener asks of requests.
pub struct Access {
    /// The token that every request must show, if any.
    pub token: Option<Token>,
    /// Names under which the API may be asked for, besides this machine's own. `None`: under any.
    pub hosts: Option<Vec<String>>,
    /// Origins whose pages may use the API, besides this machine's own; `*` for all.
    pub origins: Vec<String>,
}

/// A token. Not printed, compared in constant time.
pub struct Token(Secret);

impl Token {
    /// A token of this text.
    pub fn new(text: Secret) -> Self {
        Self(text)
    }

    fn is(&self, shown: &[u8]) -> bool {
        self.0.matches(shown)
    }
}

impl Access {
    /// Whether a request may go on.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Box<Answer>> {
        if let Some(token) = &self.token {
            let shown = headers.get(TOKEN_FIELD);
            let Some(shown) = shown else {
                return Err(Box::new(respond::message(
                    StatusCode::UNAUTHORIZED,
                    "Invalid credentials. Token required",
                )));
            };
            if !token.is(shown.as_bytes()) {
                return Err(Box::new(respond::message(StatusCode::UNAUTHORIZED, "Unauthorized")));
            }
        }
        let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if let Some(hosts) = &self.hosts
            && !is_own(host_name(host))
            && !hosts.iter().any(|name| name.eq_ignore_ascii_case(host_name(host)))
        {
            let say = "the Admin API is not served under this name: add it to admin_hosts";
            return Err(Box::new(respond::message(StatusCode::FORBIDDEN, say)));
        }
        let Some(origin) = headers.get(http::header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        if self.lets_in(origin, host) {
            return Ok(());
        }
        let say = "pages of this origin may not use the Admin API: add it to admin_origins";
        Err(Box::new(respond::message(StatusCode::FORBIDDEN, say)))
    }

    /// Whether pages of this origin may use the API: those from this machine, and those from the API's own address.
    fn lets_in(&self, origin: &str, host: &str) -> bool {
        if self.origins.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(origin)) {
            return true;
        }
        match origin.split_once("://") {
            Some((_, authority)) => is_own(host_name(authority)) || authority.eq_ignore_ascii_case(host),
            None => false,
        }
    }
}

/// The name in `name:port`.
fn host_name(host: &str) -> &str {
    weir_model::schema::types::split_port(host).0
}

/// Whether a name can only mean this machine. An address that is not loopback's may be this machine's too: a page
/// cannot have one for its name without being served from there.
fn is_own(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower == "localhost"
        || lower.ends_with(".localhost")
        || lower.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(access: &Access, fields: &[(&'static str, &'static str)]) -> Result<(), StatusCode> {
        let headers = fields.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        access.check(&headers).map_err(|answer| answer.status())
    }

    fn loopback() -> Access {
        Access { token: None, hosts: Some(vec!["gateway.test".to_owned()]), origins: Vec::new() }
    }

    #[test]
    fn a_page_of_a_website_cannot_use_it() {
        let access = loopback();
        for host in ["127.0.0.1:8001", "localhost:8001", "[::1]:8001", "a.localhost", "Gateway.test"] {
            assert_eq!(check(&access, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.test", "127.0.0.1.evil.test", "", "10.0.0.1"] {
            assert_eq!(check(&access, &[("host", host)]), Err(StatusCode::FORBIDDEN), "{host}");
        }
        let host = ("host", "127.0.0.1:8001");
        assert_eq!(check(&access, &[host, ("origin", "http://localhost:3000")]), Ok(()));
        for origin in ["http://evil.test", "null", "http://localhost.evil.test", "file://"] {
            assert_eq!(check(&access, &[host, ("origin", origin)]), Err(StatusCode::FORBIDDEN), "{origin}");
        }
        let open = Access { origins: vec!["*".to_owned()], ..loopback() };
        assert_eq!(check(&open, &[host, ("origin", "http://evil.test")]), Ok(()));
    }

    #[test]
    fn a_token_is_asked_for() {
        let access = Access {
            token: Some(Token::new(Secret::from("sesame".to_owned()))),
            hosts: None,
            origins: vec![],
        };
        assert_eq!(check(&access, &[("host", "a.test")]), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(
            check(&access, &[("host", "a.test"), ("kong-admin-token", "open")]),
            Err(StatusCode::UNAUTHORIZED)
        );
        assert_eq!(check(&access, &[("host", "a.test"), ("kong-admin-token", "sesame")]), Ok(()));
    }
}
