//! The few messages of LDAP (RFC 4511) that a bind takes, in BER (X.690), and distinguished names (RFC 4514).
//!
//! Invariants: a message is refused beyond [`MAX_MESSAGE`] bytes, from its first bytes on; lengths are definite, as RFC 4511
//! 5.1 has it; nothing that a username holds ends the value that it stands in.
//!
//! Deliberately absent: every operation but bind and StartTLS. General LDAP libraries bring searches, schemas and their
//! own parsers of certificates, and gather an answer of any length that a server announces.

use zeroize::Zeroizing;

/// No answer to a bind is longer: two short texts, perhaps some referrals.
pub(super) const MAX_MESSAGE: usize = 64 << 10;

/// StartTLS (RFC 4511 4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const BIND_REQUEST: u8 = 0x60;
const EXTENDED_REQUEST: u8 = 0x77;
/// The tag of an answer to a bind.
pub(super) const BIND_RESPONSE: u8 = 0x61;
/// The tag of an answer to an extended operation.
pub(super) const EXTENDED_RESPONSE: u8 = 0x78;

/// A server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// Which request it answers; 0 for none.
    pub(super) id: i32,
    /// Its kind: the tag of its operation.
    pub(super) kind: u8,
    /// Its result code.
    pub(super) code: u32,
}

/// Bytes that are no message of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the server says is not LDAP")]
pub(super) struct Malformed;

/// A request to authenticate as `dn` by a password (RFC 4511 4.2, simple authentication).
pub(super) fn bind(id: i32, dn: &str, password: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut operation = Zeroizing::new(Vec::with_capacity(dn.len() + password.len() + 32));
    put(&mut operation, INTEGER, &[3]);
    put(&mut operation, OCTET_STRING, dn.as_bytes());
    put(&mut operation, 0x80, password);
    message(id, BIND_REQUEST, &operation)
}

/// A request to go on over TLS (RFC 4511 4.14).
pub(super) fn start_tls(id: i32) -> Zeroizing<Vec<u8>> {
    let mut operation = Vec::with_capacity(32);
    put(&mut operation, 0x80, START_TLS);
    message(id, EXTENDED_REQUEST, &operation)
}

fn message(id: i32, kind: u8, operation: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::with_capacity(operation.len() + 16));
    put(&mut content, INTEGER, &id.to_be_bytes());
    put(&mut content, kind, operation);
    let mut out = Zeroizing::new(Vec::with_capacity(content.len() + 8));
    put(&mut out, SEQUENCE, &content);
    out
}

/// Writes a tag, a length and a content. Vectors are large enough from the beginning, so that none leaves a copy behind.
fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match content.len() {
        short @ 0..=127 => out.push(short as u8),
        long => {
            let bytes = (long as u32).to_be_bytes();
            out.push(0x84);
            out.extend_from_slice(&bytes);
        }
    }
    out.extend_from_slice(content);
}

/// Reads a server's message off the beginning of what it sent: the answer and its length, or `None` when more is to come.
pub(super) fn read(input: &[u8]) -> Result<Option<(Response, usize)>, Malformed> {
    if input.first().is_some_and(|tag| *tag != SEQUENCE) {
        return Err(Malformed);
    }
    let Some((head, length)) = header(input)? else { return Ok(None) };
    if length > MAX_MESSAGE {
        return Err(Malformed);
    }
    let Some(content) = input.get(head..head + length) else { return Ok(None) };
    Ok(Some((response(content)?, head + length)))
}

fn response(mut content: &[u8]) -> Result<Response, Malformed> {
    let (tag, id) = element(&mut content)?;
    let id = match (tag, integer(id)?) {
        (INTEGER, id @ 0..) => id,
        _ => return Err(Malformed),
    };
    let (kind, mut operation) = element(&mut content)?;
    let (tag, code) = element(&mut operation)?;
    let (ENUMERATED, Ok(code)) = (tag, u32::try_from(integer(code)?)) else { return Err(Malformed) };
    // matchedDN and diagnosticMessage; what follows differs by the kind of answer.
    for _ in 0..2 {
        if element(&mut operation)?.0 != OCTET_STRING {
            return Err(Malformed);
        }
    }
    while !operation.is_empty() {
        element(&mut operation)?;
    }
    while !content.is_empty() {
        element(&mut content)?;
    }
    Ok(Response { id, kind, code })
}

/// Takes the next element off: its tag and its content.
fn element<'a>(input: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Malformed> {
    let (head, length) = header(input)?.ok_or(Malformed)?;
    let content = input.get(head..).and_then(|rest| rest.get(..length)).ok_or(Malformed)?;
    let tag = input[0];
    *input = &input[head + length..];
    Ok((tag, content))
}

