//! A worker: a thread with an event loop, listeners, connections and everything that requests need, all its own.
//!
//! Workers share the snapshot of the configuration, which they only read, and nothing else on a request's way.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use weir_plugin::{Headers, RequestId};

use crate::clock;
use crate::config::{Snapshot, Target};
use crate::http1::response::ResponseHead;
use crate::request_id::RequestIds;
use crate::settings::Keepalive;
use crate::stats::WorkerStats;
use crate::tls::ClientConfigs;
use crate::upstream::Failure;
use crate::upstream::connect::connect;
use crate::upstream::exchange::{Broken, Connection};
use crate::upstream::pool::{Destination, Pool};
use crate::upstream::resolve::Resolver;
use crate::usage::{OwnUsage, Usage};

/// The configuration in force, for all workers.
pub(crate) struct Current {
    snapshot: ArcSwap<Snapshot>,
    version: AtomicU64,
}

impl Current {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot: ArcSwap::new(snapshot), version: AtomicU64::new(0) }
    }

    /// Puts a snapshot in force. Requests that begin after this returns see it.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A worker's own handle on what all share.
    fn load(&self) -> Snapshot {
        Snapshot::clone(&self.snapshot.load())
    }
}

/// A worker's own.
pub(crate) struct Worker {
    current: Arc<Current>,
    /// The snapshot last seen, and its version: the shared one is touched only when the version moved on.
    seen: RefCell<(u64, Rc<Snapshot>)>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) usage: OwnUsage,
    all_usage: Arc<Usage>,
    pub(crate) tls: Rc<ClientConfigs>,
    pool: RefCell<Pool>,
    resolver: Resolver,
    ids: RefCell<RequestIds>,
    draining: Cell<bool>,
    /// Connections, with what wakes them.
    connections: RefCell<HashMap<u64, Waker>>,
    next_connection: Cell<u64>,
    date: Cell<(u64, [u8; 29])>,
    heads: RefCell<Vec<ResponseHead>>,
    /// For requests to come: memory for a target, and for fields of an answer.
    spare: RefCell<Vec<(String, Headers)>>,
}

/// Memory of this many requests at once is kept to be used again.
const SPARE: usize = 64;

impl Worker {
    pub(crate) fn new(
        current: Arc<Current>,
        stats: Arc<WorkerStats>,
        all_usage: Arc<Usage>,
        ids: RequestIds,
        tls: Rc<ClientConfigs>,
    ) -> Self {
        let seen = RefCell::new((current.version.load(Ordering::Acquire), Rc::new(current.load())));
        Self {
            current,
            seen,
            stats,
            usage: OwnUsage::default(),
            all_usage,
            tls,
            pool: RefCell::default(),
            resolver: Resolver::default(),
            ids: RefCell::new(ids),
            draining: Cell::new(false),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            date: Cell::new((0, [0; 29])),
            heads: RefCell::default(),
            spare: RefCell::default(),
        }
    }

    /// The configuration in force.
    pub(crate) fn snapshot(&self) -> Rc<Snapshot> {
        let version = self.current.version.load(Ordering::Acquire);
        let mut seen = self.seen.borrow_mut();
        if seen.0 != version {
            *seen = (version, Rc::new(self.current.load()));
        }
        Rc::clone(&seen.1)
    }

    /// Lets go of a snapshot that is no longer in force, so that an idle worker does not keep it in memory.
    pub(crate) fn refresh(&self) {
        drop(self.snapshot());
    }

    /// An id for a request.
    pub(crate) fn request_id(&self) -> RequestId {
        self.ids.borrow_mut().next()
    }

    /// Whether the worker is about to end: connections close as soon as they owe nobody an answer.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Begins to end.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        for waker in self.connections.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Registers the connection whose task calls this, until what it gets is dropped.
    pub(crate) async fn register(self: &Rc<Self>) -> Registered {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let number = self.next_connection.get();
        self.next_connection.set(number + 1);
        self.connections.borrow_mut().insert(number, waker);
        self.stats.accepted.add(1);
        self.stats.active.add(1);
        Registered { worker: Rc::clone(self), number }
    }

    /// Where requests for a service go.
    pub(crate) async fn destination(&self, target: &Target) -> Result<Destination, Broken> {
        let address: SocketAddr = match target.address {
            Some(address) => address,
            None => self.resolver.resolve(&target.service.host, target.service.port).await?,
        };
        Ok(Destination { address, tls: target.tls.clone() })
    }

    pub(crate) fn take_connection(&self, to: &Destination) -> Option<Box<Connection>> {
        self.pool.borrow_mut().take(to)
    }

    pub(crate) fn keep_connection(&self, to: &Destination, connection: Box<Connection>, limits: Keepalive) {
        if !self.is_draining() {
            self.pool.borrow_mut().put(to, connection, limits, clock::now());
        }
    }

    pub(crate) async fn connect(
        &self,
        to: &Destination,
        limit: Duration,
    ) -> Result<Box<Connection>, Failure> {
        connect(to, limit, &self.tls).await
    }

    /// Closes connections to services that waited for too long, and hands over which credentials were used.
    pub(crate) fn sweep(&self) {
        self.usage.hand_over(&self.all_usage);
        let idle = self.snapshot().settings.keepalive.idle;
        self.pool.borrow_mut().sweep(idle);
    }

    /// The time as HTTP writes it (RFC 9110, 5.6.7).
    pub(crate) fn date(&self) -> [u8; 29] {
        let now = clock::unix_ms() / 1000;
        let (seconds, date) = self.date.get();
        if seconds == now {
            return date;
        }
        let text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(now));
        let mut date = [b' '; 29];
        date.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        self.date.set((now, date));
        date
    }

    pub(crate) fn spare_head(&self) -> ResponseHead {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn return_head(&self, head: ResponseHead) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < SPARE {
            heads.push(head);
        }
    }

    pub(crate) fn spare_memory(&self) -> (String, Headers) {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn return_memory(&self, target: String, mut fields: Headers) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            fields.clear();
            spare.push((target, fields));
        }
    }
}

/// A connection that its worker knows of.
pub(crate) struct Registered {
    worker: Rc<Worker>,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(&self.number);
        self.worker.stats.active.sub(1);
    }
}
