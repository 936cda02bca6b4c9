//! The life of a request: found its route, taken through its plugins, sent to its service, and the answer back.
//!
//! A request sees one snapshot of the configuration from beginning to end. Everything that it needs of it is borrowed;
//! between its first byte and its last nothing is locked, and nothing shared with another worker is written.

mod answering;
mod proxying;
mod source;

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use smallvec::SmallVec;
use weir_model::typed::{Protocol, Route};
use weir_plugin::{Answer, Client, Ctx, Finished, Flow, Headers, Outcome, Scheme};
use weir_router::Arrival;
use weir_router::path::PathError;

pub(crate) use self::answering::refuse;
use self::source::{Collected, collect};
use crate::answer::Form;
use crate::body::BodyError;
use crate::clock;
use crate::config::{Instance, Snapshot, Target};
use crate::forward;
use crate::http1::Framing;
use crate::http1::request::RequestHead;
use crate::server::Downstream;
use crate::settings::HeaderSettings;
use crate::upstream::exchange::Exchange;
use crate::worker::Worker;

/// What becomes of the client's connection.
pub(crate) enum Next {
    /// The next request may come.
    Keep,
    /// It ends here, with nothing more to say.
    Close,
    /// It becomes a tunnel to the service.
    Tunnel(Box<Exchange>),
}

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
    let behind = behind.map(|ip| Client { ip, ip_text: ip.to_string().into(), ..client.clone() });
    let (upstream_target, response) = worker.spare_memory();
    let mut ctx = Ctx {
        id: worker.request_id(),
        client: behind.as_ref().unwrap_or(client),
        method: std::mem::take(&mut head.method),
        target: std::mem::take(&mut head.target),
        host: std::mem::take(&mut head.host),
        headers: std::mem::take(&mut head.headers),
        body: None,
        started: clock::now(),
        started_ms: clock::unix_ms(),
        route: None,
        service: None,
        upstream_target,
        identity: None,
        subject: None,
        groups: None,
        response,
        directory: snapshot,
    };
    forward::drop_connection_named(&mut ctx.headers);
    worker.stats.requests.add(1);
    let grpc = is_grpc(&ctx.headers);
    let mut life = Life { worker, snapshot, ran: Ran::new(), host_port: head.host_port, grpc };
    let next = life.run(&mut ctx, down).await;
    if let Some(credential) = ctx.identity.and_then(|identity| identity.credential) {
        worker.usage.note(credential.id);
    }
    head.method = ctx.method;
    head.target = ctx.target;
    head.host = ctx.host;
    head.headers = ctx.headers;
    worker.return_memory(ctx.upstream_target, ctx.response);
    next
}

/// What a request finds out on its way.
struct Life<'a> {
    worker: &'a Rc<Worker>,
    snapshot: &'a Snapshot,
    ran: Ran<'a>,
    host_port: Option<u16>,
    /// Whether it says that it is gRPC.
    grpc: bool,
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
    target: Option<&'a Target>,
    prefix: Prefix,
}

/// What was cut off the front of the path.
enum Prefix {
    Nothing,
    /// So many bytes of the target as the client wrote it.
    Front(usize),
    /// This, which the client wrote in another way.
    Text(String),
}

impl Prefix {
    fn of<'t>(&'t self, target: &'t str) -> Option<&'t str> {
        match self {
            Self::Nothing => None,
            Self::Front(count) => target.get(..*count),
            Self::Text(text) => Some(text),
        }
    }
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
        ctx.service = found.target.map(|target| &target.service);
        match self.access(ctx, found.route, down).await {
            Ok(None) => {}
            Ok(Some(answer)) => return self.answer(ctx, down, *answer, Outcome::Gateway).await,
            Err(error) => return self.blame_client(ctx, down, &error).await,
        }
        let Some(target) = found.target else {
            let answer =
                Answer::message(StatusCode::SERVICE_UNAVAILABLE, "no Service found with those values");
            return self.answer(ctx, down, answer, Outcome::Gateway).await;
        };
        if !matches!(target.service.protocol, Protocol::Http | Protocol::Https) {
            tracing::warn!(request_id = ctx.id.as_str(), service = %target.service.id, "the service speaks a protocol that is not served");
            let answer = Answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable");
            return self.answer(ctx, down, answer, Outcome::Gateway).await;
        }
        self.proxy(ctx, down, target, found.route, &found.prefix).await
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
        let arrival = Arrival { tls: self.came_by_tls(ctx), http2, grpc: self.grpc };
        let route = &**matched.payload();
        if let Err(refusal) = matched.admit(arrival) {
            return Err(NotFound::Answer(Box::new(answering::refuse_protocol(refusal, route, ctx))));
        }
        let target = route.service.and_then(|id| self.snapshot.service(&id));
        let base = target.and_then(|target| target.service.path.as_deref());
        let onward = weir_router::path::upstream_path(base, &path, matched.path_end(), route.strip_path);
        ctx.upstream_target.clear();
        ctx.upstream_target.push_str(&onward);
        ctx.upstream_target.push_str(query);
        let prefix = if route.strip_path && matched.path_end() > 1 {
            match (&path, weir_router::path::escape(matched.matched_path())) {
                (Cow::Borrowed(_), Cow::Borrowed(same)) => Prefix::Front(same.len()),
                (_, escaped) => Prefix::Text(escaped.into_owned()),
            }
        } else {
            Prefix::Nothing
        };
        Ok(Found { route, target, prefix })
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
        let protocol = if self.grpc { grpc(ctx.client.scheme) } else { ctx.protocol() };
        let mut order = self.snapshot.plugins(protocol, route);
        let mut answer = None;
        while let Some(instance) = order.next(ctx.consumer().map(|consumer| consumer.id.as_bytes())) {
            self.ran.push(instance);
            if answer.is_some() || !instance.phases.access {
                continue;
            }
            if instance.phases.body && ctx.body.is_none() && instance.plugin.reads_body(ctx) {
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

    /// The header_filter phase, whoever made the answer.
    fn filter(&self, ctx: &mut Ctx<'a>, headers: &mut Headers) {
        for (name, value) in ctx.response.iter() {
            // There are as many cookies as are set; of any other field the plugins' word is the last.
            match name.eq_ignore_ascii_case(b"set-cookie") {
                true => headers.append(name, value),
                false => headers.set(name, value),
            }
        }
        for instance in self.ran.iter().filter(|instance| instance.phases.header_filter) {
            instance.plugin.header_filter(ctx, headers);
        }
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
            total: clock::now().duration_since(ctx.started),
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
    fn add_headers(&self, headers: &mut Headers, settings: &HeaderSettings) {
        if settings.upstream_latency {
            headers.append("X-Kong-Upstream-Latency", itoa::Buffer::new().format(self.upstream.as_millis()));
        }
        if settings.proxy_latency {
            headers.append("X-Kong-Proxy-Latency", itoa::Buffer::new().format(self.gateway.as_millis()));
        }
    }
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
