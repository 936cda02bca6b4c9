//! Clients that speak HTTP/2: hyper keeps the connection and its streams; each stream is a request of its own, which
//! goes the same way as any other.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use weir_plugin::{Client, Headers};

use super::{Downstream, agrees};
use crate::body::{BodyError, BodySource};
use crate::clock;
use crate::http1::request::{Refusal, RequestHead, split_host};
use crate::http1::{Framing, MAX_HEAD};
use crate::io::Stream;
use crate::pipeline;
use crate::timer::Deadline;
use crate::worker::Worker;

/// Streams that a client may have open at once, as nginx has it.
const MAX_STREAMS: u32 = 128;
/// How long a client may take to go once it is told to, and is owed no answer.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Memory of a stream's answer that the client has not made room for.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// Spawns what hyper has to do beside the connection on the worker's own thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Serves a client's connection.
pub(crate) async fn serve<S: Stream + 'static>(stream: S, worker: Rc<Worker>, client: Client) {
    let _registered = worker.register().await;
    let timeouts = worker.snapshot().settings.timeouts;
    let client = Rc::new(client);
    let streams = Rc::new(Streams { open: Cell::new(0), since: Cell::new(clock::now()) });
    let service = {
        let (worker, streams) = (Rc::clone(&worker), Rc::clone(&streams));
        service_fn(move |request| {
            answer(Rc::clone(&worker), Rc::clone(&client), Open::new(&streams), request)
        })
    };
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .keep_alive_interval(timeouts.keepalive)
        .keep_alive_timeout(Duration::from_secs(20));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut deadline = Deadline::new(timeouts.keepalive);
    let mut told = false;
    let served = poll_fn(|cx| {
        loop {
            let idle = streams.open.get() == 0 && streams.since.get() + timeouts.keepalive <= clock::now();
            if !told && (idle || worker.is_draining()) {
                told = true;
                connection.as_mut().graceful_shutdown();
                deadline.set(clock::now() + LAST_WORDS);
            }
            if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                return Poll::Ready(served);
            }
            ready!(deadline.poll(cx));
            // A client that was told to go, and is owed no answer, is not waited for any longer.
            if told && streams.open.get() == 0 {
                return Poll::Ready(Ok(()));
            }
            let rest = if told { LAST_WORDS } else { timeouts.keepalive };
            deadline.set(streams.since.get().max(clock::now()) + rest);
        }
    });
    if let Err(error) = served.await {
        tracing::debug!(%error, "a client's HTTP/2 connection ended");
    }
}

/// What a connection's streams are about.
struct Streams {
    /// How many requests are under way.
    open: Cell<usize>,
    /// When the last of them ended.
    since: Cell<Instant>,
}

/// A request under way.
struct Open(Rc<Streams>);

impl Open {
    fn new(streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        Self(Rc::clone(streams))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.since.set(clock::now());
    }
}

