//! A client: asks several servers at once, mixes what comes into this host's pool, and is done when its time is over.
//!
//! Contract: [`Fetch::run`] returns by its deadline, whatever holds a server up: a resolver that hangs, a connection that says
//! nothing, a kernel that is not ready. Each server is asked on a thread of its own, and a thread that is still held up
//! then is left behind; whoever runs this ends the process soon.
//!
//! What is mixed in is SHA-512 of the challenge, all that came over the connection, and the moment it came: 64 bytes, of
//! which none is credited. An answer that is not for our challenge, or holds no seed, is refused and not mixed in: it could
//! do no harm, but it would be noted as a seed, which it is not.
//!
//! TLS needs randomness of its own: a key that can be guessed keeps no seed secret. So before the kernel is ready a thread
//! waits for it, which from Linux 5.4 on makes it gather, and goes on when it is; there is no TLS on a weaker source. Plain
//! HTTP, which keeps nothing secret, goes on at once.
//!
//! At a boot the network may come up later than this starts. A client that waits looks for it again and again within its time:
//! bounded, as the wait for a system that calls itself online is not.
//!
//! Absent on purpose: credit, which nothing that came over a network earns; redirects and proxies; asking a server again
//! that was reached.

pub mod config;
mod http;
pub mod mark;
mod server;
mod trust;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sha2::{Digest, Sha512};
use weir_kernel::clock;
use weir_kernel::ioctl::PoolError;
use zeroize::Zeroizing;

pub use self::http::{HttpError, MAX_BYTES, Reply, reply};
pub use self::server::{Server, ServerError};
pub use self::trust::{Pin, PinError, Trust};
use crate::pollen::{self, AnswerError, Challenge};
use crate::receive::{self, Given};

/// The way's name in the notes of arrivals.
const WAY: &str = "fetch";
/// Servers beyond these are not asked.
pub const MOST_SERVERS: usize = 16;

/// What to fetch from whom.
pub struct Fetch {
    /// The servers; the first [`MOST_SERVERS`] of them are asked, all at once.
    pub servers: Vec<Server>,
    /// Whom to believe.
    pub trust: Trust,
    /// The cryptography of TLS.
    pub provider: Arc<CryptoProvider>,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Whether to try again, as long as there is time, a server that cannot be looked up or reached.
    pub wait: bool,
    /// Where the note of an arrival is kept: `/` but for tests.
    pub root: PathBuf,
}

/// A seed that is in the pool.
#[derive(Debug)]
pub struct Fetched {
    /// What the kernel did with it.
    pub given: Given,
    /// Whether `weir doctor` can see it.
    pub noted: io::Result<()>,
    /// How long the server took.
    pub took: Duration,
}

/// Why a server's seed is not in the pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It is not whom we believe, or speaks no TLS with us.
    #[error("{0}")]
    Tls(String),
    /// It is none of HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It refuses.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It sends elsewhere.
    #[error("it redirects to {0}; redirects are not followed: name that server itself")]
    Redirect(String),
    /// It answered with something else.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// It answered with a page for people.
    #[error("it answered with a web page: is this a network that wants a login first?")]
    WebPage,
    /// It was not done in time.
    #[error("no answer within {} s, {during}", limit.as_secs_f64())]
    Late {
        /// How long was waited.
        limit: Duration,
        /// During what.
        during: &'static str,
    },
    /// Its answer could not be mixed in.
    #[error("its seed could not be mixed in: {0}")]
    Pool(#[from] PoolError),
}

/// What a thread is about.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Phase {
    Trust,
    Name,
    Connect,
    Ready,
    Tls,
    Answer,
}

impl Phase {
    const ALL: [Self; 6] = [Self::Trust, Self::Name, Self::Connect, Self::Ready, Self::Tls, Self::Answer];

    fn during(self) -> &'static str {
        match self {
            Self::Trust => "while reading whom to trust",
            Self::Name => "while looking up its name",
            Self::Connect => "while connecting",
            Self::Ready => {
                "while waiting for the kernel's own randomness, which TLS needs: see `weir doctor`"
            }
            Self::Tls => "while agreeing on keys",
            Self::Answer => "while waiting for its answer",
        }
    }
}

/// What came, before it is given to the kernel.
struct Came {
    mix: Zeroizing<[u8; 64]>,
    took: Duration,
}

/// Which server, and what came of it.
type Said = (usize, Result<Came, FetchError>);

