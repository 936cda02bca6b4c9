//! Connections of clients.

pub(crate) mod http1;
pub(crate) mod http2;

use std::io;
use std::task::{Context, Poll};

use http::StatusCode;
use weir_plugin::Headers;

use crate::body::BodySource;
use crate::http1::Framing;

/// The client's side of one request: its body comes from here, the answer goes there.
pub(crate) trait Downstream: BodySource {
    /// How the request's body is framed.
    fn framing(&self) -> Framing;

    /// Whether the client speaks HTTP/2.
    fn is_http2(&self) -> bool;

    /// Whether the connection can turn into a tunnel.
    fn can_upgrade(&self) -> bool;

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
