//! What stands at one key of the index: the entries that share it, in the order in which they are to be tried.
//!
//! Mostly that is one entry, or a few. Where more meet, they are told apart by something else that each of them demands
//! and that can be looked up: the value of a header, the name of the TLS server, or a literal within a regular expression.
//! Of what an entry demands, that is taken which the fewest others share so far; those that share it are told apart by the
//! next in turn. Entries that demand nothing of the kind are tried one after another.

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

    /// Takes the entry out. Answers whether it was there.
    pub(crate) fn remove(slot: &mut Option<Slot<T>>, entry: &Entry<T>, used: &Used<'_>) -> bool {
        let (left, removed) = match slot.take() {
            None => (None, false),
            Some(Slot::One(other)) if other.order(entry).is_eq() => (None, true),
            Some(Slot::One(other)) => (Some(Slot::One(other)), false),
            Some(Slot::Few(_, entries)) => {
                let left: Vec<_> =
                    entries.iter().filter(|other| other.order(entry).is_ne()).cloned().collect();
                let removed = left.len() < entries.len();
                (Some(Slot::of_few(left)), removed)
            }
            Some(Slot::Crowd(_, mut crowd)) => {
                let removed = Arc::make_mut(&mut crowd).remove(entry, used);
                ((crowd.len > 0).then(|| Slot::Crowd(crowd.top(), crowd)), removed)
            }
        };
        *slot = left;
        removed
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
        let nodes = match mark {
            Mark::Header { name, .. } => {
                self.headers.iter().find(|group| *group.name == **name).map(|g| &g.values)
            }
            Mark::Sni(_) => Some(&self.snis.names),
            Mark::Literal(_) => Some(&self.literals),
        };
        let Some(nodes) = nodes else { return 0 };
        let len = |key: &[u8]| nodes.root().advance(key).and_then(|place| place.slot()).map_or(0, Slot::len);
        mark.keys().map(|key| len(&key)).max().unwrap_or(0)
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
                self.edit(&mark, |slot| Slot::insert(slot, entry.clone(), used));
            }
        }
    }

    fn remove(&mut self, entry: &Entry<T>, used: &Used<'_>) -> bool {
        let mut removed = self.others.remove(|other| other.order(entry)).is_some();
        for mark in marks(entry, used) {
            if !removed {
                let used = &Used(Some((&mark, used)));
                self.edit(&mark, |slot| removed |= Slot::remove(slot, entry, used));
            }
        }
        self.len -= usize::from(removed);
        removed
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
                mark.keys().for_each(|key| values.edit(&key, &mut change));
                if values.is_empty() {
                    self.headers.remove(place);
                }
            }
            Mark::Sni(_) => {
                mark.keys().for_each(|key| self.snis.names.edit(&key, &mut change));
                change(&mut self.snis.all);
            }
            Mark::Literal(_) => mark.keys().for_each(|key| self.literals.edit(&key, &mut change)),
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

impl<'e> Mark<'e> {
    /// The keys under which an entry with this mark is found.
    fn keys(&self) -> impl Iterator<Item = Vec<u8>> + use<'e> {
        let (values, names, literal): (&[Box<[u8]>], &[Name], _) = match *self {
            Mark::Header { values, .. } => (values, &[], None),
            Mark::Sni(names) => (&[], names, None),
            Mark::Literal(literal) => (&[], &[], Some(literal)),
        };
        let values = values.iter().map(|value| value[..value.len().min(VALUE_KEY)].to_vec());
        let names = names.iter().map(|name| {
            let mut key = Vec::new();
            name.append_key(&mut key);
            key
        });
        values.chain(names).chain(literal.map(<[u8]>::to_vec))
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
    headers.chain(snis).chain(literals).filter(move |mark| !used.contains(mark))
}
