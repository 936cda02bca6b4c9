//! A map that many threads read while one makes the next version of it.
//!
//! A clone costs nothing and stays as it was; an insertion copies one leaf and the path to it, whatever the size of the
//! map. The shape is a trie over the bits of a hash, 32 ways at each step, with leaves of up to 64 entries: two or
//! three steps for a million entries, and little memory besides the entries themselves.
//!
//! Hashes come from the caller's [`Key`]; they must be hard to steer for whoever chooses the keys, or the keys must come
//! from somebody trusted. Entries whose hashes agree in all bits share a leaf, however many they are.

use std::sync::Arc;

/// Steps of the trie take five bits of the hash each.
const BITS: u32 = 5;
const WAYS: usize = 1 << BITS;
/// A leaf with more entries than this is split, while bits of the hash remain.
const LEAF: usize = 64;

/// A key, with the hash it is placed by.
pub(crate) trait Key: Clone + Eq {
    fn hash(&self) -> u64;

    /// Whether it is the other, in the same time whether it is or not.
    fn is(&self, other: &Self) -> bool {
        self == other
    }
}

/// The map.
#[derive(Clone)]
pub(crate) struct SharedMap<K, V> {
    root: Node<K, V>,
}

enum Node<K, V> {
    Leaf(Arc<Leaf<K, V>>),
    Branch(Arc<[Node<K, V>; WAYS]>),
}

/// Entries, and beside them the upper halves of their hashes, which a search runs through first: as many places for those as
/// a leaf has entries at most, so that running through them takes the same time in every leaf.
#[derive(Clone)]
struct Leaf<K, V> {
    tags: Vec<u32>,
    entries: Vec<(K, V)>,
}

impl<K, V> Default for Leaf<K, V> {
    fn default() -> Self {
        Self { tags: vec![0; LEAF], entries: Vec::new() }
    }
}

impl<K, V> Clone for Node<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
            Self::Branch(branch) => Self::Branch(Arc::clone(branch)),
        }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { root: Node::Leaf(Arc::new(Leaf::default())) }
    }
}

impl<K: Key, V: Clone> SharedMap<K, V> {
    /// The value of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let hash = key.hash();
        let mut node = &self.root;
        let mut bits = hash;
        loop {
            match node {
                Node::Branch(branch) => {
                    node = &branch[bits as usize % WAYS];
                    bits >>= BITS;
                }
                Node::Leaf(leaf) => return leaf.find(key, tag(hash)).map(|at| &leaf.entries[at].1),
            }
        }
    }

    /// As [`SharedMap::get`], but for how long it takes: the entry that the key has, or else another one of its leaf,
    /// and whether it is the key's. Whoever measures learns how full a leaf is, not whether the key is there.
    pub(crate) fn get_evenly(&self, key: &K) -> Option<(&V, bool)> {
        let hash = key.hash();
        let mut node = &self.root;
        let mut bits = hash;
        loop {
            match node {
                Node::Branch(branch) => {
                    node = &branch[bits as usize % WAYS];
                    bits >>= BITS;
                }
                Node::Leaf(leaf) => return leaf.find_evenly(key, tag(hash)),
            }
        }
    }

    /// Sets the value of a key, and gives the one it had.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = key.hash();
        insert(&mut self.root, hash, 0, key, value)
    }

    /// Removes a key, and gives the value it had.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.get(key)?;
        // Nothing is copied for a key that is not there.
        remove(&mut self.root, key.hash(), 0, key)
    }
}

impl<K: Key, V> Leaf<K, V> {
    fn find_evenly(&self, key: &K, tag: u32) -> Option<(&V, bool)> {
        let (mut at, mut matches) = (0, 0);
        // No way out before the last one, and no branch for the one that matches.
        for (index, other) in self.tags.iter().enumerate() {
            let is = usize::from((*other == tag) & (index < self.entries.len()));
            at |= index * is;
            matches += is;
        }
        if matches > 1 {
            // Two hashes that agree in 32 bits: not in one look-up of a hundred million.
            let at = self.find(key, tag);
            let (_, value) = self.entries.get(at.unwrap_or_default())?;
            return Some((value, at.is_some()));
        }
        // Any entry will do where none matches, but not always the same one: it would be at hand sooner.
        let any = (tag as usize * self.entries.len()) >> 32;
        let (known, value) = self.entries.get(at + any * (1 - matches))?;
        Some((value, known.is(key)))
    }

    fn push(&mut self, tag: u32, key: K, value: V) {
        match self.tags.get_mut(self.entries.len()) {
            Some(place) => *place = tag,
            None => self.tags.push(tag),
        }
        self.entries.push((key, value));
    }

    fn remove(&mut self, at: usize) -> V {
        let last = self.entries.len() - 1;
        self.tags.swap(at, last);
        if self.tags.len() > LEAF {
            self.tags.pop();
        }
        self.entries.swap_remove(at).1
    }

