//! An upstream that answers what it was asked, remembers it, and misbehaves on demand.
//!
//! Contract: HTTP/1.1 on a loopback port of the kernel's choice, keep-alive, one thread a connection. Without a word from
//! the test, each request is answered 200 with a JSON description of itself, and a WebSocket handshake is accepted and
//! echoed. Everything received is kept until the server is dropped, which closes its connections.
//!
//! Deliberately absent: TLS, HTTP/2, any leniency towards requests that are not HTTP/1.1 (they are answered 400).

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http1::{self, Framing, Headers};
use crate::websocket;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method, as spelled.
    pub method: String,
    /// The request target, byte for byte.
    pub path: String,
    /// The header fields, in order.
    pub headers: Headers,
    /// The body, with chunks joined.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Headers,
    /// Which of the server's connections it came on, counted from 0.
    pub connection: usize,
}

impl Received {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// What [`Echo`] answers by default: method, path, headers as pairs, body as text, connection.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| json!([name, value])).collect();
        json!({
            "method": self.method,
            "path": self.path,
            "headers": headers,
            "body": String::from_utf8_lossy(&self.body),
            "connection": self.connection,
        })
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// It stays open, unless the client asked otherwise.
    #[default]
    KeepAlive,
    /// `Connection: close` is sent and it is closed.
    Close,
    /// It is closed after half of the body.
    Truncate,
    /// It is closed instead of an answer.
    Hangup,
}

/// An answer of the test's own making.
///
/// ```
/// use std::time::Duration;
/// let slow = testkit::Reply::new(503).header("Retry-After", "1").body("later").delay(Duration::from_millis(5));
/// let echo = testkit::Echo::with(move |_request| slow.clone());
/// let answer = testkit::Client::connect(echo.addr())?.get("/")?;
/// assert_eq!((answer.status, answer.text()), (503, "later".to_owned()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
    chunk: Option<usize>,
    delay: Duration,
    then: Then,
}

impl Reply {
    /// An empty answer with this status; 101 accepts a WebSocket handshake and sends its messages back.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let (headers, body) = (Headers::default(), Vec::new());
        Self { status, headers, body, chunk: None, delay: Duration::ZERO, then: Then::KeepAlive }
    }

    /// 200 with this document.
    #[must_use]
    pub fn json(document: &Value) -> Self {
        Self::new(200).header("Content-Type", "application/json").body(document.to_string())
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the body; its length is sent unless it is chunked.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body chunked, in chunks of so many bytes, each in a write of its own.
    #[must_use]
    pub fn chunked(mut self, chunk: usize) -> Self {
        self.chunk = Some(chunk.max(1));
        self
    }

    /// Waits before the answer; cut short when the server is dropped.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What becomes of the connection.
    #[must_use]
    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

/// The server; it ends when dropped.
///
/// ```
/// let echo = testkit::Echo::start();
/// testkit::Client::connect(echo.addr())?.request("PUT", "/items/1", &[("X-Weir", "yes")], b"body")?;
/// let request = &echo.requests()[0];
/// assert_eq!((request.method.as_str(), request.header("x-weir")), ("PUT", Some("yes")));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Echo {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Box<dyn Fn(&Received) -> Reply + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Received>,
    /// Every connection accepted, to shut down at the end; `None` once it has ended.
    connections: Vec<Option<TcpStream>>,
    stopping: bool,
}

impl Echo {
    /// Starts a server that answers with a description of the request, and echoes WebSocket messages.
    #[must_use]
    pub fn start() -> Self {
        Self::with(|request| {
            let websocket = request.headers.has_token("Upgrade", "websocket");
            if websocket { Reply::new(101) } else { Reply::json(&request.to_json()) }
        })
    }

