//! The router as one would write it without care for cost: every path of every route, sorted, tried in order.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;

use regex::Regex;
use weir_router::RouteId;

use crate::support::{Call, Route};

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    routes: Vec<Route>,
}

/// A route at one of its paths, if it has any.
struct Way<'a> {
    route: &'a Route,
    path: Option<&'a str>,
}

impl Model {
    pub(crate) fn insert(&mut self, route: Route) {
        self.remove(&route.id);
        self.routes.push(route);
    }

    pub(crate) fn remove(&mut self, id: &RouteId) -> bool {
        let before = self.routes.len();
        self.routes.retain(|route| route.id != *id);
        self.routes.len() < before
    }

    pub(crate) fn ids(&self) -> Vec<RouteId> {
        let mut ids: Vec<_> = self.routes.iter().map(|route| route.id).collect();
        ids.sort();
        ids
    }

    /// The route's id, and how much of the path it matched.
    pub(crate) fn find(&self, call: &Call) -> Option<(RouteId, usize)> {
        let mut ways: Vec<Way<'_>> = Vec::new();
        for route in &self.routes {
            match route.paths.as_slice() {
                [] => ways.push(Way { route, path: None }),
                paths => ways.extend(paths.iter().map(|path| Way { route, path: Some(path) })),
            }
        }
        // Stable: of a route's paths that rank alike, the first comes first.
        ways.sort_by_key(|way| Reverse((way.rank(), way.route.id)));
        ways.iter().find_map(|way| Some((way.route.id, way.matches(call)?)))
    }
}

impl Way<'_> {
    fn rank(&self) -> impl Ord + use<> {
        let route = self.route;
        let kinds = [
            route.methods.is_empty(),
            route.hosts.is_empty(),
            route.paths.is_empty(),
            route.headers.is_empty(),
            route.snis.is_empty(),
        ];
        let kinds = kinds.into_iter().filter(|empty| !empty).count();
        let plain = |names: &[String]| !names.is_empty() && names.iter().all(|name| !name.contains('*'));
        let regex = self.path.is_some_and(|path| path.starts_with('~'));
        let length = self.path.filter(|_| !regex).map_or(0, str::len);
        let priority = if regex { route.regex_priority } else { 0 };
        (
            kinds >= 4,
            plain(&route.hosts),
            regex,
            kinds,
            route.headers.len(),
            priority,
            length,
            plain(&route.snis),
        )
    }

    fn matches(&self, call: &Call) -> Option<usize> {
        let route = self.route;
        let any = |list: &[String], test: &dyn Fn(&String) -> bool| list.is_empty() || list.iter().any(test);
        let method = any(&route.methods, &|method| *method == call.method);
        let host = any(&route.hosts, &|host| {
            let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
            is_named(name, &call.host) && (port.is_empty() || port == call.port.to_string())
        });
        let sni =
            !call.tls || any(&route.snis, &|own| call.sni.as_ref().is_some_and(|name| is_named(own, name)));
        let headers = route.headers.iter().all(|(name, values)| {
            call.headers.iter().any(|(own, value)| {
                own.eq_ignore_ascii_case(name)
                    && values.iter().any(|wanted| match wanted.strip_prefix("~*") {
                        Some(pattern) => pattern_of(format!("(?i){pattern}")).is_match(value),
                        None => wanted.eq_ignore_ascii_case(value),
                    })
            })
        });
        if !(method && host && sni && headers) {
            return None;
        }
        match self.path {
            None => Some(0),
            Some(path) => match path.strip_prefix('~') {
                None => call.path.starts_with(path).then_some(path.len()),
                Some(pattern) => {
                    pattern_of(format!("^(?:{pattern})")).find(&call.path).map(|found| found.end())
                }
            },
        }
    }
}

/// The pattern, compiled once in a thread.
fn pattern_of(pattern: String) -> Regex {
    thread_local!(static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default());
    let compile = |pattern: &String| Regex::new(pattern).unwrap();
    COMPILED.with_borrow_mut(|compiled| compiled.entry(pattern).or_insert_with_key(compile).clone())
}

fn is_named(own: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = own.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    match (own.strip_prefix('*'), own.strip_suffix('*')) {
        (Some(suffix), _) => name.ends_with(suffix),
        (_, Some(prefix)) => name.starts_with(prefix),
        _ => own == name,
    }
}
