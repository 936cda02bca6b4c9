//! The life of a request: found its route, taken through its plugins, sent to its service, and the answer back.
//!
//! A request sees one snapshot of the configuration from beginning to end. Everything that it needs of it is borrowed;
//! between its first byte and its last nothing is locked, and nothing shared with another worker is written.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use smallvec::SmallVec;
use weir_model::typed::{Protocol, Route, Service};
use weir_plugin::{Answer, Client, Ctx, Finished, Flow, Headers, Outcome, Scheme};
use weir_router::path::PathError;
use weir_router::{Arrival, Refusal as RouteRefusal};

use crate::answer::{self, Form};
use crate::body::{BodyError, BodySource, Whole};
use crate::config::{Instance, Snapshot};
use crate::forward::{self, Onward};
use crate::http1::Framing;
use crate::http1::request::{Refusal, RequestHead};
use crate::server::Downstream;
use crate::upstream::Failure;
use crate::upstream::exchange::{Broken, Exchange, Limits};
use crate::upstream::pool::Destination;
use crate::worker::Worker;

/// Bodies up to this size are kept so that a request can be sent again.
const REPLAY: u64 = 64 * 1024;

/// What becomes of the client's connection.
pub(crate) enum Next {
    /// The next request may come.
    Keep,
    /// It ends here, with nothing more to say.
    Close,
    /// It becomes a tunnel to the service.
    Tunnel(Box<Exchange>),
}

/// The client is gone, or was told all it can be told: there is nobody to answer.
struct Gone;

/// The plugins that a request went through. Most requests go through few.
type Ran<'a> = SmallVec<[&'a Instance; 8]>;

/// Takes a request through its life.
pub(crate) async fn run<D: Downstream>(
    worker: &Rc<Worker>,
    head: &mut RequestHead,
    client: &Client,
    down: &mut D,
) -> Next {
    let snapshot = worker.snapshot();
    let snapshot: &Snapshot = &snapshot;
    let settings = &*snapshot.settings;
    let behind = if client.trusted { forward::real_ip(client, &head.headers, settings) } else { None };
    let behind = behind.map(|ip| Client { ip, ..client.clone() });
    let mut ctx = Ctx {
        id: worker.request_id(),
        client: behind.as_ref().unwrap_or(client),
        method: std::mem::take(&mut head.method),
        target: std::mem::take(&mut head.target),
        host: std::mem::take(&mut head.host),
        headers: std::mem::take(&mut head.headers),
        body: None,
        started: Instant::now(),
        started_ms: weir_kernel::clock::unix_ms(),
        route: None,
        service: None,
        upstream_target: worker.spare_target(),
        identity: None,
        response: Headers::new(),
        directory: snapshot,
    };
    forward::drop_connection_named(&mut ctx.headers);
    worker.stats.requests.add(1);
    let mut life = Life { worker, snapshot, ran: Ran::new(), host_port: head.host_port };
    let next = life.run(&mut ctx, down).await;
    head.method = ctx.method;
    head.target = ctx.target;
    head.host = ctx.host;
    head.headers = ctx.headers;
    worker.return_target(ctx.upstream_target);
    next
}

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

/// What the gateway calls itself on answers of its own.
pub(crate) const SERVER: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// What a request finds out on its way.
struct Life<'a> {
    worker: &'a Rc<Worker>,
    snapshot: &'a Snapshot,
    ran: Ran<'a>,
    host_port: Option<u16>,
}

/// Why a request has no route.
enum NotFound {
    /// It gets this answer.
    Answer(Box<Answer>),
    /// Its path is not one.
    BadPath,
}

/// A route, a service, and what of the path matched.
struct Found<'a> {
    route: &'a Route,
    service: Option<&'a Service>,
    prefix: Option<String>,
}

