//! The head of a request: parsed, checked, and its body's framing told.

use std::mem::MaybeUninit;

use http::Method;
use weir_plugin::Headers;

use super::{Framing, MAX_FIELDS, MAX_LINE, has_token, parse_length};

/// A request's head. Kept by a connection and filled again for each request.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// Path and query, as the client wrote them.
    pub(crate) target: String,
    /// The host that the request is for: lower case, without a port.
    pub(crate) host: String,
    /// The port named with the host.
    pub(crate) host_port: Option<u16>,
    pub(crate) headers: Headers,
    pub(crate) framing: Framing,
    /// Whether the client keeps the connection after the answer.
    pub(crate) keep_alive: bool,
    /// Whether the client understands chunks.
    pub(crate) http_11: bool,
    /// Whether the client waits for a word before it sends the body.
    pub(crate) expects_continue: bool,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            method: Method::GET,
            target: String::new(),
            host: String::new(),
            host_port: None,
            headers: Headers::new(),
            framing: Framing::None,
            keep_alive: true,
            http_11: true,
            expects_continue: false,
        }
    }
}

/// Why a request is refused before anybody looks at what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not HTTP, or not in one piece.
    Bad,
    /// Its target is too long.
    TargetTooLong,
    /// Its header fields are too long or too many.
    HeadTooLarge,
    /// It uses a method that has no meaning through a gateway.
    Method,
    /// It uses a transfer coding that nobody here knows.
    Coding,
    /// It speaks a version that nobody here knows.
    Version,
    /// It did not come in time.
    Timeout,
}

impl RequestHead {
    /// Reads the head that `bytes` begin with. Gives its length; `None` if its end is not there yet.
    pub(crate) fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let end = match parsed.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
            Err(httparse::Error::Version) => return Err(Refusal::Version),
            Err(_) => return Err(Refusal::Bad),
        };
        let bytes = &bytes[..end];
        check_lines(bytes)?;
        let base = bytes.as_ptr() as usize;
        let place = |slice: &[u8]| {
            let start = slice.as_ptr() as usize - base;
            start..start + slice.len()
        };
        let fields = parsed.headers.iter().filter(|field| is_known_token(field.name));
        self.headers.fill(bytes, fields.map(|field| (place(field.name.as_bytes()), place(field.value))));
        self.method = parse_method(parsed.method.unwrap_or_default())?;
        self.http_11 = parsed.version == Some(1);
        let authority = self.take_target(parsed.path.unwrap_or_default())?;
        self.take_host(authority)?;
        self.read_fields()?;
        Ok(Some(end))
    }

    /// Sets the target, and gives the authority of one in absolute form.
    fn take_target<'a>(&mut self, target: &'a str) -> Result<Option<&'a str>, Refusal> {
        self.target.clear();
        if target.starts_with('/') {
            self.target.push_str(target);
            return Ok(None);
        }
        let rest = ["http://", "https://"].iter().find_map(|scheme| {
            let (head, rest) = target.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        });
        let rest = rest.ok_or(Refusal::Bad)?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.is_empty() || authority.contains('@') {
            return Err(Refusal::Bad);
        }
        if !path.starts_with('/') {
            self.target.push('/');
        }
        self.target.push_str(path);
        Ok(Some(authority))
    }

    /// Finds the host: the one Host field, else the target's authority. RFC 9112, 3.2.2 asks for the opposite order; Kong
    /// takes the field, and so do the services behind, which would otherwise be asked for another host than was routed.
    fn take_host(&mut self, authority: Option<&str>) -> Result<(), Refusal> {
        {
            let mut hosts = self.headers.get_all("Host");
            let host = match (hosts.next(), hosts.next()) {
                (_, Some(_)) => return Err(Refusal::Bad),
                (Some(host), None) => Some(std::str::from_utf8(host).map_err(|_| Refusal::Bad)?),
                (None, None) if self.http_11 => return Err(Refusal::Bad),
                (None, None) => None,
            };
            let (name, port) = split_host(host.or(authority).unwrap_or_default()).ok_or(Refusal::Bad)?;
            self.host_port = port;
            self.host.clear();
            self.host.push_str(name);
        }
        self.host.make_ascii_lowercase();
        if let Some(authority) = authority
            && !self.headers.contains("Host")
        {
            self.headers.append("Host", authority);
        }
        Ok(())
    }

    fn read_fields(&mut self) -> Result<(), Refusal> {
        let mut length: Option<u64> = None;
        let mut chunked = false;
        let (mut lengths, mut codings) = (0, 0);
        self.keep_alive = self.http_11;
        self.expects_continue = false;
        for (name, value) in self.headers.iter() {
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    lengths += 1;
                    length = Some(parse_length(value).ok_or(Refusal::Bad)?);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    codings += 1;
                    chunked = value.eq_ignore_ascii_case(b"chunked");
                    if !chunked {
                        return Err(Refusal::Coding);
                    }
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    if has_token(value, b"close") {
                        self.keep_alive = false;
                    } else if !self.http_11 && has_token(value, b"keep-alive") {
                        self.keep_alive = true;
                    }
                }
                6 if name.eq_ignore_ascii_case(b"expect") => {
                    self.expects_continue = self.http_11 && value.eq_ignore_ascii_case(b"100-continue");
                }
                _ => {}
            }
        }
        if lengths > 1 || codings > 1 || (chunked && (length.is_some() || !self.http_11)) {
            return Err(Refusal::Bad);
        }
        self.framing = match (chunked, length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) if length > 0 => Framing::Length(length),
            (false, _) => Framing::None,
        };
        Ok(())
    }
}

