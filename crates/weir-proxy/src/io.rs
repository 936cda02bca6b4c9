//! Byte streams, with or without TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http1::buffer::Buffer;

/// A stream to a client or a service.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Ready when there may be something to read, without a buffer to read it into. Streams that cannot tell are
    /// always ready.
    fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {}

/// A stream to a service.
pub(crate) enum Upstream {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Upstream {
    /// The connection below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Stream for Upstream {}

impl AsyncRead for Upstream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Reads once into a buffer. Gives how many bytes came; none at the end of the stream.
pub(crate) fn poll_fill<S: Stream>(
    stream: &mut S,
    buffer: &mut Buffer,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.is_empty() {
        // An idle connection does not hold a buffer.
        buffer.rest();
        ready!(stream.poll_readable(cx))?;
    }
    let mut room = ReadBuf::new(buffer.room());
    let result = Pin::new(stream).poll_read(cx, &mut room);
    let count = room.filled().len();
    match ready!(result) {
        Ok(()) => {
            buffer.filled(count);
            Poll::Ready(Ok(count))
        }
        Err(error) => Poll::Ready(Err(error)),
    }
}

/// Writes the front of `output` as far as it goes. Ready when all of it is written.
pub(crate) fn poll_drain<S: Stream>(
    stream: &mut S,
    output: &mut Vec<u8>,
    written: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *written < output.len() {
        match ready!(Pin::new(&mut *stream).poll_write(cx, &output[*written..]))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => *written += count,
        }
    }
    output.clear();
    *written = 0;
    // A large answer's memory is not kept for small ones.
    if output.capacity() > KEEP {
        output.shrink_to(KEEP);
    }
    Pin::new(stream).poll_flush(cx)
}

/// What an output may keep of its memory.
const KEEP: usize = 32 * 1024;
