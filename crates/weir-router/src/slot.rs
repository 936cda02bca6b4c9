//! What stands at one key of the index: the entries that share it, in the order in which they are to be tried.
//!
//! Mostly that is one entry, or a few. Where more meet, they are told apart by something else that each of them
//! demands and that can be looked up: the value of a header, the name of the TLS server, or a literal within a
//! regular expression. Of what an entry demands, that is taken which the fewest others share so far; those that
//! share it are told apart by the next in turn. Entries that demand nothing of the kind are tried one after
//! another.

use std::sync::Arc;

use crate::entry::Entry;
use crate::name::Name;
use crate::rank::Rank;
use crate::sorted::Sorted;
use crate::trie::Node;

/// How many entries are tried one after another before they are worth an index.
const FEW: usize = 8;

/// How much of a header's value makes its key. Entries check the whole value.
pub(crate) const VALUE_KEY: usize = 128;

/// By how many marks, one after another, entries are told apart at the most, and how many of its marks an entry
/// offers for that. Both bound what a removal has to look through.
const DEPTH: usize = 2;
const OFFERED: usize = 16;

#[derive(Debug, Clone)]
pub(crate) enum Slot<T> {
    One(Entry<T>),
    /// In order, and never empty. The rank is that of the first.
    Few(Rank, Arc<[Entry<T>]>),
    /// The rank is the highest.
    Crowd(Rank, Arc<Crowd<T>>),
}

/// Entries told apart by what they demand. Each stands in one group, under every key by which it can be found there.
#[derive(Debug, Clone)]
pub(crate) struct Crowd<T> {
    len: usize,
    /// Those that demand nothing that can be looked up.
    pub(crate) others: Sorted<Entry<T>>,
    pub(crate) headers: Vec<HeaderGroup<T>>,
    pub(crate) snis: SniGroup<T>,
    /// By what follows some `/` of the path.
    pub(crate) literals: Node<T>,
}

/// Entries that demand one of some values of a header.
#[derive(Debug, Clone)]
pub(crate) struct HeaderGroup<T> {
    pub(crate) name: Box<str>,
    pub(crate) values: Node<T>,
}

/// Entries that demand one of some TLS server names.
#[derive(Debug, Clone)]
pub(crate) struct SniGroup<T> {
    pub(crate) names: Node<T>,
    /// All of them again, for requests in the clear, where the name does not count.
    pub(crate) all: Option<Slot<T>>,
}

/// What tells entries of a crowd apart.
#[derive(Debug, Clone, Copy)]
enum Mark<'e> {
    Header { name: &'e str, values: &'e [Box<[u8]>] },
    Sni(&'e [Name]),
    Literal(&'e [u8]),
}

/// The marks by which the entries of a slot have been told apart already, the last one first.
#[derive(Clone, Copy)]
pub(crate) struct Used<'u>(Option<(&'u Mark<'u>, &'u Used<'u>)>);

impl Used<'_> {
    pub(crate) const NONE: Used<'static> = Used(None);

    fn contains(&self, mark: &Mark<'_>) -> bool {
        self.0.is_some_and(|(last, before)| last.is_like(mark) || before.contains(mark))
    }

    fn count(&self) -> usize {
        self.0.map_or(0, |(_, before)| before.count() + 1)
    }
}

impl Mark<'_> {
    /// Whether telling apart by both is no better than by one.
    fn is_like(&self, other: &Mark<'_>) -> bool {
        match (self, other) {
            (Mark::Header { name, .. }, Mark::Header { name: other, .. }) => name == other,
            (Mark::Sni(_), Mark::Sni(_)) | (Mark::Literal(_), Mark::Literal(_)) => true,
            _ => false,
        }
    }
}

impl<T> Slot<T> {
    /// The highest rank.
    pub(crate) fn top(&self) -> Rank {
        match self {
            Slot::One(entry) => entry.rank,
            Slot::Few(top, _) | Slot::Crowd(top, _) => *top,
        }
    }

    fn len(&self) -> usize {
        match self {
            Slot::One(_) => 1,
            Slot::Few(_, entries) => entries.len(),
            Slot::Crowd(_, crowd) => crowd.len,
        }
    }

    fn contains(&self, entry: &Entry<T>, used: &Used<'_>) -> bool {
        match self {
            Slot::One(other) => other.order(entry).is_eq(),
            Slot::Few(_, entries) => entries.iter().any(|other| other.order(entry).is_eq()),
            Slot::Crowd(_, crowd) => {
                let in_others = crowd.others.get(|other| other.order(entry)).is_some();
                in_others || crowd.mark_of(entry, used).is_some()
            }
        }
    }
}

