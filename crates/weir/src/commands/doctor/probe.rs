//! One HTTPS connection, phase by phase: name, TCP, TLS.
//!
//! The connection is made on a thread of its own, which reports each phase; the command waits for it until the limit and
//! no longer, whatever that thread is held up by: a resolver cannot be interrupted, nor can a wait for randomness.
//! A certificate that is not valid is reported and does not end the handshake, since its time is what is asked for.

use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, RootCertStore};
use weir_doctor::{Phase, Probe, ProbeFailure};
use weir_seed::tls::{self, Judge, Shown};

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
}

impl FromStr for Target {
    type Err = String;

    /// `https://host[:port][/...]`, the scheme and the port being optional.
    fn from_str(url: &str) -> Result<Self, String> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
            Some(_) => return Err("only https can be probed".to_owned()),
            None => url,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').or((port.is_empty()).then_some("443"))),
            None => {
                authority.rsplit_once(':').map_or((authority, Some("443")), |(host, port)| (host, Some(port)))
            }
        };
        let port = port.and_then(|port| port.parse().ok()).filter(|port| *port != 0);
        let port = port.ok_or("the port must be a number from 1 to 65535")?;
        let target = Self { host: host.to_owned(), port };
        target.server_name().map(|_| target)
    }
}

impl Target {
    fn server_name(&self) -> Result<ServerName<'static>, String> {
        ServerName::try_from(self.host.clone())
            .map_err(|_| format!("{:?} is no host name and no address", self.host))
    }
}

enum Event {
    Took(Phase, Duration),
    Failed(Phase, String),
    Certificate(String),
}

/// A probe under way.
pub(super) struct Running {
    events: Receiver<Event>,
    deadline: Instant,
    limit: Duration,
    probe: Probe,
    over: bool,
}

impl Running {
    /// Begins to connect.
    pub(super) fn start(target: &Target, limit: Duration) -> Self {
        let (sender, events) = channel();
        let work = target.clone();
        let spawned = std::thread::Builder::new().name("probe".to_owned()).spawn({
            let sender = sender.clone();
            move || Worker { sender, limit }.connect(&work)
        });
        if let Err(error) = spawned {
            let _ = sender.send(Event::Failed(Phase::Name, error.to_string()));
        }
        let target = match target.host.contains(':') {
            true => format!("[{}]:{}", target.host, target.port),
            false => format!("{}:{}", target.host, target.port),
        };
        let probe = Probe { target, phases: Vec::new(), failure: None, certificate: None };
        Self { events, deadline: Instant::now() + limit, limit, probe, over: false }
    }

    /// Whether it is over after so long.
    pub(super) fn ends_within(&mut self, time: Duration) -> bool {
        self.listen((Instant::now() + time).min(self.deadline));
        self.over
    }

    /// What came of it, at the latest when the limit is reached.
    pub(super) fn end(mut self) -> Probe {
        self.listen(self.deadline);
        if !self.over {
            let phase = match self.probe.phases.last() {
                None => Phase::Name,
                Some((Phase::Name, _)) => Phase::Connect,
                Some(_) => Phase::Tls,
            };
            let why = format!("not finished within {} s", self.limit.as_secs());
            self.probe.failure = Some(ProbeFailure { phase, why });
        }
        self.probe
    }

    fn listen(&mut self, until: Instant) {
        while !self.over {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Took(phase, took)) => self.probe.phases.push((phase, took)),
                Ok(Event::Certificate(wrong)) => self.probe.certificate = Some(wrong),
                Ok(Event::Failed(phase, why)) => self.probe.failure = Some(ProbeFailure { phase, why }),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.over = true,
            }
        }
    }
}

struct Worker {
    sender: Sender<Event>,
    limit: Duration,
}

