//! What was found out a short while ago by asking somebody else, so as not to ask for every request.
//!
//! What is remembered is found by an HMAC with a key that this process draws for itself, so that memory holds neither
//! passwords nor tokens to find it by. A cache is shared by all workers and split into parts with a lock each, held for
//! one look into a map.
//!
//! Invariants: there are never more than [`CAPACITY`] entries; none is given once its time is over. While no key can be
//! drawn nothing is remembered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use weir_kernel::Purpose;
use weir_mint::Digester;
use zeroize::Zeroizing;

const PARTS: usize = 16;
const PART_CAPACITY: usize = 1024;
/// So many entries are remembered at most.
#[cfg(test)]
const CAPACITY: usize = PARTS * PART_CAPACITY;

/// What an entry is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// A bounded memory of what was found out, each entry with its own end.
pub(crate) struct Recent<V> {
    digester: OnceLock<Digester>,
    parts: [Mutex<HashMap<Key, Entry<V>>>; PARTS],
}

struct Entry<V> {
    value: V,
    until: Instant,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { digester: OnceLock::new(), parts: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl<V: Clone> Recent<V> {
    /// What is found by these texts together. `None` while the kernel's generator is not ready.
    pub(crate) fn key(&self, texts: &[&[u8]]) -> Option<Key> {
        let digester = match self.digester.get() {
            Some(digester) => digester,
            None => {
                let mut key = Zeroizing::new([0; 32]);
                weir_kernel::try_fill_for(Purpose::Key, key.as_mut()).ok()?;
                self.digester.get_or_init(|| Digester::new(&key))
            }
        };
        // Each with its length, so that no two lists are the same bytes.
        let mut bytes = Zeroizing::new(Vec::with_capacity(texts.iter().map(|text| text.len() + 8).sum()));
        for text in texts {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text);
        }
        Some(Key(digester.digest(&bytes)))
    }

    /// What is remembered, unless its time is over.
    pub(crate) fn get(&self, key: &Key) -> Option<V> {
        let part = self.part(key);
        part.get(key).filter(|entry| entry.until > Instant::now()).map(|entry| entry.value.clone())
    }

    /// Remembers this for so long.
    pub(crate) fn put(&self, key: Key, value: V, life: Duration) {
        if life.is_zero() {
            return;
        }
        let now = Instant::now();
        let Some(until) = now.checked_add(life) else { return };
        let mut part = self.part(&key);
        if part.len() >= PART_CAPACITY && !part.contains_key(&key) {
            make_room(&mut part, now);
        }
        part.insert(key, Entry { value, until });
    }

    fn part(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Entry<V>>> {
        self.parts[usize::from(key.0[0]) % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what is over, or what would be over first.
fn make_room<V>(part: &mut HashMap<Key, Entry<V>>, now: Instant) {
    part.retain(|_, entry| entry.until > now);
    if part.len() >= PART_CAPACITY
        && let Some(first) = part.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| *key)
    {
        part.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn lists_of_texts_are_told_apart() {
        let recent = Recent::default();
        let key = |texts: &[&[u8]]| recent.key(texts).unwrap();
        recent.put(key(&[b"alice", b"secret"]), 1, HOUR);
        assert_eq!(recent.get(&key(&[b"alice", b"secret"])), Some(1));
        assert_eq!(recent.get(&key(&[b"alices", b"ecret"])), None);
        assert_eq!(recent.get(&key(&[b"alice", b"secret", b""])), None);
    }

    #[test]
    fn nothing_is_given_after_its_time() {
        let recent = Recent::default();
        let key = recent.key(&[b"a"]).unwrap();
        recent.put(key, 1, Duration::ZERO);
        assert_eq!(recent.get(&key), None);
        recent.put(key, 1, Duration::from_nanos(1));
        while Instant::now().elapsed().is_zero() {}
        assert_eq!(recent.get(&key), None);
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::default();
        for number in 0..CAPACITY as u64 * 2 {
            recent.put(recent.key(&[&number.to_le_bytes()]).unwrap(), number, HOUR);
        }
        let held: usize = recent.parts.iter().map(|part| part.lock().unwrap().len()).sum();
        assert!(held <= CAPACITY, "{held}");
        let last = CAPACITY as u64 * 2 - 1;
        assert_eq!(recent.get(&recent.key(&[&last.to_le_bytes()]).unwrap()), Some(last));
    }
}