    fn find(&self, key: &K, tag: u32) -> Option<usize> {
        let (mut from, tags) = (0, &self.tags[..self.entries.len()]);
        while let Some(at) = tags[from..].iter().position(|t| *t == tag) {
            if self.entries[from + at].0 == *key {
                return Some(from + at);
            }
            from += at + 1;
        }
        None
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn way(hash: u64, depth: u32) -> usize {
    (hash >> (depth * BITS)) as usize % WAYS
}

fn insert<K: Key, V: Clone>(node: &mut Node<K, V>, hash: u64, depth: u32, key: K, value: V) -> Option<V> {
    let leaf = match node {
        Node::Branch(branch) => {
            let child = &mut Arc::make_mut(branch)[way(hash, depth)];
            return insert(child, hash, depth + 1, key, value);
        }
        Node::Leaf(leaf) => Arc::make_mut(leaf),
    };
    if let Some(at) = leaf.find(&key, tag(hash)) {
        return Some(std::mem::replace(&mut leaf.entries[at].1, value));
    }
    leaf.push(tag(hash), key, value);
    // A split needs bits that are left, and of those only the lower half: the upper half are the tags.
    if leaf.entries.len() > LEAF && (depth + 1) * BITS <= 32 {
        *node = split(leaf, depth);
    }
    None
}

fn split<K: Key, V: Clone>(leaf: &mut Leaf<K, V>, depth: u32) -> Node<K, V> {
    let mut parts: [Leaf<K, V>; WAYS] = std::array::from_fn(|_| Leaf::default());
    for (key, value) in leaf.entries.drain(..) {
        let hash = key.hash();
        parts[way(hash, depth)].push(tag(hash), key, value);
    }
    Node::Branch(Arc::new(parts.map(|part| Node::Leaf(Arc::new(part)))))
}

fn remove<K: Key, V: Clone>(node: &mut Node<K, V>, hash: u64, depth: u32, key: &K) -> Option<V> {
    match node {
        Node::Branch(branch) => remove(&mut Arc::make_mut(branch)[way(hash, depth)], hash, depth + 1, key),
        Node::Leaf(leaf) => {
            let leaf = Arc::make_mut(leaf);
            let at = leaf.find(key, tag(hash))?;
            Some(leaf.remove(at))
        }
    }
}

/// Sixteen bytes that are random already, or chosen by an operator: ids and digests.
impl Key for [u8; 16] {
    fn is(&self, other: &Self) -> bool {
        u128::from_ne_bytes(*self) == u128::from_ne_bytes(*other)
    }

    fn hash(&self) -> u64 {
        let (low, high) = (u128::from_le_bytes(*self) as u64, (u128::from_le_bytes(*self) >> 64) as u64);
        // Ids made by hand differ in few bits: multiplication and folding spreads them (fxhash, wyhash and others).
        let wide = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0xe703_7ed1_a0b4_28db | 1);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn id(n: u64) -> [u8; 16] {
        (u128::from(n) << 64).to_le_bytes()
    }

    /// Keys that all have one hash.
    #[derive(Clone, PartialEq, Eq)]
    struct Same(u32);

    impl Key for Same {
        fn hash(&self) -> u64 {
            7
        }
    }

    #[test]
    fn does_what_a_map_does() {
        let (mut map, mut want) = (SharedMap::default(), HashMap::new());
        // A linear congruential sequence: the same operations each time.
        let mut state = 1u64;
        for _ in 0..40_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, value) = (id((state >> 33) % 5000), state);
            if state >> 62 == 0 {
                assert_eq!(map.remove(&key), want.remove(&key));
            } else {
                assert_eq!(map.insert(key, value), want.insert(key, value));
            }
        }
        for n in 0..5000 {
            assert_eq!(map.get(&id(n)), want.get(&id(n)));
            let evenly = map.get_evenly(&id(n)).and_then(|(value, is)| is.then_some(value));
            assert_eq!(evenly, want.get(&id(n)));
        }
    }

    #[test]
    fn a_clone_stays_as_it_was() {
        let mut map = SharedMap::default();
        for n in 0..1000 {
            map.insert(id(n), n);
        }
        let before = map.clone();
        for n in 0..1000 {
            map.remove(&id(n));
        }
        map.insert(id(7), 0);
        assert!((0..1000).all(|n| map.get(&id(n)).is_some() == (n == 7)));
        assert!((0..1000).all(|n| before.get(&id(n)) == Some(&n)));
    }

    #[test]
    fn keys_of_one_hash_are_kept_apart() {
        let mut map = SharedMap::default();
        for n in 0..500 {
            map.insert(Same(n), n);
        }
        assert!((0..500).all(|n| map.get(&Same(n)) == Some(&n)));
        assert!((0..500).all(|n| map.get_evenly(&Same(n)) == Some((&n, true))));
        assert!(map.get_evenly(&Same(500)).is_some_and(|(_, is)| !is));
    }
}
