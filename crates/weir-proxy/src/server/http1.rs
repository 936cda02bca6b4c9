//! Clients that speak HTTP/1: one request after the other over a connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use weir_plugin::{Client, Headers};

use super::{Downstream, agrees};
use crate::body::{BodyError, BodySource};
use crate::clock;
use crate::http1::buffer::Buffer;
use crate::http1::chunked::{self, Decoder, Step};
use crate::http1::request::{Refusal, RequestHead};
use crate::http1::{Framing, MAX_HEAD, head_end};
use crate::io::{Stream, poll_drain, poll_fill};
use crate::pipeline::{self, Next};
use crate::settings::Timeouts;
use crate::timer::Deadline;
use crate::tunnel;
use crate::worker::Worker;

/// Answers up to this size are put together with their head and written at once.
const COALESCE: usize = 16 * 1024;
/// How much of a body that nobody wanted is read to keep its connection.
const DISCARD: u64 = 256 * 1024;

/// How much of what follows a request is read before it is answered.
const READ_AHEAD: usize = 4 * 1024;
/// How long after an answer a connection still takes a request while the worker ends.
const LAST_CALL: Duration = Duration::from_millis(500);

/// A client's connection.
pub(crate) struct Http1<S> {
    stream: S,
    input: Buffer,
    output: Vec<u8>,
    written: usize,
    deadline: Deadline,
    worker: Rc<Worker>,
    /// Those of the configuration that the present request found in force.
    timeouts: Timeouts,
    receiving: Receiving,
    sending: Framing,
    /// How the present request's body is framed.
    framing: Framing,
    /// Whether the connection lives on after the present answer.
    keep_alive: bool,
    http_11: bool,
    expects_continue: bool,
    bytes_in: u64,
    bytes_out: u64,
    max_body: u64,
    /// Bytes of the body alone, without what frames them.
    body_in: u64,
}

/// What is left of the request's body.
enum Receiving {
    Length(u64),
    Chunked(Decoder, usize),
    Done,
}

