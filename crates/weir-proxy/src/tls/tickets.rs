//! Session tickets (RFC 5077, RFC 8446 4.6.1): a client comes back with what it was given, and the gateway keeps nothing.
//!
//! A ticket is sealed with AES-256-GCM under a key that is drawn from the kernel, lives six hours as the one that seals and
//! as long again as one that still opens, and is named in the ticket by 16 random bytes. All workers share the keys. When
//! this machine turns out to be a copy of another, both have the same keys: the next handshake that touches them drops them
//! and draws new ones, and older tickets lead to a full handshake.
//!
//! Deliberately absent: early data (0-RTT), which can be replayed, and a cache of sessions, which a copy would share.

use std::cell::Cell;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::server::ProducesTickets;
use weir_kernel::{Generation, Purpose};
use zeroize::Zeroizing;

/// How long a key seals, and then how long it opens.
const TURN: Duration = Duration::from_secs(6 * 3600);
const NAME_LEN: usize = 16;

thread_local! {
    /// Which life of the machine it was when this thread looked last.
    static SEEN: Cell<Option<Generation>> = const { Cell::new(None) };
}

/// Has this thread know which life of the machine this is, so that it notices when it becomes another.
pub(crate) fn watch() {
    SEEN.set(Some(weir_kernel::generation()));
}

/// Makes and opens the tickets of one listener.
#[derive(Default)]
pub(super) struct Tickets {
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    sealing: Option<Key>,
    opening: Option<Key>,
}

struct Key {
    name: [u8; NAME_LEN],
    aead: LessSafeKey,
    since: Instant,
}

impl Key {
    fn draw() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        let mut name = [0; NAME_LEN];
        weir_kernel::try_fill_for(Purpose::Key, bytes.as_mut()).ok()?;
        weir_kernel::try_fill_for(Purpose::Key, &mut name).ok()?;
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_ref()).ok()?;
        Some(Self { name, aead: LessSafeKey::new(key), since: Instant::now() })
    }
}

impl Tickets {
    /// The keys, as they are to be used now.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = weir_kernel::generation();
        let seen = SEEN.replace(Some(generation));
        keys.turn(seen.is_some_and(|seen| generation.differs_from(&seen)), Instant::now());
        keys
    }
}

impl Keys {
    fn turn(&mut self, copied: bool, now: Instant) {
        if copied {
            tracing::warn!("this machine was copied or restored: the keys of TLS tickets are drawn anew");
            *self = Self::default();
        }
        let old = |key: &Key, turns: u32| now.saturating_duration_since(key.since) >= TURN * turns;
        if self.opening.as_ref().is_some_and(|key| old(key, 2)) {
            self.opening = None;
        }
        if self.sealing.as_ref().is_none_or(|key| old(key, 1)) {
            let before = self.sealing.take().filter(|key| !old(key, 2));
            if before.is_some() {
                self.opening = before;
            }
            self.sealing = Key::draw();
        }
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(…)")
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(TURN.as_secs()).unwrap_or(u32::MAX)
    }

    /// The name of the key, a nonce, what is sealed, the tag.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        weir_kernel::try_fill_for(Purpose::Tls, &mut nonce).ok()?;
        let keys = self.keys();
        let key = keys.sealing.as_ref()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(key.name);
        key.aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        let mut ticket = Vec::with_capacity(NAME_LEN + NONCE_LEN + sealed.len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys();
        let key = [&keys.sealing, &keys.opening].into_iter().flatten().find(|key| key.name == *name)?;
        let mut plain = sealed.to_vec();
        let aad = Aad::from(key.name);
        let length =
            key.aead.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_once_it_was_sealed_here_and_not_changed() {
        let tickets = Tickets::default();
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_ne!(tickets.encrypt(b"session").unwrap(), ticket);
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"session");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
        }
        assert_eq!(tickets.decrypt(&ticket[..20]), None);
        assert_eq!(Tickets::default().decrypt(&ticket), None, "a ticket of another listener");
    }

    #[test]
    fn keys_take_turns() {
        let mut keys = Keys::default();
        let start = Instant::now();
        keys.turn(false, start);
        let first = keys.sealing.as_ref().unwrap().name;
        keys.turn(false, start + TURN / 2);
        assert_eq!(keys.sealing.as_ref().unwrap().name, first);
        keys.turn(false, start + TURN + Duration::from_secs(1));
        assert_ne!(keys.sealing.as_ref().unwrap().name, first);
        assert_eq!(keys.opening.as_ref().unwrap().name, first);
        keys.turn(false, start + 3 * TURN);
        assert!(keys.opening.as_ref().is_none_or(|key| key.name != first));
    }

    #[test]
    fn a_copy_of_a_machine_has_keys_of_its_own() {
        let mut keys = Keys::default();
        keys.turn(false, Instant::now());
        let before = keys.sealing.as_ref().unwrap().name;
        keys.turn(true, Instant::now());
        assert_ne!(keys.sealing.as_ref().unwrap().name, before);
        assert!(keys.opening.is_none());
    }
}
