//! What Kong 3.9.1 was recorded to answer, at the router's level. Cases bear the names of the recordings
//! (`proxy.routing.*`); each lists routes and requests with the route that was taken.

use weir_router::path::normalize;
use weir_router::{Arrival, Protocol, Refusal, Router};

use crate::support::{Call, Route, call, get, route};

struct Case {
    name: &'static str,
    routes: Vec<Route>,
    /// A request, and the name of the route that takes it; empty for none.
    requests: Vec<(Call, &'static str)>,
}

fn case<const R: usize, const Q: usize>(
    name: &'static str,
    routes: [Route; R],
    requests: [(Call, &'static str); Q],
) -> Case {
    Case { name, routes: routes.into(), requests: requests.into() }
}

fn check(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        // Neither the order of insertion nor what was there before may matter.
        for reversed in [false, true] {
            let mut routes: Vec<_> = case.routes.iter().map(|route| (route.criteria(), route.name)).collect();
            if reversed {
                routes.reverse();
            }
            let router: Router<&str> = routes.into_iter().collect();
            for (call, expected) in &case.requests {
                let normal =
                    Call { path: normalize(call.path.as_bytes()).unwrap().into_owned(), ..call.clone() };
                let found = router.find(&normal.request()).map_or("", |found| *found.payload());
                assert_eq!(found, *expected, "{}: {call:?}", case.name);
            }
        }
    }
}

#[test]
fn hosts() {
    check([
        case(
            "host-plain",
            [route("a").host("a.test"), route("b").host("b.test")],
            [
                (get("/x").host("a.test"), "a"),
                (get("/x").host("b.test"), "b"),
                (get("/x").host("c.test"), ""),
            ],
        ),
        case(
            "host-port-ignored",
            [route("a").host("a.test")],
            [(get("/x").host("a.test:8000"), "a"), (get("/x").host("a.test:99"), "a")],
        ),
        case(
            "host-wildcard-left",
            [route("a").host("*.a.test")],
            [
                (get("/x").host("x.a.test"), "a"),
                (get("/x").host("y.x.a.test"), "a"),
                (get("/x").host("a.test"), ""),
                (get("/x").host("xa.test"), ""),
            ],
        ),
        case(
            "host-with-port-in-route",
            [route("a").host("a.test:8000"), route("b").host("b.test:9")],
            [
                (get("/x").host("a.test:8000"), "a"),
                (get("/x").host("a.test:9"), ""),
                (get("/x").host("b.test:9"), "b"),
                (get("/x").host("a.test"), "a"),
            ],
        ),
        // Not as recorded, where host names are compared with regard to case (`host-case`): names have none.
        case("host-case", [route("a").host("a.test")], [(get("/x").host("A.TEST"), "a")]),
    ]);
}

#[test]
fn equal_ranks_are_told_apart_by_the_greater_id() {
    let wildcards = |suffix_id, prefix_id| {
        [route("l").host("*.test").id(suffix_id), route("r").host("a.*").id(prefix_id)]
    };
    let suffixes =
        |short_id, long_id| [route("s").host("*.test").id(short_id), route("l").host("*.a.test").id(long_id)];
    let ports =
        |any_id, one_id| [route("a").host("a.test").id(any_id), route("b").host("a.test:8000").id(one_id)];
    let regexes = |wide_id, narrow_id| {
        [route("a").path(r"~/u/\w+").id(wide_id), route("b").path(r"~/u/\d+").id(narrow_id)]
    };
    check([
        case("tie-host-wildcards-overlap-first-id-1", wildcards(1, 2), [(get("/x").host("a.test"), "r")]),
        case("tie-host-wildcards-overlap-first-id-2", wildcards(2, 1), [(get("/x").host("a.test"), "l")]),
        case(
            "tie-host-wildcard-longer-first-id-1",
            suffixes(1, 2),
            [(get("/x").host("x.a.test"), "l"), (get("/x").host("x.test"), "s")],
        ),
        case(
            "tie-host-wildcard-longer-first-id-2",
            suffixes(2, 1),
            [(get("/x").host("x.a.test"), "s"), (get("/x").host("x.test"), "s")],
        ),
        case(
            "tie-host-with-and-without-port-first-id-1",
            ports(1, 2),
            [(get("/x").host("a.test:8000"), "b"), (get("/x").host("a.test:9"), "a")],
        ),
        case(
            "tie-host-with-and-without-port-first-id-2",
            ports(2, 1),
            [(get("/x").host("a.test:8000"), "a"), (get("/x").host("a.test:9"), "a")],
        ),
        case(
            "tie-same-path-first-id-2",
            [route("a").path("/x").id(2), route("b").path("/x").id(1)],
            [(get("/x"), "a")],
        ),
        case("tie-regexes-first-id-1", regexes(1, 2), [(get("/u/12"), "b"), (get("/u/ab"), "a")]),
        case("tie-regexes-first-id-2", regexes(2, 1), [(get("/u/12"), "a"), (get("/u/ab"), "a")]),
    ]);
}

#[test]
fn precedence() {
    let two = || get("/a/b/c").header("X-A", "1").header("X-B", "1");
    check([
        case(
            "plain-host-over-three-attributes",
            [route("h").host("a.test"), route("mxp").path("/a").method("GET").header("X-V", &["1"])],
            [(get("/a").host("a.test").header("X-V", "1"), "h")],
        ),
        case(
            "regex-path-over-path-and-method",
            [route("r").path("~/a"), route("pm").path("/a/b").method("GET")],
            [(get("/a/b"), "r")],
        ),
        case(
            "plain-host-over-regex-path",
            [route("r").path("~/a"), route("h").host("a.test")],
            [(get("/a/b").host("a.test"), "h")],
        ),
        case(
            "wildcard-host-and-method-over-wildcard-host",
            [route("w").host("*.test"), route("wm").host("*.test").method("GET")],
            [(get("/a").host("x.test"), "wm"), (call("POST", "/a").host("x.test"), "w")],
        ),
        case(
            "path-and-header-over-longer-path",
            [route("p").path("/a/b/c"), route("ph").path("/a").header("X-V", &["1"])],
            [(get("/a/b/c").header("X-V", "1"), "ph")],
        ),
        case(
            "headers-two-over-one-and-longer-path",
            [
                route("one").path("/a/b/c").header("X-A", &["1"]),
                route("two").path("/a").header("X-A", &["1"]).header("X-B", &["1"]),
            ],
            [(two(), "two")],
        ),
        case(
            "header-more-wins",
            [route("one").header("X-A", &["1"]), route("two").header("X-A", &["1"]).header("X-B", &["1"])],
            [(two(), "two"), (get("/x").header("X-A", "1"), "one")],
        ),
        case(
            "paths-of-one-route-ranked-apart",
            [route("a").path("/a").path("/long/path"), route("b").path("/long")],
            [(get("/long/path/x"), "a"), (get("/long/x"), "b")],
        ),
        case(
            "attributes-more-wins",
            [
                route("p").path("/a"),
                route("hp").path("/a").host("a.test"),
                route("hpm").path("/a").host("a.test").method("POST"),
            ],
            [
                (get("/a").host("a.test"), "hp"),
                (get("/a").host("b.test"), "p"),
                (call("POST", "/a").host("a.test"), "hpm"),
                (call("POST", "/a").host("b.test"), "p"),
            ],
        ),
        case(
            "host-over-longer-path",
            [route("h").host("a.test"), route("p").path("/a/b/c")],
            [(get("/a/b/c").host("a.test"), "h")],
        ),
        case(
            "host-over-header",
            [route("h").host("a.test"), route("x").header("X-V", &["1"])],
            [(get("/").host("a.test").header("X-V", "1"), "h")],
        ),
        case(
            "header-over-path",
            [route("p").path("/a/b"), route("x").header("X-V", &["1"])],
            [(get("/a/b").header("X-V", "1"), "x")],
        ),
        case(
            "header-path-vs-host",
            [route("h").host("a.test"), route("xp").path("/a").header("X-V", &["1"])],
            [(get("/a").host("a.test").header("X-V", "1"), "h")],
        ),
        case(
            "plain-host-prefix-vs-wildcard-regex",
            [route("w").host("*.test").path("~/a"), route("p").host("a.test").path("/a")],
            [(get("/a").host("a.test"), "p")],
        ),
        case(
            "prefix-beats-shorter-regex-priority-zero",
            [route("p").path("/a/b/c"), route("r").path("~/a")],
            [(get("/a/b/c"), "r")],
        ),
        case(
            "regex-priority",
            [route("a").path(r"~/u/\w+").regex_priority(1), route("b").path(r"~/u/\d+").regex_priority(5)],
            [(get("/u/12"), "b"), (get("/u/ab"), "a")],
        ),
    ]);
}

#[test]
fn paths() {
    let a = || route("a");
    check([
        case(
            "path-prefix",
            [a().path("/a")],
            [
                (get("/a"), "a"),
                (get("/a/"), "a"),
                (get("/a/b"), "a"),
                (get("/ab"), "a"),
                (get("/b"), ""),
                (get("/A"), ""),
            ],
        ),
        case(
            "path-several",
            [a().path("/a").path("/b")],
            [(get("/a/x"), "a"), (get("/b/x"), "a"), (get("/c"), "")],
        ),
        case(
            "regex-alternation",
            [a().path("~/(a|b)/c")],
            [(get("/a/c"), "a"), (get("/b/c"), "a"), (get("/c/c"), "")],
        ),
        case("unicode-in-route-path", [a().path("/é")], [(get("/%C3%A9/x"), "a"), (get("/%c3%a9"), "a")]),
        case("encoded-slash", [a().path("/a/b")], [(get("/a%2Fb"), ""), (get("/a/b"), "a")]),
        case("double-slash-match", [a().path("/a/b")], [(get("/a//b"), "a"), (get("//a/b"), "a")]),
    ]);
}

#[test]
fn methods_and_headers() {
    let a = || route("a");
    let value = |value| get("/x").header("X-V", value);
    check([
        case(
            "method",
            [route("g").method("GET"), route("p").method("POST").method("PUT")],
            [
                (get("/x"), "g"),
                (call("POST", "/x"), "p"),
                (call("PUT", "/x"), "p"),
                (call("DELETE", "/x"), ""),
                (call("HEAD", "/x"), ""),
                (call("OPTIONS", "/x"), ""),
            ],
        ),
        case("method-custom", [a().method("PURGE")], [(call("PURGE", "/x"), "a"), (get("/x"), "")]),
        case(
            "header-exact",
            [a().header("X-V", &["1"]), route("b").header("X-V", &["2"])],
            [(value("1"), "a"), (value("2"), "b"), (value("3"), ""), (get("/x"), "")],
        ),
        case(
            "header-name-case",
            [a().header("x-v", &["1"])],
            [(value("1"), "a"), (get("/x").header("X-v", "1"), "a")],
        ),
        case("header-value-case", [a().header("X-V", &["Abc"])], [(value("aBC"), "a")]),
        case("header-any-value", [a().header("X-V", &["1", "2"])], [(value("2"), "a"), (value("1,2"), "")]),
        case("header-repeated", [a().header("X-V", &["2"])], [(value("1").header("X-V", "2"), "a")]),
        case(
            "header-all-names",
            [a().header("X-A", &["1"]).header("X-B", &["2"])],
            [(get("/x").header("X-A", "1").header("X-B", "2"), "a"), (get("/x").header("X-A", "1"), "")],
        ),
        case(
            "header-regex",
            [a().header("X-V", &[r"~*^v\d+$"])],
            [(value("v12"), "a"), (value("V12"), "a"), (value("w"), "")],
        ),
    ]);
}

#[test]
fn server_names_and_protocols() {
    let https = |name| route(name).protocol(Protocol::Https);
    check([
        case(
            "sni",
            [https("a").sni("a.test"), https("b").sni("b.test")],
            [(get("/x").tls("a.test"), "a"), (get("/x").tls("b.test"), "b"), (get("/x").tls("c.test"), "")],
        ),
        case(
            "sni-does-not-restrict-http",
            [route("a").sni("a.test").path("/")],
            [(get("/x"), "a"), (get("/x").tls("z.test"), "")],
        ),
        case(
            "https-only-over-tls",
            [https("a").path("/")],
            [(get("/x").tls("a.test"), "a"), (get("/x"), "a")],
        ),
    ]);
}

/// `https-redirect-*` and `https-forwarded-proto-untrusted`: the route is found, and refused.
#[test]
fn a_route_for_https_alone_is_found_over_http_and_says_so() {
    let only = route("a").protocol(Protocol::Https).path("/");
    let router: Router<()> = [(only.criteria(), ())].into_iter().collect();
    let call = get("/x").host("a.test:1234");
    let found = router.find(&call.request()).unwrap();
    assert_eq!(found.admit(Arrival::default()), Err(Refusal::TlsRequired));
    assert_eq!(found.admit(Arrival { tls: true, ..Arrival::default() }), Ok(()));
}

/// `update-route`, `delete-route`, `update-service`.
#[test]
fn changes_are_seen_at_once() {
    let mut router = Router::default();
    assert_eq!(router.insert(route("a").path("/a").criteria(), 1), None);
    assert_eq!(router.find(&get("/a").request()).map(|found| *found.payload()), Some(1));

    assert_eq!(router.insert(route("a").path("/b").criteria(), 2), Some(1));
    assert!(router.find(&get("/a").request()).is_none());
    assert_eq!(router.find(&get("/b").request()).map(|found| *found.payload()), Some(2));

    let id = route("a").id;
    assert_eq!(router.replace(&id, 3), Some(2));
    assert_eq!((router.get(&id), router.len()), (Some(&3), 1));
    assert_eq!(router.find(&get("/b").request()).map(|found| *found.payload()), Some(3));

    assert_eq!(router.remove(&id), Some(3));
    assert_eq!((router.remove(&id), router.replace(&id, 4), router.is_empty()), (None, None, true));
    assert!(router.find(&get("/b").request()).is_none());
}

/// `plugins.request-transformer.template-uri-captures`, and the path that a strip takes off.
#[test]
fn captures_are_named_and_numbered() {
    let routes = [
        route("u").path(r"~/user/(?<id>\w+)(?:/(?<rest>.*))?"),
        route("l").path("~/literal"),
        route("p").path("/prefix"),
    ];
    let router: Router<&str> = routes.iter().map(|route| (route.criteria(), route.name)).collect();

    let call = get("/user/ab/x/é");
    let found = router.find(&call.request()).unwrap();
    let captures = found.captures().unwrap();
    assert_eq!((found.matched_path(), found.path_end()), ("/user/ab/x/é", 13));
    assert_eq!(
        [captures.get(0), captures.get(1), captures.get(2), captures.get(3)],
        [Some("/user/ab/x/é"), Some("ab"), Some("x/é"), None]
    );
    assert_eq!(
        [captures.name("id"), captures.name("rest"), captures.name("none")],
        [Some("ab"), Some("x/é"), None]
    );
    assert_eq!(captures.group_count(), 3);
    assert_eq!(captures.named().collect::<Vec<_>>(), [("id", "ab"), ("rest", "x/é")]);

    let call = get("/user/ab-c");
    let captures = router.find(&call.request()).unwrap().captures().unwrap();
    assert_eq!((captures.get(0), captures.name("rest")), (Some("/user/ab"), None));
    assert_eq!(captures.named().collect::<Vec<_>>(), [("id", "ab")]);

    let call = get("/literal/x");
    let captures = router.find(&call.request()).unwrap().captures().unwrap();
    assert_eq!((captures.get(0), captures.get(1), captures.group_count()), (Some("/literal"), None, 1));
    assert_eq!(captures.named().count(), 0);

    let call = get("/prefix/x");
    let found = router.find(&call.request()).unwrap();
    assert!(found.captures().is_none());
    assert_eq!(found.matched_path(), "/prefix");
}