/// Lines are bounded one by one; the first has a refusal of its own.
fn check_lines(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() <= MAX_LINE {
        return Ok(());
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        if end - start > MAX_LINE {
            return Err(if start == 0 { Refusal::TargetTooLong } else { Refusal::HeadTooLarge });
        }
        start = end + 1;
    }
    Ok(())
}

/// Fields whose names hold other characters than these are dropped: programs behind a gateway may take `x.y` or `x!y`
/// for another field's name.
fn is_known_token(name: &str) -> bool {
    const KNOWN: [bool; 256] = alphanumeric_and(b"-_");
    name.bytes().all(|b| KNOWN[usize::from(b)])
}

/// Which bytes are ASCII letters, digits or one of these others.
const fn alphanumeric_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

fn parse_method(name: &str) -> Result<Method, Refusal> {
    if !name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b == b'-') {
        return Err(Refusal::Bad);
    }
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::TRACE | Method::CONNECT) => Err(Refusal::Method),
        Ok(method) => Ok(method),
        Err(_) => Err(Refusal::Bad),
    }
}

/// The name or address and the port in `host[:port]`, if both are well-formed (RFC 3986, 3.2.2).
pub(crate) fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, after)) => (&host[..host.len() - after.len()], after),
        None => host.find(':').map_or((host, ""), |at| host.split_at(at)),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    const KNOWN: [bool; 256] = alphanumeric_and(b"-._~!$&'()*+,;=%[]:");
    let name_fine = name.bytes().all(|b| KNOWN[usize::from(b)] || b >= 0x80);
    name_fine.then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RequestHead, Refusal> {
        let mut head = RequestHead::default();
        assert_eq!(head.parse(text.as_bytes())?, Some(text.len()));
        Ok(head)
    }

    #[test]
    fn a_plain_request() {
        let head =
            parse("POST /a?b HTTP/1.1\r\nHost: A.test:80\r\nContent-Length: 3\r\nx.dot: 1\r\nX_u: 2\r\n\r\n")
                .unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str(), head.host.as_str()),
            ("POST", "/a?b", "a.test")
        );
        assert_eq!(head.framing, Framing::Length(3));
        assert!(head.keep_alive);
        assert!(!head.headers.contains("x.dot") && head.headers.contains("x_u"));
    }

    #[test]
    fn versions_and_connections() {
        assert!(!parse("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().keep_alive);
        assert!(!parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").unwrap().keep_alive);
    }

    #[test]
    fn an_absolute_target_may_name_the_host() {
        let head = parse("GET HTTP://b.test:1/x HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!((head.host.as_str(), head.host_port, head.target.as_str()), ("b.test", Some(1), "/x"));
        assert_eq!(head.headers.get_str("host"), Some("b.test:1"));
        assert_eq!(parse("GET http://b.test/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().host, "a");
        assert_eq!(parse("GET http://b.test?q HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().target, "/?q");
    }

    #[test]
    fn what_is_refused() {
        let refused = |text: &str| parse(text).err();
        let bad = Some(Refusal::Bad);
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), bad, "no host");
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), bad);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), bad);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), bad);
        assert_eq!(refused("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), bad);
        assert_eq!(refused("get / HTTP/1.1\r\nHost: a\r\n\r\n"), bad);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n"), bad);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\n folded: 1\r\n\r\n"), bad);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n"), bad);
        assert_eq!(
            refused("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
            bad
        );
        assert_eq!(
            refused("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            bad
        );
        assert_eq!(refused("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), bad);
        assert_eq!(
            refused("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            Some(Refusal::Coding)
        );
        assert_eq!(refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(Refusal::Method));
        assert_eq!(refused("GET / HTTP/3.0\r\nHost: a\r\n\r\n"), Some(Refusal::Version));
        let long = "a".repeat(MAX_LINE);
        assert_eq!(
            refused(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            Some(Refusal::TargetTooLong)
        );
        assert_eq!(
            refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")),
            Some(Refusal::HeadTooLarge)
        );
        let many = "X: 1\r\n".repeat(MAX_FIELDS);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), Some(Refusal::HeadTooLarge));
    }
}
