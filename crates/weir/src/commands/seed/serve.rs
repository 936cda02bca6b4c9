//! `weir seed serve`: seeds for machines that ask, over HTTPS.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use listenfd::ListenFd;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use weir_proxy::{Certificate, Identity, private_server_config};
use weir_seed::fetch::Pin;
use weir_seed::serve::{Endpoint, Kind, Limits, Rate, Server};

const AFTER_HELP: &str = "\
Sockets that systemd passes (LISTEN_FDS) are listened on in place of --listen. SIGHUP reads certificate and key once more;
SIGTERM ends it when what is under way is answered.

Exit status: 0 ended by a signal, 1 could not start, 2 wrong usage.

The protocol, limits and metrics are described in docs/seeding/serve.md.

Examples:
  weir seed serve --self-signed /var/lib/weir-seed-serve           makes a certificate, and prints its pin for the clients
  weir seed serve --listen 0.0.0.0:443 --cert cert.pem --key key.pem
  weir seed serve --http 127.0.0.1:8080 --metrics 127.0.0.1:9101   behind a proxy that speaks TLS
  pollinate --server https://localhost:8443/ --curl-opts \"--cacert cert.pem\"";

/// Serve seeds over HTTPS, to pollinate and to `weir seed fetch`
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where to speak HTTPS; again for more places [127.0.0.1:8443]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<SocketAddr>,
    /// The certificate, and those between it and its authority (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Make a certificate in this folder at the first start, and show its pin at every start
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cert", "key"])]
    self_signed: Option<PathBuf>,
    /// Where to speak HTTP, to a proxy that speaks TLS for it: never to the world
    #[arg(long, value_name = "ADDR:PORT")]
    http: Vec<SocketAddr>,
    /// Networks of proxies, whose X-Forwarded-For is believed [this machine]
    #[arg(long, value_name = "NET", value_delimiter = ',', default_values = ["127.0.0.0/8", "::1/128"], hide_default_value = true)]
    trusted: Vec<IpNet>,
    /// How many seeds a second a peer may have (an IPv4 address, an IPv6 network of 64 bits), and how many at once
    #[arg(long, value_name = "N[/BURST]", default_value = "10/100")]
    rate: RateArg,
    /// How many all peers together may have
    #[arg(long, value_name = "N[/BURST]", default_value = "1000/1000")]
    total_rate: RateArg,
    /// How many connections may be open
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Where to show metrics, at /metrics, over HTTP
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// No line in the log for each seed that was given
    #[arg(short, long)]
    quiet: bool,
}

/// As on the command line.
#[derive(Clone, Copy)]
struct RateArg(Rate);

impl FromStr for RateArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
        let (rate, burst) = text.split_once('/').unwrap_or((text, text));
        match (number(rate), number(burst)) {
            (Some(per_second), Some(burst)) => Ok(Self(Rate { per_second, burst })),
            _ => Err("a rate is N or N/BURST, both from 1 to 1000000"),
        }
    }
}

impl fmt::Display for RateArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.per_second, self.0.burst)
    }
}

pub(crate) fn run(args: &Args) -> ExitCode {
    start_log(args.quiet);
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(quiet: bool) {
    let level = if quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("weir_seed", level);
    // A log that is there already is good enough.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

fn serve(args: &Args) -> Result<()> {
    // Before threads: it takes the variables from the environment.
    let sockets = Sockets::open(args)?;
    let tls = if sockets.https.is_empty() { None } else { Some(Tls::read(args)?) };
    wait_until_ready();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let endpoints = sockets.endpoints(tls.as_ref())?;
        let limits = Limits {
            peer: args.rate.0,
            overall: args.total_rate.0,
            connections: args.connections as usize,
            ..Limits::default()
        };
        let server = Server::new(limits, args.trusted.clone());
        let (stop, stopped) = watch::channel(false);
        let mut serving = std::pin::pin!(server.serve(endpoints, stopped));
        announce(&sockets.places, tls.as_ref());
        notify("READY=1");
        loop {
            tokio::select! {
                () = &mut serving => return Ok(()),
                _ = signals.reload.recv() => reload(tls.as_ref()),
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
            }
        }
        notify("STOPPING=1");
        let _ = stop.send(true);
        serving.await;
        Ok(())
    })
}

/// What is listened on.
struct Sockets {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    metrics: Option<TcpListener>,
    places: Vec<String>,
}