impl Fetch {
    /// Asks all of them; `done` is called for each, in the order in which they are done. Returns how many seeds are in.
    pub fn run(&self, mut done: impl FnMut(&Server, Result<Fetched, FetchError>)) -> usize {
        let start = Instant::now();
        let until = start + self.timeout;
        let servers = self.servers.get(..MOST_SERVERS).unwrap_or(&self.servers);
        if servers.iter().any(|server| !server.is_plain()) && !weir_kernel::is_ready() {
            let timeout = self.timeout;
            // Somebody has to wait for a kernel that gathers only then; meanwhile the network comes up.
            let _ = thread::Builder::new().spawn(move || weir_kernel::wait_ready(timeout));
        }
        let (say, hear) = mpsc::channel();
        let mut waiting = self.ask(servers, start, &say);
        drop(say);
        let mut arrived = 0;
        while let Ok((at, came)) = hear.recv_timeout(until.saturating_duration_since(Instant::now())) {
            let (Some(server), Some(waits)) = (servers.get(at), waiting.get_mut(at)) else { continue };
            let fetched = came.and_then(|came| self.mix(server, &came));
            arrived += usize::from(fetched.is_ok());
            let phase = waits.take();
            done(server, fetched.map_err(|error| self.late(error, phase.as_deref())));
        }
        for (server, phase) in servers.iter().zip(waiting) {
            if let Some(phase) = phase {
                done(server, Err(self.late_in(&phase)));
            }
        }
        arrived
    }

    /// Starts a thread for each server, and gives where each of them is.
    fn ask(
        &self,
        servers: &[Server],
        start: Instant,
        say: &mpsc::Sender<Said>,
    ) -> Vec<Option<Arc<AtomicU8>>> {
        let config = Arc::new(OnceLock::new());
        let one = |(at, server): (usize, &Server)| {
            let phase = Arc::new(AtomicU8::new(Phase::Trust as u8));
            let ask = Ask {
                server: server.clone(),
                trust: self.trust.clone(),
                provider: Arc::clone(&self.provider),
                config: Arc::clone(&config),
                phase: Arc::clone(&phase),
                until: start + self.timeout,
                wait: self.wait,
                root: self.root.clone(),
            };
            let thread_say = say.clone();
            let started = thread::Builder::new().name("fetch".to_owned()).spawn(move || {
                let came = ask.ask(start);
                // Nobody listens any more when the time is over.
                let _ = thread_say.send((at, came));
            });
            if let Err(error) = started {
                let _ = say.send((at, Err(FetchError::Unreachable(error.to_string()))));
            }
            Some(phase)
        };
        servers.iter().enumerate().map(one).collect()
    }

    fn mix(&self, server: &Server, came: &Came) -> Result<Fetched, FetchError> {
        let given = receive::give(came.mix.as_ref(), 0)?;
        let noted = receive::note(&self.root, &given.arrival(WAY, &server.to_string()));
        Ok(Fetched { given, noted, took: came.took })
    }

    /// A time limit of a socket that struck is the same as ours.
    fn late(&self, error: FetchError, phase: Option<&AtomicU8>) -> FetchError {
        match (error, phase) {
            (FetchError::Http(HttpError::Io(error)), Some(phase)) if is_late(&error) => self.late_in(phase),
            (error, _) => error,
        }
    }