impl<'a> Life<'a> {
    async fn run<D: Downstream>(&mut self, ctx: &mut Ctx<'a>, down: &mut D) -> Next {
        let found = match self.find(ctx, down.is_http2()) {
            Ok(found) => found,
            Err(NotFound::Answer(answer)) => return self.answer(ctx, down, *answer, Outcome::Gateway).await,
            Err(NotFound::BadPath) => {
                let answer = Answer::message(StatusCode::BAD_REQUEST, "Bad request");
                return self.answer_as(ctx, down, answer, Outcome::Gateway, Form::Plain).await;
            }
        };
        ctx.route = Some(found.route);
        ctx.service = found.service;
        match self.access(ctx, found.route, down).await {
            Ok(None) => {}
            Ok(Some(answer)) => return self.answer(ctx, down, *answer, Outcome::Gateway).await,
            Err(error) => return self.blame_client(ctx, down, &error).await,
        }
        let Some(service) = found.service else {
            let answer =
                Answer::message(StatusCode::SERVICE_UNAVAILABLE, "no Service found with those values");
            return self.answer(ctx, down, answer, Outcome::Gateway).await;
        };
        self.proxy(ctx, down, service, found.route, found.prefix.as_deref()).await
    }

    /// Finds the route, and what the path becomes on the way to its service.
    fn find(&self, ctx: &mut Ctx<'a>, http2: bool) -> Result<Found<'a>, NotFound> {
        let tls = ctx.client.scheme == Scheme::Https;
        let (raw_path, query) = match ctx.target.find('?') {
            Some(at) => (&ctx.target[..at], &ctx.target[at..]),
            None => (ctx.target.as_str(), ""),
        };
        let nothing = || {
            NotFound::Answer(Box::new(Answer::message(
                StatusCode::NOT_FOUND,
                "no Route matched with those values",
            )))
        };
        let path = weir_router::path::normalize(raw_path.as_bytes()).map_err(|error| match error {
            // Routes are text, and so this is none of them.
            PathError::NotUtf8 => nothing(),
            _ => NotFound::BadPath,
        })?;
        let fields = Fields(&ctx.headers);
        let request = weir_router::Request {
            method: ctx.method.as_str(),
            host: &ctx.host,
            port: self.host_port.unwrap_or(ctx.client.port),
            path: &path,
            tls,
            sni: ctx.client.sni.as_deref(),
            headers: &fields,
        };
        let matched = self.snapshot.route(&request).ok_or_else(nothing)?;
        let arrival = Arrival { tls: self.came_by_tls(ctx), http2, grpc: is_grpc(&ctx.headers) };
        let route = self.snapshot.route_by_id(&matched.id()).ok_or_else(nothing)?;
        if let Err(refusal) = matched.admit(arrival) {
            return Err(NotFound::Answer(Box::new(refuse_protocol(refusal, route, ctx))));
        }
        let service = route.service.and_then(|id| self.snapshot.service(&id));
        let base = service.and_then(|service| service.path.as_deref());
        let onward = weir_router::path::upstream_path(base, &path, matched.path_end(), route.strip_path);
        ctx.upstream_target.clear();
        ctx.upstream_target.push_str(&onward);
        ctx.upstream_target.push_str(query);
        let stripped = route.strip_path && matched.path_end() > 1;
        let prefix = stripped.then(|| weir_router::path::escape(matched.matched_path()).into_owned());
        Ok(Found { route, service, prefix })
    }

    /// Whether the client's side of the request ran over TLS: here, or on a trusted peer's word.
    fn came_by_tls(&self, ctx: &Ctx<'_>) -> bool {
        let told =
            || ctx.headers.get("X-Forwarded-Proto").is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"));
        ctx.client.scheme == Scheme::Https || (ctx.client.trusted && told())
    }

    /// Runs the access phase. Gives the answer that a plugin gave, if one did; plugins after it still take part in the
    /// later phases.
    async fn access<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        route: &'a Route,
        down: &mut D,
    ) -> Result<Option<Box<Answer>>, BodyError> {
        let protocol = if is_grpc(&ctx.headers) { grpc(ctx.client.scheme) } else { ctx.protocol() };
        let mut order = self.snapshot.plugins(protocol, route);
        let mut answer = None;
        while let Some(instance) = order.next(ctx.consumer().map(|consumer| consumer.id.as_bytes())) {
            self.ran.push(instance);
            if answer.is_some() || !instance.phases.access {
                continue;
            }
            if instance.phases.body && ctx.body.is_none() {
                ctx.body = self.read_body(down).await?;
            }
            let mut flow = instance.plugin.access(ctx);
            loop {
                match flow {
                    Flow::Continue => break,
                    Flow::Respond(own) => {
                        answer = Some(own);
                        break;
                    }
                    Flow::Wait(waiting) => flow = waiting.await(ctx),
                }
            }
        }
        Ok(answer)
    }