impl Sockets {
    fn open(args: &Args) -> Result<Self> {
        let mut places = Vec::new();
        let mut bind = |scheme: &str, address: &SocketAddr| -> Result<TcpListener> {
            let listener =
                TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
            places.push(format!("{scheme}://{}", listener.local_addr()?));
            Ok(listener)
        };
        let passed = passed()?;
        if !passed.is_empty() && !args.listen.is_empty() {
            bail!("--listen, or sockets of systemd, not both");
        }
        let is_bare = args.listen.is_empty() && args.http.is_empty() && passed.is_empty();
        let standard = SocketAddr::from(([127, 0, 0, 1], 8443));
        let listen = if is_bare { std::slice::from_ref(&standard) } else { &args.listen };
        let mut https = listen.iter().map(|address| bind("https", address)).collect::<Result<Vec<_>>>()?;
        let http = args.http.iter().map(|address| bind("http", address)).collect::<Result<Vec<_>>>()?;
        let metrics =
            args.metrics.iter().map(|address| bind("metrics at http", address)).next().transpose()?;
        for listener in &passed {
            places.push(format!("https://{}", listener.local_addr()?));
        }
        https.extend(passed);
        Ok(Self { https, http, metrics, places })
    }

    fn endpoints(&self, tls: Option<&Tls>) -> Result<Vec<Endpoint>> {
        let mut endpoints = Vec::new();
        let mut add = |listener: &TcpListener, kind: Kind| -> Result<()> {
            let listener = listener.try_clone()?;
            listener.set_nonblocking(true)?;
            endpoints.push(Endpoint { kind, listener: tokio::net::TcpListener::from_std(listener)? });
            Ok(())
        };
        for listener in &self.https {
            let tls = tls.context("no certificate")?;
            add(listener, Kind::Https(tls.acceptor.clone()))?;
        }
        self.http.iter().try_for_each(|listener| add(listener, Kind::Http))?;
        self.metrics.iter().try_for_each(|listener| add(listener, Kind::Metrics))?;
        Ok(endpoints)
    }
}

/// The sockets that systemd opened (sd_listen_fds(3)).
fn passed() -> Result<Vec<TcpListener>> {
    let mut passed = ListenFd::from_env();
    let count = passed.len();
    let take = |at| passed.take_tcp_listener(at).context("a socket of systemd is no listening TCP socket");
    Ok((0..count).map(take).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The certificate that is shown.
struct Tls {
    chain: PathBuf,
    key: PathBuf,
    certificate: Arc<Certificate>,
    acceptor: TlsAcceptor,
}

impl Tls {
    fn read(args: &Args) -> Result<Self> {
        let (chain, key, identity) = match (&args.self_signed, &args.cert, &args.key) {
            (Some(folder), ..) => {
                wait_until_ready();
                std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
                let (chain, key) = (folder.join("cert.pem"), folder.join("key.pem"));
                let identity = Identity::read_or_make(&chain, &key)?;
                (chain, key, identity)
            }
            (None, Some(chain), Some(key)) => (chain.clone(), key.clone(), Identity::read(chain, key)?),
            _ => {
                bail!("HTTPS needs --cert and --key, or --self-signed DIR; behind a proxy, use --http alone")
            }
        };
        let certificate = Certificate::new(&identity)
            .with_context(|| format!("{} and {}", chain.display(), key.display()))?;
        let acceptor = TlsAcceptor::from(private_server_config(&certificate, None)?);
        Ok(Self { chain, key, certificate, acceptor })
    }

    /// The pin of what the file holds.
    fn pin(&self) -> Option<Pin> {
        Pin::of(&CertificateDer::from_pem_file(&self.chain).ok()?)
    }
}

/// Nothing is given, no handshake made, and no key made before the kernel's generator is ready.
fn wait_until_ready() {
    const LOOK_EVERY: Duration = Duration::from_secs(3600);
    if weir_kernel::is_ready() {
        return;
    }
    tell("waiting for the kernel's random number generator; see weir doctor");
    while let Err(weir_kernel::Error::NotReady) = weir_kernel::wait_ready(LOOK_EVERY) {}
}

fn reload(tls: Option<&Tls>) {
    let Some(tls) = tls else { return };
    let read = Identity::read(&tls.chain, &tls.key).map_err(anyhow::Error::from);
    let replaced = read.and_then(|identity| Ok(tls.certificate.replace(&identity)?));
    match (replaced, tls.pin()) {
        (Err(error), _) => tell(&format!("the certificate stays as it was: {error:#}")),
        (Ok(()), pin) => tell(&format!(
            "a new certificate is in force{}",
            pin.map(|pin| format!("; its pin is {pin}")).unwrap_or_default()
        )),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }
}

fn announce(places: &[String], tls: Option<&Tls>) {
    for place in places {
        tell(&format!("listening on {place}"));
    }
    if let Some(pin) = tls.and_then(Tls::pin) {
        tell(&format!("for weir seed fetch, and curl --pinnedpubkey: --pin {pin}"));
    }
}

/// A line for whoever started it; not a part of the access log, and never left out.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "weir: {line}");
}

/// Tells systemd, if it wants to know (sd_notify(3)).
fn notify(what: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => std::os::unix::net::SocketAddr::from_abstract_name(name),
        _ => std::os::unix::net::SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(what.as_bytes(), &address));
    if let Err(error) = sent {
        tell(&format!("systemd was not told {what}: {error}"));
    }
}
