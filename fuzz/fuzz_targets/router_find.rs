//! Routes and requests from anywhere: reading criteria never panics, and a router of many routes answers what
//! routers of one route each would.
//!
//! Input is text, a word a line: the first character says what the rest is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_router::{Criteria, Request, RouteId, Router, Spec, split_port};

/// More routes make a run slower without showing more.
const MOST_ROUTES: usize = 40;

#[derive(Default)]
struct Words<'a> {
    methods: Vec<&'a str>,
    hosts: Vec<&'a str>,
    paths: Vec<&'a str>,
    headers: Vec<(&'a str, Vec<&'a str>)>,
    snis: Vec<&'a str>,
    regex_priority: i64,
}

#[derive(Default, Clone)]
struct Call<'a> {
    method: &'a str,
    authority: &'a str,
    path: &'a str,
    sni: Option<&'a str>,
    tls: bool,
    headers: Vec<(&'a str, &'a str)>,
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut routes, mut calls) = (vec![Words::default()], vec![Call::default()]);
    for line in text.lines() {
        let Some(first) = line.chars().next() else { continue };
        let rest = &line[first.len_utf8()..];
        let (name, value) = rest.split_once(':').unwrap_or((rest, ""));
        let (Some(route), Some(call)) = (routes.last_mut(), calls.last_mut()) else { return };
        match first {
            'm' => route.methods.push(rest),
            'h' => route.hosts.push(rest),
            'p' => route.paths.push(rest),
            's' => route.snis.push(rest),
            'x' => route.headers.push((name, value.split(',').collect())),
            'i' => route.regex_priority = rest.parse().unwrap_or_default(),
            '+' if routes.len() < MOST_ROUTES => routes.push(Words::default()),
            'M' => call.method = rest,
            'H' => call.authority = rest,
            'P' => call.path = rest,
            'S' => (call.sni, call.tls) = (Some(rest), true),
            'T' => call.tls = true,
            'X' => call.headers.push((name, value)),
            '>' if calls.len() < MOST_ROUTES => calls.push(Call::default()),
            _ => {}
        }
    }

    let criteria: Vec<Criteria> =
        routes.iter().enumerate().filter_map(|(number, words)| read(number, words)).collect();
    let mut all: Router<RouteId> = criteria.iter().map(|route| (route.clone(), route.id())).collect();
    let alone: Vec<Router<RouteId>> =
        criteria.iter().map(|route| [(route.clone(), route.id())].into_iter().collect()).collect();
    for call in &calls {
        with_request(call, |request| {
            let found = all.find(request).map(|found| (found.id(), found.path_end()));
            let single: Vec<_> = alone.iter().filter_map(|router| router.find(request)).collect();
            match found {
                None => assert!(single.is_empty(), "{request:?} is missed"),
                Some(found) => assert!(single.iter().any(|single| (single.id(), single.path_end()) == found)),
            }
            for found in single {
                assert!(request.path.is_char_boundary(found.path_end()));
                if let Some(captures) = found.captures() {
                    assert_eq!(captures.get(0), Some(found.matched_path()));
                }
            }
        });
    }
    for route in &criteria {
        assert_eq!(all.remove(&route.id()), Some(route.id()));
    }
    assert_eq!(format!("{all:?}"), format!("{:?}", Router::<RouteId>::default()));
});

fn read(number: usize, words: &Words<'_>) -> Option<Criteria> {
    let mut id: RouteId = [0; 16];
    id[0] = number as u8;
    let spec = Spec {
        methods: &words.methods,
        hosts: &words.hosts,
        paths: &words.paths,
        headers: words.headers.iter().map(|(name, values)| (*name, values.as_slice())).collect(),
        snis: &words.snis,
        regex_priority: words.regex_priority,
        ..Spec::new(id)
    };
    Criteria::parse(&spec).map_err(|error| error.to_string()).ok()
}

fn with_request(call: &Call<'_>, look: impl Fn(&Request<'_>)) {
    let (host, port) = split_port(call.authority).unwrap_or_default();
    look(&Request {
        method: call.method,
        host,
        port: port.unwrap_or(80),
        path: call.path,
        tls: call.tls,
        sni: call.sni,
        headers: &call.headers,
    });
}
