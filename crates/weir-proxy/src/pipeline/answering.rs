//! Answers of the gateway's own.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use weir_model::typed::{Route, Service};
use weir_plugin::{Answer, Ctx, Headers, Outcome};
use weir_router::Refusal as RouteRefusal;

use super::{Life, Next, Timing};
use crate::answer::{self, Form};
use crate::body::BodyError;
use crate::clock;
use crate::forward;
use crate::http1::Framing;
use crate::http1::request::Refusal;
use crate::server::Downstream;
use crate::upstream::Failure;
use crate::worker::Worker;

/// What nginx, and Kong with it, logs for a request whose client did not wait for the answer.
const CLIENT_GONE: u16 = 499;

/// What the gateway calls itself on answers of its own.
const SERVER: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// The client is gone, or was told all it can be told: there is nobody to answer.
struct Gone;

/// Answers what is no request that anybody could look at.
pub(crate) async fn refuse<D: Downstream>(worker: &Rc<Worker>, refusal: Refusal, down: &mut D) {
    let (status, message) = match refusal {
        Refusal::Bad => (StatusCode::BAD_REQUEST, "Bad request"),
        Refusal::TargetTooLong => (StatusCode::URI_TOO_LONG, "URI too long"),
        Refusal::HeadTooLarge => (StatusCode::BAD_REQUEST, "Request header or cookie too large"),
        Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        Refusal::Coding => (StatusCode::NOT_IMPLEMENTED, "Not implemented"),
        Refusal::Version => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP version not supported"),
        Refusal::Timeout => (StatusCode::REQUEST_TIMEOUT, "Request timeout"),
    };
    worker.stats.requests.add(1);
    worker.stats.refused.add(1);
    let snapshot = worker.snapshot();
    let settings = &snapshot.settings;
    // A client that is not understood is not asked what it accepts.
    let form = if refusal == Refusal::Coding { Form::Html } else { Form::Plain };
    let id = worker.request_id();
    let (status, mut headers, body) =
        answer::render(Answer::message(status, message), form, id.as_str(), &settings.templates);
    headers.append("Date", worker.date());
    headers.append("Content-Length", itoa::Buffer::new().format(body.len()));
    if settings.headers.response_latency {
        headers.append("X-Kong-Response-Latency", "0");
    }
    if settings.headers.server {
        headers.append("Server", SERVER);
    }
    if settings.headers.request_id {
        headers.append("X-Kong-Request-Id", id.as_str());
    }
    down.start(status, &headers, Framing::Length(body.len() as u64));
    let _ = send_all(down, &body).await;
}

