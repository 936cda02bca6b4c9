//! What all plugins have in common that find out who a client is: when they keep out of it, what a refusal leads to, and
//! who has been refused too often.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use weir_mint::Uuid;
use weir_plugin::{Answer, Ctx, Flow};

/// The plugins that are counted, in the order of [`Attempts::failures`].
const PLUGINS: [&str; 9] = [
    "basic-auth",
    "hmac-auth",
    "jwt",
    "key-auth",
    "ldap-auth",
    "mtls-auth",
    "oauth2",
    "openid-connect",
    "session",
];
/// So many addresses are remembered at most; beyond that, those are forgotten first that have failed least lately.
const MAX_ADDRESSES: usize = 100_000;

/// Why a client is refused.
pub(crate) enum Refusal {
    /// It showed nothing: no attempt at anything.
    Missing(Answer),
    /// It showed something that is wrong.
    Wrong(Answer),
    /// Nobody could tell: a directory or an identity provider failed. Says nothing about the client, but a stand-in does not
    /// come in for it either.
    Unknown(Answer),
}

/// What an authentication plugin does around its own work.
pub(crate) struct Gate {
    plugin: &'static str,
    id: Uuid,
    anonymous: Option<String>,
    run_on_preflight: bool,
    attempts: Arc<Attempts>,
}

impl Gate {
    /// The gate of one instance. `anonymous` names the consumer that stands in for those who show nothing good.
    pub(crate) fn new(
        plugin: &'static str,
        id: Uuid,
        anonymous: Option<String>,
        run_on_preflight: bool,
        attempts: &Arc<Attempts>,
    ) -> Self {
        let anonymous = anonymous.filter(|name| !name.is_empty());
        Self { plugin, id, anonymous, run_on_preflight, attempts: Arc::clone(attempts) }
    }

    /// The instance's id.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// What happens without a look at what the client shows: `None` when the plugin is to look.
    pub(crate) fn before(&self, ctx: &Ctx<'_>) -> Option<Flow> {
        if !self.run_on_preflight && ctx.method == Method::OPTIONS {
            return Some(Flow::Continue);
        }
        // Where a stand-in may come in, whoever another plugin has found already stays.
        if self.anonymous.is_some() && ctx.is_authenticated() {
            return Some(Flow::Continue);
        }
        self.locked_out(ctx)
    }

    /// The answer to a client that is locked out.
    pub(crate) fn locked_out(&self, ctx: &Ctx<'_>) -> Option<Flow> {
        self.locked_out_from(ctx.client.ip).map(Flow::from)
    }

    /// The answer to clients at an address that is locked out.
    pub(crate) fn locked_out_from(&self, ip: IpAddr) -> Option<Answer> {
        let left = self.attempts.locked(ip)?;
        let seconds = left.as_secs() + 1;
        let answer = Answer::message(StatusCode::TOO_MANY_REQUESTS, "Too many failed attempts")
            .header("Retry-After", seconds.to_string());
        Some(answer)
    }

    /// Counts an attempt that failed where no stand-in may come in: at a plugin's own endpoint.
    pub(crate) fn failed(&self, ctx: &Ctx<'_>) {
        self.attempts.failed(self.plugin, ctx.client.ip, true);
    }

    /// What a refusal leads to: the answer, or the stand-in.
    pub(crate) fn refuse(&self, ctx: &mut Ctx<'_>, refusal: Refusal) -> Flow {
        let answer = match refusal {
            Refusal::Missing(answer) => answer,
            Refusal::Wrong(answer) => {
                // Where a stand-in may come in, another plugin may yet find that the credential is good: it is counted, and
                // locks nobody out.
                self.attempts.failed(self.plugin, ctx.client.ip, self.anonymous.is_none());
                answer
            }
            Refusal::Unknown(answer) => return answer.into(),
        };
        let Some(anonymous) = self.anonymous.as_deref() else { return answer.into() };
        match ctx.directory.consumer_named(anonymous) {
            Some(consumer) => {
                ctx.authenticate(consumer, None);
                Flow::Continue
            }
            None => {
                let (plugin, request_id) = (self.plugin, ctx.id.as_str());
                tracing::error!(plugin, id = %self.id, request_id, anonymous, "there is no such consumer");
                Answer::message(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred").into()
            }
        }
    }
}

/// What a `WWW-Authenticate` field asks for (RFC 9110, 11.6.1): a scheme, within a realm if there is one.
pub(crate) fn challenge(scheme: &str, realm: Option<&str>) -> String {
    match realm {
        Some(realm) => format!("{scheme} realm=\"{}\"", realm.replace('\\', "\\\\").replace('"', "\\\"")),
        None => scheme.to_owned(),
    }
}

/// When an address is locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// After so many failed attempts; 0 for never.
    pub attempts: u32,
    /// Within this time.
    pub window: Duration,
    /// For this time.
    pub duration: Duration,
}

/// Failed attempts: how many there were, and from where, as long as that matters.
#[derive(Default)]
pub struct Attempts {
    failures: [AtomicU64; PLUGINS.len()],
    lockouts: AtomicU64,
    /// How many addresses are locked out, so that a request needs no lock while none is.
    locked: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lockout: Option<Lockout>,
    addresses: HashMap<IpAddr, Address>,
}

/// What is known of an address.
struct Address {
    failures: u32,
    /// When the first of them was.
    since: Instant,
    until: Option<Instant>,
}

