//! The body of a request, wherever it comes from.

use std::task::{Context, Poll};

use bytes::Bytes;

/// Why a body ends early. The client's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client went away.
    #[error("the client went away")]
    Gone,
    /// The framing is broken.
    #[error("the body is malformed")]
    Malformed,
    /// It is longer than allowed.
    #[error("the body is too large")]
    TooLarge,
    /// It did not come in time.
    #[error("the body did not come in time")]
    Timeout,
}

/// A body that comes in pieces.
pub(crate) trait BodySource {
    /// Ready with whether there are bytes at hand; if not, the body is over.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>>;

    /// The bytes at hand.
    fn body(&self) -> &[u8];

    /// Marks bytes as used.
    fn used(&mut self, count: usize);
}

/// A body in memory, which can be sent again.
pub(crate) struct Whole {
    bytes: Bytes,
    at: usize,
}

impl Whole {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// Goes back to the beginning.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
    }
}

impl BodySource for Whole {
    fn poll_body(&mut self, _: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        Poll::Ready(Ok(self.at < self.bytes.len()))
    }

    fn body(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn used(&mut self, count: usize) {
        self.at += count;
    }
}
