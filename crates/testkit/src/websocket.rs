//! WebSocket messages (RFC 6455), enough to see whether a gateway passes them through.
//!
//! Contract: whole messages in single frames, text, binary and close; pings are answered. A client's frames are masked,
//! with a fixed mask: masking protects proxies from browsers, not messages from readers.
//!
//! Deliberately absent: fragmentation, extensions, close handshakes with deadlines.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::client::Wire;
use crate::http1::invalid;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MAX_MESSAGE: u64 = 64 << 20;

/// What arrives on a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The peer's close frame, with its payload.
    Close(Vec<u8>),
}

/// The client's end of a WebSocket, made by [`crate::Client::websocket`].
pub struct WebSocket {
    stream: BufReader<Wire>,
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}

impl WebSocket {
    pub(crate) fn client(stream: BufReader<Wire>) -> Self {
        Self { stream }
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// The connection's.
    pub fn send_text(&mut self, text: &str) -> io::Result<()> {
        write_frame(self.stream.get_mut(), TEXT, text.as_bytes(), Some(MASK))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// The connection's.
    pub fn send_binary(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_frame(self.stream.get_mut(), BINARY, bytes, Some(MASK))
    }

    /// Sends a close frame with status 1000.
    ///
    /// # Errors
    /// The connection's.
    pub fn close(&mut self) -> io::Result<()> {
        write_frame(self.stream.get_mut(), CLOSE, &1000u16.to_be_bytes(), Some(MASK))
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// The connection's; `InvalidData` for frames outside of this module's contract.
    pub fn read(&mut self) -> io::Result<Message> {
        loop {
            match read_frame(&mut self.stream)? {
                (TEXT, bytes) => {
                    let text = String::from_utf8(bytes).map_err(|e| invalid(e.to_string()))?;
                    return Ok(Message::Text(text));
                }
                (BINARY, bytes) => return Ok(Message::Binary(bytes)),
                (CLOSE, bytes) => return Ok(Message::Close(bytes)),
                (PING, bytes) => write_frame(self.stream.get_mut(), PONG, &bytes, Some(MASK))?,
                _pong => {}
            }
        }
    }
}

/// The server's proof that it read the client's key (RFC 6455 4.2.2, item 5.4).
pub(crate) fn accept_key(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::from(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.digest().bytes())
}

/// Sends back every message until the client closes or is gone.
pub(crate) fn echo(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
    loop {
        match read_frame(from)? {
            (PING, bytes) => write_frame(to, PONG, &bytes, None)?,
            (PONG, _) => {}
            (opcode, bytes) => {
                write_frame(to, opcode, &bytes, None)?;
                if opcode == CLOSE {
                    return Ok(());
                }
            }
        }
    }
}

// RFC 6455 5.2
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn write_frame(to: &mut impl Write, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> io::Result<()> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => frame.push(masked | short as u8),
        medium @ 126..=0xffff => {
            frame.push(masked | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(masked | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask.iter().flatten());
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
    to.write_all(&frame)?;
    to.flush()
}

fn read_frame(from: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let [first, second] = read_array(from)?;
    if first & 0xf0 != 0x80 {
        return Err(invalid(format!("frame starts with {first:#04x}: not final, or reserved bits")));
    }
    let length = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(read_array(from)?)),
        127 => u64::from_be_bytes(read_array(from)?),
        short => u64::from(short),
    };
    if length > MAX_MESSAGE {
        return Err(invalid(format!("message of {length} bytes")));
    }
    let mask: [u8; 4] = if second & 0x80 != 0 { read_array(from)? } else { [0; 4] };
    let mut payload = Vec::new();
    if from.take(length).read_to_end(&mut payload)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[i % 4];
    }
    Ok((first & 0x0f, payload))
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_key_is_that_of_rfc_6455_section_1_3() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn frames_are_those_of_rfc_6455_section_5_7() {
        let mut wire = Vec::new();
        write_frame(&mut wire, TEXT, b"Hello", Some(MASK)).unwrap();
        assert_eq!(wire, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        assert_eq!(read_frame(&mut wire.as_slice()).unwrap(), (TEXT, b"Hello".to_vec()));
        wire.clear();
        write_frame(&mut wire, TEXT, b"Hello", None).unwrap();
        assert_eq!(wire, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    }

    #[test]
    fn every_length_form_survives_the_trip() {
        for length in [0, 125, 126, 0xffff, 0x10000] {
            let payload = vec![7; length];
            let mut wire = Vec::new();
            write_frame(&mut wire, BINARY, &payload, Some(MASK)).unwrap();
            assert_eq!(read_frame(&mut wire.as_slice()).unwrap(), (BINARY, payload));
        }
    }
}
