//! A raw HTTP/1.1 client: exact bytes out, parsed answer in.
//!
//! Contract: what is sent is what was given; [`Client::request`] adds a `Host`, a `Content-Length` when there is a body,
//! and nothing else. Every read and write ends within [`Client::TIMEOUT`]. Interim answers (1xx) are collected.
//!
//! Deliberately absent: redirects, cookies, decompression, retries.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::http1::{self, Framing, Headers, invalid};
use crate::websocket::WebSocket;

/// One connection to a server.
///
/// ```
/// let echo = testkit::Echo::start();
/// let mut client = testkit::Client::connect(echo.addr())?;
/// let answer = client.send(b"GET /a//b?c HTTP/1.1\r\nHost: x\r\n\r\n")?;
/// assert_eq!(answer.status, 200);
/// assert_eq!(answer.json()["path"], "/a//b?c");
///
/// let answer = client.request("POST", "/orders", &[("X-Trace", "1")], b"{}")?; // on the same connection
/// assert_eq!(answer.json()["body"], "{}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: BufReader<Wire>,
    host: String,
}

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Client {
    /// How long any single read or write may take.
    pub const TIMEOUT: Duration = Duration::from_secs(15);

    /// Connects over TCP.
    ///
    /// # Errors
    /// What connecting answered.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(Wire::Plain(connect(addr)?), addr.to_string()))
    }

    /// Connects over TLS, whatever certificate the server shows. `alpn` offers protocols, none when empty.
    ///
    /// # Errors
    /// What connecting or the handshake answered.
    #[cfg(feature = "tls")]
    pub fn connect_tls(addr: SocketAddr, server_name: &str, alpn: &[&str]) -> io::Result<Self> {
        let stream = crate::tls::handshake(connect(addr)?, server_name, alpn)?;
        Ok(Self::over(Wire::Tls(Box::new(stream)), server_name.to_owned()))
    }

    /// The certificate that the server showed, in DER.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn peer_certificate(&self) -> Option<Vec<u8>> {
        match self.stream.get_ref() {
            Wire::Tls(stream) => Some(stream.conn.peer_certificates()?.first()?.as_ref().to_vec()),
            Wire::Plain(_) => None,
        }
    }

    /// The protocol that the server chose from those offered.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn alpn(&self) -> Option<String> {
        match self.stream.get_ref() {
            Wire::Tls(stream) => Some(String::from_utf8_lossy(stream.conn.alpn_protocol()?).into_owned()),
            Wire::Plain(_) => None,
        }
    }

    fn over(wire: Wire, host: String) -> Self {
        Self { stream: BufReader::new(wire), host }
    }

    /// Sends these bytes and reads one answer.
    ///
    /// # Errors
    /// The connection's; `InvalidData` when the answer is not HTTP/1.1; `UnexpectedEof` when there is none.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<Answer> {
        self.write(bytes)?;
        self.read_answer_to(bytes.starts_with(b"HEAD "))
    }

    /// Sends a request made of these parts and reads its answer. `Host` is the address connected to unless given.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut bytes = format!("{method} {path} HTTP/1.1\r\n");
        if !given("host") {
            bytes += &format!("Host: {}\r\n", self.host);
        }
        if !body.is_empty() && !given("content-length") {
            bytes += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            bytes += &format!("{name}: {value}\r\n");
        }
        bytes += "\r\n";
        self.send(&[bytes.as_bytes(), body].concat())
    }

    /// `GET` without further headers.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.request("GET", path, &[], b"")
    }

    /// Sends bytes without reading: half a request, two requests at once.
    ///
    /// # Errors
    /// The connection's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()
    }

    /// Reads the next answer, to a request other than HEAD.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn read_answer(&mut self) -> io::Result<Answer> {
        self.read_answer_to(false)
    }

    /// Reads the status line and headers only, for an answer whose body the test wants to see arrive.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn read_head(&mut self) -> io::Result<Answer> {
        let head = http1::read_head(&mut self.stream)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"))?;
        let (status, reason) = parse_status(&head.start)?;
        let no = Headers::default();
        Ok(Answer {
            status,
            reason,
            headers: head.headers,
            body: Vec::new(),
            trailers: no,
            interim: Vec::new(),
        })
    }

    /// Reads exactly so many bytes of what follows a head.
    ///
    /// # Errors
    /// The connection's; `UnexpectedEof` when it ends before.
    pub fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether the server has closed the connection in order: waits for its next byte.
    ///
    /// # Errors
    /// The connection's, a timeout among them.
    pub fn is_closed(&mut self) -> io::Result<bool> {
        Ok(self.stream.fill_buf()?.is_empty())
    }

    /// Closes our side for writing.
    ///
    /// # Errors
    /// The connection's.
    pub fn finish_writing(&mut self) -> io::Result<()> {
        self.stream.get_ref().tcp().shutdown(Shutdown::Write)
    }

    /// Asks for a WebSocket. The answer is handed back when it is not `101 Switching Protocols`.
    ///
    /// ```
    /// let echo = testkit::Echo::start();
    /// let client = testkit::Client::connect(echo.addr())?;
    /// let mut socket = client.websocket("/chat", &[])?.expect("an upgrade");
    /// socket.send_text("hello")?;
    /// assert_eq!(socket.read()?, testkit::Message::Text("hello".into()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Client::send`]; `InvalidData` when the server did not prove that it read our key (RFC 6455 4.1).
    pub fn websocket(
        mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Result<WebSocket, Answer>> {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ=="; // RFC 6455 1.3; a test needs no nonce
        let mut all = vec![
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        all.extend_from_slice(headers);
        let answer = self.request("GET", path, &all, b"")?;
        if answer.status != 101 {
            return Ok(Err(answer));
        }
        let accept = crate::websocket::accept_key(KEY);
        if answer.header("sec-websocket-accept") != Some(&accept) {
            return Err(invalid(format!(
                "Sec-WebSocket-Accept: {:?}",
                answer.header("sec-websocket-accept")
            )));
        }
        Ok(Ok(WebSocket::client(self.stream)))
    }

    fn read_answer_to(&mut self, to_head: bool) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let mut answer = self.read_head()?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                interim.push(answer.status);
                continue;
            }
            let framing = Framing::of_answer(&answer.headers, answer.status, to_head)?;
            (answer.body, answer.trailers) = http1::read_body(&mut self.stream, framing)?;
            answer.interim = interim;
            return Ok(answer);
        }
    }
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, Client::TIMEOUT)?;
    stream.set_read_timeout(Some(Client::TIMEOUT))?;
    stream.set_write_timeout(Some(Client::TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn parse_status(line: &str) -> io::Result<(u16, String)> {
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let (code, reason) = rest
        .map(|rest| rest.split_once(' ').unwrap_or((rest, "")))
        .ok_or_else(|| invalid(format!("status line {line:?}")))?;
    let status = code.parse().map_err(|_| invalid(format!("status line {line:?}")))?;
    Ok((status, reason.to_owned()))
}

/// An answer, with its body read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The reason phrase after it.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
    /// The body, with chunks joined.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Headers,
    /// The interim answers (1xx) that came before.
    pub interim: Vec<u16>,
}

impl Answer {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON, showing it.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in the body of a {}: {}", self.status, self.text()),
        }
    }
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}