impl Attempts {
    /// Sets when addresses are locked out. Those that are stay so for as long as they were told.
    pub fn configure(&self, lockout: Lockout) {
        self.state().lockout = Some(lockout).filter(|lockout| lockout.attempts > 0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long an address is still locked out.
    fn locked(&self, ip: IpAddr) -> Option<Duration> {
        if self.locked.load(Relaxed) == 0 {
            return None;
        }
        let now = Instant::now();
        let mut state = self.state();
        let ip = network(ip);
        let until = state.addresses.get(&ip)?.until?;
        if until > now {
            return Some(until - now);
        }
        state.addresses.remove(&ip);
        self.locked.fetch_sub(1, Relaxed);
        None
    }

    /// Counts a failed attempt.
    fn failed(&self, plugin: &str, ip: IpAddr, may_lock_out: bool) {
        if let Some(at) = PLUGINS.iter().position(|name| *name == plugin) {
            self.failures[at].fetch_add(1, Relaxed);
        }
        if !may_lock_out {
            return;
        }
        let mut state = self.state();
        let Some(lockout) = state.lockout else { return };
        let now = Instant::now();
        if state.addresses.len() >= MAX_ADDRESSES {
            self.forget(&mut state, now, lockout.window);
        }
        let known = state.addresses.entry(network(ip));
        let address = known.or_insert(Address { failures: 0, since: now, until: None });
        if address.until.is_some() {
            return;
        }
        if now.duration_since(address.since) > lockout.window {
            (address.failures, address.since) = (0, now);
        }
        address.failures += 1;
        if address.failures >= lockout.attempts {
            address.until = Some(now + lockout.duration);
            self.locked.fetch_add(1, Relaxed);
            self.lockouts.fetch_add(1, Relaxed);
            tracing::warn!(plugin, address = %ip, seconds = lockout.duration.as_secs(), "locked out after too many failed attempts");
        }
    }

    /// Makes room: for what is over, and if that is not enough, for those that are not locked out.
    fn forget(&self, state: &mut State, now: Instant, window: Duration) {
        let over = |address: &Address| match address.until {
            Some(until) => until <= now,
            None => now.duration_since(address.since) > window,
        };
        state.addresses.retain(|_, address| !over(address));
        if state.addresses.len() >= MAX_ADDRESSES {
            state.addresses.retain(|_, address| address.until.is_some());
        }
        if state.addresses.len() >= MAX_ADDRESSES {
            state.addresses.clear();
        }
        let locked = state.addresses.values().filter(|address| address.until.is_some()).count();
        self.locked.store(locked, Relaxed);
    }

    /// Adds what was counted, in Prometheus' text format.
    pub fn encode(&self, out: &mut String) {
        out.push_str("# HELP weir_auth_failures_total Credentials that were shown and refused\n");
        out.push_str("# TYPE weir_auth_failures_total counter\n");
        for (plugin, count) in PLUGINS.iter().zip(&self.failures) {
            let _ = writeln!(out, "weir_auth_failures_total{{plugin=\"{plugin}\"}} {}", count.load(Relaxed));
        }
        let _ = writeln!(
            out,
            "# HELP weir_auth_lockouts_total Addresses locked out after too many failed attempts\n\
             # TYPE weir_auth_lockouts_total counter\nweir_auth_lockouts_total {}",
            self.lockouts.load(Relaxed)
        );
    }
}

/// What counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that one client is given as a whole.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(attempts: u32) -> Attempts {
        let all = Attempts::default();
        let hour = Duration::from_secs(3600);
        all.configure(Lockout { attempts, window: hour, duration: hour });
        all
    }

    #[test]
    fn an_address_is_locked_out_after_so_many_failures() {
        let all = attempts(3);
        let (mallory, alice): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..2 {
            all.failed("key-auth", mallory, true);
            assert_eq!(all.locked(mallory), None);
        }
        all.failed("jwt", mallory, true);
        assert!(all.locked(mallory).is_some_and(|left| left.as_secs() >= 3590));
        assert_eq!(all.locked(alice), None);
        let mut out = String::new();
        all.encode(&mut out);
        assert!(out.contains("weir_auth_failures_total{plugin=\"key-auth\"} 2\n"), "{out}");
        assert!(out.contains("weir_auth_lockouts_total 1\n"), "{out}");
    }

    #[test]
    fn one_client_of_ipv6_has_many_addresses() {
        let all = attempts(2);
        all.failed("jwt", "2001:db8::1".parse().unwrap(), true);
        all.failed("jwt", "2001:db8::2".parse().unwrap(), true);
        assert!(all.locked("2001:db8::3".parse().unwrap()).is_some());
        assert!(all.locked("2001:db8:0:1::1".parse().unwrap()).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let all = attempts(1);
        for n in 0..MAX_ADDRESSES as u32 + 10 {
            all.failed("jwt", IpAddr::V4(n.into()), true);
        }
        let state = all.state();
        assert!(state.addresses.len() <= MAX_ADDRESSES);
        assert_eq!(state.addresses.len(), all.locked.load(Relaxed));
    }

    #[test]
    fn nobody_is_locked_out_unless_asked() {
        let all = Attempts::default();
        let mallory = "192.0.2.1".parse().unwrap();
        (0..1000).for_each(|_| all.failed("jwt", mallory, true));
        assert_eq!(all.locked(mallory), None);
    }
}
