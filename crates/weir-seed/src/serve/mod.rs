//! A server of seeds over HTTPS, for `pollinate` and `weir seed fetch`.
//!
//! Contract: every answer holds fresh bytes of this host's kernel, and nothing is kept of it. A peer takes a bounded place: so
//! many connections, so many answers a second, so many bytes of a request, so much time for each step. What peers did is
//! counted and logged by address and status; never a seed, never a challenge, nor anything else that they sent.
//!
//! Seeds are in memory that is erased, but for the copies that the HTTP and TLS libraries write them from.
//!
//! Absent on purpose: HTTP/2 (one request is all that a client has), threads (one core gives some two thousand seeds a second,
//! each over a connection of its own), a queue: who comes too often is told when to come again.

mod answer;
mod metrics;
mod places;
mod rates;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use weir_kernel::ioctl::Pool;

use self::metrics::{Metrics, Refusal};
use self::places::{Place, Places};
use self::rates::Rates;
pub use self::rates::{Peer, Rate};

/// What peers may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How often one may ask.
    pub peer: Rate,
    /// How often all together may.
    pub overall: Rate,
    /// How many connections may be open.
    pub connections: usize,
    /// How many of one peer.
    pub connections_of_peer: usize,
    /// For each of: the TLS handshake, the head of a request, its body.
    pub patience: Duration,
    /// For all of a connection.
    pub lifetime: Duration,
    /// After the word to stop, for what is under way.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peer: Rate { per_second: 10, burst: 100 },
            overall: Rate { per_second: 1000, burst: 1000 },
            connections: 1024,
            connections_of_peer: 64,
            patience: Duration::from_secs(10),
            lifetime: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

/// A place where something is served.
pub struct Endpoint {
    /// What.
    pub kind: Kind,
    /// Where.
    pub listener: TcpListener,
}

/// What is served at a place.
#[derive(Clone)]
pub enum Kind {
    /// Seeds over TLS.
    Https(TlsAcceptor),
    /// Seeds for a proxy that speaks TLS with the peers.
    Http,
    /// What was counted, at `/metrics`.
    Metrics,
}

/// A server.
pub struct Server {
    limits: Limits,
    trusted: Vec<IpNet>,
    rates: Rates,
    places: Arc<Places>,
    metrics_places: Arc<Places>,
    metrics: Metrics,
    pool: Option<Pool>,
    start: Instant,
}

/// Whoever reads metrics is one or two.
const METRICS_CONNECTIONS: usize = 16;
/// The longest head of a request.
const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;

impl Server {
    /// A server with these limits, for which the proxies in `trusted` networks name their peers in `X-Forwarded-For`.
    #[must_use]
    pub fn new(limits: Limits, trusted: Vec<IpNet>) -> Arc<Self> {
        let pool = Pool::open().inspect_err(|error| tracing::warn!(%error, "challenges are not mixed in"));
        Arc::new(Self {
            rates: Rates::new(limits.peer, limits.overall),
            places: Places::new(limits.connections, limits.connections_of_peer),
            metrics_places: Places::new(METRICS_CONNECTIONS, METRICS_CONNECTIONS),
            metrics: Metrics::default(),
            pool: pool.ok(),
            start: Instant::now(),
            limits,
            trusted,
        })
    }

    /// Serves at these places until `stop` becomes true, or its other end is gone; what is under way is finished.
    pub async fn serve(self: Arc<Self>, endpoints: Vec<Endpoint>, stop: watch::Receiver<bool>) {
        let mut serving = JoinSet::new();
        for endpoint in endpoints {
            serving.spawn(Arc::clone(&self).accept(endpoint, stop.clone()));
        }
        while serving.join_next().await.is_some() {}
    }

    async fn accept(self: Arc<Self>, endpoint: Endpoint, mut stop: watch::Receiver<bool>) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = endpoint.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
                // Connections that ended leave nothing behind.
                Some(_) = open.join_next() => continue,
            };
            match accepted {
                Ok((stream, peer)) => match self.place(&endpoint.kind, peer.ip()) {
                    Ok(place) => {
                        let (server, kind, stop) = (Arc::clone(&self), endpoint.kind.clone(), stop.clone());
                        open.spawn(server.connection(kind, stream, peer, place, stop));
                    }
                    Err(why) => self.metrics.refused(why),
                },
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(endpoint);
        let _ = timeout(self.limits.grace, async { while open.join_next().await.is_some() {} }).await;
    }

    fn place(&self, kind: &Kind, ip: IpAddr) -> Result<Place, Refusal> {
        match kind {
            Kind::Metrics => self.metrics_places.take(None),
            _ if self.is_trusted(ip) => self.places.take(None),
            _ => self.places.take(Some(Peer::from(ip))),
        }
    }

    async fn connection(
        self: Arc<Self>,
        kind: Kind,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
        stop: watch::Receiver<bool>,
    ) {
        let _ = stream.set_nodelay(true);
        let limits = &self.limits;
        let served = timeout(limits.lifetime, async {
            match &kind {
                Kind::Https(tls) => match timeout(limits.patience, tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.speak(&kind, TokioIo::new(stream), peer.ip(), stop).await,
                    _ => self.metrics.refused(Refusal::Handshake),
                },
                Kind::Http | Kind::Metrics => self.speak(&kind, TokioIo::new(stream), peer.ip(), stop).await,
            }
        });
        let _ = served.await;
        drop(place);
    }

    async fn speak<S>(&self, kind: &Kind, stream: S, peer: IpAddr, mut stop: watch::Receiver<bool>)
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin,
    {
        let service = service_fn(async |request| {
            Ok::<_, Infallible>(match kind {
                Kind::Metrics => answer::metrics(self, &request),
                Kind::Http | Kind::Https(_) => answer::answer(self, peer, request).await,
            })
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.patience);
        builder.max_buf_size(MAX_HEAD).max_headers(MAX_FIELDS);
        // A peer comes once; a proxy comes again, and its pauses are no refusals.
        let is_proxy = self.is_trusted(peer);
        builder.keep_alive(is_proxy);
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
        match served.await {
            Err(error) if error.is_timeout() && !is_proxy => self.metrics.refused(Refusal::Timeout),
            Err(error) if error.is_parse() => self.metrics.refused(Refusal::Request),
            _ => {}
        }
    }

    /// Who asks over a connection: for a trusted proxy, whom that names.
    fn peer(&self, from: IpAddr, headers: &HeaderMap) -> IpAddr {
        let from = from.to_canonical();
        let named = if self.is_trusted(from) { answer::forwarded(headers) } else { None };
        named.map_or(from, |ip| ip.to_canonical())
    }

    fn is_trusted(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted.iter().any(|network| network.contains(&ip))
    }
}
