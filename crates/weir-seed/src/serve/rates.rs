//! How often a peer may ask, and all of them together, in memory of a fixed size.
//!
//! Each rate is kept by the generic cell rate algorithm (ITU-T I.371, annex A): one moment, up to which what was allowed so
//! far would fill the time at the even rate. A peer has two cells of a table, chosen by a keyed hash, and is refused
//! when both say so: that others share a cell with it harms it only if they share both. Peers cannot make the table
//! grow, nor aim at each other's cells, nor be forgotten by asking under many addresses.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Who asks: an IPv4 address, or a network of 64 bits of IPv6, as that is what one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & !u128::from(u64::MAX)).into()),
            ip => ip,
        })
    }
}

/// So many a second in the long run, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, a second.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

impl Rate {
    /// How long after one the next comes at the even rate.
    fn interval(self) -> u64 {
        1_000_000_000 / u64::from(self.per_second.max(1))
    }

    /// How far ahead of the even rate it may be.
    fn ahead(self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst.max(1)) - 1)
    }
}

/// Which rate was exceeded, and when to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    Peer(Duration),
    Overall(Duration),
}

/// The table.
pub(super) struct Rates {
    peer: Rate,
    overall: Rate,
    cells: Box<[AtomicU64]>,
    all: AtomicU64,
    keys: [RandomState; 2],
}

/// Half a megabyte of cells.
const CELLS: usize = 1 << 16;

impl Rates {
    pub(super) fn new(peer: Rate, overall: Rate) -> Self {
        let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        Self { peer, overall, cells, all: AtomicU64::new(0), keys: [RandomState::new(), RandomState::new()] }
    }

    /// Counts a request of a peer, `now` after a moment that is the same for all calls.
    pub(super) fn take(&self, peer: Peer, now: Duration) -> Result<(), Exceeded> {
        // An offset, so that a cell of zero is long past.
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2).saturating_add(1 << 62);
        let cells = self.keys.each_ref().map(|key| {
            let at = key.hash_one(peer) as usize % CELLS;
            self.cells.get(at).unwrap_or(&self.all)
        });
        let waits = cells.map(|cell| wait(cell, self.peer, now));
        if let [Some(one), Some(other)] = waits {
            return Err(Exceeded::Peer(one.min(other)));
        }
        if let Some(wait) = wait(&self.all, self.overall, now) {
            return Err(Exceeded::Overall(wait));
        }
        for cell in cells {
            charge(cell, self.peer, now);
        }
        charge(&self.all, self.overall, now);
        Ok(())
    }
}

/// How long a cell is exhausted, if it is.
fn wait(cell: &AtomicU64, rate: Rate, now: u64) -> Option<Duration> {
    let ahead = cell.load(Ordering::Relaxed).saturating_sub(now);
    ahead.checked_sub(rate.ahead()).filter(|over| *over > 0).map(Duration::from_nanos)
}

/// Counts one. What another peer adds to a shared cell goes no further than exhausted.
fn charge(cell: &AtomicU64, rate: Rate, now: u64) {
    let most = now.saturating_add(rate.ahead()).saturating_add(rate.interval());
    let charged = |full: u64| full.max(now).saturating_add(rate.interval()).min(most);
    let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full| Some(charged(full)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Rate = Rate { per_second: 10, burst: 5 };
    const WIDE: Rate = Rate { per_second: 1_000_000, burst: 1_000_000 };

    fn peer(text: &str) -> Peer {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_peer_is_an_address_or_a_network() {
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:0:0:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let rates = Rates::new(SLOW, WIDE);
        let (one, other) = (peer("192.0.2.1"), peer("192.0.2.2"));
        let ms = Duration::from_millis;
        for _ in 0..5 {
            assert_eq!(rates.take(one, ms(0)), Ok(()));
        }
        assert_eq!(rates.take(one, ms(0)), Err(Exceeded::Peer(ms(100))));
        assert_eq!(rates.take(one, ms(99)), Err(Exceeded::Peer(ms(1))));
        assert_eq!(rates.take(one, ms(100)), Ok(()));
        assert!(rates.take(one, ms(100)).is_err());
        // Whatever the first did, the second has its own. Both cells the same: odds of 2^-31.
        assert_eq!(rates.take(other, ms(100)), Ok(()));
        for _ in 0..5 {
            assert_eq!(rates.take(one, ms(10_000)), Ok(()));
        }
        assert!(rates.take(one, ms(10_000)).is_err());
    }

    #[test]
    fn all_together_have_a_rate_and_refusals_do_not_count() {
        let rates = Rates::new(SLOW, Rate { per_second: 10, burst: 20 });
        let mut answered = 0;
        for number in 0..40u32 {
            let peer = IpAddr::from(number.to_be_bytes()).into();
            answered += usize::from(rates.take(peer, Duration::ZERO).is_ok());
        }
        assert_eq!(answered, 20);
        let late = rates.take(peer("192.0.2.1"), Duration::ZERO);
        assert_eq!(late, Err(Exceeded::Overall(Duration::from_millis(100))));
        assert_eq!(rates.take(peer("192.0.2.1"), Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn many_peers_take_no_more_memory_and_free_nobody() {
        let rates = Rates::new(SLOW, WIDE);
        let one = peer("192.0.2.1");
        for _ in 0..5 {
            rates.take(one, Duration::ZERO).unwrap();
        }
        for number in 0..200_000u32 {
            let _ = rates.take(IpAddr::from((number | 1 << 31).to_be_bytes()).into(), Duration::ZERO);
        }
        assert!(rates.take(one, Duration::ZERO).is_err());
    }
}
