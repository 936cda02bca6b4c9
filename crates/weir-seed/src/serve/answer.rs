//! A request and its answer.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;
use weir_kernel::ioctl::Pool;
use zeroize::Zeroizing;

use super::Server;
use super::metrics::Refusal;
use super::rates::{Exceeded, Peer};
use crate::Seed;
use crate::pollen::{self, Answer, Form, RequestError};

/// The largest body that is read. That of pollinate has 138 bytes.
const MAX_BODY: usize = 4096;
/// What the server calls itself.
const NAME: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// Why there is no seed in an answer: what is counted, and what the peer is told.
struct Refused {
    why: Refusal,
    status: StatusCode,
    text: String,
    again_in: Option<Duration>,
}

impl Refused {
    fn new(why: Refusal, status: StatusCode, text: impl Into<String>) -> Self {
        Self { why, status, text: text.into(), again_in: None }
    }

    fn again_in(self, time: Duration) -> Self {
        Self { again_in: Some(time), ..self }
    }
}

/// Answers a request that came over a connection from `from`.
pub(super) async fn answer(
    server: &Server,
    from: IpAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let from = server.peer(from, request.headers());
    match seed(server, from, request).await {
        Ok((form, text)) => {
            server.metrics.answered(form, Seed::BYTES);
            tracing::info!(peer = %from, status = 200, "a seed was given");
            let kind = match form {
                Form::Text => "text/plain; charset=utf-8",
                Form::Json => "application/json",
            };
            // Erased when the answer has been sent.
            respond(StatusCode::OK, kind, Bytes::from_owner(Erased(text)))
        }
        Err(refused) => {
            server.metrics.refused(refused.why);
            // Any peer could fill the log with these.
            tracing::debug!(peer = %from, status = refused.status.as_u16(), "refused: {}", refused.text);
            let mut response =
                respond(refused.status, "text/plain; charset=utf-8", (refused.text + "\n").into());
            let headers = response.headers_mut();
            if let Some(time) = refused.again_in {
                headers.insert(header::RETRY_AFTER, (time.as_secs() + 1).into());
            }
            if refused.status == StatusCode::METHOD_NOT_ALLOWED {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST, GET"));
            }
            // Whatever else it has sent is not waited for.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

async fn seed(
    server: &Server,
    from: IpAddr,
    request: Request<Incoming>,
) -> Result<(Form, Zeroizing<String>), Refused> {
    if !matches!(*request.method(), Method::POST | Method::GET) {
        return Err(Refused::new(
            Refusal::Request,
            StatusCode::METHOD_NOT_ALLOWED,
            "send the challenge with POST",
        ));
    }
    if let Err(exceeded) = server.rates.take(Peer::from(from), server.start.elapsed()) {
        let (why, time) = match exceeded {
            Exceeded::Peer(time) => (Refusal::PeerRate, time),
            Exceeded::Overall(time) => (Refusal::OverallRate, time),
        };
        let refused = Refused::new(why, StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later");
        return Err(refused.again_in(time));
    }
    let (parts, body) = request.into_parts();
    let body = read(body, server.limits.patience).await?;
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let read =
        pollen::Request::read(text(header::CONTENT_TYPE), text(header::ACCEPT), parts.uri.query(), &body);
    let request = read.map_err(|error| {
        let status = match error {
            RequestError::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        };
        Refused::new(Refusal::Request, status, error.to_string())
    })?;
    mix(server.pool.as_ref(), &request.challenge.response());
    let answer = Answer::to(&request.challenge).map_err(|error| {
        tracing::error!(%error, "no seed can be drawn");
        let text = "this server has no randomness at the moment";
        Refused::new(Refusal::Randomness, StatusCode::SERVICE_UNAVAILABLE, text).again_in(Duration::ZERO)
    })?;
    let text = match request.form {
        Form::Text => answer.text(),
        Form::Json => answer.json(),
    };
    Ok((request.form, text))
}

async fn read(body: Incoming, patience: Duration) -> Result<Bytes, Refused> {
    let too_long = || {
        let text = format!("the body is longer than {MAX_BODY} bytes");
        Refused::new(Refusal::Request, StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    // Its Content-Length says so.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_long());
    }
    match timeout(patience, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => {
            Err(Refused::new(Refusal::Request, StatusCode::BAD_REQUEST, "the body ended too early"))
        }
        Err(_) => Err(Refused::new(Refusal::Timeout, StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// Mixes what a peer sent into this host's own pool, as pollen does: a digest, uncredited, which harms nobody whoever chose it.
/// Where the pool does not take it, nothing is lost.
fn mix(pool: Option<&Pool>, digest: &[u8]) {
    if let Some(Err(error)) = pool.map(|pool| pool.mix(digest)) {
        tracing::debug!(%error, "a challenge was not mixed in");
    }
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::SERVER, HeaderValue::from_static(NAME));
    response
}

/// The page of metrics.
pub(super) fn metrics(server: &Server, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let text = "text/plain; version=0.0.4; charset=utf-8";
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            respond(StatusCode::OK, text, server.metrics.page(server.places.open()).into())
        }
        _ => respond(StatusCode::NOT_FOUND, text, Bytes::from_static(b"there is GET /metrics\n")),
    }
}

/// The address that a trusted proxy says: the last of `X-Forwarded-For`, which is the one that the proxy itself saw.
pub(super) fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

struct Erased(Zeroizing<String>);

impl AsRef<[u8]> for Erased {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_counts_is_the_one_that_the_proxy_added() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded(&headers), None);
        headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("203.0.113.9, 2001:db8::7"));
        assert_eq!(forwarded(&headers), Some("2001:db8::7".parse().unwrap()));
        headers.append("x-forwarded-for", HeaderValue::from_static("unknown"));
        assert_eq!(forwarded(&headers), None);
    }
}