impl Worker {
    fn connect(&self, target: &Target) {
        // Before the clock runs: reading the authorities that this host trusts is no part of a connection.
        let certificate = Arc::new(Mutex::new(None));
        let prepared = prepare(target, Arc::clone(&certificate));
        let Some(addresses) = self.timed(Phase::Name, || resolve(target)) else { return };
        let Some(stream) = self.timed(Phase::Connect, || self.connect_any(&addresses)) else { return };
        let handshake = || handshake(prepared?, &stream, self.limit);
        self.timed(Phase::Tls, handshake);
        if let Some(wrong) = certificate.lock().ok().and_then(|mut wrong| wrong.take()) {
            self.tell(Event::Certificate(wrong));
        }
    }

    fn timed<T>(&self, phase: Phase, work: impl FnOnce() -> Result<T, String>) -> Option<T> {
        let start = Instant::now();
        match work() {
            Ok(value) => {
                self.tell(Event::Took(phase, start.elapsed()));
                Some(value)
            }
            Err(why) => {
                self.tell(Event::Failed(phase, why));
                None
            }
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more when the limit has passed.
        let _ = self.sender.send(event);
    }

    /// The first address that takes the connection, as most clients try them: one after the other.
    fn connect_any(&self, addresses: &[SocketAddr]) -> Result<TcpStream, String> {
        let mut last = "no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(address, self.limit) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(last)
    }
}

fn resolve(target: &Target) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port)]);
    }
    let found = (target.host.as_str(), target.port).to_socket_addrs().map_err(|error| error.to_string())?;
    Ok(found.collect())
}

fn prepare(target: &Target, certificate: Arc<Mutex<Option<String>>>) -> Result<ClientConnection, String> {
    // Draws from the kernel, so that the probe waits for it as others would.
    let provider = tls::provider();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let checker = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let noting = Noting { checker: checker.ok(), certificate };
    let config = tls::config(provider, noting).map_err(|error| error.to_string())?;
    ClientConnection::new(Arc::new(config), target.server_name()?).map_err(|error| error.to_string())
}

fn handshake(
    mut connection: ClientConnection,
    mut stream: &TcpStream,
    limit: Duration,
) -> Result<(), String> {
    let limited = stream.set_read_timeout(Some(limit)).and_then(|()| stream.set_write_timeout(Some(limit)));
    limited.map_err(|error| error.to_string())?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Checks a certificate, notes what is wrong with it, and goes on.
#[derive(Debug)]
struct Noting {
    /// `None` where this host trusts nobody.
    checker: Option<Arc<WebPkiServerVerifier>>,
    certificate: Arc<Mutex<Option<String>>>,
}

impl Judge for Noting {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), rustls::Error> {
        let Shown { certificate, intermediates, name, ocsp_response, now } = shown;
        let wrong = match &self.checker {
            None => Some("this host has no list of trusted authorities".to_owned()),
            Some(checker) => checker
                .verify_server_cert(certificate, intermediates, name, ocsp_response, *now)
                .err()
                .map(|error| error.to_string()),
        };
        if let Ok(mut noted) = self.certificate.lock() {
            *noted = wrong;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_with_a_port() {
        for (url, host, port) in [
            ("https://api.example:8443/v1?x#y", "api.example", 8443),
            ("https://api.example", "api.example", 443),
            ("HTTPS://api.example/", "api.example", 443),
            ("api.example:99", "api.example", 99),
            ("https://[2001:db8::1]:8443", "2001:db8::1", 8443),
            ("https://[::1]/", "::1", 443),
            ("127.0.0.1:1", "127.0.0.1", 1),
        ] {
            assert_eq!(url.parse(), Ok(Target { host: host.to_owned(), port }), "{url}");
        }
        for url in [
            "http://x",
            "ftp://x",
            "",
            "https://",
            "https://x:0",
            "https://x:65536",
            "https://x:y",
            "https://[::1",
            "https://[::1]x",
            "https://a b",
            "https://user@x",
            "::1",
        ] {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
    }
}
