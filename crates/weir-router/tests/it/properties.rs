//! Laws: the index finds what trying every route in order finds, whatever was inserted and removed before; snapshots
//! stay as they were taken; nothing is left of what was removed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use weir_router::{RouteId, Router};

use crate::model::Model;
use crate::support::{Call, Route, call, route};

const HOSTS: &[&str] = &[
    "a.test",
    "b.test",
    "A.b.Test",
    "x.a.test",
    "a.test:80",
    "b.test:443",
    "*.test",
    "*.a.test",
    "*.a.test:80",
    "a.*",
    "b.*",
    "x.a.*",
    "*.b",
    "127.0.0.1",
];
const CALLED: &[&str] = &[
    "",
    "a.test",
    "b.test",
    "x.a.test",
    "X.A.TEST",
    "y.x.a.test",
    "a.b.test",
    "a.",
    "a.b",
    ".a.test",
    "test",
    "127.0.0.1",
    "é",
];
const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/ab",
    "/a/b",
    "/a/b/c",
    "/a/bc",
    "/é",
    "/b",
    "~/",
    "~/a",
    r"~/a/\d+",
    r"~/a/\d+$",
    r"~/\w+/b",
    "~/(a|b)/c",
    "~/a|/b",
    "~/.*c",
    "~/(?i)A/b",
    r"~/[^/]+/b/\d",
    r"~/\w+/c/x",
    "~/é?",
    r"~/a\b",
    "~/a/(?:b|)",
    "~/[ab]*a[ab]{12}c",
];
const CALLED_PATHS: &[&str] = &[
    "/",
    "/a",
    "/A/b",
    "/a/",
    "/ab",
    "/a/b",
    "/a/b/c",
    "/a/b/1",
    "/a/12",
    "/a/12/c",
    "/b",
    "/b/c",
    "/b/c/x",
    "/c",
    "/é",
    "/é/b",
    "/a/é/c",
    "/z/b/7",
    "/abbbbbbbbbbbbbc",
    "/a-b",
];
const NAMES: &[&str] = &["X-A", "x-b", "X-C"];
const VALUES: &[&str] = &["1", "2", "Abc", "abc", "3", "4", "é"];
const WANTED: &[&str] = &["1", "2", "Abc", "abc", "3", "4", "é", "~*^a", r"~*\d", "~*É$"];
const SNIS: &[&str] = &["a.test", "b.test", "*.test", "a.*", "*.a.test"];
const CALLED_SNIS: &[&str] = &["a.test", "B.test", "x.a.test", "a.b", "c"];
const METHODS: &[&str] = &["GET", "POST", "PURGE", "LINK"];

fn some_of(list: &'static [&'static str], odds: f64, most: usize) -> impl Strategy<Value = Vec<String>> {
    let chosen = vec(select(list).prop_map(str::to_owned), 1..=most);
    proptest::option::weighted(odds, chosen).prop_map(Option::unwrap_or_default)
}

/// A route whose id is one of a few, so that routes replace one another. `narrow` ones meet at few keys.
fn any_route(narrow: bool) -> impl Strategy<Value = Route> {
    let (hosts, paths) = if narrow { (&HOSTS[..2], &PATHS[9..]) } else { (HOSTS, PATHS) };
    let headers =
        vec((select(NAMES).prop_map(str::to_owned), vec(select(WANTED).prop_map(str::to_owned), 1..3)), 0..3);
    let headers = proptest::option::weighted(if narrow { 0.7 } else { 0.3 }, headers);
    let odds = if narrow { 0.2 } else { 0.5 };
    (
        0u8..60,
        some_of(METHODS, 0.3, 2),
        some_of(hosts, odds, 3),
        some_of(paths, 0.6, 3),
        headers,
        some_of(SNIS, 0.3, 2),
        -1i64..3,
    )
        .prop_map(|(id, methods, hosts, paths, headers, snis, regex_priority)| {
            let mut headers = headers.unwrap_or_default();
            headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
            headers.dedup_by_key(|(name, _)| name.to_ascii_lowercase());
            let route = Route { methods, hosts, paths, headers, snis, regex_priority, ..route("").id(id) };
            // A route must ask for something.
            if route.parse().is_err() { route.path("/") } else { route }
        })
}

