//! The router: a value that is read by many and replaced by changed copies of itself.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::criteria::{Criteria, PathRule, RouteId};
use crate::entry::{Entry, Route};
use crate::matched::Match;
use crate::name;
use crate::pattern::Purpose;
use crate::program::Program;
use crate::request::Request;
use crate::search;
use crate::slot::{Slot, Used};
use crate::sorted::Sorted;
use crate::trie::Node;

/// How much of a path's literal makes its key. Entries check the rest. Bounds the index's depth.
const PATH_KEY: usize = 256;

/// Maps routes' criteria to payloads, and finds the payload that a request belongs to.
///
/// A clone is a snapshot: it costs a few reference counts and shares everything with its origin; changes to either
/// leave the other as it is. A change costs time in proportion to the depth of the index and the width of the nodes
/// on the way, times the number of the route's hosts and paths, not to the number of routes.
#[derive(Debug, Clone)]
pub struct Router<T> {
    index: Node<T>,
    routes: Sorted<Arc<Route<T>>>,
    programs: Sorted<Shared>,
}

/// A program and how many patterns of how many routes use it.
#[derive(Debug, Clone)]
struct Shared {
    program: Arc<Program>,
    uses: usize,
}

impl<T> Router<T> {
    /// The route that the request belongs to: of those whose criteria it meets, the one with the highest precedence.
    ///
    /// Takes no lock and does not allocate. The exceptions are regular expressions that are no plain sequence of
    /// classes and literals: where such a one needs a large DFA or meets text that is not ASCII, it is matched by an
    /// engine that is made at the first such look-up and keeps scratch memory.
    pub fn find<'r, 'p>(&'r self, request: &Request<'p>) -> Option<Match<'r, 'p, T>> {
        search::search(&self.index, request).map(|found| Match::new(found, request.path))
    }

    /// What the route with this id was inserted with.
    pub fn get(&self, id: &RouteId) -> Option<&T> {
        self.routes.get(|route| route.criteria.id.cmp(id)).map(|route| &route.payload)
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is no route.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All routes' ids and payloads, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (RouteId, &T)> {
        self.routes.iter().map(|route| (route.criteria.id, &route.payload))
    }
}

impl<T: Clone> Router<T> {
    /// Adds a route. One with the same id is replaced, and its payload returned.
    pub fn insert(&mut self, criteria: Criteria, payload: T) -> Option<T> {
        let header_programs = criteria.headers.iter().map(|rule| {
            let patterns = rule.patterns.iter().filter_map(|pattern| pattern.rest.as_deref());
            patterns.map(|pattern| self.acquire(pattern, Purpose::Header)).collect()
        });
        let header_programs = header_programs.collect();
        let patterns = criteria.paths.iter().map(PathRule::pattern);
        let path_programs: Vec<_> =
            patterns.map(|pattern| Some(self.acquire(pattern?, Purpose::Path))).collect();
        // Only now, so that programs which the old route and the new one use are not compiled again.
        let replaced = self.remove(&criteria.id);
        let route = Arc::new(Route { criteria, payload, header_programs });
        for_each_entry(&route, &path_programs, |key, entry| {
            self.index.edit(key, |slot| Slot::insert(slot, entry, &Used::NONE));
        });
        self.routes.insert(route, |a, b| a.criteria.id.cmp(&b.criteria.id));
        replaced
    }

    /// Takes a route out, and returns its payload.
    pub fn remove(&mut self, id: &RouteId) -> Option<T> {
        let route = self.routes.remove(|route| route.criteria.id.cmp(id))?;
        let patterns = route.criteria.paths.iter().map(PathRule::pattern);
        let path_programs: Vec<_> = patterns.map(|pattern| self.release(pattern?, Purpose::Path)).collect();
        for_each_entry(&route, &path_programs, |key, entry| {
            self.index.edit(key, |slot| Slot::remove(slot, &entry, &Used::NONE));
        });
        for program in route.header_programs.iter().flatten() {
            self.release(&program.source, Purpose::Header);
        }
        Some(Arc::try_unwrap(route).map_or_else(|route| route.payload.clone(), |route| route.payload))
    }

    /// Gives a route another payload, and returns the one it had. Its criteria stay; an unknown id changes nothing.
    pub fn replace(&mut self, id: &RouteId, payload: T) -> Option<T> {
        let criteria = self.routes.get(|route| route.criteria.id.cmp(id))?.criteria.clone();
        self.insert(criteria, payload)
    }

    /// The program of a pattern: the one that other routes use, if there is one.
    fn acquire(&mut self, pattern: &str, purpose: Purpose) -> Arc<Program> {
        let known = self.programs.get(|shared| shared.order(pattern, purpose)).cloned();
        let mut shared =
            known.unwrap_or_else(|| Shared { program: Program::compile(pattern, purpose).into(), uses: 0 });
        shared.uses += 1;
        let program = Arc::clone(&shared.program);
        self.programs.insert(shared, |a, b| a.order(&b.program.source, b.program.purpose));
        program
    }

    /// Notes that a pattern is used once less, and answers its program.
    fn release(&mut self, pattern: &str, purpose: Purpose) -> Option<Arc<Program>> {
        let mut shared = self.programs.remove(|shared| shared.order(pattern, purpose))?;
        let program = Arc::clone(&shared.program);
        shared.uses -= 1;
        if shared.uses > 0 {
            self.programs.insert(shared, |a, b| a.order(&b.program.source, b.program.purpose));
        }
        Some(program)
    }
}

/// Calls `each` with every key under which the route stands, and the entry that stands there: one for each of its
/// paths and hosts.
fn for_each_entry<T>(
    route: &Arc<Route<T>>,
    programs: &[Option<Arc<Program>>],
    mut each: impl FnMut(&[u8], Entry<T>),
) {
    let criteria = &route.criteria;
    if !criteria.protocols.any_http() {
        return;
    }
    let mut literals: Vec<&str> = criteria.paths.iter().map(PathRule::literal).collect();
    if literals.is_empty() {
        literals.push("");
    }
    for (path, literal) in literals.into_iter().enumerate() {
        let literal = &literal.as_bytes()[..literal.len().min(PATH_KEY)];
        let program = programs.get(path).cloned().flatten();
        let mut put = |mut key: Vec<u8>, port| {
            key.extend(literal);
            each(&key, Entry::new(route, path, program.clone(), port, literal.len()));
        };
        if criteria.hosts.is_empty() {
            put(vec![name::UNNAMED], 0);
        }
        for host in &criteria.hosts {
            put(host.name.key(), host.port);
        }
    }
}

impl Shared {
    fn order(&self, pattern: &str, purpose: Purpose) -> Ordering {
        (&*self.program.source, self.program.purpose).cmp(&(pattern, purpose))
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Router { index: Node::default(), routes: Sorted::default(), programs: Sorted::default() }
    }
}

impl<T: Clone> Extend<(Criteria, T)> for Router<T> {
    fn extend<I: IntoIterator<Item = (Criteria, T)>>(&mut self, routes: I) {
        routes.into_iter().for_each(|(criteria, payload)| {
            self.insert(criteria, payload);
        });
    }
}

impl<T: Clone> FromIterator<(Criteria, T)> for Router<T> {
    fn from_iter<I: IntoIterator<Item = (Criteria, T)>>(routes: I) -> Self {
        let mut router = Router::default();
        router.extend(routes);
        router
    }
}
