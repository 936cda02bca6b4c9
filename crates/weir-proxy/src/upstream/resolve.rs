//! From a service's host to addresses. Answers are kept for as long as their name server says.

use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;

use super::Failure;

/// Resolves names, by the machine's own configuration: its hosts file, its name servers.
#[derive(Default)]
pub(crate) struct Resolver {
    /// Made when the first name is asked for; services with addresses never need it.
    inner: OnceCell<TokioResolver>,
    turn: Cell<usize>,
}

impl Resolver {
    /// An address of the host. Hosts with several take turns.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, Failure> {
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, port));
        }
        let wrong = |why: String| Failure::Resolve(format!("{host}: {why}"));
        // The resolver draws for its questions, and would wait, with the whole worker. The C library asks in a thread.
        if !weir_kernel::is_ready() {
            let found =
                tokio::net::lookup_host((host, port)).await.map_err(|error| wrong(error.to_string()))?;
            return found.into_iter().next().ok_or_else(|| wrong("no address".to_owned()));
        }
        if self.inner.get().is_none() {
            let made = TokioResolver::builder_tokio().and_then(|builder| builder.build());
            let _ = self.inner.set(made.map_err(|error| wrong(error.to_string()))?);
        }
        let resolver = self.inner.get().ok_or_else(|| wrong("no resolver".to_owned()))?;
        let found = resolver.lookup_ip(host).await.map_err(|error| wrong(error.to_string()))?;
        let addresses: Vec<IpAddr> = found.iter().collect();
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        match addresses.len() {
            0 => Err(wrong("no address".to_owned())),
            count => Ok(SocketAddr::new(addresses[turn % count], port)),
        }
    }
}
