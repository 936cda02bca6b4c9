//! Connections of clients.

pub(crate) mod http1;
pub(crate) mod http2;

use std::io;
use std::task::{Context, Poll};

use http::StatusCode;
use weir_plugin::Headers;

use crate::body::BodySource;
use crate::http1::{Framing, parse_length};

/// Whether a field of an answer's head agrees with how the answer is sent. How a message is framed is the connection's
/// own business: what a plugin, or a service that contradicts itself, says of it must not mislead the client.
fn agrees(name: &[u8], value: &[u8], sending: Framing, switching: bool) -> bool {
    match name.len() {
        10 if name.eq_ignore_ascii_case(b"connection") => switching,
        14 if name.eq_ignore_ascii_case(b"content-length") => match sending {
            Framing::Length(length) => parse_length(value) == Some(length),
            // Without a body it says how long one would be.
            Framing::None => parse_length(value).is_some(),
            Framing::Chunked | Framing::Close => false,
        },
        17 => !name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => true,
    }
}

/// The client's side of one request: its body comes from here, the answer goes there.
pub(crate) trait Downstream: BodySource {
    /// How the request's body is framed.
    fn framing(&self) -> Framing;

    /// Whether the client speaks HTTP/2.
    fn is_http2(&self) -> bool;

    /// Whether the connection can turn into a tunnel.
    fn can_upgrade(&self) -> bool;

    /// Ready when the client is gone, or closed its side, and so waits for no answer. Tells only once all of the
    /// request's body was read; until then, reading it tells.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Begins the answer. Nothing is sent until there is a body to send with it, or a flush.
    fn start(&mut self, status: StatusCode, headers: &Headers, framing: Framing);

    /// Sends bytes of the answer's body. Ready with how many were taken; the caller offers the rest again.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends what waits to be sent.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the answer.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The answer cannot be completed: the client must not take what it has for the whole.
    fn abort(&mut self);

    /// How many bytes of this request were read, and of its answer written: heads and bodies.
    fn traffic(&self) -> (u64, u64);
}
