//! From a route to its service and back: the request sent, over as many attempts as it takes, and the answer passed on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Method, StatusCode};
use weir_model::typed::Route;
use weir_plugin::{Ctx, Headers, Outcome};

use super::source::{Collected, Source, collect, collect_ready};
use super::{Life, Next, Prefix, Timing};
use crate::body::{BodyError, Whole};
use crate::clock;
use crate::config::Target;
use crate::forward::{self, Onward};
use crate::http1::Framing;
use crate::server::Downstream;
use crate::settings::HeaderSettings;
use crate::upstream::Failure;
use crate::upstream::exchange::{Broken, Exchange, Limits};
use crate::upstream::pool::Destination;

/// Bodies up to this size are kept so that a request can be sent again.
const REPLAY: u64 = 64 * 1024;

/// Who broke off an answer under way.
enum Blame {
    Client,
    Upstream(Failure),
}

impl<'a> Life<'a> {
    /// Sends the request to its service, and the answer back.
    pub(super) async fn proxy<D: Downstream>(
        &mut self,
        ctx: &mut Ctx<'a>,
        down: &mut D,
        target: &'a Target,
        route: &'a Route,
        prefix: &Prefix,
    ) -> Next {
        let service = &target.service;
        let asked = clock::now();
        let gateway = asked.duration_since(ctx.started);
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
            target,
            settings: &self.snapshot.settings,
            framing,
            prefix: prefix.of(&ctx.target),
            preserve_host: route.preserve_host,
            websocket,
        };
        let mut source =
            Source { whole: ctx.body.clone().map(Whole::new), start: start.map(Whole::new), down };
        match self.exchange(ctx, &onward, &mut source).await {
            Ok((exchange, to)) => {
                let upstream = clock::now().duration_since(asked);
                let timing = Timing { gateway, upstream };
                let Source { whole, start, .. } = source;
                let source = Source { whole, start, down };
                self.relay(ctx, exchange, &to, source, timing).await
            }
            Err(Broken::Client(error)) => self.blame_client(ctx, down, &error).await,
            Err(Broken::Upstream(failure)) => {
                let timing = Timing { gateway, upstream: clock::now().duration_since(asked) };
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
        let service = &onward.target.service;
        let limits = Limits { write: service.write_timeout, read: service.read_timeout };
        let mut failures = 0;
        loop {
            let to = self.worker.destination(onward.target).await?;
            let kept = self.worker.take_connection(&to);
            let from_pool = kept.is_some();
            let connection = match kept {
                Some(connection) => Ok(connection),
                None => {
                    let mut connecting = pin!(self.worker.connect(&to, service.connect_timeout));
                    poll_fn(|cx| match source.down.poll_gone(cx) {
                        Poll::Ready(()) => Poll::Ready(Err(Broken::Client(BodyError::Gone))),
                        Poll::Pending => connecting.as_mut().poll(cx).map(Ok),
                    })
                    .await?
                }
            };
            let failure = match connection {
                Err(failure) => failure,
                Ok(mut connection) => {
                    connection.output().clear();
                    forward::write_head(connection.output(), ctx, onward);
                    let head = self.worker.spare_head();
                    let mut exchange =
                        Exchange::new(connection, ctx.method.clone(), onward.framing, limits, head);
                    let answered = poll_fn(|cx| match source.down.poll_gone(cx) {
                        Poll::Ready(()) => Poll::Ready(Err(Broken::Client(BodyError::Gone))),
                        Poll::Pending => exchange.poll_head(cx, source),
                    });
                    match answered.await {
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
        if exchange.head.length_is_void {
            headers.remove("Content-Length");
        }
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
                    Poll::Pending if down.poll_gone(cx).is_ready() => {
                        return Poll::Ready(Err(Blame::Client));
                    }
                    // What there is goes out while more is awaited.
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
                tracing::warn!(
                    request_id = ctx.id.as_str(),
                    service = ctx.service.and_then(|service| service.name.as_deref()).unwrap_or_default(),
                    host = ctx.service.map(|service| &*service.host).unwrap_or_default(),
                    %failure,
                    "the service's answer broke off"
                );
                // What came of it is the client's; that the rest is missing, it is told by the end.
                let _ = poll_fn(|cx| down.poll_flush(cx)).await;
            }
        }
        down.abort();
        Next::Close
    }

    /// What every answer of a service carries besides its own fields, and the header_filter phase.
    fn finish_headers(&self, ctx: &mut Ctx<'a>, headers: &mut Headers, status: StatusCode, timing: &Timing) {
        let settings = &self.snapshot.settings.headers;
        forward::drop_connection_named(headers);
        let (mut dated, mut came_by) = (false, false);
        headers.retain(|name, _| {
            dated |= name.eq_ignore_ascii_case(b"Date");
            came_by |= name.eq_ignore_ascii_case(b"Via");
            comes_back(name, status, settings)
        });
        if !dated {
            headers.append("Date", self.worker.date());
        }
        if settings.via {
            match headers
                .get_str("Via")
                .filter(|_| came_by)
                .map(|before| format!("{before}, {}", forward::VIA))
            {
                Some(via) => headers.set("Via", via),
                None => headers.append("Via", forward::VIA),
            }
        }
        if settings.upstream_status {
            headers.append("X-Kong-Upstream-Status", status.as_str());
        }
        timing.add_headers(headers, settings);
        if settings.request_id {
            headers.append("X-Kong-Request-Id", ctx.id.as_bytes());
        }
        self.filter(ctx, headers);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            headers.set("Connection", "upgrade");
        }
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

/// Whether a service's header field goes back to the client. Those of the connection end here, those that speak to a
/// gateway of another make, and those that this gateway writes itself.
fn comes_back(name: &[u8], status: StatusCode, own: &HeaderSettings) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    !match name.len() {
        7 => is("upgrade") && status != StatusCode::SWITCHING_PROTOCOLS,
        10 => is("connection") || is("keep-alive"),
        // RFC 9110, 8.6.
        14 => is("content-length") && (status == StatusCode::NO_CONTENT || status.is_informational()),
        15 => is("x-accel-charset") || is("x-accel-expires"),
        16 => is("x-accel-redirect") || is("proxy-connection"),
        17 => is("transfer-encoding") || is("x-accel-buffering") || own.request_id && is("x-kong-request-id"),
        18 => is("x-accel-limit-rate"),
        20 => own.proxy_latency && is("x-kong-proxy-latency"),
        22 => own.upstream_status && is("x-kong-upstream-status"),
        23 => own.upstream_latency && is("x-kong-upstream-latency"),
        _ => false,
    }
}
