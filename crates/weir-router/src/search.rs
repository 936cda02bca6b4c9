//! The search for the route that a request belongs to.
//!
//! Candidates come from the index by host and by path; the best so far turns back whatever cannot outrank it. A candidate
//! costs a few comparisons unless its route asks for headers, server names or a regular expression.

use crate::entry::{Entry, Known};
use crate::method;
use crate::name;
use crate::rank::Rank;
use crate::request::Request;
use crate::slot::{Crowd, Slot, VALUE_KEY};
use crate::trie::{Cursor, Node};

/// An entry that admits the request, and how many bytes of the path it matched.
pub(crate) struct Found<'t, T> {
    pub(crate) entry: &'t Entry<T>,
    pub(crate) end: usize,
}

/// The best of all entries under `root` that admit the request.
pub(crate) fn search<'t, T>(root: &'t Node<T>, request: &Request<'_>) -> Option<Found<'t, T>> {
    let known = Known { method: method::bit(request.method), ascii: request.path.is_ascii() };
    let mut search = Search { request, known, best: None };
    let root = root.root();
    name::visit(root, request.host, |place| search.along_path(place));
    if let Some(place) = root.step(name::UNNAMED) {
        search.along_path(place);
    }
    search.best
}

struct Search<'r, 't, T> {
    request: &'r Request<'r>,
    known: Known,
    best: Option<Found<'t, T>>,
}

impl<'t, T> Search<'_, 't, T> {
    /// Tries what stands at the beginnings of the request's path, the longest first: mostly it is the one.
    fn along_path(&mut self, place: Cursor<'t, T>) {
        /// How many slots wait their turn. It matters to the order alone, which saves work, not to the result.
        const WAITING: usize = 16;
        let mut waiting = [None; WAITING];
        let mut count = 0;
        place.prefixes(self.request.path.as_bytes(), self.least(), |slot, length| {
            if count == WAITING {
                self.try_all(&waiting);
                count = 0;
            }
            waiting[count] = Some((slot, length));
            count += 1;
        });
        self.try_all(&waiting[..count]);
    }

    fn try_all(&mut self, slots: &[Option<(&'t Slot<T>, usize)>]) {
        for (slot, length) in slots.iter().rev().flatten() {
            self.try_slot(slot, *length);
        }
    }

    /// Tries the entries of a slot that is found after `length` bytes of the path.
    fn try_slot(&mut self, slot: &'t Slot<T>, length: usize) {
        match slot {
            _ if slot.top() < self.least() => {}
            Slot::One(entry) => self.try_in_order([entry]),
            Slot::Few(_, entries) => self.try_in_order(entries.iter()),
            Slot::Crowd(_, crowd) => self.try_crowd(crowd, length),
        }
    }

    /// Tries entries until one admits the request, or no better one can come.
    fn try_in_order(&mut self, entries: impl IntoIterator<Item = &'t Entry<T>>) {
        for entry in entries {
            if self.best.as_ref().is_some_and(|best| entry.order(best.entry).is_ge()) {
                return;
            }
            if let Some(end) = entry.admits(self.request, &self.known) {
                self.best = Some(Found { entry, end });
                return;
            }
        }
    }

    fn try_crowd(&mut self, crowd: &'t Crowd<T>, length: usize) {
        let request = self.request;
        for group in &crowd.headers {
            if group.values.top() >= self.least() {
                // Every value is visited: another may lead to a better route.
                request.headers.any(&group.name, &mut |value| {
                    self.try_value(&group.values, value, length);
                    false
                });
            }
        }
        match (request.tls, request.sni) {
            (false, _) => crowd.snis.all.iter().for_each(|slot| self.try_slot(slot, length)),
            (true, Some(sni)) => name::visit(crowd.snis.names.root(), sni, |place| {
                place.slot().into_iter().for_each(|slot| self.try_slot(slot, length));
            }),
            (true, None) => {}
        }
        self.try_literals(&crowd.literals, length);
        self.try_in_order(crowd.others.iter());
    }

    /// Tries the entries that ask for a header's value.
    fn try_value(&mut self, values: &'t Node<T>, value: &[u8], length: usize) {
        let mut key = [0; VALUE_KEY];
        let key = &mut key[..value.len().min(VALUE_KEY)];
        key.copy_from_slice(&value[..key.len()]);
        key.make_ascii_lowercase();
        if let Some(slot) = values.root().advance(key).and_then(|place| place.slot()) {
            self.try_slot(slot, length);
        }
    }

    /// Tries the entries whose patterns demand what follows one of the path's slashes.
    fn try_literals(&mut self, literals: &'t Node<T>, length: usize) {
        let path = self.request.path.as_bytes();
        for (at, _) in path.iter().enumerate().skip(length).filter(|(_, byte)| **byte == b'/') {
            if literals.top() < self.least() || literals.is_empty() {
                return;
            }
            literals.root().prefixes(&path[at + 1..], self.least(), |slot, _| self.try_slot(slot, length));
        }
    }

    /// The lowest rank that is worth a try. One that equals the best may still have the greater id.
    fn least(&self) -> Rank {
        self.best.as_ref().map_or(Rank::LOWEST, |best| best.entry.rank)
    }
}
