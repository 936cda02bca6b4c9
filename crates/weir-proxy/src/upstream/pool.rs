//! Connections that wait for the next request. Each worker has its own; nothing is shared.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::Connection;
use crate::clock;
use crate::settings::Keepalive;

/// What a connection leads to. Two requests may share one only if they agree in all of this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    pub(crate) address: SocketAddr,
    /// With TLS: the server name asked for, and whether the certificate was verified.
    pub(crate) tls: Option<(Arc<str>, bool)>,
}

/// Waiting connections, by where they lead.
#[derive(Default)]
pub(crate) struct Pool {
    waiting: HashMap<Destination, Vec<(Instant, Box<Connection>)>, foldhash::fast::FixedState>,
}

impl Pool {
    /// A connection to this destination that still seems to be good; the one that waited the shortest.
    pub(crate) fn take(&mut self, to: &Destination) -> Option<Box<Connection>> {
        let list = self.waiting.get_mut(to)?;
        while let Some((_, connection)) = list.pop() {
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub(crate) fn put(
        &mut self,
        to: &Destination,
        connection: Box<Connection>,
        limits: Keepalive,
        now: Instant,
    ) {
        if limits.pool_size == 0 || connection.requests() >= limits.max_requests {
            return;
        }
        match self.waiting.get_mut(to) {
            Some(list) if list.len() >= limits.pool_size => {}
            Some(list) => list.push((now, connection)),
            None => {
                self.waiting.insert(to.clone(), vec![(now, connection)]);
            }
        }
    }

    /// Closes connections that waited longer than this.
    pub(crate) fn sweep(&mut self, idle: Duration) {
        let now = clock::now();
        self.waiting.retain(|_, list| {
            list.retain(|(since, connection)| now.duration_since(*since) < idle && connection.is_quiet());
            !list.is_empty()
        });
    }
}
