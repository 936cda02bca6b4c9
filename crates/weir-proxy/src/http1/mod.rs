//! HTTP/1.1 on the wire, for both sides: heads parsed by httparse, bodies framed by ourselves.
//!
//! Everything here works on bytes in memory; who reads and writes them is the business of `server` and `upstream`.
//! The strictness of RFC 9112 where two parties could otherwise disagree about where a message ends: a length and a
//! transfer coding together, two lengths, a coding that is not chunked, a chunk size with anything but digits, all end
//! the connection.

pub(crate) mod buffer;
pub(crate) mod chunked;
pub(crate) mod request;
pub(crate) mod response;

/// The most bytes that a message's head may have: four lines of the longest kind, as nginx has it.
pub(crate) const MAX_HEAD: usize = 32 * 1024;
/// The most bytes that one line of a head may have.
pub(crate) const MAX_LINE: usize = 8 * 1024;
/// The most header fields that a message may have.
const MAX_FIELDS: usize = 200;

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, the last of which is empty.
    Chunked,
    /// Until the connection closes.
    Close,
}

/// Where a head ends: the number of bytes up to and with its empty line. `from` is where to look, so that bytes are
/// looked at once however slowly they come.
pub(crate) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(3);
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        let line_end = at + found;
        match &bytes[line_end + 1..] {
            [b'\n', ..] => return Some(line_end + 2),
            [b'\r', b'\n', ..] => return Some(line_end + 3),
            _ => at = line_end + 1,
        }
    }
    None
}

/// A decimal length as a message's head has it: digits alone.
pub(crate) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether a comma-separated list has this member, regardless of case.
pub(crate) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|b| *b == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_at_an_empty_line() {
        assert_eq!(head_end(b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody", 0), Some(24));
        assert_eq!(head_end(b"GET / HTTP/1.1\nA: b\n\nbody", 0), Some(21));
        assert_eq!(head_end(b"GET / HTTP/1.1\r\nA: b\r\n", 0), None);
        let whole = b"GET / HTTP/1.1\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(head_end(&whole[..cut], 0), None);
            assert_eq!(head_end(whole, cut), Some(whole.len()), "from {cut}");
        }
    }

    #[test]
    fn lengths_are_digits() {
        assert_eq!(parse_length(b"18446744073709551615"), None);
        assert_eq!(parse_length(b"0"), Some(0));
        for bad in [&b"+1"[..], b"-1", b"1 ", b"", b"0x1", b"1,1"] {
            assert_eq!(parse_length(bad), None);
        }
    }
}