/// Takes one stream's request through its life, and gives hyper its answer.
async fn answer(
    worker: Rc<Worker>,
    client: Rc<Client>,
    open: Open,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    clock::tick();
    let shared = Rc::new(RefCell::new(Shared::default()));
    let body = AnswerBody(Rc::clone(&shared));
    let (parts, incoming) = request.into_parts();
    let task = {
        let shared = Rc::clone(&shared);
        async move {
            let _open = open;
            let mut head = RequestHead::default();
            let read = read_head(&mut head, parts, &incoming);
            let mut stream = Http2::new(incoming, head.framing, shared, &worker.snapshot().settings);
            match read {
                Ok(()) => {
                    // What becomes of the connection is hyper's business.
                    let _ = pipeline::run(&worker, &mut head, &client, &mut stream).await;
                }
                Err(refusal) => pipeline::refuse(&worker, refusal, &mut stream).await,
            }
        }
    };
    tokio::task::spawn_local(task);
    let head = poll_fn(|cx| {
        let mut shared = shared.borrow_mut();
        match shared.head.take() {
            Some(head) => Poll::Ready(Some(head)),
            None if shared.over => Poll::Ready(None),
            None => {
                shared.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    });
    match head.await {
        Some(head) => Ok(head.map(|()| body)),
        // Nobody made an answer because the client is gone: what it gets does not matter.
        None => Ok(Response::new(body)),
    }
}

/// Turns hyper's idea of a request's head into ours.
fn read_head(head: &mut RequestHead, parts: http::request::Parts, body: &Incoming) -> Result<(), Refusal> {
    let refused = |method: &http::Method| matches!(*method, http::Method::TRACE | http::Method::CONNECT);
    if refused(&parts.method) {
        return Err(Refusal::Method);
    }
    head.method = parts.method;
    head.target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    if !head.target.starts_with('/') {
        return Err(Refusal::Bad);
    }
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in &parts.headers {
        // A client may split its cookies; services expect one field (RFC 9113, 8.2.3).
        if name == http::header::COOKIE {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
        } else {
            head.headers.append(name.as_str(), value.as_bytes());
        }
    }
    if !cookies.is_empty() {
        head.headers.append("Cookie", cookies);
    }
    if let Some(authority) = parts.uri.authority() {
        head.headers.set("Host", authority.as_str());
    }
    let host = head.headers.get_str("Host").unwrap_or_default();
    let (name, port) = split_host(host).ok_or(Refusal::Bad)?;
    head.host = name.to_ascii_lowercase();
    head.host_port = port;
    head.framing = match (body.is_end_stream(), body.size_hint().exact()) {
        (true, _) | (false, Some(0)) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Chunked,
    };
    Ok(())
}

/// An answer on its way from the pipeline to hyper.
#[derive(Default)]
struct Shared {
    head: Option<Response<()>>,
    data: Option<Bytes>,
    /// Nothing more comes.
    over: bool,
    /// The answer is not complete and never will be.
    broken: bool,
    /// Hyper wants no more of it.
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// One stream, as the pipeline sees it.
struct Http2 {
    incoming: Incoming,
    at_hand: Bytes,
    framing: Framing,
    shared: Rc<RefCell<Shared>>,
    bytes_in: u64,
    bytes_out: u64,
    max_body: u64,
    patience: Duration,
    /// For the next piece of the body, while it is waited for.
    deadline: Option<Deadline>,
    /// How long the client may take to make room for the next piece of the answer.
    send_patience: Duration,
    /// For that room, while it is waited for.
    send_deadline: Option<Deadline>,
}

impl Http2 {
    fn new(
        incoming: Incoming,
        framing: Framing,
        shared: Rc<RefCell<Shared>>,
        settings: &crate::Settings,
    ) -> Self {
        Self {
            incoming,
            at_hand: Bytes::new(),
            framing,
            shared,
            bytes_in: 0,
            bytes_out: 0,
            max_body: settings.max_body,
            patience: settings.timeouts.body,
            deadline: None,
            send_patience: settings.timeouts.send,
            send_deadline: None,
        }
    }

    fn is_too_large(&self) -> bool {
        let announced = if let Framing::Length(length) = self.framing { length } else { 0 };
        self.max_body > 0 && self.bytes_in.max(announced) > self.max_body
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        // Whoever did not finish the answer broke it off.
        shared.broken |= !shared.over;
        shared.over = true;
        shared.wake_reader();
    }
}

impl BodySource for Http2 {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        loop {
            if !self.at_hand.is_empty() && !self.is_too_large() {
                return Poll::Ready(Ok(true));
            }
            if self.is_too_large() {
                return Poll::Ready(Err(BodyError::TooLarge));
            }
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Pending => {
                    let deadline = self.deadline.get_or_insert_with(|| Deadline::new(self.patience));
                    return deadline.poll(cx).map(|()| Err(BodyError::Timeout));
                }
                Poll::Ready(None) => return Poll::Ready(Ok(false)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyError::Gone)),
                Poll::Ready(Some(Ok(frame))) => {
                    self.deadline = None;
                    self.at_hand = frame.into_data().unwrap_or_default();
                    self.bytes_in += self.at_hand.len() as u64;
                }
            }
        }
    }

    fn body(&self) -> &[u8] {
        &self.at_hand
    }

    fn used(&mut self, count: usize) {
        let _ = self.at_hand.split_to(count);
    }
}

impl Downstream for Http2 {
    fn framing(&self) -> Framing {
        self.framing
    }

    fn is_http2(&self) -> bool {
        true
    }

    fn can_upgrade(&self) -> bool {
        false
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Hyper drops the answer when the client resets its stream, or goes.
        let mut shared = self.shared.borrow_mut();
        if shared.closed {
            return Poll::Ready(());
        }
        shared.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn start(&mut self, status: StatusCode, headers: &Headers, framing: Framing) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        for (name, value) in headers.iter().filter(|(name, value)| agrees(name, value, framing, false)) {
            let name = HeaderName::from_bytes(name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                self.bytes_out += (name.as_str().len() + value.len()) as u64;
                response.headers_mut().append(name, value);
            }
        }
        let mut shared = self.shared.borrow_mut();
        shared.head = Some(response);
        shared.wake_reader();
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut shared = self.shared.borrow_mut();
        if shared.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if shared.data.is_some() {
            shared.writer = Some(cx.waker().clone());
            let deadline = self.send_deadline.get_or_insert_with(|| Deadline::new(self.send_patience));
            return deadline.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.send_deadline = None;
        shared.data = Some(Bytes::copy_from_slice(data));
        shared.wake_reader();
        self.bytes_out += data.len() as u64;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper sends what it gets.
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared.borrow_mut();
        shared.over = true;
        shared.wake_reader();
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.broken = true;
        shared.over = true;
        shared.wake_reader();
    }

    fn traffic(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }
}

/// An answer's body, as hyper sees it.
struct AnswerBody(Rc<RefCell<Shared>>);

impl Drop for AnswerBody {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.closed = true;
        shared.wake_writer();
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut shared = self.0.borrow_mut();
        if let Some(data) = shared.data.take() {
            shared.wake_writer();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if shared.broken {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        if shared.over {
            return Poll::Ready(None);
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}
