//! One request over one connection, and its answer, of which nothing is taken on trust.
//!
//! [`reply`] is pure: bytes so far, and whether more can come. All of an answer, fields included, is at most [`MAX_BYTES`]
//! long. What it says of itself must fit together; then it is taken, else not at all.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

/// The longest answer, head and body together. One of pollen has 400 bytes.
pub const MAX_BYTES: usize = 32 * 1024;
/// More fields nobody needs.
const MOST_FIELDS: usize = 64;
/// Answers that announce another one (1xx).
const MOST_INTERIM: usize = 8;

/// An answer.
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// What type of body it says that it has; fit to be shown.
    pub kind: String,
    /// Where it sends whoever asked, if anywhere; fit to be shown.
    pub location: Option<String>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// It is no HTTP/1.
    #[error("it does not speak HTTP/1.1")]
    NotHttp,
    /// A field of its head has a byte in it that none may have.
    #[error("a header field of its answer has a character in it that none may have")]
    Field,
    /// Its head has too many fields.
    #[error("it answered with more than {} header fields", MOST_FIELDS)]
    Fields,
    /// The frame of its body makes no sense.
    #[error("it answered with a body whose length is in doubt")]
    Framing,
    /// It is longer than it may be.
    #[error("it answered with more than {} bytes", MAX_BYTES)]
    TooLong,
    /// The connection ended too early.
    #[error("it closed the connection before its answer was complete")]
    Cut,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends a form to a path and hears the answer, with every byte that came.
pub(super) fn post(
    stream: &mut (impl Read + Write),
    authority: &str,
    path: &str,
    form: &[u8],
) -> Result<(Reply, Zeroizing<Vec<u8>>), HttpError> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: weir/{}\r\nAccept: text/plain\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        form.len()
    );
    stream.write_all(&Zeroizing::new([head.as_bytes(), form].concat()))?;
    stream.flush()?;
    hear(stream)
}

fn hear(stream: &mut impl Read) -> Result<(Reply, Zeroizing<Vec<u8>>), HttpError> {
    // Of its full length from the start: what moved would leave a copy behind.
    let mut all = Zeroizing::new(vec![0; MAX_BYTES + 1]);
    let mut length = 0;
    loop {
        let free = all.get_mut(length..).filter(|free| !free.is_empty()).ok_or(HttpError::TooLong)?;
        let more = match stream.read(free) {
            Ok(more) => more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(HttpError::Cut),
            Err(error) => return Err(error.into()),
        };
        length += more;
        let heard = all.get(..length).unwrap_or_default();
        if let Some(reply) = reply(heard, more == 0)? {
            all.truncate(length);
            return Ok((reply, all));
        }
    }
}

/// Reads an answer from the bytes that came so far. `Ok(None)`: more must come.
///
/// # Errors
/// [`HttpError`]; at the end, [`HttpError::Cut`] for what is not complete.
pub fn reply(bytes: &[u8], ended: bool) -> Result<Option<Reply>, HttpError> {
    if bytes.len() > MAX_BYTES {
        return Err(HttpError::TooLong);
    }
    let more = || if ended { Err(HttpError::Cut) } else { Ok(None) };
    let mut rest = bytes;
    for _ in 0..MOST_INTERIM {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let length = match head.parse(rest) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return more(),
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(HttpError::Field),
            Err(httparse::Error::TooManyHeaders) => return Err(HttpError::Fields),
            Err(_) => return Err(HttpError::NotHttp),
        };
        rest = rest.get(length..).unwrap_or_default();
        let status = head.code.unwrap_or_default();
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let body = match framing(head.headers)? {
            _ if matches!(status, 204 | 304) => Some(Zeroizing::default()),
            Framing::Length(length) if length > MAX_BYTES => return Err(HttpError::TooLong),
            Framing::Length(length) => rest.get(..length).map(|body| Zeroizing::new(body.to_vec())),
            Framing::Chunked => unchunk(rest)?,
            Framing::ToTheEnd => ended.then(|| Zeroizing::new(rest.to_vec())),
        };
        let Some(body) = body else { return more() };
        let kind = value(head.headers, "content-type").map(shown).unwrap_or_default();
        let location = value(head.headers, "location").map(shown);
        return Ok(Some(Reply { status, kind, location, body }));
    }
    Err(HttpError::NotHttp)
}

enum Framing {
    Length(usize),
    Chunked,
    ToTheEnd,
}

