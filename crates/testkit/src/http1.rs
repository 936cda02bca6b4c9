//! HTTP/1.1 messages as tests want them: every byte accounted for, nothing tidied (RFC 9112).
//!
//! Contract: a head is read up to its empty line; a body is read by its framing (chunked, length, or to the end of the
//! connection). Names and values keep their spelling and order. What is not HTTP/1.1 is `InvalidData`.

use std::io::{self, BufRead, Read};

/// A head larger than this is a bug in the test or in what it tests.
const MAX_HEAD: u64 = 1 << 20;
/// No test sends bodies beyond this.
const MAX_BODY: u64 = 1 << 30;

/// Header fields in the order and spelling in which they arrived.
///
/// ```
/// let mut headers = testkit::Headers::default();
/// headers.push("Via", "1.1 weir");
/// headers.push("via", "1.1 other");
/// assert_eq!(headers.get("VIA"), Some("1.1 weir"));
/// assert_eq!(headers.all("via"), ["1.1 weir", "1.1 other"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value under a name, whatever the name's case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values under a name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Every field, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a comma-separated field holds this token, whatever its case.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).iter().flat_map(|v| v.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    }
}

/// A start line and the fields under it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Headers,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    ToEnd,
}

impl Framing {
    /// Of a request (RFC 9112 6.3): without a length there is no body.
    pub(crate) fn of_request(headers: &Headers) -> io::Result<Self> {
        Ok(Self::declared(headers)?.unwrap_or(Self::None))
    }

    /// Of an answer: without a length it ends with the connection.
    pub(crate) fn of_answer(headers: &Headers, status: u16, to_head: bool) -> io::Result<Self> {
        if to_head || (100..200).contains(&status) || status == 204 || status == 304 {
            return Ok(Self::None);
        }
        Ok(Self::declared(headers)?.unwrap_or(Self::ToEnd))
    }

    fn declared(headers: &Headers) -> io::Result<Option<Self>> {
        if headers.has_token("Transfer-Encoding", "chunked") {
            return Ok(Some(Self::Chunked));
        }
        let Some(length) = headers.get("Content-Length") else { return Ok(None) };
        match length.parse() {
            Ok(length) if length <= MAX_BODY => Ok(Some(Self::Length(length))),
            _ => Err(invalid(format!("Content-Length: {length}"))),
        }
    }
}

/// Reads a head; `None` when the peer closed before its first byte.
pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut limited = from.take(MAX_HEAD);
    let Some(start) = read_line(&mut limited)? else { return Ok(None) };
    let mut headers = Headers::default();
    loop {
        let Some(line) = read_line(&mut limited)? else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed within a head"));
        };
        if line.is_empty() {
            return Ok(Some(Head { start, headers }));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("header line {line:?}")))?;
        headers.push(name, value.trim_matches([' ', '\t']));
    }
}

/// Reads a body, and for a chunked one the trailer fields after it.
pub(crate) fn read_body(from: &mut impl BufRead, framing: Framing) -> io::Result<(Vec<u8>, Headers)> {
    let mut body = Vec::new();
    match framing {
        Framing::None => {}
        Framing::Length(length) => read_exactly(from, length, &mut body)?,
        Framing::ToEnd => {
            from.take(MAX_BODY).read_to_end(&mut body)?;
        }
        Framing::Chunked => return read_chunks(from),
    }
    Ok((body, Headers::default()))
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<(Vec<u8>, Headers)> {
    let mut body = Vec::new();
    loop {
        let line = read_line(&mut from.take(MAX_HEAD))?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid(format!("chunk size {line:?}")))?;
        if size == 0 {
            return Ok((body, read_trailers(from)?));
        }
        if body.len() as u64 + size > MAX_BODY {
            return Err(invalid("chunked body too large".into()));
        }
        read_exactly(from, size, &mut body)?;
        let end = read_line(&mut from.take(MAX_HEAD))?;
        if end.as_deref() != Some("") {
            return Err(invalid(format!("after a chunk: {end:?}")));
        }
    }
}

fn read_trailers(from: &mut impl BufRead) -> io::Result<Headers> {
    let mut trailers = Headers::default();
    loop {
        let line = read_line(&mut from.take(MAX_HEAD))?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(trailers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("trailer line {line:?}")))?;
        trailers.push(name, value.trim());
    }
}

fn read_exactly(from: &mut impl Read, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
    if from.take(length).read_to_end(into)? as u64 == length {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed within a body"))
}

/// A line without its end; `None` at the end of the stream. Bytes that are not UTF-8 are read as Latin-1.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed within a line"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(match String::from_utf8(line) {
        Ok(text) => text,
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    }))
}

pub(crate) fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_trailers_are_read() {
        let mut wire: &[u8] = b"4;ext=1\r\nweir\r\n2\r\n!!\r\n0\r\nDigest: x\r\n\r\nrest";
        let (body, trailers) = read_body(&mut wire, Framing::Chunked).unwrap();
        assert_eq!((body.as_slice(), trailers.get("digest")), (b"weir!!".as_slice(), Some("x")));
        assert_eq!(wire, b"rest");
    }

    #[test]
    fn broken_messages_are_errors() {
        for wire in ["HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 200 OK"]
        {
            assert!(read_head(&mut wire.as_bytes()).is_err(), "{wire:?}");
        }
        for wire in ["x\r\n", "4\r\nweirXX\r\n", "4\r\nwe", "ffffffffffffffff\r\n"] {
            assert!(read_body(&mut wire.as_bytes(), Framing::Chunked).is_err(), "{wire:?}");
        }
        assert!(read_body(&mut &b"abc"[..], Framing::Length(4)).is_err());
    }

    #[test]
    fn framing_follows_rfc_9112_section_6_3() {
        let with = |name: &str, value: &str| {
            let mut headers = Headers::default();
            headers.push(name, value);
            headers
        };
        let none = Headers::default();
        assert_eq!(Framing::of_request(&none).unwrap(), Framing::None);
        assert_eq!(Framing::of_answer(&none, 200, false).unwrap(), Framing::ToEnd);
        assert_eq!(Framing::of_answer(&with("content-length", "5"), 200, true).unwrap(), Framing::None);
        assert_eq!(Framing::of_answer(&with("content-length", "5"), 304, false).unwrap(), Framing::None);
        assert_eq!(Framing::of_request(&with("Content-Length", "5")).unwrap(), Framing::Length(5));
        let chunked = with("transfer-encoding", "gzip, Chunked");
        assert_eq!(Framing::of_answer(&chunked, 200, false).unwrap(), Framing::Chunked);
        assert!(Framing::of_request(&with("content-length", "-1")).is_err());
    }
}