impl<S: Stream + 'static> Http1<S> {
    pub(crate) fn new(stream: S, input: Buffer, worker: Rc<Worker>) -> Self {
        let timeouts = worker.snapshot().settings.timeouts;
        let deadline = Deadline::new(timeouts.head);
        Self {
            stream,
            input,
            output: Vec::new(),
            written: 0,
            deadline,
            worker,
            timeouts,
            receiving: Receiving::Done,
            sending: Framing::None,
            framing: Framing::None,
            keep_alive: true,
            http_11: true,
            expects_continue: false,
            bytes_in: 0,
            bytes_out: 0,
            max_body: 0,
            body_in: 0,
        }
    }

    /// Serves requests until one side has had enough.
    pub(crate) async fn serve(mut self, client: Client) {
        let worker = Rc::clone(&self.worker);
        // While it waits for a request, it is woken when the worker wants to end.
        let _registered = worker.register().await;
        let mut head = RequestHead::default();
        loop {
            match self.read_head(&mut head).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(refusal) => {
                    self.keep_alive = false;
                    pipeline::refuse(&worker, refusal, &mut self).await;
                    self.linger().await;
                    return;
                }
            }
            self.begin(&head);
            let next = pipeline::run(&worker, &mut head, &client, &mut self).await;
            match next {
                Next::Keep => {
                    if !self.keep_alive || !self.discard_body().await {
                        self.linger().await;
                        return;
                    }
                }
                Next::Close => return,
                Next::Tunnel(exchange) => {
                    let (upstream, ahead) = exchange.into_tunnel();
                    let limit = worker.snapshot().settings.timeouts.send;
                    tunnel::run(self.stream, std::mem::take(&mut self.input), upstream, ahead, limit).await;
                    return;
                }
            }
        }
    }

    /// Reads the next head. Says whether one came; if not, the connection is over and nobody is owed an answer.
    async fn read_head(&mut self, head: &mut RequestHead) -> Result<bool, Refusal> {
        let worker = Rc::clone(&self.worker);
        self.timeouts = worker.snapshot().settings.timeouts;
        let timeouts = self.timeouts;
        let mut scanned = 0;
        // The first request of a connection has as long as any head; later ones may let the connection wait first.
        let idle_since = clock::now();
        let mut begun = !self.input.is_empty();
        let patience = if begun || self.bytes_in == 0 { timeouts.head } else { timeouts.keepalive };
        self.deadline.set(idle_since + patience);
        loop {
            self.skip_empty_lines();
            if !begun && !self.input.is_empty() {
                begun = true;
                self.deadline.set(clock::now() + timeouts.head);
            }
            // A head that came in one piece is parsed at once. Of one that comes in pieces, the end is looked for first, so
            // that no byte is looked at again and again.
            if scanned == 0 || head_end(self.input.data(), scanned).is_some() {
                let parsed = head.parse(self.input.data());
                if let Some(end) = parsed? {
                    if end > MAX_HEAD {
                        return Err(Refusal::HeadTooLarge);
                    }
                    clock::tick();
                    self.input.consume(end);
                    self.bytes_in = end as u64;
                    return Ok(true);
                }
            }
            scanned = self.input.len();
            if scanned > MAX_HEAD {
                let one_line = memchr::memchr(b'\n', self.input.data()).is_none();
                return Err(if one_line { Refusal::TargetTooLong } else { Refusal::HeadTooLarge });
            }
            let more = poll_fn(|cx| {
                // A client that was just answered may be about to ask again: it gets the chance, and is told then.
                if !begun && worker.is_draining() {
                    if clock::now() >= idle_since + LAST_CALL {
                        return Poll::Ready(None);
                    }
                    self.deadline.set(idle_since + LAST_CALL);
                }
                match poll_fill(&mut self.stream, &mut self.input, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(None),
                    Poll::Ready(Ok(_)) => Poll::Ready(Some(true)),
                    Poll::Pending => self.deadline.poll(cx).map(|()| Some(false)),
                }
            });
            match more.await {
                None => return Ok(false),
                Some(true) => {}
                Some(false) if begun => return Err(Refusal::Timeout),
                Some(false) => return Ok(false),
            }
        }
    }

    /// Line ends before a request are left over from the one before (RFC 9112, 2.2).
    fn skip_empty_lines(&mut self) {
        while let [b'\r' | b'\n', ..] = self.input.data() {
            self.input.consume(1);
        }
    }

    fn begin(&mut self, head: &RequestHead) {
        let snapshot = self.worker.snapshot();
        self.framing = head.framing;
        self.receiving = match head.framing {
            Framing::Length(length) => Receiving::Length(length),
            Framing::Chunked => Receiving::Chunked(Decoder::new(), 0),
            Framing::None | Framing::Close => Receiving::Done,
        };
        self.http_11 = head.http_11;
        self.expects_continue = head.expects_continue;
        self.keep_alive = head.keep_alive;
        self.bytes_out = 0;
        self.max_body = snapshot.settings.max_body;
        self.body_in = 0;
    }

    /// Reads what is left of a body that nobody wanted. Says whether the connection can be kept.
    async fn discard_body(&mut self) -> bool {
        // Whoever waits for our word before sending a body will not send it now; its next request would be mistaken for it.
        if self.expects_continue && !matches!(self.receiving, Receiving::Done) {
            return false;
        }
        let mut left = DISCARD;
        // Each piece renews the time for the next; all of them together have no longer.
        let end = clock::now() + self.timeouts.body;
        poll_fn(|cx| {
            loop {
                match ready!(self.poll_body(cx)) {
                    Ok(false) => return Poll::Ready(true),
                    Ok(true) if left == 0 || clock::now() >= end => return Poll::Ready(false),
                    Ok(true) => {
                        let count = self.body().len();
                        left = left.saturating_sub(count as u64);
                        self.used(count);
                    }
                    Err(_) => return Poll::Ready(false),
                }
            }
        })
        .await
    }

    /// Closes so that the client gets the answer: closing with unread bytes would make the kernel throw it away.
    async fn linger(&mut self) {
        if poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await.is_err() {
            return;
        }
        self.deadline.set(clock::now() + Duration::from_secs(2));
        let mut left = DISCARD;
        poll_fn(|cx| {
            loop {
                match poll_fill(&mut self.stream, &mut self.input, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(count)) => {
                        self.input.consume(count);
                        left = left.saturating_sub(count as u64);
                        if left == 0 {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Pending => return self.deadline.poll(cx),
                }
            }
        })
        .await;
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match poll_drain(&mut self.stream, &mut self.output, &mut self.written, cx) {
            Poll::Pending => match self.deadline.poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
            ready => {
                self.deadline.set(clock::now() + self.timeouts.send);
                ready
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match poll_fill(&mut self.stream, &mut self.input, cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(BodyError::Gone)),
            Poll::Ready(Ok(count)) => {
                self.bytes_in += count as u64;
                self.deadline.set(clock::now() + self.timeouts.body);
                Poll::Ready(Ok(()))
            }
            Poll::Pending => self.deadline.poll(cx).map(|()| Err(BodyError::Timeout)),
        }
    }
}

impl<S: Stream + 'static> Http1<S> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        if self.expects_continue && !matches!(self.receiving, Receiving::Done) {
            self.expects_continue = false;
            if self.input.is_empty() {
                self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
        }
        // What is owed to the client before it goes on; an answer under way is not flushed for it.
        if !self.output.is_empty() && self.sending == Framing::None {
            ready!(self.poll_output(cx)).map_err(|_| BodyError::Gone)?;
        }
        loop {
            match &mut self.receiving {
                Receiving::Done => return Poll::Ready(Ok(false)),
                Receiving::Length(length) if self.max_body > 0 && *length > self.max_body => {
                    return Poll::Ready(Err(BodyError::TooLarge));
                }
                Receiving::Length(_) if !self.input.is_empty() => return Poll::Ready(Ok(true)),
                Receiving::Length(_) => {}
                Receiving::Chunked(decoder, at_hand) => match decoder.step(self.input.data()) {
                    Ok(Step::Skip(count)) => {
                        self.input.consume(count);
                        continue;
                    }
                    Ok(Step::Data(count)) => {
                        *at_hand = count;
                        if self.max_body > 0 && self.body_in + count as u64 > self.max_body {
                            return Poll::Ready(Err(BodyError::TooLarge));
                        }
                        return Poll::Ready(Ok(true));
                    }
                    Ok(Step::Done) => {
                        self.receiving = Receiving::Done;
                        return Poll::Ready(Ok(false));
                    }
                    Ok(Step::More) => {}
                    Err(chunked::Broken) => return Poll::Ready(Err(BodyError::Malformed)),
                },
            }
            ready!(self.poll_more(cx))?;
        }
    }
}

