//! Requests of HTTP/1.1 to those whom plugins ask.
//!
//! Contract: an answer is whole and no longer than [`Fetch::new`] was told, or it is an error. Redirects are not followed:
//! whoever is asked is named in a configuration, and answers itself. Callers put an end to what takes too long; a request
//! whose future is dropped is given up, and its connection with it.
//!
//! A connection belongs to the worker that made it and is used again while both sides keep it. A request goes out again
//! over a new connection only when nothing of it was sent over the old one.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use crate::connect::{self, Idle, Tls, Wire};

/// So many idle connections are kept to one server, on each worker.
const MAX_KEPT: usize = 8;
/// For so long: less than servers usually wait.
const KEEP: Duration = Duration::from_secs(20);

/// A request with its whole body.
pub(crate) type Asked = Request<Vec<u8>>;
/// An answer with its whole body.
pub(crate) type Answered = Response<Vec<u8>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The address is no http or https URL of a host.
    #[error("{0} is no URL that can be asked")]
    Address(String),
    /// Nobody is there, or TLS fails.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// It is no HTTP/1.1, or ends too early.
    #[error("the connection failed: {0}")]
    Broken(#[from] hyper::Error),
    /// The answer is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer points elsewhere.
    #[error("the answer is a redirect")]
    Redirect,
}

/// How requests are made.
#[derive(Clone)]
pub(crate) struct Fetch {
    tls: Tls,
    verify: bool,
    max: usize,
}

/// Whom a connection leads to.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Server {
    tls: Option<bool>,
    host: String,
    port: u16,
}

type Sender = SendRequest<Full<Bytes>>;

thread_local! {
    static IDLE: Idle<Server, Sender> = Idle::default();
}

impl Fetch {
    /// Requests to servers whose certificate is verified, or is not, with answers of so many bytes at most.
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub(crate) fn new(verify: bool, max: usize) -> Result<Self, rustls::Error> {
        Ok(Self { tls: Tls::new(verify)?, verify, max })
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn send(&self, request: Asked) -> Result<Answered, FetchError> {
        let server = self.server(request.uri())?;
        let mut request = head(request)?;
        let response = loop {
            let kept = connect::take(&IDLE, &server, Sender::is_ready);
            let is_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.open(&server).await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => break (response, sender),
                // Nothing of it was sent, as the server had closed what was kept.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        };
        let (response, sender) = response;
        let answered = self.read(response).await?;
        if !sender.is_closed() {
            connect::keep(&IDLE, server, sender, KEEP, MAX_KEPT);
        }
        if answered.status().is_redirection() {
            return Err(FetchError::Redirect);
        }
        Ok(answered)
    }

    fn server(&self, uri: &Uri) -> Result<Server, FetchError> {
        let wrong = || FetchError::Address(uri.to_string());
        let (tls, port) = match uri.scheme_str() {
            Some("https") => (Some(self.verify), 443),
            Some("http") => (None, 80),
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.to_owned();
        Ok(Server { tls, host, port: uri.port_u16().unwrap_or(port) })
    }

    async fn open(&self, server: &Server) -> Result<Sender, FetchError> {
        let stream = connect::connect(&server.host, server.port).await?;
        let wire: Wire = match server.tls {
            Some(_) => self.tls.over(stream, &server.host).await?,
            None => Box::new(stream),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
        // It ends when the sender is dropped, or the server goes.
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        Ok(sender)
    }

    async fn read(&self, response: Response<hyper::body::Incoming>) -> Result<Answered, FetchError> {
        let (head, body) = response.into_parts();
        match Limited::new(body, self.max).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes().into())),
            Err(error) => Err(match error.downcast::<hyper::Error>() {
                Ok(error) => FetchError::Broken(*error),
                Err(other) => {
                    debug_assert!(other.is::<LengthLimitError>());
                    FetchError::TooLong(self.max)
                }
            }),
        }
    }
}

/// The request as HTTP/1.1 has it: the path in its first line, the host in a field.
fn head(request: Asked) -> Result<Request<Full<Bytes>>, FetchError> {
    let (mut parts, body) = request.into_parts();
    let wrong = |uri: &Uri| FetchError::Address(uri.to_string());
    let authority = parts.uri.authority().ok_or_else(|| wrong(&parts.uri))?;
    // Whom it is for, without a name and a password.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let host = HeaderValue::from_str(host).map_err(|_| wrong(&parts.uri))?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = Uri::try_from(path).map_err(|_| wrong(&parts.uri))?;
    parts.uri = path;
    parts.headers.insert(HOST, host);
    parts.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
    Ok(Request::from_parts(parts, Full::new(body.into())))
}