    /// Reads the body into memory, if it fits. What does not fit is left where it is; `None` then.
    async fn read_body<D: Downstream>(&self, down: &mut D) -> Result<Option<Bytes>, BodyError> {
        let limit = self.snapshot.settings.body_buffer;
        match down.framing() {
            Framing::None => Ok(Some(Bytes::new())),
            Framing::Length(length) if length <= limit as u64 => match collect(down, limit).await? {
                Collected::Whole(bytes) => Ok(Some(bytes)),
                Collected::Part(_) => Err(BodyError::TooLarge),
            },
            // How long chunks are is known only when it is too late to leave them.
            Framing::Chunked => match collect(down, limit).await? {
                Collected::Whole(bytes) => Ok(Some(bytes)),
                Collected::Part(_) => Err(BodyError::TooLarge),
            },
            Framing::Length(_) | Framing::Close => Ok(None),
        }
    }

    /// Sends the request to its service, and the answer back.
    async fn proxy<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        service: &'a Service,
        route: &'a Route,
        prefix: Option<&str>,
    ) -> Next {
        let gateway = ctx.started.elapsed();
        let mut framing = down.framing();
        let replay = framing == Framing::Chunked && route.request_buffering
            || matches!(framing, Framing::Length(length) if length <= REPLAY)
                && service.retries > 0
                && idempotent(&ctx.method);
        let mut start: Option<Bytes> = None;
        if ctx.body.is_none() && replay {
            let limit = self.snapshot.settings.body_buffer;
            match collect(down, limit).await {
                Ok(Collected::Whole(bytes)) => ctx.body = Some(bytes),
                Ok(Collected::Part(bytes)) => start = Some(bytes),
                Err(error) => return self.blame_client(ctx, down, &error).await,
            }
        }
        // Chunks that are all here already need not be chunks any more.
        if framing == Framing::Chunked && ctx.body.is_none() && start.is_none() {
            match collect_ready(down, self.snapshot.settings.body_buffer).await {
                Ok(Collected::Whole(bytes)) => ctx.body = Some(bytes),
                Ok(Collected::Part(bytes)) => start = Some(bytes),
                Err(error) => return self.blame_client(ctx, down, &error).await,
            }
        }
        if let Some(body) = &ctx.body {
            framing = if body.is_empty() { Framing::None } else { Framing::Length(body.len() as u64) };
        }
        let websocket = down.can_upgrade()
            && ctx.headers.get("Upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(b"websocket"));
        let onward = Onward {
            service,
            settings: &self.snapshot.settings,
            framing,
            prefix,
            preserve_host: route.preserve_host,
            websocket,
        };
        let mut source =
            Source { whole: ctx.body.clone().map(Whole::new), start: start.map(Whole::new), down };
        let asked = Instant::now();
        match self.exchange(ctx, &onward, &mut source).await {
            Ok((exchange, to)) => {
                let upstream = asked.elapsed();
                let timing = Timing { gateway, upstream };
                let Source { whole, start, .. } = source;
                let source = Source { whole, start, down };
                self.relay(ctx, exchange, &to, source, timing).await
            }
            Err(Broken::Client(error)) => self.blame_client(ctx, down, &error).await,
            Err(Broken::Upstream(failure)) => {
                let timing = Timing { gateway, upstream: asked.elapsed() };
                self.blame_upstream(ctx, down, service, &failure, timing).await
            }
        }
    }

    /// Gets the head of a response, over as many attempts as the service allows.
    async fn exchange<D: Downstream>(
        &self,
        ctx: &Ctx<'a>,
        onward: &Onward<'_>,
        source: &mut Source<'_, D>,
    ) -> Result<(Exchange, Destination), Broken> {
        let service = onward.service;
        let limits = Limits { write: service.write_timeout, read: service.read_timeout };
        let mut failures = 0;
        loop {
            let to = self.worker.destination(service).await?;
            let kept = self.worker.take_connection(&to);
            let from_pool = kept.is_some();
            let connection = match kept {
                Some(connection) => Ok(connection),
                None => self.worker.connect(&to, service.connect_timeout).await,
            };
            let failure = match connection {
                Err(failure) => failure,
                Ok(mut connection) => {
                    connection.output().clear();
                    forward::write_head(connection.output(), ctx, onward);
                    let head = self.worker.spare_head();
                    let mut exchange =
                        Exchange::new(connection, ctx.method.clone(), onward.framing, limits, head);
                    match poll_fn(|cx| exchange.poll_head(cx, source)).await {
                        // Bytes of another protocol would pass for the answer to a request that asked for none.
                        Ok(())
                            if exchange.head.status == StatusCode::SWITCHING_PROTOCOLS
                                && !onward.websocket =>
                        {
                            return Err(Failure::Invalid("it switches to what nobody asked for").into());
                        }
                        Ok(()) => return Ok((exchange, to)),
                        Err(Broken::Client(error)) => return Err(Broken::Client(error)),
                        Err(Broken::Upstream(failure)) => {
                            let again = !exchange.body_used || source.rewind();
                            if !again || !retriable(&failure, &ctx.method) {
                                return Err(failure.into());
                            }
                            if from_pool && !exchange.answered && matches!(failure, Failure::Lost(_)) {
                                // A connection that died while it waited says nothing about the service.
                                continue;
                            }
                            failure
                        }
                    }
                }
            };
            failures += 1;
            if failures > service.retries || matches!(failure, Failure::Resolve(_)) {
                return Err(failure.into());
            }
            tracing::debug!(service = %service.id, %failure, "asking the service again");
        }
    }

    /// Passes the response on.
    async fn relay<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        mut exchange: Exchange,
        to: &Destination,
        source: Source<'_, D>,
        timing: Timing,
    ) -> Next {
        let Source { mut whole, mut start, down } = source;
        let status = exchange.head.status;
        let switching = status == StatusCode::SWITCHING_PROTOCOLS;
        let mut headers = std::mem::take(&mut exchange.head.headers);
        self.finish_headers(ctx, &mut headers, status, &timing);
        let framing = exchange.head.framing;
        down.start(status, &headers, framing);
        exchange.head.headers = headers;
        let relayed = poll_fn(|cx| {
            loop {
                let polled = {
                    let mut source = Source { whole: whole.take(), start: start.take(), down: &mut *down };
                    let polled = exchange.poll_body(cx, &mut source);
                    (whole, start) = (source.whole, source.start);
                    polled
                };
                match polled {
                    Poll::Ready(Ok(true)) => match down.poll_send(cx, exchange.data()) {
                        Poll::Ready(Ok(count)) => exchange.used(count),
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Blame::Client)),
                        Poll::Pending => return Poll::Pending,
                    },
                    Poll::Ready(Ok(false)) => return down.poll_finish(cx).map_err(|_| Blame::Client),
                    Poll::Ready(Err(Broken::Client(_))) => return Poll::Ready(Err(Blame::Client)),
                    Poll::Ready(Err(Broken::Upstream(failure))) => {
                        return Poll::Ready(Err(Blame::Upstream(failure)));
                    }
                    // Nothing more for now: what there is goes out.
                    Poll::Pending => match down.poll_flush(cx) {
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Blame::Client)),
                        _ => return Poll::Pending,
                    },
                }
            }
        })
        .await;
        self.log(ctx, down, status, Outcome::Upstream, &timing);
        match relayed {
            Ok(()) if switching => return Next::Tunnel(Box::new(exchange)),
            Ok(()) => {
                let (connection, head) = exchange.finish();
                self.worker.return_head(head);
                if let Some(connection) = connection {
                    self.worker.keep_connection(to, connection, self.snapshot.settings.keepalive);
                }
                return Next::Keep;
            }
            Err(Blame::Client) => {}
            Err(Blame::Upstream(failure)) => {
                tracing::warn!(request_id = ctx.id.as_str(), %failure, "the service's answer broke off");
            }
        }
        down.abort();
        Next::Close
    }

    /// What every answer of a service carries besides its own fields, and the header_filter phase.
    fn finish_headers(&self, ctx: &mut Ctx<'a>, headers: &mut Headers, status: StatusCode, timing: &Timing) {
        let settings = &self.snapshot.settings.headers;
        headers.retain(|name, _| comes_back(name, status));
        if !headers.contains("Date") {
            headers.append("Date", self.worker.date());
        }
        if settings.via {
            match headers.get_str("Via").map(|before| format!("{before}, {}", forward::VIA)) {
                Some(via) => headers.set("Via", via),
                None => headers.append("Via", forward::VIA),
            }
        }
        if settings.upstream_status {
            headers.set("X-Kong-Upstream-Status", status.as_str());
        }
        timing.add_headers(headers, settings);
        if settings.request_id {
            headers.set("X-Kong-Request-Id", ctx.id.as_str());
        }
        self.filter(ctx, headers);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            headers.set("Connection", "upgrade");
        }
    }

    /// The header_filter phase, whoever made the answer.
    fn filter(&self, ctx: &mut Ctx<'a>, headers: &mut Headers) {
        for (name, value) in ctx.response.iter() {
            headers.set(name, value);
        }
        for instance in self.ran.iter().filter(|instance| instance.phases.header_filter) {
            instance.plugin.header_filter(ctx, headers);
        }
    }

    /// Gives an answer of the gateway's own.
    async fn answer<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        answer: Answer,
        outcome: Outcome,
    ) -> Next {
        self.answer_as(ctx, down, answer, outcome, Form::Json).await
    }

    /// Gives an answer of the gateway's own, in this form where the client does not say what it accepts.
    async fn answer_as<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        answer: Answer,
        outcome: Outcome,
        usual: Form,
    ) -> Next {
        let form = ctx.headers.get("Accept").map_or(usual, Form::accepted);
        let gateway = ctx.started.elapsed();
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
    async fn blame_upstream<D: Downstream>(
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
            error = failure as &dyn std::error::Error,
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
            _ if is_grpc(&ctx.headers) => Form::Json,
            None => Form::Plain,
            Some(accept) => Form::accepted(accept),
        };
        let answer = if is_grpc(&ctx.headers) {
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
    async fn blame_client<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        error: &BodyError,
    ) -> Next {
        let answer = match error {
            BodyError::Gone => {
                down.abort();
                return Next::Close;
            }
            BodyError::Malformed => Answer::message(StatusCode::BAD_REQUEST, "Bad request"),
            BodyError::TooLarge => Answer::message(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large"),
            BodyError::Timeout => Answer::message(StatusCode::REQUEST_TIMEOUT, "Request timeout"),
        };
        self.answer(ctx, down, answer, Outcome::Gateway).await
    }

    /// The log phase.
    fn log<D: Downstream>(
        &self,
        ctx: &Ctx<'a>,
        down: &D,
        status: StatusCode,
        outcome: Outcome,
        timing: &Timing,
    ) {
        let (bytes_in, bytes_out) = down.traffic();
        let asked =
            outcome == Outcome::Upstream || (outcome == Outcome::Failed && !timing.upstream.is_zero());
        let finished = Finished {
            status,
            outcome,
            total: ctx.started.elapsed(),
            gateway: timing.gateway,
            upstream: asked.then_some(timing.upstream),
            bytes_in,
            bytes_out,
        };
        self.worker.stats.count(status);
        // Where no route was found, no plugin was asked to take part; those for everything hear of it all the same.
        let unrouted = if ctx.route.is_none() { self.snapshot.global_plugins() } else { &[] };
        for instance in self.ran.iter().copied().chain(unrouted).filter(|instance| instance.phases.log) {
            instance.plugin.log(ctx, &finished);
        }
    }
}

/// How long each side took.
struct Timing {
    /// Until the service was turned to.
    gateway: Duration,
    /// From then until the head of its response.
    upstream: Duration,
}

impl Timing {
    fn add_headers(&self, headers: &mut Headers, settings: &crate::settings::HeaderSettings) {
        if settings.upstream_latency {
            headers.set("X-Kong-Upstream-Latency", itoa::Buffer::new().format(self.upstream.as_millis()));
        }
        if settings.proxy_latency {
            headers.set("X-Kong-Proxy-Latency", itoa::Buffer::new().format(self.gateway.as_millis()));
        }
    }
}

/// Who broke off an answer under way.
enum Blame {
    Client,
    Upstream(Failure),
}

/// Where a request's body comes from: memory, if all of it is there; else what was read ahead, then the client.
struct Source<'d, D> {
    whole: Option<Whole>,
    start: Option<Whole>,
    down: &'d mut D,
}

