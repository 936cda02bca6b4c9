//! What a look-up answers.

use std::fmt;

use regex_automata::util::captures::Captures as Groups;

use crate::criteria::RouteId;
use crate::entry::Entry;
use crate::protocol::{Arrival, Protocols, Refusal};
use crate::search::Found;

/// The route that a request belongs to: lives as long as the router (`'r`) and the request's path (`'p`).
pub struct Match<'r, 'p, T> {
    entry: &'r Entry<T>,
    path: &'p str,
    end: usize,
}

impl<'r, 'p, T> Match<'r, 'p, T> {
    pub(crate) fn new(found: Found<'r, T>, path: &'p str) -> Self {
        Match { entry: found.entry, path, end: found.end }
    }

    /// What the route was inserted with.
    pub fn payload(&self) -> &'r T {
        &self.entry.route.payload
    }

    /// The route's id.
    pub fn id(&self) -> RouteId {
        self.entry.id()
    }

    /// The protocols that the route is for.
    pub fn protocols(&self) -> Protocols {
        self.entry.route.criteria.protocols
    }

    /// Whether a request that came so may use the route.
    pub fn admit(&self, arrival: Arrival) -> Result<(), Refusal> {
        self.protocols().admit(arrival)
    }

    /// How many bytes of the path the route matched: the length of its prefix, or where its regular expression
    /// ended; 0 if it asks for no path.
    pub fn path_end(&self) -> usize {
        self.end
    }

    /// The part of the path that the route matched, in normal form: [`crate::path::escape`] it for a message.
    pub fn matched_path(&self) -> &'p str {
        self.path.get(..self.end).unwrap_or_default()
    }

    /// The groups of the route's regular expression; none if it matched by a prefix or without a path.
    ///
    /// Looked for only now, in time that grows with the pattern's size times the path's length; allocates.
    pub fn captures(&self) -> Option<Captures<'p>> {
        self.entry.rule()?.is_regex().then_some(())?;
        let groups = self
            .entry
            .program
            .as_ref()
            .and_then(|program| program.captures(self.path, self.entry.literal_end()));
        Some(Captures { whole: self.matched_path(), path: self.path, groups })
    }
}

impl<T> fmt::Debug for Match<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Match").field("id", &self.id()).field("matched_path", &self.matched_path()).finish()
    }
}

/// The groups of a regular expression that matched a path. Group 0 is all that was matched.
#[derive(Debug, Clone)]
pub struct Captures<'m> {
    whole: &'m str,
    path: &'m str,
    /// None for a pattern without anything but a literal.
    groups: Option<Groups>,
}

impl<'m> Captures<'m> {
    /// The text of a group by its number; none if there is no such group or it took no part in the match.
    pub fn get(&self, index: usize) -> Option<&'m str> {
        match index {
            0 => Some(self.whole),
            _ => self.path.get(self.groups.as_ref()?.get_group(index)?.range()),
        }
    }

    /// The text of a group by its name.
    pub fn name(&self, name: &str) -> Option<&'m str> {
        self.path.get(self.groups.as_ref()?.get_group_by_name(name)?.range())
    }

    /// How many groups there are, with group 0.
    pub fn group_count(&self) -> usize {
        self.groups.as_ref().map_or(1, Groups::group_len)
    }

    /// Names and texts of the groups that have a name and took part.
    pub fn named(&self) -> impl Iterator<Item = (&str, &'m str)> {
        let groups = self.groups.iter().flat_map(|groups| {
            groups
                .group_info()
                .all_names()
                .filter_map(|(_, index, name)| Some((name?, groups.get_group(index)?)))
        });
        groups.filter_map(|(name, span)| Some((name, self.path.get(span.range())?)))
    }
}