impl<T: Clone> Slot<T> {
    pub(crate) fn insert(slot: &mut Option<Slot<T>>, entry: Entry<T>, used: &Used<'_>) {
        *slot = Some(match slot.take() {
            None => Slot::One(entry),
            Some(Slot::One(other)) => Slot::of_few(vec![other, entry]),
            Some(Slot::Few(_, entries)) if entries.len() < FEW => {
                Slot::of_few(entries.iter().cloned().chain([entry]).collect())
            }
            Some(Slot::Few(_, entries)) => {
                let mut crowd = Crowd::default();
                entries.iter().cloned().for_each(|other| crowd.insert(other, used));
                crowd.insert(entry, used);
                Slot::Crowd(crowd.top(), Arc::new(crowd))
            }
            Some(Slot::Crowd(_, mut crowd)) => {
                Arc::make_mut(&mut crowd).insert(entry, used);
                Slot::Crowd(crowd.top(), crowd)
            }
        });
    }

    /// Takes out an entry that is there.
    pub(crate) fn remove(slot: &mut Option<Slot<T>>, entry: &Entry<T>, used: &Used<'_>) {
        *slot = match slot.take() {
            None | Some(Slot::One(_)) => None,
            Some(Slot::Few(_, entries)) => {
                let left = entries.iter().filter(|other| other.order(entry).is_ne());
                Some(Slot::of_few(left.cloned().collect()))
            }
            Some(Slot::Crowd(_, mut crowd)) => {
                Arc::make_mut(&mut crowd).remove(entry, used);
                (crowd.len > 0).then(|| Slot::Crowd(crowd.top(), crowd))
            }
        };
    }

    /// A slot of at least one entry.
    fn of_few(mut entries: Vec<Entry<T>>) -> Slot<T> {
        if entries.len() == 1 {
            return Slot::One(entries.remove(0));
        }
        entries.sort_by(Entry::order);
        Slot::Few(entries.first().map_or(Rank::LOWEST, |first| first.rank), entries.into())
    }
}

impl<T> Crowd<T> {
    fn top(&self) -> Rank {
        let headers = self.headers.iter().map(|group| group.values.top());
        let others = self.others.first().map(|entry| entry.rank);
        let snis = self.snis.all.as_ref().map(Slot::top);
        headers.chain(others).chain(snis).chain([self.literals.top()]).max().unwrap_or(Rank::LOWEST)
    }

    /// How many entries share the most common of the mark's keys.
    fn shared(&self, mark: &Mark<'_>) -> usize {
        mark.keys().iter().filter_map(|key| self.at(mark, key)).map(Slot::len).max().unwrap_or(0)
    }

    /// The mark by which an entry is told apart here.
    fn mark_of<'e>(&self, entry: &'e Entry<T>, used: &Used<'_>) -> Option<Mark<'e>> {
        marks(entry, used).find(|mark| {
            let slot = mark.keys().first().and_then(|key| self.at(mark, key));
            slot.is_some_and(|slot| slot.contains(entry, &Used(Some((mark, used)))))
        })
    }

    /// The slot of one of a mark's keys.
    fn at(&self, mark: &Mark<'_>, key: &[u8]) -> Option<&Slot<T>> {
        let nodes = match mark {
            Mark::Header { name, .. } => &self.headers.iter().find(|group| *group.name == **name)?.values,
            Mark::Sni(_) => &self.snis.names,
            Mark::Literal(_) => &self.literals,
        };
        nodes.root().advance(key)?.slot()
    }
}

impl<T: Clone> Crowd<T> {
    fn insert(&mut self, entry: Entry<T>, used: &Used<'_>) {
        self.len += 1;
        // The entry is borrowed from while its copies go to their places; copies share everything.
        let demands = entry.clone();
        match marks(&demands, used).min_by_key(|mark| self.shared(mark)) {
            None => {
                self.others.insert(entry, Entry::order);
            }
            Some(mark) => {
                let used = &Used(Some((&mark, used)));
                let entry = mark.spare(entry);
                self.edit(&mark, |slot| Slot::insert(slot, entry.clone(), used));
            }
        }
    }

    fn remove(&mut self, entry: &Entry<T>, used: &Used<'_>) {
        self.len -= 1;
        if self.others.remove(|other| other.order(entry)).is_none()
            && let Some(mark) = self.mark_of(entry, used)
        {
            self.edit(&mark, |slot| Slot::remove(slot, entry, &Used(Some((&mark, used)))));
        }
    }