    /// Starts a server that answers as the test says.
    ///
    /// # Panics
    /// When loopback has no port left.
    #[must_use]
    pub fn with(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let addr = listener.local_addr().expect("the address just bound");
        let shared = Shared { answer: Box::new(answer), state: Mutex::default(), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let for_acceptor = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &for_acceptor));
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address as `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Everything received so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.shared.lock().requests.clone()
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Waits until so many requests have arrived, and hands out all of them.
    ///
    /// # Panics
    /// When fewer have arrived by the deadline.
    #[must_use]
    #[track_caller]
    pub fn wait_for(&self, count: usize, deadline: Duration) -> Vec<Received> {
        let end = Instant::now() + deadline;
        let mut state = self.shared.lock();
        while state.requests.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                panic!("{} of {count} requests arrived within {deadline:?}", state.requests.len());
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.requests.clone()
    }

    /// Closes every open connection, as an upstream that restarts would; the server keeps listening.
    pub fn close_connections(&self) {
        self.shared.lock().close_connections();
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            state.close_connections();
        }
        self.shared.changed.notify_all();
        // Wakes the acceptor, which then sees that it should stop. Should that fail it is left behind, asleep.
        if TcpStream::connect(self.addr).is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test's closure that panicked says so itself; the state behind the lock is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless the server ends first.
    fn pause(&self, delay: Duration) {
        let end = Instant::now() + delay;
        let mut state = self.lock();
        while !state.stopping {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn close_connections(&mut self) {
        for stream in self.connections.iter_mut().filter_map(Option::take) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let mut state = shared.lock();
        if state.stopping {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = state.connections.len();
        state.connections.push(stream.try_clone().ok());
        drop(state);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A peer that goes away is part of many tests.
            let _ = serve(stream, number, &shared);
            if let Some(stream) = shared.lock().connections[number].take() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

fn serve(stream: TcpStream, connection: usize, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let request = match read_request(&mut reader, &mut writer, connection) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                writer.write_all(
                    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                )?;
                return Err(error);
            }
        };
        shared.lock().requests.push(request.clone());
        shared.changed.notify_all();
        let reply = (shared.answer)(&request);
        shared.pause(reply.delay);
        if reply.status == 101 {
            let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
            let accept = websocket::accept_key(key);
            writer.write_all(format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes())?;
            return websocket::echo(&mut reader, &mut writer);
        }
        let asked_to_close = request.headers.has_token("Connection", "close");
        if !send(&mut writer, &reply, &request.method)? || asked_to_close {
            return Ok(());
        }
    }
}

fn read_request(
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
    connection: usize,
) -> io::Result<Option<Received>> {
    let Some(head) = http1::read_head(reader)? else { return Ok(None) };
    let mut start = head.start.split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (start.next(), start.next(), start.next(), start.next())
    else {
        return Err(http1::invalid(format!("request line {:?}", head.start)));
    };
    let framing = Framing::of_request(&head.headers)?;
    if head.headers.has_token("Expect", "100-continue") {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let (body, trailers) = http1::read_body(reader, framing)?;
    let (method, path) = (method.to_owned(), path.to_owned());
    Ok(Some(Received { method, path, headers: head.headers, body, trailers, connection }))
}

/// Sends the answer; whether the connection may be used again.
fn send(writer: &mut TcpStream, reply: &Reply, method: &str) -> io::Result<bool> {
    if reply.then == Then::Hangup {
        return Ok(false);
    }
    let mut head = format!("HTTP/1.1 {} Status\r\n", reply.status);
    for (name, value) in reply.headers.iter() {
        head += &format!("{name}: {value}\r\n");
    }
    let bodiless = matches!(reply.status, 100..=199 | 204 | 304);
    match reply.chunk {
        Some(_) => head += "Transfer-Encoding: chunked\r\n",
        None if !bodiless && reply.headers.get("Content-Length").is_none() => {
            head += &format!("Content-Length: {}\r\n", reply.body.len());
        }
        None => {}
    }
    if reply.then == Then::Close {
        head += "Connection: close\r\n";
    }
    head += "\r\n";
    let body = if method == "HEAD" || bodiless { &[][..] } else { &reply.body[..] };
    let sent = if reply.then == Then::Truncate { &body[..body.len() / 2] } else { body };
    match reply.chunk {
        _ if method == "HEAD" || bodiless => writer.write_all(head.as_bytes())?,
        None => writer.write_all(&[head.as_bytes(), sent].concat())?,
        Some(size) => {
            writer.write_all(head.as_bytes())?;
            for chunk in sent.chunks(size) {
                let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
                writer.write_all(&framed)?;
            }
            if reply.then != Then::Truncate {
                writer.write_all(b"0\r\n\r\n")?;
            }
        }
    }
    Ok(reply.then == Then::KeepAlive)
}
