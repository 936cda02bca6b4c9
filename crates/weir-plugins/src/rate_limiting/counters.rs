//! Counts of requests, exact across all workers of a node.
//!
//! A counter is one 64-bit number: which window it counts, and how many. It is raised by compare-and-swap, so that of
//! any number of requests at once no more than the limit get through. Each worker remembers the counters that it used
//! last; the map of all of them, which has locks, is asked once for each new one.
//!
//! Counters are found by a keyed hash of 128 bits. Who chooses what is counted by (a header field, say) cannot make two
//! of them meet. Their number is bounded: when there are too many, those whose windows are over go, and if that does not
//! help, the whole shard, which forgives what was counted there rather than fill the host's memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::window::Window;

/// How many parts the map of counters has, each with a lock of its own.
const SHARDS: usize = 64;
/// The most counters in one part.
const PER_SHARD: usize = 16_384;
/// The most counters that a worker remembers.
const REMEMBERED: usize = 4096;

/// What is counted: by 128 bits that are as good as its name.
type Hash = u128;

/// All counters of a node.
pub struct Counters {
    hashers: [RandomState; 2],
    shards: Vec<Mutex<HashMap<Hash, Arc<Counter>, Already>>>,
}

/// A window's number in the upper half, a count in the lower.
struct Counter {
    window: Window,
    state: AtomicU64,
}

thread_local! {
    /// The counters that this worker used last.
    static REMEMBERED_HERE: RefCell<HashMap<Hash, Arc<Counter>, Already>> = RefCell::new(HashMap::default());
}

/// Keys are hashes already.
#[derive(Clone, Copy, Default)]
struct Already(u64);

impl BuildHasher for Already {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let half = bytes.first_chunk().map_or(0, |half| u64::from_ne_bytes(*half));
        self.0 ^= half;
    }
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

/// Whom a request counts for.
pub(super) struct Key<'a> {
    counters: &'a Counters,
    plugin: &'a [u8; 16],
    hash: Hash,
}

impl<'a> Key<'a> {
    pub(super) fn new(counters: &'a Counters, plugin: &'a [u8; 16]) -> Self {
        Self { counters, plugin, hash: 0 }
    }

    pub(super) fn id(&self, id: &[u8; 16]) -> Self {
        self.of(1, id)
    }

    pub(super) fn bytes(&self, bytes: &[u8]) -> Self {
        self.of(2, bytes)
    }

    pub(super) fn ip(&self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => self.of(3, &ip.octets()),
            IpAddr::V6(ip) => self.of(4, &ip.octets()),
        }
    }

    fn of(&self, kind: u8, bytes: &[u8]) -> Self {
        let half = |hasher: &RandomState| {
            let mut hasher = hasher.build_hasher();
            hasher.write(self.plugin);
            hasher.write_u8(kind);
            hasher.write(bytes);
            hasher.finish()
        };
        let [low, high] = &self.counters.hashers;
        Self { hash: u128::from(half(high)) << 64 | u128::from(half(low)), ..*self }
    }
}

