//! Paths: brought into the one form that routes are compared with, and made into the path that the upstream gets.
//!
//! The normal form (RFC 3986 6.2.2) has no dot segments and no empty ones. Percent-escapes of characters that have a
//! meaning in URIs stay as they are, with their digits in upper case; all other escapes are decoded, so that `/caf%C3%A9`,
//! `/café` and `/c%61fé` are one path. It is text: an escape that is not UTF-8 is refused, as is a NUL.
//!
//! A path in normal form may hold spaces, line ends and any other character. It must be escaped before it goes into a
//! message: [`upstream_path`] does that, [`escape`] does it for parts.
//!
//! Everything here takes time in proportion to the length of its input.

use std::borrow::Cow;

/// Why a path has no normal form. The client is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash: answer 400.
    #[error("the path does not begin with /")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits after it: answer 400.
    #[error("a % is not followed by two hexadecimal digits")]
    BadEscape,
    /// A NUL, escaped or not: answer 400.
    #[error("the path contains a NUL")]
    Nul,
    /// Bytes that are not UTF-8, escaped or not. No route has such a path: answer as if none matched, 404.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

/// The normal form of a request's path, without its query. Borrowed if the path is in normal form already.
pub fn normalize(raw: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if raw.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    if is_normal(raw) {
        return std::str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| PathError::NotUtf8);
    }
    let mut out = Segments { bytes: Vec::with_capacity(raw.len()), start: 1 };
    out.bytes.push(b'/');
    let mut rest = &raw[1..];
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'/' => out.end_segment(),
            0 => return Err(PathError::Nul),
            b'%' => rest = out.push_escape(rest)?,
            byte => out.bytes.push(*byte),
        }
    }
    out.resolve_last();
    String::from_utf8(out.bytes).map(Cow::Owned).map_err(|_| PathError::NotUtf8)
}

/// Writes a path in normal form as a URI has it: what URIs give a meaning and what needs no escape stay, `%` too.
pub fn escape(path: &str) -> Cow<'_, str> {
    let Some(first) = path.bytes().position(|byte| !is_uri_byte(byte)) else { return Cow::Borrowed(path) };
    let mut out = String::with_capacity(path.len() + 16);
    out.push_str(&path[..first]);
    append_escaped(&mut out, &path[first..]);
    Cow::Owned(out)
}

/// The path that the upstream gets, escaped; the query is the caller's to append.
///
/// - `base`: the service's path, if it has one.
/// - `path`: the request's, in normal form.
/// - `matched`: how many bytes of it the route matched, see [`crate::Match::path_end`].
/// - `strip`: whether the route takes these bytes off.
///
/// The base and what remains of the path are joined by exactly one slash. If nothing remains, the result ends in a slash
/// if the request's path does, the root path only if the base does too. Kong's `path_handling` makes no difference to
/// its router for `traditional_compatible`, and there is none here.
pub fn upstream_path<'a>(base: Option<&str>, path: &'a str, matched: usize, strip: bool) -> Cow<'a, str> {
    let base = base.unwrap_or("/");
    let rest = match strip {
        true => without_dots(path.get(matched..).unwrap_or_default()),
        false => path,
    };
    let joint = base.strip_suffix('/').unwrap_or(base);
    if joint.is_empty() && rest.starts_with('/') {
        return escape(rest);
    }
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let mut out = String::with_capacity(joint.len() + 1 + rest.len());
    append_escaped(&mut out, joint);
    let slash = match rest {
        "" => path.ends_with('/') && (path.len() > 1 || base.ends_with('/')),
        _ => true,
    };
    if slash || out.is_empty() {
        out.push('/');
    }
    append_escaped(&mut out, rest);
    Cow::Owned(out)
}

/// Takes a dot segment off the front. It comes to be when a match ends within a segment, as `/a` does in `/a..`, and would
/// lead the upstream out of the service's path.
fn without_dots(rest: &str) -> &str {
    let (first, after) = rest.split_once('/').unwrap_or((rest, ""));
    if matches!(first, "." | "..") { after } else { rest }
}

fn append_escaped(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_uri_byte(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Whether normalising would change nothing. UTF-8 is the caller's to check.
fn is_normal(raw: &[u8]) -> bool {
    let mut rest = raw;
    while let [byte, after @ ..] = rest {
        let plain = match byte {
            0 | b'%' => false,
            b'/' => !matches!(
                after,
                [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
            ),
            _ => true,
        };
        if !plain {
            return false;
        }
        rest = after;
    }
    true
}

/// A path as it is put together: `bytes` ends in a segment that began at `start`, before which there is a slash.
struct Segments {
    bytes: Vec<u8>,
    start: usize,
}

impl Segments {
    /// A slash came: resolves the segment before it and begins the next.
    fn end_segment(&mut self) {
        self.resolve_last();
        if self.bytes.len() > self.start {
            self.bytes.push(b'/');
            self.start = self.bytes.len();
        }
    }

    /// Takes the last segment away if it is a dot segment, and with `..` the one before it (RFC 3986 5.2.4).
    fn resolve_last(&mut self) {
        match &self.bytes[self.start..] {
            b"." => self.bytes.truncate(self.start),
            b".." => {
                let before = &self.bytes[..self.start - 1];
                self.start = before.iter().rposition(|byte| *byte == b'/').map_or(1, |slash| slash + 1);
                self.bytes.truncate(self.start);
            }
            _ => {}
        }
    }

    /// Appends what the two digits after a `%` stand for, and answers what follows them.
    fn push_escape<'a>(&mut self, digits: &'a [u8]) -> Result<&'a [u8], PathError> {
        let [high, low, rest @ ..] = digits else { return Err(PathError::BadEscape) };
        match hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low) {
            None => Err(PathError::BadEscape),
            Some(0) => Err(PathError::Nul),
            Some(byte) if is_reserved(byte) => {
                self.bytes.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                Ok(rest)
            }
            Some(byte) => {
                self.bytes.push(byte);
                Ok(rest)
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Characters with a meaning of their own (RFC 3986 2.2), of which escapes stay escapes; and the `%` that begins one.
const fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'/'
            | b'?'
            | b'#'
            | b'['
            | b']'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b'%'
    )
}

/// Whether the byte stands in a URI as it is: reserved, or unreserved (RFC 3986 2.3).
fn is_uri_byte(byte: u8) -> bool {
    const URI_BYTES: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            let unreserved =
                matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~');
            table[byte as usize] = unreserved || is_reserved(byte);
            byte += 1;
        }
        table
    };
    URI_BYTES[usize::from(byte)]
}
