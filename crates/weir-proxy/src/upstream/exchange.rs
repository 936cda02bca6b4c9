//! One request for one response over one connection to a service.
//!
//! Both directions run at once: a service may answer before it has read the whole request. Bytes of bodies pass through
//! buffers of a fixed size; a side that does not read stops the other from sending.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode};

use super::Failure;
use crate::body::{BodyError, BodySource};
use crate::clock;
use crate::http1::buffer::Buffer;
use crate::http1::chunked::{self, Decoder, Step};
use crate::http1::response::ResponseHead;
use crate::http1::{Framing, MAX_HEAD, head_end};
use crate::io::{Upstream, poll_drain, poll_fill};
use crate::timer::Deadline;

/// How much of a request's body is put together before it is written.
const PIECE: usize = 16 * 1024;

/// How many responses of the 100s may come before the one that counts.
const ANNOUNCED: u32 = 16;

/// A connection to a service.
pub(crate) struct Connection {
    stream: Upstream,
    input: Buffer,
    output: Vec<u8>,
    written: usize,
    requests: u32,
    deadline: Deadline,
}

impl Connection {
    pub(crate) fn new(stream: Upstream) -> Self {
        let deadline = Deadline::new(Duration::from_secs(60));
        Self { stream, input: Buffer::default(), output: Vec::new(), written: 0, requests: 0, deadline }
    }

    /// How many requests went over it.
    pub(crate) fn requests(&self) -> u32 {
        self.requests
    }

    /// Where the head of the next request is written.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether a waiting connection is still good: it is not if the service closed it, or sent what nobody asked for.
    /// Costs no system call unless something happened.
    pub(crate) fn is_quiet(&self) -> bool {
        let read = self.stream.tcp().try_read(&mut [0]);
        self.input.is_empty() && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The stream and what was read of it ahead of its use, when it stops speaking HTTP.
    pub(crate) fn into_parts(self) -> (Upstream, Buffer) {
        (self.stream, self.input)
    }
}

/// How long a service may take.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Between two writes.
    pub(crate) write: Duration,
    /// Between two reads.
    pub(crate) read: Duration,
}

/// Why an exchange ended early.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The service's fault.
    Upstream(Failure),
    /// The client's fault.
    Client(BodyError),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Upstream(failure)
    }
}

/// Where the response's body stands.
enum Receiving {
    Head,
    Length(u64),
    Chunked(Decoder),
    Close,
    Done,
}

/// One request for one response.
pub(crate) struct Exchange {
    connection: Box<Connection>,
    method: Method,
    limits: Limits,
    /// How the request's body is framed on its way.
    sending: Framing,
    /// Whether all of the request is on its way, or will never be.
    sent: bool,
    /// Whether the request could not be sent to its end: the response may still be good, the connection is not.
    cut: bool,
    /// Whether nothing can be sent until more of the body comes from the client: then it is not the service that is
    /// late.
    starved: bool,
    /// Whether any of the request's body was taken from the client.
    pub(crate) body_used: bool,
    receiving: Receiving,
    /// Bytes of the response's head that were looked through for its end.
    scanned: usize,
    /// How many responses came that only announce another.
    announced: u32,
    /// Whether any byte of a response came.
    pub(crate) answered: bool,
    /// The body bytes at the front of the input that a decoder has allowed to use.
    at_hand: usize,
    pub(crate) head: ResponseHead,
}

impl Exchange {
    /// Begins an exchange over a connection whose output holds the request's head. `head` is memory to use again.
    pub(crate) fn new(
        mut connection: Box<Connection>,
        method: Method,
        sending: Framing,
        limits: Limits,
        head: ResponseHead,
    ) -> Self {
        connection.requests += 1;
        connection.deadline.set(clock::now() + limits.write);
        Self {
            connection,
            method,
            limits,
            sending,
            sent: false,
            cut: false,
            starved: false,
            body_used: false,
            receiving: Receiving::Head,
            scanned: 0,
            announced: 0,
            answered: false,
            at_hand: 0,
            head,
        }
    }

