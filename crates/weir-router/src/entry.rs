//! A route in the index: one entry for each of its paths, and the checks that an entry leaves to the search.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::criteria::{Criteria, PathRule, RouteId};
use crate::program::Program;
use crate::rank::Rank;
use crate::request::Request;

/// A route as the index holds it, once for all its entries.
#[derive(Debug)]
pub(crate) struct Route<T> {
    pub(crate) criteria: Criteria,
    pub(crate) payload: T,
    /// Of each header rule, its patterns compiled.
    pub(crate) header_programs: Box<[Box<[Arc<Program>]>]>,
}

/// One path of a route, or the route itself if it asks for none, for one port or any.
///
/// What most routes need checked lies here, so that a search seldom has to fetch the route.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) rank: Rank,
    pub(crate) route: Arc<Route<T>>,
    /// What is left to match of a regular expression after its literal.
    pub(crate) program: Option<Arc<Program>>,
    /// How many bytes the path's literal has.
    literal: u32,
    /// The path's place among the route's.
    path: u32,
    /// The port that the request must be for; 0 for any.
    port: u16,
    /// The methods' bits; 0 for any.
    methods: u16,
    residue: Residue,
}

/// Whether there is more to check than the entry itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Residue {
    None,
    /// Headers, server names, methods without a bit, or more of the path than makes a key: see the route.
    Route,
}

impl<T> Entry<T> {
    /// The entry of the route's path at `path`, which makes up `key_length` bytes of its key.
    pub(crate) fn new(
        route: &Arc<Route<T>>,
        path: usize,
        program: Option<Arc<Program>>,
        port: u16,
        key_length: usize,
    ) -> Self {
        let criteria = &route.criteria;
        let rule = criteria.paths.get(path);
        let literal = rule.map_or(0, |rule| rule.literal().len());
        let methods = criteria.methods.bits();
        let see_route = !criteria.headers.is_empty()
            || !criteria.snis.is_empty()
            || methods & crate::method::OTHER != 0
            || literal > key_length;
        Entry {
            rank: criteria.rank(rule),
            route: Arc::clone(route),
            program,
            literal: literal as u32,
            path: path as u32,
            port,
            methods,
            residue: if see_route { Residue::Route } else { Residue::None },
        }
    }

    /// Less for what is tried before: the higher rank, then the greater id, then the path that is named first.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let by_rank = other.rank.cmp(&self.rank);
        by_rank
            .then_with(|| other.id().cmp(&self.id()))
            .then_with(|| (self.path, self.port).cmp(&(other.path, other.port)))
    }

    /// How many bytes of the request's path are matched, if the request is what the route asks for.
    ///
    /// That the host is right, and the path up to the end of its literal's key, is for the index to say.
    pub(crate) fn admits(&self, request: &Request<'_>, known: &Known) -> Option<usize> {
        let method = self.methods == 0 || self.methods & known.method != 0;
        let port = self.port == 0 || self.port == request.port;
        if !method || !port || (self.residue == Residue::Route && !self.route_admits(request, known)) {
            return None;
        }
        let literal = self.literal as usize;
        match &self.program {
            None => Some(literal),
            Some(program) => program.path_end(request.path, literal, known.ascii),
        }
    }

    fn route_admits(&self, request: &Request<'_>, known: &Known) -> bool {
        let criteria = &self.route.criteria;
        let method = self.methods & known.method & crate::method::OTHER == 0
            || criteria.methods.names_other(request.method);
        let sni = criteria.snis.is_empty()
            || !request.tls
            || request.sni.is_some_and(|name| criteria.snis.iter().any(|own| own.matches(name)));
        let path = self.rule().is_none_or(|rule| request.path.starts_with(rule.literal()));
        let headers = || {
            let mut rules = criteria.headers.iter().zip(&self.route.header_programs);
            rules.all(|(rule, programs)| rule.accepts(request.headers, programs))
        };
        method && sni && path && headers()
    }

    /// The path of the route that this entry is for.
    pub(crate) fn rule(&self) -> Option<&PathRule> {
        self.route.criteria.paths.get(self.path as usize)
    }

    /// Where the path's literal ends.
    pub(crate) fn literal_end(&self) -> usize {
        self.literal as usize
    }

    pub(crate) fn id(&self) -> RouteId {
        self.route.criteria.id
    }
}

/// What a search finds out about its request once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// The method's bit.
    pub(crate) method: u16,
    /// Whether the path is ASCII.
    pub(crate) ascii: bool,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Entry { route: Arc::clone(&self.route), program: self.program.clone(), ..*self }
    }
}