impl<S: Stream + 'static> BodySource for Http1<S> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        let polled = self.poll_piece(cx);
        // Where the next request begins is not known any more: the answer says that there will be none.
        self.keep_alive &= !matches!(polled, Poll::Ready(Err(_)));
        polled
    }

    fn body(&self) -> &[u8] {
        let data = self.input.data();
        match &self.receiving {
            Receiving::Length(left) => &data[..usize::try_from(*left).unwrap_or(usize::MAX).min(data.len())],
            Receiving::Chunked(_, at_hand) => &data[..*at_hand],
            Receiving::Done => &[],
        }
    }

    fn used(&mut self, count: usize) {
        self.input.consume(count);
        match &mut self.receiving {
            Receiving::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.receiving = Receiving::Done;
                }
            }
            Receiving::Chunked(decoder, at_hand) => {
                decoder.used(count);
                *at_hand -= count;
                self.body_in += count as u64;
            }
            Receiving::Done => {}
        }
    }
}

impl<S: Stream + 'static> Downstream for Http1<S> {
    fn framing(&self) -> Framing {
        self.framing
    }

    fn is_http2(&self) -> bool {
        false
    }

    fn can_upgrade(&self) -> bool {
        true
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What comes is the next request, or the client's half of a tunnel. Much of it is left to wait where it is.
        while matches!(self.receiving, Receiving::Done) && self.input.len() < READ_AHEAD {
            match ready!(poll_fill(&mut self.stream, &mut self.input, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    fn start(&mut self, status: StatusCode, headers: &Headers, framing: Framing) {
        // A client that knows no chunks is told the end by the end of the connection.
        self.sending = match framing {
            Framing::Chunked | Framing::Close if !self.http_11 => Framing::Close,
            Framing::Close => Framing::Chunked,
            other => other,
        };
        // Whoever is told that more requests are welcome sends one.
        self.keep_alive &= self.sending != Framing::Close && !self.worker.is_draining();
        let switching = status == StatusCode::SWITCHING_PROTOCOLS;
        let out = &mut self.output;
        let before = out.len();
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
        let (sending, mut told) = (self.sending, false);
        headers.write(out, |name, value| {
            let fits = agrees(name, value, sending, switching);
            told |= fits && name.len() == 14 && name.eq_ignore_ascii_case(b"content-length");
            fits
        });
        if let (Framing::Length(length), false) = (sending, told) {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if self.sending == Framing::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if !switching {
            out.extend_from_slice(if self.keep_alive {
                b"Connection: keep-alive\r\n"
            } else {
                b"Connection: close\r\n"
            });
        }
        out.extend_from_slice(b"\r\n");
        self.bytes_out += (self.output.len() - before) as u64;
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let chunked = self.sending == Framing::Chunked;
        let room = COALESCE.saturating_sub(self.output.len());
        if room == 0 {
            ready!(self.poll_output(cx))?;
        }
        // A large piece goes out as it is once nothing waits before it; chunks are put together first.
        if !chunked && self.output.is_empty() && data.len() > COALESCE / 2 {
            let sent = match Pin::new(&mut self.stream).poll_write(cx, data) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => {
                    ready!(self.deadline.poll(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.deadline.set(clock::now() + self.timeouts.send);
            self.bytes_out += sent as u64;
            return Poll::Ready(Ok(sent));
        }
        let piece = &data[..data.len().min(COALESCE)];
        let before = self.output.len();
        if chunked {
            chunked::encode(&mut self.output, piece);
        } else {
            self.output.extend_from_slice(piece);
        }
        self.bytes_out += (self.output.len() - before) as u64;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_output(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.sending == Framing::Chunked {
            self.output.extend_from_slice(chunked::END);
            self.bytes_out += chunked::END.len() as u64;
        }
        self.sending = Framing::None;
        self.poll_output(cx)
    }

    fn abort(&mut self) {
        self.keep_alive = false;
        self.output.clear();
        self.written = 0;
    }

    fn traffic(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }
}