/// The length of an element's tag and length, and that of its content. `None` when more is to come.
fn header(input: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let (Some(tag), Some(first)) = (input.first(), input.get(1)) else { return Ok(None) };
    // LDAP has no tag above 30.
    if tag & 0x1f == 0x1f {
        return Err(Malformed);
    }
    match usize::from(*first) {
        short @ 0..=127 => Ok(Some((2, short))),
        long @ 0x81..=0x84 => {
            let count = long - 0x80;
            let Some(bytes) = input.get(2..2 + count) else { return Ok(None) };
            let length = bytes.iter().fold(0, |length: u64, byte| length << 8 | u64::from(*byte));
            Ok(Some((2 + count, usize::try_from(length).map_err(|_| Malformed)?)))
        }
        _ => Err(Malformed),
    }
}

fn integer(content: &[u8]) -> Result<i32, Malformed> {
    match content {
        [] | [_, _, _, _, _, ..] => Err(Malformed),
        [first, ..] => {
            let sign = if first & 0x80 == 0 { 0 } else { -1 };
            Ok(content.iter().fold(sign, |value: i32, byte| value << 8 | i32::from(*byte)))
        }
    }
}

/// The distinguished name of somebody directly below `base`.
pub(super) fn name(attribute: &str, value: &str, base: &str) -> String {
    let mut name = String::with_capacity(attribute.len() + value.len() + base.len() + 8);
    name.push_str(attribute);
    name.push('=');
    escape(value, &mut name);
    if !base.is_empty() {
        name.push(',');
        name.push_str(base);
    }
    name
}

/// Writes a value such that it stands for itself in a distinguished name (RFC 4514 2.4).
fn escape(value: &str, out: &mut String) {
    use std::fmt::Write as _;
    let last = value.len().saturating_sub(1);
    for (at, character) in value.char_indices() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => out.extend(['\\', character]),
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            control if control.is_ascii_control() => {
                let _ = write!(out, "\\{:02x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        // RFC 4514 4: the examples with special characters, as values.
        assert_eq!(
            name("CN", "James \"Jim\" Smith, III", "DC=net"),
            r#"CN=James \"Jim\" Smith\, III,DC=net"#
        );
        assert_eq!(name("CN", "Before\rAfter", "DC=net"), r"CN=Before\0dAfter,DC=net");
        assert_eq!(name("CN", "Lučić", ""), "CN=Lučić");
        assert_eq!(name("uid", " #a ", "o=b"), r"uid=\ #a\ ,o=b");
        assert_eq!(name("uid", "#a", "o=b"), r"uid=\#a,o=b");
        assert_eq!(name("uid", " ", "o=b"), r"uid=\ ,o=b");
        assert_eq!(name("uid", "x,o=evil+a<b>;\\\0", "o=b"), r"uid=x\,o\=evil\+a\<b\>\;\\\00,o=b");
    }

    #[test]
    fn requests_are_as_the_standard_has_them() {
        assert_eq!(bind(1, "", b"")[..], [0x30, 0x0f, 2, 4, 0, 0, 0, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0]);
        let long = bind(1, &"x".repeat(300), b"p");
        assert_eq!(long[..2], [0x30, 0x84]);
        assert_eq!(start_tls(1)[8..12], [0x77, 24, 0x80, 22]);
    }

    #[test]
    fn answers_are_read() {
        // Captured of OpenLDAP 2.5: a good bind, and a wrong password.
        let good = [0x30, 0x0c, 2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0];
        let read_one = |bytes: &[u8]| read(bytes).map(|found| found.map(|(response, _)| response));
        assert_eq!(read_one(&good), Ok(Some(Response { id: 1, kind: BIND_RESPONSE, code: 0 })));
        let wrong = [0x30, 0x0c, 2, 1, 2, 0x61, 7, 10, 1, 49, 4, 0, 4, 0];
        assert_eq!(read_one(&wrong), Ok(Some(Response { id: 2, kind: BIND_RESPONSE, code: 49 })));
        for length in 0..good.len() {
            assert_eq!(read(&good[..length]), Ok(None), "{length}");
        }
        assert_eq!(read(&[good, wrong].concat()).unwrap().unwrap().1, good.len());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bad in [
            &b"HTTP/1.1 400 Bad Request"[..],
            &[0x30, 0x80],                                            // indefinite length
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],                    // 4 GiB to come
            &[0x30, 0x85, 0, 0, 0, 0, 1],                             // a length of five bytes
            &[0x30, 0x00],                                            // nothing in it
            &[0x30, 0x0c, 2, 1, 0xff, 0x61, 7, 10, 1, 0, 4, 0, 4, 0], // a negative id
            &[0x30, 0x0c, 2, 1, 1, 0x61, 7, 10, 1, 0xff, 4, 0, 4, 0], // a negative code
            &[0x30, 0x0c, 2, 1, 1, 0x61, 9, 10, 1, 0, 4, 0, 4, 0], // the operation is longer than the message
            &[0x30, 0x08, 2, 1, 1, 0x61, 3, 10, 1, 0],             // no texts
        ] {
            assert_eq!(read(bad), Err(Malformed), "{bad:x?}");
        }
    }
}