fn any_call() -> impl Strategy<Value = Call> {
    let header = (select(NAMES).prop_map(str::to_lowercase), select(VALUES).prop_map(str::to_owned));
    (
        select(METHODS),
        select(CALLED),
        select(&[80u16, 443, 8000][..]),
        select(CALLED_PATHS),
        any::<bool>(),
        proptest::option::of(select(CALLED_SNIS)),
        vec(header, 0..4),
    )
        .prop_map(|(method, host, port, path, tls, sni, headers)| Call {
            host: host.to_owned(),
            port,
            tls,
            sni: sni.map(str::to_owned),
            headers,
            ..call(method, path)
        })
}

#[derive(Debug, Clone)]
enum Change {
    Insert(Box<Route>),
    Remove(RouteId),
    Replace(RouteId),
}

fn any_change(narrow: bool) -> impl Strategy<Value = Change> {
    let id = || (0u8..60).prop_map(|id| route("").id(id).id);
    prop_oneof![
        6 => any_route(narrow).prop_map(|route| Change::Insert(Box::new(route))),
        2 => id().prop_map(Change::Remove),
        1 => id().prop_map(Change::Replace),
    ]
}

/// Payloads are the ids, so that a mix-up shows.
fn apply(change: Change, router: &mut Router<RouteId>, model: &mut Model) -> Result<(), TestCaseError> {
    match change {
        Change::Insert(route) => {
            let had = model.ids().contains(&route.id);
            prop_assert_eq!(router.insert(route.criteria(), route.id), had.then_some(route.id));
            model.insert(*route);
        }
        Change::Remove(id) => prop_assert_eq!(router.remove(&id), model.remove(&id).then_some(id)),
        Change::Replace(id) => {
            prop_assert_eq!(router.replace(&id, id), model.ids().contains(&id).then_some(id));
        }
    }
    Ok(())
}

fn agree(router: &Router<RouteId>, model: &Model, calls: &[Call]) -> Result<(), TestCaseError> {
    prop_assert!(router.iter().map(|(id, _)| id).eq(model.ids()));
    for call in calls {
        let found = router.find(&call.request());
        let summary = found.as_ref().map(|found| (*found.payload(), found.path_end()));
        prop_assert_eq!(summary, model.find(call), "{:?}", call);
        prop_assert!(found.is_none_or(|found| found.id() == *found.payload()));
    }
    Ok(())
}

fn check(changes: Vec<Change>, calls: &[Call]) -> Result<(), TestCaseError> {
    let (mut router, mut model) = (Router::default(), Model::default());
    let mut snapshots = Vec::new();
    for (step, change) in changes.into_iter().enumerate() {
        if step % 16 == 0 {
            snapshots.push((router.clone(), model.clone()));
        }
        apply(change, &mut router, &mut model)?;
    }
    snapshots.push((router.clone(), model.clone()));
    for (router, model) in &snapshots {
        agree(router, model, calls)?;
    }
    for id in model.ids() {
        router.remove(&id);
    }
    prop_assert_eq!(format!("{router:?}"), format!("{:?}", Router::<RouteId>::default()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_index_finds_what_trying_everything_finds(
        changes in vec(any_change(false), 0..80),
        calls in vec(any_call(), 40),
    ) {
        check(changes, &calls)?;
    }

    #[test]
    fn and_so_it_does_where_many_routes_meet(
        changes in vec(any_change(true), 20..120),
        calls in vec(any_call(), 40),
    ) {
        check(changes, &calls)?;
    }
}