    /// Changes the slot of each of the mark's keys, and those that hold its entries again.
    fn edit(&mut self, mark: &Mark<'_>, mut change: impl FnMut(&mut Option<Slot<T>>)) {
        match mark {
            Mark::Header { name, .. } => {
                let found = self.headers.iter().position(|group| *group.name == **name);
                let place = found.unwrap_or_else(|| {
                    self.headers.push(HeaderGroup { name: (*name).into(), values: Node::default() });
                    self.headers.len() - 1
                });
                let values = &mut self.headers[place].values;
                mark.keys().iter().for_each(|key| values.edit(key, &mut change));
                if values.is_empty() {
                    self.headers.remove(place);
                }
            }
            Mark::Sni(_) => {
                mark.keys().iter().for_each(|key| self.snis.names.edit(key, &mut change));
                change(&mut self.snis.all);
            }
            Mark::Literal(_) => mark.keys().iter().for_each(|key| self.literals.edit(key, &mut change)),
        }
    }
}

impl<T> Default for Crowd<T> {
    fn default() -> Self {
        Crowd {
            len: 0,
            others: Sorted::default(),
            headers: Vec::new(),
            snis: SniGroup { names: Node::default(), all: None },
            literals: Node::default(),
        }
    }
}

impl Mark<'_> {
    /// The entry without the check that finding it by the mark has made already.
    fn spare<T>(&self, entry: Entry<T>) -> Entry<T> {
        match self {
            // A longer value could begin with one that fills its key.
            Mark::Header { values, .. } if values.iter().all(|value| value.len() < VALUE_KEY) => {
                entry.found_by_header()
            }
            Mark::Sni(_) => entry.found_by_sni(),
            Mark::Header { .. } | Mark::Literal(_) => entry,
        }
    }

    /// The keys under which an entry with this mark is found, each once.
    fn keys(&self) -> Vec<Vec<u8>> {
        match *self {
            Mark::Header { values, .. } => {
                // In order, so that values that begin with the same key follow one another.
                let mut keys: Vec<_> =
                    values.iter().map(|value| value[..value.len().min(VALUE_KEY)].to_vec()).collect();
                keys.dedup();
                keys
            }
            Mark::Sni(names) => names.iter().map(Name::key).collect(),
            Mark::Literal(literal) => vec![literal.to_vec()],
        }
    }
}

/// What the entry demands that can be looked up and has not been.
fn marks<'e, T>(entry: &'e Entry<T>, used: &Used<'_>) -> impl Iterator<Item = Mark<'e>> {
    let criteria = &entry.route.criteria;
    let exact = criteria.headers.iter().filter(|rule| rule.patterns.is_empty());
    let headers = exact.map(|rule| Mark::Header { name: &rule.name, values: &rule.exact });
    let snis = (!criteria.snis.is_empty()).then_some(Mark::Sni(&criteria.snis));
    let runs = entry.program.iter().flat_map(|program| program.runs.iter());
    let literals = runs.map(|run| Mark::Literal(run));
    let offered = if used.count() < DEPTH { OFFERED } else { 0 };
    headers.chain(snis).chain(literals).take(offered).filter(move |mark| !used.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criteria::{Criteria, Spec};
    use crate::entry::Route;

    #[test]
    fn entries_are_told_apart_by_what_the_fewest_share() {
        let mut slot = None;
        for number in 0..100u8 {
            let tenant = [format!("tenant-{number}")];
            let common = [("x-env", ["prod".to_owned()]), ("x-zone", ["one".to_owned()])];
            let headers = vec![
                (common[0].0, &common[0].1[..]),
                ("x-tenant", &tenant[..]),
                (common[1].0, &common[1].1[..]),
            ];
            let criteria = Criteria::parse(&Spec { headers, ..Spec::new([number; 16]) }).unwrap();
            let route = Arc::new(Route { criteria, payload: (), header_programs: Box::default() });
            Slot::insert(&mut slot, Entry::new(&route, 0, None, 0, 0), &Used::NONE);
        }
        let Some(Slot::Crowd(_, crowd)) = slot else { panic!("{slot:?}") };
        assert_eq!(crowd.len, 100);
        let largest = |name, value: &str| {
            let values = [value.as_bytes().into()];
            crowd.shared(&Mark::Header { name, values: &values })
        };
        assert!(largest("x-env", "prod") <= 2 && largest("x-zone", "one") <= 2);
        assert_eq!(largest("x-tenant", "tenant-99"), 1);
    }
}