impl<'a> Life<'a> {
    /// Gives an answer of the gateway's own.
    pub(super) async fn answer<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        answer: Answer,
        outcome: Outcome,
    ) -> Next {
        self.answer_as(ctx, down, answer, outcome, Form::Json).await
    }

    /// Gives an answer of the gateway's own, in this form where the client does not say what it accepts.
    pub(super) async fn answer_as<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        answer: Answer,
        outcome: Outcome,
        usual: Form,
    ) -> Next {
        let form = ctx.headers.get("Accept").map_or(usual, Form::accepted);
        let gateway = clock::now().duration_since(ctx.started);
        let (status, mut headers, body) =
            answer::render(answer, form, ctx.id.as_str(), &self.snapshot.settings.templates);
        if self.snapshot.settings.headers.response_latency {
            headers.append("X-Kong-Response-Latency", itoa::Buffer::new().format(gateway.as_millis()));
        }
        self.send(ctx, down, status, headers, body).await;
        self.log(ctx, down, status, outcome, &Timing { gateway, upstream: Duration::ZERO });
        Next::Keep
    }

    /// Sends an answer of the gateway's own, with what every such answer carries.
    async fn send<D: Downstream>(
        &self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        status: StatusCode,
        mut headers: Headers,
        body: Bytes,
    ) {
        let settings = &self.snapshot.settings.headers;
        headers.append("Date", self.worker.date());
        let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        if !bodiless {
            headers.set("Content-Length", itoa::Buffer::new().format(body.len()));
        }
        if settings.server {
            headers.append("Server", SERVER);
        }
        if settings.request_id {
            headers.append("X-Kong-Request-Id", ctx.id.as_str());
        }
        self.filter(ctx, &mut headers);
        let silent = bodiless || ctx.method == Method::HEAD;
        let framing = if silent { Framing::None } else { Framing::Length(body.len() as u64) };
        down.start(status, &headers, framing);
        if send_all(down, if silent { &[] } else { &body }).await.is_err() {
            down.abort();
        }
    }

    /// The service failed: what it failed in is for the log, that it failed is for the client.
    pub(super) async fn blame_upstream<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        service: &Service,
        failure: &Failure,
        timing: Timing,
    ) -> Next {
        tracing::warn!(
            request_id = ctx.id.as_str(),
            service = service.name.as_deref().unwrap_or_default(),
            host = &*service.host,
            port = service.port,
            error = %failure,
            "the service failed"
        );
        let (status, message) = match failure {
            // Nobody was asked: Kong answers this itself, where nginx answers the others.
            Failure::Resolve(_) => {
                let answer = Answer::message(StatusCode::SERVICE_UNAVAILABLE, "name resolution failed");
                return self.answer(ctx, down, answer, Outcome::Failed).await;
            }
            Failure::Timeout => (StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out"),
            Failure::Connect(_) | Failure::Lost(_) | Failure::Invalid(_) => {
                (StatusCode::BAD_GATEWAY, "An invalid response was received from the upstream server")
            }
        };
        let settings = &self.snapshot.settings;
        let form = match ctx.headers.get("Accept") {
            _ if self.grpc => Form::Json,
            None => Form::Plain,
            Some(accept) => Form::accepted(accept),
        };
        let answer = if self.grpc {
            Answer::exact(status, "application/json; charset=utf-8", format!("{{\"message\":\"{message}\"}}"))
        } else {
            Answer::message(status, message)
        };
        let (status, mut headers, body) = answer::render(answer, form, ctx.id.as_str(), &settings.templates);
        if settings.headers.via {
            headers.append("Via", forward::VIA);
        }
        timing.add_headers(&mut headers, &settings.headers);
        self.send(ctx, down, status, headers, body).await;
        self.log(ctx, down, status, Outcome::Failed, &timing);
        Next::Keep
    }

    /// The client did not send its body as it should have.
    pub(super) async fn blame_client<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        error: &BodyError,
    ) -> Next {
        let answer = match error {
            BodyError::Gone => {
                down.abort();
                // Nobody is told; the status is for those who count.
                let status = StatusCode::from_u16(CLIENT_GONE).unwrap_or(StatusCode::BAD_REQUEST);
                let gateway = clock::now().duration_since(ctx.started);
                self.log(ctx, down, status, Outcome::Gateway, &Timing { gateway, upstream: Duration::ZERO });
                return Next::Close;
            }
            BodyError::Malformed => Answer::message(StatusCode::BAD_REQUEST, "Bad request"),
            BodyError::TooLarge => Answer::message(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
            BodyError::Timeout => Answer::message(StatusCode::REQUEST_TIMEOUT, "Request timeout"),
        };
        self.answer(ctx, down, answer, Outcome::Gateway).await
    }
}

async fn send_all<D: Downstream>(down: &mut D, mut body: &[u8]) -> Result<(), Gone> {
    poll_fn(|cx| {
        while !body.is_empty() {
            match std::task::ready!(down.poll_send(cx, body)) {
                Ok(count) => body = &body[count..],
                Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        down.poll_finish(cx).map_err(|_| Gone)
    })
    .await
}

/// The answer to a request that came by the wrong protocol for its route.
pub(super) fn refuse_protocol(refusal: RouteRefusal, route: &Route, ctx: &Ctx<'_>) -> Answer {
    match refusal {
        RouteRefusal::TlsRequired => match route.https_redirect_status_code {
            426 => Answer::message(StatusCode::UPGRADE_REQUIRED, "Please use HTTPS protocol")
                .header("Upgrade", "TLS/1.2, HTTP/1.1"),
            code => {
                let status = StatusCode::from_u16(code).unwrap_or(StatusCode::MOVED_PERMANENTLY);
                let page = format!(
                    "<html>\n<head><title>{status}</title></head>\n<body>\n<h1>{status}</h1>\n</body>\n</html>\n"
                );
                Answer::exact(status, "text/html", page)
                    .header("Location", format!("https://{}{}", ctx.host, ctx.target))
            }
        },
        RouteRefusal::NotGrpc => {
            Answer::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Non-gRPC request matched gRPC route")
        }
        RouteRefusal::Http2Required => {
            Answer::message(StatusCode::UPGRADE_REQUIRED, "Please use HTTP2 protocol")
                .header("Upgrade", "HTTP/2")
        }
        RouteRefusal::GrpcTlsRequired => Answer::empty(StatusCode::OK)
            .header("grpc-status", "1")
            .header("grpc-message", "gRPC request matched gRPCs route"),
    }
}
