//! Listening, and what happens to a connection before its first request.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use weir_plugin::{Client, Scheme};

use crate::http1::buffer::Buffer;
use crate::io::{Stream, poll_fill};
use crate::server::{http1::Http1, http2};
use crate::settings::Listen;
use crate::tls::ServerConfigs;
use crate::worker::Worker;

/// What a client that speaks HTTP/2 without being asked sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Binds an address. Several sockets may share it: the kernel deals connections out among them.
pub(crate) fn bind(listen: &Listen) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(listen.address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if listen.address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners, as in nginx.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&listen.address.into())?;
    socket.listen(i32::try_from(listen.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Accepts connections until told to stop; then those that wait already, so that none is refused that was let in.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<ServerConfigs>,
    http2: bool,
    worker: Rc<Worker>,
    stopped: impl Future<Output = ()>,
) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let welcome = |stream: TcpStream, peer: SocketAddr| {
        let (worker, tls) = (Rc::clone(&worker), tls.clone());
        tokio::task::spawn_local(serve(stream, peer, port, tls, http2, worker));
    };
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => welcome(stream, peer),
                Err(error) if is_clients_fault(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory: the connection stays in the queue, and so would a loop here.
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopped => {}
    }
    while let Ok(Ok((stream, peer))) = timeout(Duration::ZERO, listener.accept()).await {
        welcome(stream, peer);
    }
}

/// The connection was gone before it was accepted.
fn is_clients_fault(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    port: u16,
    tls: Option<ServerConfigs>,
    http2: bool,
    worker: Rc<Worker>,
) {
    // Answers are written whole; waiting for more to send along would only delay them.
    let _ = stream.set_nodelay(true);
    let ip = peer.ip().to_canonical();
    let trusted = worker.snapshot().settings.trusts(ip);
    let text: Arc<str> = ip.to_string().into();
    let mut client = Client {
        peer: SocketAddr::new(ip, peer.port()),
        peer_text: Arc::clone(&text),
        ip,
        ip_text: text,
        trusted,
        port,
        scheme: Scheme::Http,
        sni: None,
        certificates: None,
    };
    let Some(configs) = tls else {
        return serve_either(stream, client, http2, worker).await;
    };
    client.scheme = Scheme::Https;
    // A handshake draws, and what aws-lc draws would wait, with the whole worker.
    if !weir_kernel::is_ready() {
        return tracing::debug!(peer = %client.peer, "no TLS before the kernel's random number generator is ready");
    }
    let (patience, config) = {
        let snapshot = worker.snapshot();
        (snapshot.settings.timeouts.handshake, configs.get(snapshot.wants_certificates()))
    };
    let stream = match timeout(patience, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, peer = %client.peer, "a TLS handshake failed"),
        Err(_) => return tracing::debug!(peer = %client.peer, "a TLS handshake took too long"),
    };
    let session = stream.get_ref().1;
    client.sni = session.server_name().map(Arc::from);
    client.certificates =
        session.peer_certificates().map(|chain| chain.iter().map(|der| der.to_vec()).collect());
    match session.alpn_protocol() {
        Some(b"h2") => serve_either(stream, client, true, worker).await,
        _ => Http1::new(stream, Buffer::default(), worker).serve(client).await,
    }
}

/// HTTP/2 is told by how it begins, and has to begin in time.
async fn serve_either<S: Stream + 'static>(mut stream: S, client: Client, http2: bool, worker: Rc<Worker>) {
    let mut input = Buffer::default();
    if http2 {
        let patience = worker.snapshot().settings.timeouts.head;
        match timeout(patience, is_http2(&mut stream, &mut input)).await {
            Ok(Ok(true)) => return http2::serve(Rewound { stream, ahead: input }, worker, client).await,
            // Over TLS it was agreed upon.
            Ok(Ok(false)) if client.scheme == Scheme::Https => return,
            Ok(Ok(false)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    Http1::new(stream, input, worker).serve(client).await;
}

/// Reads until it is clear whether this is how HTTP/2 begins.
async fn is_http2(stream: &mut impl Stream, input: &mut Buffer) -> io::Result<bool> {
    loop {
        let data = input.data();
        let seen = data.len().min(PREFACE.len());
        if data[..seen] != PREFACE[..seen] {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        if std::future::poll_fn(|cx| poll_fill(stream, input, cx)).await? == 0 {
            return Ok(false);
        }
    }
}

/// A stream of which some was read already.
struct Rewound<S> {
    stream: S,
    ahead: Buffer,
}

impl<S: Stream> Stream for Rewound<S> {}

impl<S: Stream> tokio::io::AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return std::pin::Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead.data()[..count]);
        self.ahead.consume(count);
        std::task::Poll::Ready(Ok(()))
    }
}

impl<S: Stream> tokio::io::AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