/// What a request got.
pub(super) struct Taken {
    /// Whether a limit was reached before: then this request counts nowhere.
    pub(super) refused: bool,
    /// What each window has counted, with this request where it counts.
    pub(super) used: smallvec::SmallVec<[u32; 6]>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Counters {
    /// Counts a request in all windows, or, if one of them is full, in none.
    pub(super) fn take(&self, key: Key<'_>, limits: &[(Window, f64)], now_ms: u64) -> Taken {
        let mut taken = Taken { refused: false, used: smallvec::SmallVec::new() };
        let counters: smallvec::SmallVec<[Arc<Counter>; 6]> =
            limits.iter().map(|(window, _)| self.counter(key.hash, *window)).collect();
        let mut full = None;
        for (index, (counter, (window, limit))) in counters.iter().zip(limits).enumerate() {
            match counter.raise(window.number(now_ms), *limit) {
                Ok(used) => taken.used.push(used),
                Err(used) => {
                    taken.used.push(used);
                    full = Some(index);
                    break;
                }
            }
        }
        let Some(full) = full else { return taken };
        taken.refused = true;
        // Windows that counted it already take it back; those that did not come to it are only read.
        for (index, (counter, (window, _))) in counters.iter().zip(limits).enumerate() {
            let number = window.number(now_ms);
            match index.cmp(&full) {
                std::cmp::Ordering::Less => {
                    counter.lower(number);
                    taken.used[index] = taken.used[index].saturating_sub(1);
                }
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => taken.used.push(counter.read(number)),
            }
        }
        taken
    }

    fn counter(&self, hash: Hash, window: Window) -> Arc<Counter> {
        // Windows of one key differ in their low bits, which no other key's hash depends on.
        let hash = hash ^ (window as u128 + 1);
        REMEMBERED_HERE.with_borrow_mut(|here| {
            if let Some(counter) = here.get(&hash) {
                return Arc::clone(counter);
            }
            if here.len() >= REMEMBERED {
                here.clear();
            }
            let counter = self.shared(hash, window);
            here.insert(hash, Arc::clone(&counter));
            counter
        })
    }

    #[cold]
    fn shared(&self, hash: Hash, window: Window) -> Arc<Counter> {
        let shard = &self.shards[(hash >> 64) as usize % SHARDS];
        let mut map = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= PER_SHARD && !map.contains_key(&hash) {
            let now_ms = weir_kernel::clock::unix_ms();
            map.retain(|_, counter| counter.is_current(now_ms));
            if map.len() >= PER_SHARD {
                tracing::warn!("too many rate limits are counted at once: some start over");
                map.clear();
            }
        }
        let counter =
            map.entry(hash).or_insert_with(|| Arc::new(Counter { window, state: AtomicU64::new(0) }));
        Arc::clone(counter)
    }
}

impl Counter {
    /// Raises the count of this window, unless the limit is reached. Gives the count.
    fn raise(&self, number: u32, limit: f64) -> Result<u32, u32> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let count = count_in(state, number);
            if f64::from(count) >= limit {
                return Err(count);
            }
            match self.state.compare_exchange_weak(
                state,
                pack(number, count + 1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(count + 1),
                Err(other) => state = other,
            }
        }
    }

    /// Takes back one of this window.
    fn lower(&self, number: u32) {
        let lower = |state| match count_in(state, number) {
            0 => None,
            count => Some(pack(number, count - 1)),
        };
        // Nothing to take back when the window has ended since.
        let _ = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lower);
    }

    fn read(&self, number: u32) -> u32 {
        count_in(self.state.load(Ordering::Relaxed), number)
    }

    fn is_current(&self, now_ms: u64) -> bool {
        (self.state.load(Ordering::Relaxed) >> 32) as u32 == self.window.number(now_ms)
    }
}

fn pack(number: u32, count: u32) -> u64 {
    u64::from(number) << 32 | u64::from(count)
}

/// The count of a window, which is nothing if another is being counted.
fn count_in(state: u64, number: u32) -> u32 {
    if (state >> 32) as u32 == number { state as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_225_600_000;

    fn take(counters: &Counters, who: &[u8], limits: &[(Window, f64)], now: u64) -> Taken {
        counters.take(Key::new(counters, &[7; 16]).bytes(who), limits, now)
    }

    #[test]
    fn windows_fill_and_empty() {
        let counters = Counters::default();
        let limits = [(Window::Minute, 2.0), (Window::Hour, 100.0)];
        assert_eq!(take(&counters, b"a", &limits, NOW).used[..], [1, 1]);
        assert_eq!(take(&counters, b"a", &limits, NOW).used[..], [2, 2]);
        let third = take(&counters, b"a", &limits, NOW);
        assert!(third.refused);
        assert_eq!(third.used[..], [2, 2], "a refused request counts nowhere");
        assert!(!take(&counters, b"b", &limits, NOW).refused, "somebody else");
        assert_eq!(take(&counters, b"a", &limits, NOW + 60_000).used[..], [1, 3]);
    }

    #[test]
    fn a_later_window_that_is_full_takes_nothing_from_the_earlier() {
        let counters = Counters::default();
        let limits = [(Window::Minute, 5.0), (Window::Hour, 1.0), (Window::Day, 9.0)];
        assert!(!take(&counters, b"a", &limits, NOW).refused);
        let second = take(&counters, b"a", &limits, NOW);
        assert!(second.refused);
        assert_eq!(second.used[..], [1, 1, 1]);
    }

    #[test]
    fn no_more_get_through_than_the_limit_however_many_come_at_once() {
        let counters = Arc::new(Counters::default());
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let counters = &counters;
                    scope.spawn(move || {
                        let limits = [(Window::Year, 1000.0)];
                        (0..1000).filter(|_| !take(counters, b"a", &limits, NOW).refused).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 1000);
    }

    #[test]
    fn their_number_is_bounded() {
        let counters = Counters::default();
        for n in 0..(SHARDS * PER_SHARD / 8) as u32 {
            counters.shared(u128::from(n) | 5 << 64, Window::Year);
        }
        let map = counters.shards[5].lock().unwrap();
        assert!(map.len() <= PER_SHARD);
    }
}