impl<D: Downstream> Source<'_, D> {
    /// Goes back to the beginning. Says whether that is possible.
    fn rewind(&mut self) -> bool {
        match &mut self.whole {
            Some(whole) => {
                whole.rewind();
                true
            }
            None => false,
        }
    }
}

impl<D: Downstream> BodySource for Source<'_, D> {
    fn poll_body(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<bool, BodyError>> {
        if let Some(whole) = &mut self.whole {
            return whole.poll_body(cx);
        }
        if let Some(start) = &mut self.start {
            if !start.body().is_empty() {
                return Poll::Ready(Ok(true));
            }
            self.start = None;
        }
        self.down.poll_body(cx)
    }

    fn body(&self) -> &[u8] {
        match (&self.whole, &self.start) {
            (Some(whole), _) => whole.body(),
            (None, Some(start)) => start.body(),
            (None, None) => self.down.body(),
        }
    }

    fn used(&mut self, count: usize) {
        match (&mut self.whole, &mut self.start) {
            (Some(whole), _) => whole.used(count),
            (None, Some(start)) => start.used(count),
            (None, None) => self.down.used(count),
        }
    }
}

/// A body that was read into memory.
enum Collected {
    Whole(Bytes),
    /// More than fits: this is how it begins.
    Part(Bytes),
}