    /// Sends the request and reads the response's head.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut impl BodySource,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if let Poll::Ready(Err(broken)) = self.poll_send(cx, body) {
                return Poll::Ready(Err(broken));
            }
            // As on the other side: what came in one piece is parsed at once.
            let data = self.connection.input.data();
            if !data.is_empty() && (self.scanned == 0 || head_end(data, self.scanned).is_some()) {
                match self.read_head()? {
                    Some(true) => return Poll::Ready(Ok(())),
                    Some(false) => continue,
                    None => {}
                }
            }
            self.scanned = self.connection.input.len();
            if self.scanned > MAX_HEAD {
                return Poll::Ready(Err(Failure::Invalid("its head is too large").into()));
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(0)) => {
                    let lost = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Err(Failure::Lost(lost).into()));
                }
                Poll::Ready(Ok(_)) => self.answered = true,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ready with whether there are bytes of the response's body at hand; if not, the body is over.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut impl BodySource,
    ) -> Poll<Result<bool, Broken>> {
        if let Poll::Ready(Err(broken)) = self.poll_send(cx, body) {
            return Poll::Ready(Err(broken));
        }
        loop {
            let have = self.connection.input.len();
            match &mut self.receiving {
                Receiving::Head | Receiving::Done => return Poll::Ready(Ok(false)),
                Receiving::Length(left) if have > 0 => {
                    self.at_hand = usize::try_from(*left).unwrap_or(usize::MAX).min(have);
                    return Poll::Ready(Ok(true));
                }
                Receiving::Close if have > 0 => {
                    self.at_hand = have;
                    return Poll::Ready(Ok(true));
                }
                Receiving::Chunked(decoder) => match decoder.step(self.connection.input.data()) {
                    Ok(Step::Skip(count)) => {
                        self.connection.input.consume(count);
                        continue;
                    }
                    Ok(Step::Data(count)) => {
                        self.at_hand = count;
                        return Poll::Ready(Ok(true));
                    }
                    Ok(Step::Done) => {
                        self.receiving = Receiving::Done;
                        return Poll::Ready(Ok(false));
                    }
                    Ok(Step::More) => {}
                    Err(chunked::Broken) => {
                        return Poll::Ready(Err(Failure::Invalid("broken chunks").into()));
                    }
                },
                Receiving::Length(_) | Receiving::Close => {}
            }
            match ready!(self.poll_more(cx)) {
                Ok(0) if matches!(self.receiving, Receiving::Close) => {
                    self.receiving = Receiving::Done;
                    return Poll::Ready(Ok(false));
                }
                Ok(0) => {
                    let lost = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Err(Failure::Lost(lost).into()));
                }
                Ok(_) => {}
                Err(failure) => return Poll::Ready(Err(failure.into())),
            }
        }
    }

    /// The bytes of the response's body at hand.
    pub(crate) fn data(&self) -> &[u8] {
        &self.connection.input.data()[..self.at_hand]
    }

    /// Marks bytes of the response's body as used.
    pub(crate) fn used(&mut self, count: usize) {
        self.connection.input.consume(count);
        self.at_hand -= count.min(self.at_hand);
        match &mut self.receiving {
            Receiving::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.receiving = Receiving::Done;
                }
            }
            Receiving::Chunked(decoder) => decoder.used(count),
            Receiving::Head | Receiving::Close | Receiving::Done => {}
        }
    }

    /// Ends the exchange. Gives the connection back if another request may go over it, and the memory of the head.
    pub(crate) fn finish(self) -> (Option<Box<Connection>>, ResponseHead) {
        let done = matches!(self.receiving, Receiving::Done)
            || matches!(&self.receiving, Receiving::Chunked(d) if d.is_done());
        let clean =
            done && self.sent && !self.cut && self.head.keep_alive && self.connection.input.is_empty();
        let Self { mut connection, head, .. } = self;
        connection.input.rest();
        (clean.then_some(connection), head)
    }

    /// Ends the exchange when the service switched to another protocol.
    pub(crate) fn into_tunnel(self) -> (Upstream, Buffer) {
        self.connection.into_parts()
    }

    /// Reads a head, if all of it is there. Says whether it is the response's, not one that only announces it.
    fn read_head(&mut self) -> Result<Option<bool>, Failure> {
        let parsed = self.head.parse(self.connection.input.data(), &self.method);
        let Some(end) = parsed.map_err(|_| Failure::Invalid("its head is malformed"))? else {
            return Ok(None);
        };
        clock::tick();
        self.connection.input.consume(end);
        self.scanned = 0;
        let status = self.head.status;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            // Each renews the time that the service has; so there cannot be any number of them.
            self.announced += 1;
            if self.announced > ANNOUNCED {
                return Err(Failure::Invalid("it only announces an answer"));
            }
            return Ok(Some(false));
        }
        self.receiving = match self.head.framing {
            Framing::None => Receiving::Done,
            Framing::Length(length) => Receiving::Length(length),
            Framing::Chunked => Receiving::Chunked(Decoder::new()),
            Framing::Close => Receiving::Close,
        };
        Ok(Some(true))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Failure>> {
        let connection = &mut self.connection;
        match poll_fill(&mut connection.stream, &mut connection.input, cx) {
            Poll::Ready(Ok(count)) => {
                connection.deadline.set(clock::now() + self.limits.read);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failure::Lost(error))),
            Poll::Pending if self.starved => Poll::Pending,
            Poll::Pending => connection.deadline.poll(cx).map(|()| Err(Failure::Timeout)),
        }
    }

    /// Sends what there is to send of the request. An error here is the client's; that the service takes no more is
    /// not one while it may still answer.
    fn poll_send(&mut self, cx: &mut Context<'_>, body: &mut impl BodySource) -> Poll<Result<(), Broken>> {
        while !self.sent {
            let mut more = Poll::Ready(());
            while self.sending != Framing::None && self.connection.output.len() < PIECE {
                match body.poll_body(cx) {
                    Poll::Ready(Ok(true)) => self.take_piece(body),
                    Poll::Ready(Ok(false)) => {
                        if self.sending == Framing::Chunked {
                            self.connection.output.extend_from_slice(chunked::END);
                        }
                        self.sending = Framing::None;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Client(error))),
                    Poll::Pending => {
                        more = Poll::Pending;
                        break;
                    }
                }
            }
            let connection = &mut self.connection;
            if !connection.output.is_empty() {
                match poll_drain(&mut connection.stream, &mut connection.output, &mut connection.written, cx)
                {
                    Poll::Ready(Ok(())) => connection.deadline.set(clock::now() + self.limits.write),
                    Poll::Ready(Err(_)) => {
                        // The service closed its side. If it answered first, the answer is still there to be read.
                        self.sent = true;
                        self.cut = true;
                        break;
                    }
                    Poll::Pending => {
                        // From here on it is the service that is late.
                        if std::mem::take(&mut self.starved) {
                            connection.deadline.set(clock::now() + self.limits.write);
                        }
                        return Poll::Pending;
                    }
                }
            }
            self.starved = more.is_pending();
            if self.starved {
                return Poll::Pending;
            }
            if self.sending == Framing::None {
                self.sent = true;
                self.connection.deadline.set(clock::now() + self.limits.read);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take_piece(&mut self, body: &mut impl BodySource) {
        self.body_used = true;
        let output = &mut self.connection.output;
        let piece = body.body();
        let piece = &piece[..piece.len().min(PIECE)];
        let count = piece.len();
        if self.sending == Framing::Chunked {
            chunked::encode(output, piece);
        } else {
            output.extend_from_slice(piece);
        }
        body.used(count);
    }
}
