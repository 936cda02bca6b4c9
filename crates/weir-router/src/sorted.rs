//! A sorted sequence that is cheap to copy: chunks behind shared pointers, of which a change copies one, and the list of
//! chunks. With 100,000 elements a change copies about a thousand pointers and a hundred elements.
//!
//! The order is the caller's: every call must be given comparisons that agree with one another.

use std::cmp::Ordering;
use std::sync::Arc;

/// The most elements in a chunk.
const CHUNK: usize = 128;

#[derive(Debug, Clone)]
pub(crate) struct Sorted<E> {
    /// None is empty; the last element of each is before the first of the next.
    chunks: Arc<Vec<Arc<Vec<E>>>>,
    len: usize,
}

impl<E> Sorted<E> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub(crate) fn first(&self) -> Option<&E> {
        self.chunks.first()?.first()
    }

    /// The element for which `order` answers that it is the one looked for.
    pub(crate) fn get(&self, order: impl Fn(&E) -> Ordering) -> Option<&E> {
        let (chunk, index) = self.find(order).ok()?;
        self.chunks.get(chunk)?.get(index)
    }

    /// The chunk and the place in it of an element, or where it would be.
    fn find(&self, order: impl Fn(&E) -> Ordering) -> Result<(usize, usize), (usize, usize)> {
        let begins_after = |chunk: &Arc<Vec<E>>| chunk.first().is_none_or(|first| order(first).is_gt());
        let after = self.chunks.partition_point(|chunk| !begins_after(chunk));
        let chunk = after.saturating_sub(1);
        match self.chunks.get(chunk) {
            None => Err((0, 0)),
            Some(elements) => match elements.binary_search_by(order) {
                Ok(index) => Ok((chunk, index)),
                Err(index) => Err((chunk, index)),
            },
        }
    }
}

impl<E: Clone> Sorted<E> {
    /// Adds an element, or puts it in the place of its equal, which is returned.
    pub(crate) fn insert(&mut self, element: E, order: impl Fn(&E, &E) -> Ordering) -> Option<E> {
        let found = self.find(|other| order(other, &element));
        let chunks = Arc::make_mut(&mut self.chunks);
        let (place, replaced) = match found {
            Ok((chunk, index)) => ((chunk, index), true),
            Err(place) => (place, false),
        };
        let Some(chunk) = chunks.get_mut(place.0).map(Arc::make_mut) else {
            chunks.push(Arc::new(vec![element]));
            self.len += 1;
            return None;
        };
        if replaced {
            return chunk.get_mut(place.1).map(|old| std::mem::replace(old, element));
        }
        chunk.insert(place.1, element);
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            chunk.shrink_to_fit();
            chunks.insert(place.0 + 1, Arc::new(upper));
        }
        self.len += 1;
        None
    }

    /// Takes out the element for which `order` answers that it is the one looked for.
    pub(crate) fn remove(&mut self, order: impl Fn(&E) -> Ordering) -> Option<E> {
        let (place, index) = self.find(order).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let removed = Arc::make_mut(chunks.get_mut(place)?).remove(index);
        self.len -= 1;
        join_small(chunks, place);
        Some(removed)
    }
}

/// Joins a chunk that became small with the next one, so that removals don't leave many nearly empty chunks.
fn join_small<E: Clone>(chunks: &mut Vec<Arc<Vec<E>>>, place: usize) {
    if chunks[place].is_empty() {
        chunks.remove(place);
        return;
    }
    let place = if place + 1 < chunks.len() { place } else { place.saturating_sub(1) };
    let [first, second] = match chunks.get_mut(place..place + 2) {
        Some([first, second]) if first.len() + second.len() <= CHUNK / 2 => [first, second],
        _ => return,
    };
    Arc::make_mut(first).extend(second.iter().cloned());
    chunks.remove(place + 1);
}

impl<E> Default for Sorted<E> {
    fn default() -> Self {
        Sorted { chunks: Arc::default(), len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_an_ordered_map(changes in proptest::collection::vec((any::<bool>(), 0u16..600), 0..1500)) {
            let mut sorted = Sorted::default();
            let mut expected = std::collections::BTreeMap::new();
            let mut snapshots = Vec::new();
            for (step, (insert, key)) in changes.into_iter().enumerate() {
                if step % 100 == 0 {
                    snapshots.push((sorted.clone(), expected.clone()));
                }
                if insert {
                    let old = sorted.insert((key, step), |a: &(u16, usize), b| a.0.cmp(&b.0));
                    prop_assert_eq!(old.map(|old| old.1), expected.insert(key, step));
                } else {
                    let old = sorted.remove(|element| element.0.cmp(&key));
                    prop_assert_eq!(old.map(|old| old.1), expected.remove(&key));
                }
            }
            snapshots.push((sorted, expected));
            for (sorted, expected) in snapshots {
                prop_assert_eq!(sorted.len(), expected.len());
                prop_assert!(sorted.iter().copied().eq(expected.clone()));
                prop_assert!(sorted.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
                for key in 0..600 {
                    let found = sorted.get(|element| element.0.cmp(&key)).map(|element| element.1);
                    prop_assert_eq!(found, expected.get(&key).copied());
                }
            }
        }
    }
}