/// How long the body is (RFC 9112, 6.3). What says it twice and not alike is refused.
fn framing(fields: &[httparse::Header<'_>]) -> Result<Framing, HttpError> {
    let mut framing = Framing::ToTheEnd;
    for field in fields {
        let said = if field.name.eq_ignore_ascii_case("transfer-encoding") {
            match field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                true => Framing::Chunked,
                false => return Err(HttpError::Framing),
            }
        } else if field.name.eq_ignore_ascii_case("content-length") {
            Framing::Length(number(field.value.trim_ascii()).ok_or(HttpError::Framing)?)
        } else {
            continue;
        };
        framing = match (framing, said) {
            (Framing::ToTheEnd, said) => said,
            (Framing::Length(one), Framing::Length(other)) if one == other => Framing::Length(one),
            _ => return Err(HttpError::Framing),
        };
    }
    Ok(framing)
}

/// Digits alone: no sign, no blank.
fn number(text: &[u8]) -> Option<usize> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    // Too large a number is still a length, and too large a one.
    digits.then(|| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX))
}

/// The body of chunks (RFC 9112, 7.1); `None` while it is not complete. What follows the last chunk is left unread: the
/// connection is used once.
fn unchunk(bytes: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, HttpError> {
    let mut body = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    loop {
        let (start, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(HttpError::Framing),
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= MAX_BYTES) else {
            return Err(HttpError::TooLong);
        };
        if length == 0 {
            return Ok(Some(body));
        }
        let Some((chunk, after)) = rest.get(start..).and_then(|rest| rest.split_at_checked(length)) else {
            return Ok(None);
        };
        rest = match after {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(HttpError::Framing),
        };
        body.extend_from_slice(chunk);
    }
}

fn value<'a>(fields: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// What a terminal and a log can bear.
fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8], ended: bool) -> Result<Option<Vec<u8>>, String> {
        reply(bytes, ended)
            .map(|reply| reply.map(|reply| reply.body.to_vec()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_is_complete_when_it_says_so() {
        for whole in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        ] {
            assert_eq!(body(whole.as_bytes(), false), Ok(Some(b"abc".to_vec())), "{whole}");
            for end in 0..whole.len() {
                assert_eq!(body(&whole.as_bytes()[..end], false), Ok(None), "{end} of {whole}");
                assert_eq!(body(&whole.as_bytes()[..end], true), Err(HttpError::Cut.to_string()));
            }
        }
        let open = b"HTTP/1.0 200 OK\r\n\r\nabc";
        assert_eq!(body(open, false), Ok(None));
        assert_eq!(body(open, true), Ok(Some(b"abc".to_vec())));
        assert_eq!(body(b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", false), Ok(Some(vec![])));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (head, error) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4", HttpError::Framing),
            ("HTTP/1.1 200 OK\r\nContent-Length: +3", HttpError::Framing),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked", HttpError::Framing),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip", HttpError::Framing),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999", HttpError::TooLong),
            ("SSH-2.0-OpenSSH_9.2", HttpError::NotHttp),
            ("HTTP/1.1 302 Found\r\nLocation: http://x/\u{1b}[31m", HttpError::Field),
            ("HTTP/1.1 302 Found\r\nLo cation: x", HttpError::Field),
            (&format!("HTTP/1.1 200 OK{}", "\r\na: b".repeat(65)), HttpError::Fields),
        ] {
            assert_eq!(
                body(format!("{head}\r\n\r\nabcd").as_bytes(), false),
                Err(error.to_string()),
                "{head}"
            );
        }
        let chunked = |chunks: &str| {
            body(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes(), false)
        };
        assert_eq!(chunked("x\r\n"), Err(HttpError::Framing.to_string()));
        assert_eq!(chunked("1\r\nabc"), Err(HttpError::Framing.to_string()));
        assert_eq!(chunked("fffffffff\r\n"), Err(HttpError::TooLong.to_string()));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(9);
        assert_eq!(body(interim.as_bytes(), false), Err(HttpError::NotHttp.to_string()));
        assert_eq!(body(&[b'a'; MAX_BYTES + 1], false), Err(HttpError::TooLong.to_string()));
    }

    #[test]
    fn an_answer_is_heard_byte_by_byte_and_no_longer_than_it_may_be() {
        struct Drip<'a>(&'a [u8]);
        impl Read for Drip<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let length = 1.min(buf.len());
                self.0.read(&mut buf[..length])
            }
        }
        let (heard, all) =
            hear(&mut Drip(b"HTTP/1.1 302 Found\r\nLocation: a\tx\r\nContent-Length: 1\r\n\r\nab"))
                .map_err(|e| e.to_string())
                .unwrap_or_else(|_| panic!());
        assert_eq!((heard.status, heard.location.as_deref(), all.last()), (302, Some("ax"), Some(&b'a')));
        let endless = io::Cursor::new(b"HTTP/1.1 200 OK\r\n\r\n").chain(io::repeat(b'a'));
        assert!(matches!(hear(&mut { endless }), Err(HttpError::TooLong)));
    }
}
