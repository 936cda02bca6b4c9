//! The head of a response: parsed, checked, and its body's framing told.

use std::mem::MaybeUninit;

use http::{Method, StatusCode};
use weir_plugin::Headers;

use super::{Framing, MAX_FIELDS, has_token, parse_length};

/// A response's head. Kept by a connection and filled again for each response.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: Headers,
    pub(crate) framing: Framing,
    /// Whether its Content-Length means nothing, since a transfer coding is there as well (RFC 9112, 6.3).
    pub(crate) length_is_void: bool,
    /// Whether the service keeps the connection after the response.
    pub(crate) keep_alive: bool,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            headers: Headers::new(),
            framing: Framing::None,
            length_is_void: false,
            keep_alive: true,
        }
    }
}

/// What a service sent is no response that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl ResponseHead {
    /// Reads the head that `bytes` begin with. Gives its length; `None` if its end is not there yet. `method` is the
    /// request's.
    pub(crate) fn parse(&mut self, bytes: &[u8], method: &Method) -> Result<Option<usize>, Invalid> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        config.allow_multiple_spaces_in_response_status_delimiters(false);
        let end = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Invalid),
        };
        let bytes = &bytes[..end];
        let base = bytes.as_ptr() as usize;
        let place = |slice: &[u8]| {
            let start = slice.as_ptr() as usize - base;
            start..start + slice.len()
        };
        self.headers.fill(bytes, parsed.headers.iter().map(|f| (place(f.name.as_bytes()), place(f.value))));
        self.status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Invalid)?;
        self.read_fields(parsed.version == Some(1), method)?;
        Ok(Some(end))
    }

    fn read_fields(&mut self, http_11: bool, method: &Method) -> Result<(), Invalid> {
        let mut length: Option<u64> = None;
        let mut chunked = None;
        self.keep_alive = http_11;
        for (name, value) in self.headers.iter() {
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let parsed = parse_length(value).ok_or(Invalid)?;
                    if length.replace(parsed).is_some_and(|before| before != parsed) {
                        return Err(Invalid);
                    }
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    // Only chunks, once: a body under another coding could not be passed on as it is.
                    let twice = chunked.replace(()).is_some();
                    if twice || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Invalid);
                    }
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    if has_token(value, b"close") {
                        self.keep_alive = false;
                    } else if !http_11 && has_token(value, b"keep-alive") {
                        self.keep_alive = true;
                    }
                }
                _ => {}
            }
        }
        self.length_is_void = chunked.is_some() && length.is_some();
        let bodiless = method == Method::HEAD
            || self.status.is_informational()
            || self.status == StatusCode::NO_CONTENT
            || self.status == StatusCode::NOT_MODIFIED;
        self.framing = match (bodiless, chunked, length) {
            (true, ..) => Framing::None,
            (false, Some(()), length) => {
                // Both: chunks count, and the connection is not trusted any further (RFC 9112, 6.3).
                self.keep_alive &= length.is_none();
                Framing::Chunked
            }
            (false, None, Some(0)) => Framing::None,
            (false, None, Some(length)) => Framing::Length(length),
            (false, None, None) => {
                self.keep_alive = false;
                Framing::Close
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ResponseHead, Invalid> {
        let mut head = ResponseHead::default();
        assert_eq!(head.parse(text.as_bytes(), &Method::GET)?, Some(text.len()));
        Ok(head)
    }

    #[test]
    fn framings() {
        let framing = |text: &str| parse(text).unwrap().framing;
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Framing::Length(5));
        assert_eq!(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Framing::Chunked);
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Framing::Close);
        assert_eq!(framing("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), Framing::None);
        assert_eq!(framing("HTTP/1.1 304\r\n\r\n"), Framing::None);
        let both =
            parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!((both.framing, both.keep_alive), (Framing::Chunked, false));
    }

    #[test]
    fn what_cannot_be_passed_on() {
        for bad in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "hello\r\n\r\n",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn connections() {
        assert!(parse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap().keep_alive);
        assert!(
            !parse("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap().keep_alive
        );
        assert!(!parse("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap().keep_alive);
    }
}
