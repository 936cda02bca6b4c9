//! The gateway as a whole: starts workers, tells them what is new, ends them.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::config::Snapshot;
use crate::listener;
use crate::request_id::RequestIds;
use crate::settings::Listen;
use crate::stats::{Stats, WorkerStats};
use crate::tls::{self, Certificate};
use crate::usage::Usage;
use crate::worker::{Current, Worker};

/// How often a worker tidies up: closes connections to services that nobody used.
const TIDY: Duration = Duration::from_secs(5);

/// Why a gateway does not start, or does not listen where it should. The operating system's reason is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on. The operator's fault, or another program's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate cannot be used. The operator's fault.
    #[error("the certificate cannot be used")]
    Certificate(#[from] rustls::Error),
    /// A worker cannot be started. The host's fault.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

/// Where the gateway listens, in the order in which it was told to. Port 0 has become a real one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// In the clear.
    pub plain: Vec<SocketAddr>,
    /// With TLS.
    pub tls: Vec<SocketAddr>,
}

/// A running gateway.
pub struct Gateway {
    current: Arc<Current>,
    workers: Vec<Running>,
    certificate: Arc<Certificate>,
    usage: Arc<Usage>,
    listening: HashMap<Listen, SocketAddr>,
}

/// A worker, from outside.
struct Running {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    stats: Arc<WorkerStats>,
}

/// What a worker can be told.
enum Command {
    /// Listen on this socket as well.
    Listen { listen: Listen, socket: StdListener, tls: Option<tls::ServerConfigs> },
    /// Listen there no longer. Connections that it let in go on.
    Unlisten(Listen),
    /// Let go of what is no longer in force.
    Refresh,
    /// Stop listening, finish what was begun, end. Say so when that is done.
    Drain { done: oneshot::Sender<()> },
}

impl Gateway {
    /// Starts this many workers, which listen nowhere yet. TLS listeners will show the certificate.
    ///
    /// # Errors
    /// When the host has no threads or descriptors for them.
    pub fn start(
        workers: usize,
        snapshot: Arc<Snapshot>,
        certificate: Arc<Certificate>,
    ) -> Result<Self, Error> {
        let current = Arc::new(Current::new(snapshot));
        let usage = Arc::new(Usage::default());
        let start = |number| Running::start(number, &current, &usage);
        let workers = (0..workers.max(1)).map(start).collect::<Result<_, _>>()?;
        Ok(Self { current, workers, certificate, usage, listening: HashMap::new() })
    }

    /// Listens here and nowhere else. Addresses that are listened on already stay as they are.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the certificate cannot be used. Nothing changes then.
    pub fn listen(&mut self, wanted: &[Listen]) -> Result<Listeners, Error> {
        let mut sockets = Vec::new();
        for listen in wanted.iter().filter(|listen| !self.listening.contains_key(listen)) {
            let tls =
                listen.tls.then(|| tls::ServerConfigs::new(&self.certificate, listen.http2)).transpose()?;
            let (address, bound) = self.bind(listen)?;
            sockets.push((listen.clone(), address, bound, tls));
        }
        for (listen, address, bound, tls) in sockets {
            for (worker, socket) in self.workers.iter().zip(bound) {
                worker.tell(Command::Listen { listen: listen.clone(), socket, tls: tls.clone() });
            }
            self.listening.insert(listen, address);
        }
        let gone: Vec<Listen> =
            self.listening.keys().filter(|listen| !wanted.contains(listen)).cloned().collect();
        for listen in gone {
            self.listening.remove(&listen);
            self.workers.iter().for_each(|worker| worker.tell(Command::Unlisten(listen.clone())));
        }
        let mut listeners = Listeners::default();
        for listen in wanted {
            if let Some(address) = self.listening.get(listen) {
                let list = if listen.tls { &mut listeners.tls } else { &mut listeners.plain };
                list.push(*address);
            }
        }
        Ok(listeners)
    }

    /// A socket for each worker, all on one port.
    fn bind(&self, listen: &Listen) -> Result<(SocketAddr, Vec<StdListener>), Error> {
        let wrong = |source| Error::Listen { address: listen.address, source };
        // SO_REUSEPORT would let two gateways of one user share a port without noticing: a socket without it finds out.
        if listen.address.port() != 0 {
            drop(StdListener::bind(listen.address).map_err(wrong)?);
        }
        let first = listener::bind(listen).map_err(wrong)?;
        let address = first.local_addr().map_err(wrong)?;
        let same = Listen { address, ..listen.clone() };
        let mut bound = vec![first];
        while bound.len() < self.workers.len() {
            bound.push(listener::bind(&same).map_err(wrong)?);
        }
        Ok((address, bound))
    }

