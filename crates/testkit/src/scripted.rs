//! An upstream that says exactly what the test tells it to, byte for byte: for answers that no honest server gives.
//!
//! Contract: a loopback port of the kernel's choice, one thread a connection, each of which runs the test's script with
//! the connection's number, counted from 0. When a script returns its connection is closed; when the server is dropped
//! all of them are. Every read and write ends within [`crate::Client::TIMEOUT`].
//!
//! Deliberately absent: any understanding of HTTP beyond where a head ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::Client;

/// The server; it ends when dropped.
///
/// ```
/// let upstream = testkit::Scripted::start(|peer, _number| {
///     let head = peer.read_head()?;
///     assert!(head.starts_with("GET /a HTTP/1.1\r\n"));
///     peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel") // and no more
/// });
/// let cut = testkit::Client::connect(upstream.addr())?.get("/a").unwrap_err();
/// assert_eq!(cut.kind(), std::io::ErrorKind::UnexpectedEof);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Scripted {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    accepted: AtomicUsize,
    /// What is open, to shut it down at the end; `None` once the server is ending.
    open: Mutex<Option<Vec<TcpStream>>>,
}

/// A connection to the server, as its script sees it.
pub struct Peer {
    stream: BufReader<TcpStream>,
}

impl Scripted {
    /// Starts a server whose connections run this script. What the script's reads and writes fail with is nobody's
    /// business: a peer that goes away is part of many tests.
    ///
    /// # Panics
    /// When loopback has no port left.
    #[must_use]
    pub fn start(script: impl Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let addr = listener.local_addr().expect("the address just bound");
        let shared = Arc::new(Shared { open: Mutex::new(Some(Vec::new())), ..Shared::default() });
        let (for_acceptor, script) = (Arc::clone(&shared), Arc::new(script));
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (Ok(kept), Some(number)) = (stream.try_clone(), for_acceptor.next()) else { return };
                if !for_acceptor.keep(kept) {
                    return;
                }
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    let Ok(mut peer) = Peer::new(stream) else { return };
                    let _ = script(&mut peer, number);
                    let _ = peer.stream.get_ref().shutdown(Shutdown::Both);
                });
            }
        });
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    /// Starts a server that reads the head of one request over each connection, sends these bytes and closes.
    #[must_use]
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |peer, _| {
            peer.read_head()?;
            peer.write(&bytes)
        })
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

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        for stream in open.into_iter().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the acceptor, which then sees that it should stop. Should that fail it is left behind, asleep.
        if TcpStream::connect(self.addr).is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    /// The next connection's number; `None` once the server is ending.
    fn next(&self) -> Option<usize> {
        let going = self.open.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        going.then(|| self.accepted.fetch_add(1, Ordering::SeqCst))
    }

    fn keep(&self, stream: TcpStream) -> bool {
        match &mut *self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(open) => {
                open.push(stream);
                true
            }
            None => false,
        }
    }
}

impl Peer {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(Client::TIMEOUT))?;
        stream.set_write_timeout(Some(Client::TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Reads up to and with the next empty line. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// The connection's; `UnexpectedEof` when it ends before.
    pub fn read_head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read_until(b'\n', &mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    /// Reads exactly so many bytes.
    ///
    /// # Errors
    /// The connection's; `UnexpectedEof` when it ends before.
    pub fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads what there is to read, at least a byte of it; nothing at the end of the connection.
    ///
    /// # Errors
    /// The connection's.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.stream.fill_buf()?.to_vec();
        self.stream.consume(bytes.len());
        Ok(bytes)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Waits until the other side closes, whatever it sends before.
    ///
    /// # Errors
    /// The connection's, a timeout among them.
    pub fn wait_for_end(&mut self) -> io::Result<()> {
        while !self.read_some()?.is_empty() {}
        Ok(())
    }
}