async fn collect<D: Downstream>(down: &mut D, limit: usize) -> Result<Collected, BodyError> {
    let mut bytes = BytesMut::new();
    poll_fn(|cx| poll_collect(cx, down, &mut bytes, limit)).await
}

/// What of a body is here already.
async fn collect_ready<D: Downstream>(down: &mut D, limit: usize) -> Result<Collected, BodyError> {
    let mut bytes = BytesMut::new();
    poll_fn(|cx| match poll_collect(cx, down, &mut bytes, limit) {
        Poll::Pending => Poll::Ready(Ok(Collected::Part(std::mem::take(&mut bytes).freeze()))),
        ready => ready,
    })
    .await
}

fn poll_collect<D: Downstream>(
    cx: &mut std::task::Context<'_>,
    down: &mut D,
    bytes: &mut BytesMut,
    limit: usize,
) -> Poll<Result<Collected, BodyError>> {
    loop {
        match std::task::ready!(down.poll_body(cx)) {
            Ok(false) => return Poll::Ready(Ok(Collected::Whole(std::mem::take(bytes).freeze()))),
            Ok(true) if bytes.len() >= limit => {
                return Poll::Ready(Ok(Collected::Part(std::mem::take(bytes).freeze())));
            }
            Ok(true) => {
                let piece = down.body();
                let count = piece.len();
                bytes.extend_from_slice(piece);
                down.used(count);
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
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

/// A request's header fields as the router asks for them.
struct Fields<'a>(&'a Headers);

impl weir_router::Headers for Fields<'_> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.get_all(name).any(test)
    }
}

fn is_grpc(headers: &Headers) -> bool {
    headers.get("Content-Type").is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

fn grpc(scheme: Scheme) -> Protocol {
    match scheme {
        Scheme::Http => Protocol::Grpc,
        Scheme::Https => Protocol::Grpcs,
    }
}

/// Whether sending the request twice does no more than sending it once (RFC 9110, 9.2.2).
fn idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS)
}

/// Whether another attempt may help, and can do no harm.
fn retriable(failure: &Failure, method: &Method) -> bool {
    match failure {
        Failure::Connect(_) => true,
        Failure::Lost(_) | Failure::Timeout => idempotent(method),
        Failure::Resolve(_) | Failure::Invalid(_) => false,
    }
}

/// The answer to a request that came by the wrong protocol for its route.
fn refuse_protocol(refusal: RouteRefusal, route: &Route, ctx: &Ctx<'_>) -> Answer {
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

/// Whether a service's header field goes back to the client. Those of the connection end here, and those that speak to
/// a gateway of another make.
fn comes_back(name: &str, status: StatusCode) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    !match name.len() {
        7 => is("upgrade") && status != StatusCode::SWITCHING_PROTOCOLS,
        10 => is("connection") || is("keep-alive"),
        15 => is("x-accel-charset") || is("x-accel-expires"),
        16 => is("x-accel-redirect") || is("proxy-connection"),
        17 => is("transfer-encoding") || is("x-accel-buffering"),
        18 => is("x-accel-limit-rate"),
        _ => false,
    }
}