    /// Puts a snapshot in force. Every request that begins after this returns sees it.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.current.publish(snapshot);
        self.workers.iter().for_each(|worker| worker.tell(Command::Refresh));
    }

    /// What the workers count.
    pub fn stats(&self) -> Stats {
        Stats::sum(self.workers.iter().map(|worker| &*worker.stats))
    }

    /// Which credentials were used, as far as the workers have told: all but the last seconds.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Ends the gateway: no new connections, requests under way are finished, for as long as `patience` lasts.
    /// Says whether all were.
    pub async fn shutdown(mut self, patience: Duration) -> bool {
        let waiting: Vec<_> = self
            .workers
            .iter()
            .map(|worker| {
                let (done, waiting) = oneshot::channel();
                worker.tell(Command::Drain { done });
                waiting
            })
            .collect();
        let deadline = Instant::now() + patience;
        let mut all = true;
        for waiting in waiting {
            all &= tokio::time::timeout_at(deadline.into(), waiting).await.is_ok_and(|done| done.is_ok());
        }
        if all {
            for worker in &mut self.workers {
                if let Some(thread) = worker.thread.take() {
                    all &= thread.join().is_ok();
                }
            }
        }
        all
    }
}

impl Running {
    fn start(number: usize, current: &Arc<Current>, usage: &Arc<Usage>) -> Result<Self, Error> {
        let (commands, orders) = mpsc::unbounded_channel();
        let stats = Arc::new(WorkerStats::default());
        let runtime = tokio::runtime::Builder::new_current_thread();
        let thread = std::thread::Builder::new().name(format!("weir-worker-{number}")).spawn({
            let shared = (Arc::clone(current), Arc::clone(&stats), Arc::clone(usage));
            move || run(runtime, number, shared, orders)
        });
        Ok(Self { commands, thread: Some(thread.map_err(Error::Worker)?), stats })
    }

    fn tell(&self, command: Command) {
        // A worker that is gone needs no telling.
        let _ = self.commands.send(command);
    }
}

/// A worker's thread.
fn run(
    mut runtime: tokio::runtime::Builder,
    number: usize,
    (current, stats, usage): (Arc<Current>, Arc<WorkerStats>, Arc<Usage>),
    orders: mpsc::UnboundedReceiver<Command>,
) {
    let runtime = runtime.enable_io().enable_time().on_thread_unpark(clock::tick);
    let runtime = match runtime.build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, number, "a worker has no event loop"),
    };
    runtime.block_on(async move {
        tls::watch();
        let ids = RequestIds::new(u16::try_from(number).unwrap_or(u16::MAX));
        let worker = Rc::new(Worker::new(current, stats, usage, ids, Rc::default()));
        obey(worker, orders).await;
    });
}

/// Does what a worker is told, until it is told to end.
async fn obey(worker: Rc<Worker>, mut orders: mpsc::UnboundedReceiver<Command>) {
    let mut listening: HashMap<Listen, oneshot::Sender<()>> = HashMap::new();
    let mut tidy = tokio::time::interval(TIDY);
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            _ = tidy.tick() => {
                worker.sweep();
                continue;
            }
        };
        match order {
            Some(Command::Listen { listen, socket, tls }) => {
                let socket = match TcpListener::from_std(socket) {
                    Ok(socket) => socket,
                    Err(error) => {
                        tracing::error!(%error, address = %listen.address, "cannot listen");
                        continue;
                    }
                };
                let (stop, stopped) = oneshot::channel();
                let stopped = async {
                    // An error means that whoever could say so is gone, which says the same.
                    let _ = stopped.await;
                };
                let accepting = listener::accept(socket, tls, listen.http2, Rc::clone(&worker), stopped);
                tokio::task::spawn_local(accepting);
                listening.insert(listen, stop);
            }
            Some(Command::Unlisten(listen)) => drop(listening.remove(&listen)),
            Some(Command::Refresh) => worker.refresh(),
            Some(Command::Drain { done }) => {
                listening.clear();
                worker.drain();
                // Listeners let in what waits; then the last connection ends the worker.
                loop {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if worker.open() == 0 {
                        break;
                    }
                }
                worker.sweep();
                let _ = done.send(());
                return;
            }
            None => return,
        }
    }
}