    fn late_in(&self, phase: &AtomicU8) -> FetchError {
        let phase =
            Phase::ALL.get(usize::from(phase.load(Ordering::Relaxed))).copied().unwrap_or(Phase::Trust);
        FetchError::Late { limit: self.timeout, during: phase.during() }
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// One server, asked on a thread of its own.
struct Ask {
    server: Server,
    trust: Trust,
    provider: Arc<CryptoProvider>,
    config: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
    phase: Arc<AtomicU8>,
    until: Instant,
    wait: bool,
    root: PathBuf,
}

impl Ask {
    fn ask(&self, start: Instant) -> Result<Came, FetchError> {
        let mut stream = Bounded { stream: self.reach()?, until: self.until };
        if self.server.is_plain() {
            return self.exchange(&mut stream, start);
        }
        self.now(Phase::Trust);
        let config = self.config.get_or_init(|| self.trust.config(Arc::clone(&self.provider)));
        let config = config.clone().map_err(FetchError::Tls)?;
        self.now(Phase::Ready);
        weir_kernel::wait_ready(self.left()).map_err(|error| self.not_ready(error))?;
        self.now(Phase::Tls);
        let mut stream = self.shake_hands(config, stream)?;
        self.exchange(&mut stream, start)
    }

    /// A connection. A client that waits stops a little before its time is over, to say why.
    fn reach(&self) -> Result<TcpStream, FetchError> {
        const PAUSE: Duration = Duration::from_millis(200);
        loop {
            self.now(Phase::Name);
            let addresses = self.server.resolve().map_err(FetchError::Unreachable);
            let reached = addresses.and_then(|addresses| {
                self.now(Phase::Connect);
                self.connect(&addresses)
            });
            match reached {
                Err(FetchError::Unreachable(_)) if self.wait && self.left() > 2 * PAUSE => {
                    thread::sleep(PAUSE)
                }
                reached => return reached,
            }
        }
    }

    fn now(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn not_ready(&self, error: weir_kernel::Error) -> FetchError {
        match error {
            // Then the time is over.
            weir_kernel::Error::NotReady => io::Error::from(io::ErrorKind::TimedOut).into(),
            other => FetchError::Tls(format!("TLS needs randomness: {other}")),
        }
    }

    /// The first address that takes the connection. Each has its share of what is left, so that a dead one leaves time for
    /// the others.
    fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
        let mut last = None;
        for (tried, address) in addresses.iter().enumerate() {
            let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = self.left() / others;
            if share.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(address, share) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some((address, error)),
            }
        }
        match last {
            Some((address, error)) if !is_late(&error) => {
                let shown = if self.server.is_address() { String::new() } else { format!("{address}: ") };
                Err(FetchError::Unreachable(format!("{shown}{error}")))
            }
            _ => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    fn shake_hands(
        &self,
        config: Arc<ClientConfig>,
        mut stream: Bounded,
    ) -> Result<StreamOwned<ClientConnection, Bounded>, FetchError> {
        let name = self.server.name().ok_or_else(|| FetchError::Tls("it has no name".to_owned()))?;
        let tls = |error: &rustls::Error| FetchError::Tls(trust::explain(error));
        let mut session = ClientConnection::new(config, name).map_err(|error| tls(&error))?;
        while session.is_handshaking() {
            if let Err(error) = session.complete_io(&mut stream) {
                return Err(match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                    Some(inner) => tls(inner),
                    None if error.kind() == io::ErrorKind::UnexpectedEof => HttpError::Cut.into(),
                    None => error.into(),
                });
            }
        }
        Ok(StreamOwned::new(session, stream))
    }

    fn exchange(&self, stream: &mut (impl Read + Write), start: Instant) -> Result<Came, FetchError> {
        self.now(Phase::Answer);
        let challenge = challenge(&self.server, &self.root);
        let form = Zeroizing::new([b"challenge=", challenge.expose()].concat());
        let (reply, all) = http::post(stream, &self.server.authority(), self.server.path(), &form)?;
        check(&reply, &challenge)?;
        let since_boot = clock::since_boot();
        let mix = Sha512::new()
            .chain_update(challenge.expose())
            .chain_update(since_boot.as_nanos().to_le_bytes())
            .chain_update(&*all)
            .finalize();
        Ok(Came { mix: Zeroizing::new(mix.into()), took: start.elapsed() })
    }
}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        Self::Http(HttpError::Io(error))
    }
}

/// That it answers our challenge with a seed.
fn check(reply: &Reply, challenge: &Challenge) -> Result<(), FetchError> {
    match (reply.status, &reply.location) {
        (200, _) => {}
        (300..400, Some(location)) => return Err(FetchError::Redirect(location.clone())),
        (status, _) => return Err(FetchError::Status(status)),
    }
    match pollen::read_answer(&reply.body, challenge) {
        Ok(_) => Ok(()),
        Err(AnswerError::NoSeed) if reply.kind.to_ascii_lowercase().contains("html") => {
            Err(FetchError::WebPage)
        }
        Err(error) => Err(error.into()),
    }
}

/// Fresh from the kernel, if it is ready. Before that, a digest of what else tells this request from others: it need not be
/// secret, only new.
fn challenge(server: &Server, root: &Path) -> Challenge {
    let mut bytes = Zeroizing::new([0; 64]);
    if weir_kernel::try_fill(bytes.as_mut()).is_err() {
        let boot = mark::boot_id(root).unwrap_or_default();
        let said = format!(
            "{boot} {:?} {:?} {} {server}",
            clock::since_unix_epoch(),
            clock::since_boot(),
            std::process::id()
        );
        *bytes = Sha512::digest(said).into();
    }
    Challenge::of_digest(&bytes)
}

/// A connection that knows when its time is over, however slowly it trickles.
struct Bounded {
    stream: TcpStream,
    until: Instant,
}

impl Bounded {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Bounded {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buf)
    }
}

impl Write for Bounded {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
