//! HTTP for the Admin API and the status API: one request at a time over each connection, bodies of a bounded size.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::access::Access;
use crate::failure::Failure;
use crate::path::Target;
use crate::request::{BadPath, Request};
use crate::respond::{self, Answer};
use crate::{Admin, entities, node, status};

/// The largest body that is read.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// For the head of a request, and for its body.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the server calls itself.
const SERVER: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// Which of the two APIs an endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything.
    Admin,
    /// What a monitor may see.
    Status,
}

/// A place where an API is served.
pub struct Endpoint {
    /// Which API.
    pub kind: Kind,
    /// Where.
    pub listener: TcpListener,
    /// TLS, if it is spoken.
    pub tls: Option<TlsAcceptor>,
    /// Who may use it. What is sent here holds for the next request.
    pub access: watch::Receiver<Access>,
}

/// Serves an endpoint until `stop` becomes true; requests under way are finished.
pub async fn serve(admin: Arc<Admin>, endpoint: Endpoint, mut stop: watch::Receiver<bool>) {
    let endpoint = Arc::new(endpoint);
    let mut open = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = endpoint.listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            // Connections that ended leave nothing behind.
            Some(_) = open.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                open.spawn(connection(Arc::clone(&admin), Arc::clone(&endpoint), stream, peer, stop.clone()));
            }
            Err(error) => {
                tracing::error!(%error, "the Admin API cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(endpoint);
    while open.join_next().await.is_some() {}
}

async fn connection(
    admin: Arc<Admin>,
    endpoint: Arc<Endpoint>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    match &endpoint.tls {
        None => speak(admin, &endpoint, TokioIo::new(stream), &caller(peer, None), stop).await,
        Some(tls) => match timeout(PATIENCE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let caller = caller(peer, certificate.map(AsRef::as_ref));
                speak(admin, &endpoint, TokioIo::new(stream), &caller, stop).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake with the Admin API failed"),
            Err(_) => {}
        },
    }
}

/// Who is at the other end, for the audit log: an address, and the certificate that was shown by its SHA-256.
fn caller(peer: SocketAddr, certificate: Option<&[u8]>) -> Arc<str> {
    let ip = peer.ip().to_canonical();
    match certificate {
        None => ip.to_string().into(),
        Some(der) => {
            let digest: String = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{ip}, certificate sha256:{digest}").into()
        }
    }
}

async fn speak<S>(
    admin: Arc<Admin>,
    endpoint: &Endpoint,
    stream: S,
    caller: &Arc<str>,
    mut stop: watch::Receiver<bool>,
) where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(answer(&admin, endpoint, caller, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).title_case_headers(true);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut stopping = pin!(stop.wait_for(|stop| *stop));
    let mut told = false;
    let served = poll_fn(|cx| {
        if !told && stopping.as_mut().poll(cx).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        Pin::new(&mut connection).poll(cx)
    });
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the Admin API ended");
    }
}

async fn answer(
    admin: &Arc<Admin>,
    endpoint: &Endpoint,
    caller: &Arc<str>,
    request: http::Request<Incoming>,
) -> Answer {
    let started = Instant::now();
    let head = request.method() == Method::HEAD;
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = endpoint.access.borrow().check(request.headers());
    let mut answer = match allowed {
        Ok(()) => match read(request, caller).await {
            // A request that is there is done to its end, whether its client waits for it or not: a change that was committed
            // must come into force.
            Ok(request) => {
                let (admin, kind) = (Arc::clone(admin), endpoint.kind);
                let done = tokio::spawn(async move { dispatch(&admin, kind, &request).await }).await;
                done.unwrap_or_else(|_| {
                    respond::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred")
                })
            }
            Err(answer) => *answer,
        },
        // A page that may not use the API is not told by a header field that it may.
        Err(refused) => return finish(*refused, None, head, started),
    };
    if endpoint.kind == Kind::Admin {
        let allowed = origin.unwrap_or(HeaderValue::from_static("*"));
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    finish(answer, Some(endpoint.kind), head, started)
}

fn finish(mut answer: Answer, kind: Option<Kind>, head: bool, started: Instant) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    if kind == Some(Kind::Admin) {
        let latency = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        headers.insert("x-kong-admin-latency", HeaderValue::from(latency));
    }
    // Nothing here may be kept by anybody on the way: answers hold credentials.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if head {
        *answer.body_mut() = Full::default();
    }
    answer
}

async fn read(request: http::Request<Incoming>, caller: &Arc<str>) -> Result<Request, Box<Answer>> {
    let (parts, body) = request.into_parts();
    let refuse = |status, text: &str| Box::new(respond::message(status, text));
    let body = match timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"));
        }
        Ok(Err(_)) => return Err(refuse(StatusCode::BAD_REQUEST, "Bad request")),
        Err(_) => return Err(refuse(StatusCode::REQUEST_TIMEOUT, "Request timeout")),
    };
    let caller = Arc::clone(caller);
    Ok(Request { method: parts.method, uri: parts.uri, headers: parts.headers, body, caller })
}

async fn dispatch(admin: &Admin, kind: Kind, request: &Request) -> Answer {
    let segments = match request.segments() {
        Ok(segments) => segments,
        Err(bad) => return bad_path(request, bad),
    };
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let result = match kind {
        Kind::Status => status::handle(admin, request, &names).await,
        Kind::Admin => match node::handle(admin, request, &names).await {
            Some(result) => result,
            None => match Target::find(&segments) {
                Some(target) => entities::handle(admin, request, target).await,
                None => Err(Failure::NotFound),
            },
        },
    };
    match result {
        Ok(answer) => answer,
        // Bodies of other types never reach Kong's own code: nginx answers for it.
        Err(Failure::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, _)) => {
            respond::page(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        }
        Err(failure) => failure.answer(),
    }
}

fn bad_path(request: &Request, bad: BadPath) -> Answer {
    match bad {
        BadPath::Nowhere => respond::not_found(),
        BadPath::Nul => respond::page(StatusCode::BAD_REQUEST),
        BadPath::NotText(at) => {
            let name = if request.uri.path().starts_with("/tags/") { "tag" } else { "name" };
            let say = format!("invalid utf-8 character sequence detected at position {at}");
            let body =
                serde_json::json!({"code": 10, "name": format!("invalid unique {name}"), "message": say});
            respond::json_with(StatusCode::BAD_REQUEST, &body)
        }
    }
}
