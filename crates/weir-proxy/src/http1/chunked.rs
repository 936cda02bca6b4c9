//! The chunked transfer coding (RFC 9112, 7.1), taken apart strictly and put together.

use std::io::Write as _;

/// The longest line of a chunk's size with its extensions, and of a trailer.
const MAX_LINE: usize = 4096;
/// The most bytes of trailers.
const MAX_TRAILERS: usize = 16 * 1024;

/// Takes a chunked body apart.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// Bytes of the trailers so far.
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A chunk's size comes next.
    Size,
    /// So many bytes of a chunk come next.
    Data(u64),
    /// The line end after a chunk comes next.
    DataEnd,
    /// A trailer or the empty line comes next.
    Trailer,
    /// The body is over.
    Done,
}

/// What a decoder finds at the front of the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Skip so many bytes of framing, then look again.
    Skip(usize),
    /// So many bytes are of the body.
    Data(usize),
    /// More bytes are needed.
    More,
    /// The body is over.
    Done,
}

/// The framing is broken: nothing after this point can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { state: State::Size, trailers: 0 }
    }

    /// Whether the body is over.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// What stands at the front of `bytes`. Framing that it reports to skip is taken note of at once; body bytes are
    /// when [`Decoder::used`] says so.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Result<Step, Broken> {
        match self.state {
            State::Done => Ok(Step::Done),
            State::Data(left) => match bytes.len() {
                0 => Ok(Step::More),
                have => Ok(Step::Data(usize::try_from(left).unwrap_or(usize::MAX).min(have))),
            },
            State::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Step::Skip(2))
                }
                [] | [b'\r'] => Ok(Step::More),
                _ => Err(Broken),
            },
            State::Size => {
                let Some(line) = line(bytes)? else { return Ok(Step::More) };
                let size = parse_size(line)?;
                self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                Ok(Step::Skip(line.len() + 2))
            }
            State::Trailer => {
                let Some(line) = line(bytes)? else { return Ok(Step::More) };
                self.trailers += line.len() + 2;
                if self.trailers > MAX_TRAILERS {
                    return Err(Broken);
                }
                if line.is_empty() {
                    self.state = State::Done;
                }
                Ok(Step::Skip(line.len() + 2))
            }
        }
    }

    /// So many bytes of the body were used.
    pub(crate) fn used(&mut self, count: usize) {
        if let State::Data(left) = self.state {
            let left = left.saturating_sub(count as u64);
            self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
        }
    }
}

/// The first line, without its end. A line feed without a carriage return is refused: whoever reads it differently
/// sees another body.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Broken> {
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) {
        Some(at) if at > 0 && bytes[at - 1] == b'\r' => Ok(Some(&bytes[..at - 1])),
        Some(_) => Err(Broken),
        None if bytes.len() >= MAX_LINE => Err(Broken),
        None => Ok(None),
    }
}

/// A chunk's size: one to sixteen hexadecimal digits, then nothing or an extension.
fn parse_size(line: &[u8]) -> Result<u64, Broken> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 15 {
        return Err(Broken);
    }
    let rest = line[digits..].trim_ascii_start();
    let extension_fine =
        rest.is_empty() || (rest[0] == b';' && !rest.iter().any(|b| *b < 0x20 && *b != b'\t'));
    if !extension_fine {
        return Err(Broken);
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| Broken)?;
    u64::from_str_radix(text, 16).map_err(|_| Broken)
}

/// Adds a chunk. An empty one would end the body, so it is left out.
pub(crate) fn encode(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// What ends a body.
pub(crate) const END: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes bytes that come in pieces of `piece`.
    fn decode(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, usize), Broken> {
        let (mut decoder, mut out, mut at, mut have) = (Decoder::new(), Vec::new(), 0, 0);
        loop {
            match decoder.step(&bytes[at..have])? {
                Step::Skip(n) => at += n,
                Step::Data(n) => {
                    out.extend_from_slice(&bytes[at..at + n]);
                    decoder.used(n);
                    at += n;
                }
                Step::Done => return Ok((out, at)),
                Step::More if have == bytes.len() => return Err(Broken),
                Step::More => have = (have + piece).min(bytes.len()),
            }
        }
    }

    #[test]
    fn bodies_come_apart_however_they_arrive() {
        let body = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: x\r\n\r\nnext";
        for piece in 1..body.len() {
            let (out, used) = decode(body, piece).unwrap();
            assert_eq!(out, b"hello world");
            assert_eq!(&body[used..], b"next");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for bad in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 5\r\nhello\r\n0\r\n\r\n",
            b"\r\n0\r\n\r\n",
            b"10000000000000000\r\n",
            b"5;\x01\r\nhello\r\n0\r\n\r\n",
        ] {
            assert!(decode(bad, bad.len()).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        assert_eq!(Decoder::new().step(&[b'1'; MAX_LINE]), Err(Broken));
        let mut body = b"0\r\n".to_vec();
        for _ in 0..2000 {
            body.extend_from_slice(b"Trailer: value\r\n");
        }
        body.extend_from_slice(b"\r\n");
        assert!(decode(&body, body.len()).is_err());
    }

    #[test]
    fn what_is_put_together_comes_apart() {
        let mut out = Vec::new();
        encode(&mut out, b"");
        encode(&mut out, &[b'x'; 300]);
        out.extend_from_slice(END);
        assert_eq!(decode(&out, 7).unwrap().0, [b'x'; 300]);
    }
}
