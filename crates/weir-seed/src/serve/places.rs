//! How many connections may be open, of all peers and of one. What is kept is as large as what is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::metrics::Refusal;
use super::rates::Peer;

pub(super) struct Places {
    most: usize,
    most_of_one: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    of: HashMap<Peer, usize>,
}

/// A connection's place; free again when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    peer: Option<Peer>,
}

impl Places {
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, open: Mutex::default() })
    }

    /// A place for a connection of a peer; `None`: of nobody that is counted for itself.
    pub(super) fn take(self: &Arc<Self>, peer: Option<Peer>) -> Result<Place, Refusal> {
        let mut open = self.lock();
        if open.all >= self.most {
            return Err(Refusal::Connections);
        }
        if let Some(peer) = peer {
            if open.of.get(&peer).is_some_and(|count| *count >= self.most_of_one) {
                return Err(Refusal::PeerConnections);
            }
            *open.of.entry(peer).or_default() += 1;
        }
        open.all += 1;
        Ok(Place { places: Arc::clone(self), peer })
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        open.all -= 1;
        let Some(peer) = self.peer else { return };
        if let Some(count) = open.of.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                open.of.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn places_are_taken_and_come_free() {
        let peer = |last: u8| Some(Peer::from(IpAddr::from([192, 0, 2, last])));
        let places = Places::new(3, 2);
        let (one, two) = (places.take(peer(1)).unwrap(), places.take(peer(1)).unwrap());
        assert_eq!(places.take(peer(1)).err(), Some(Refusal::PeerConnections));
        let three = places.take(peer(2)).unwrap();
        assert_eq!(places.take(peer(3)).err(), Some(Refusal::Connections));
        assert_eq!(places.open(), 3);
        drop((one, two, three));
        assert_eq!((places.open(), places.lock().of.len()), (0, 0));
        let proxy = [places.take(None).unwrap(), places.take(None).unwrap(), places.take(None).unwrap()];
        assert_eq!(places.take(None).err(), Some(Refusal::Connections));
        drop(proxy);
    }
}
