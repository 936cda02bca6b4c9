//! Bounds: what configuration or a peer may make as long, deep or many as it likes.

use weir_router::{Error, Field, Reason, Router};

use crate::support::{Route, call, get, route};

/// A route for each number, named by it in its id.
fn numbered(number: u32) -> Route {
    let mut route = route("");
    route.id[..4].copy_from_slice(&number.to_be_bytes());
    route
}

fn router(routes: impl IntoIterator<Item = Route>) -> Router<[u8; 16]> {
    routes.into_iter().map(|route| (route.criteria(), route.id)).collect()
}

fn found(router: &Router<[u8; 16]>, call: &crate::support::Call) -> Option<u32> {
    let id = *router.find(&call.request())?.payload();
    Some(u32::from_be_bytes([id[0], id[1], id[2], id[3]]))
}

#[test]
fn what_is_removed_leaves_no_trace() {
    let paths = ["/abc", "/abd", "/abd/x", "/a", "/b", r"~/\d+x", r"~/\w+"];
    let routes = |order: &[usize]| -> Vec<Route> {
        order.iter().map(|index| numbered(*index as u32).path(paths[*index]).host("a.test")).collect()
    };
    let few = router(routes(&[0, 4, 5]));
    let mut many = router(routes(&[6, 5, 4, 3, 2, 1, 0]));
    for removed in routes(&[1, 3, 6, 2]) {
        many.remove(&removed.id);
    }
    assert_eq!(format!("{many:?}"), format!("{few:?}"));
}

/// Runs on a stack far smaller than any thread's of the gateway.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(512 << 10).spawn(test).unwrap().join().unwrap();
}

#[test]
fn prefixes_may_nest_as_deep_as_they_are_long() {
    on_a_small_stack(|| {
        let depth = 3000;
        let path = |length: u32| format!("/{}", "a".repeat(length as usize));
        let mut router = router((0..depth).map(|length| numbered(length).path(&path(length))));
        let snapshot = router.clone();
        assert_eq!(found(&router, &get(&path(depth + 7))), Some(depth - 1));
        assert_eq!(found(&router, &get(&path(1234))), Some(1234));
        assert_eq!(found(&router, &get("/aab")), Some(2));
        // A better route far in front of the longest is not lost on the way.
        let better = numbered(9999).path("/aa").method("PUT");
        router.insert(better.criteria(), better.id);
        assert_eq!(found(&router, &call("PUT", &path(depth))), Some(9999));
        router.remove(&better.id);
        for length in (0..depth).rev() {
            router.remove(&numbered(length).id);
        }
        assert!(router.is_empty() && found(&router, &get("/a")).is_none());
        assert_eq!(found(&snapshot, &get(&path(depth))), Some(depth - 1));
    });
}

#[test]
fn routes_may_agree_in_any_number_of_headers() {
    on_a_small_stack(|| {
        let names: Vec<String> = (0..300).map(|number| format!("x-{number}")).collect();
        let with_headers = |route: Route| names.iter().fold(route, |route, name| route.header(name, &["1"]));
        let mut router = router((0..40).map(|number| with_headers(numbered(number))));
        let call = names.iter().fold(get("/"), |call, name| call.header(name, "1"));
        assert_eq!(found(&router, &call), Some(39));
        router.remove(&numbered(39).id);
        assert_eq!(found(&router, &call), Some(38));
    });
}

#[test]
fn what_is_longer_than_a_key_is_compared_in_full() {
    let long = |last: char| format!("/{}{last}", "p".repeat(700));
    let value = |last: char| format!("{}{last}", "v".repeat(400));
    let mut routes = vec![
        numbered(1).path(&long('a')),
        numbered(2).path(&long('b')),
        numbered(3).path(&format!("~{}[cd]$", "/".to_owned() + &"p".repeat(700))),
    ];
    // Enough to be told apart by the header's value, and values that fill their keys exactly.
    routes.extend(
        (10..30)
            .map(|number| numbered(number).header("x-v", &[&value(char::from(b'a' + number as u8 - 10))])),
    );
    routes.push(numbered(200).header("x-v", &[&value('x'), &value('y')]));
    routes.extend((127..=130).map(|length| numbered(length).header("x-v", &[&"w".repeat(length as usize)])));
    let mut router = router(routes);
    for (path, expected) in [('a', Some(1)), ('b', Some(2)), ('c', Some(3)), ('e', None)] {
        assert_eq!(found(&router, &get(&long(path))), expected, "{path}");
    }
    for (last, expected) in
        [('a', Some(10)), ('t', Some(29)), ('u', None), ('x', Some(200)), ('y', Some(200))]
    {
        assert_eq!(found(&router, &get("/").header("X-V", &value(last))), expected, "{last}");
    }
    for (length, expected) in [(126, None), (127, Some(127)), (128, Some(128)), (130, Some(130)), (131, None)]
    {
        assert_eq!(found(&router, &get("/").header("X-V", &"w".repeat(length))), expected, "{length}");
    }
    let ids: Vec<_> = router.iter().map(|(id, _)| id).collect();
    ids.iter().for_each(|id| assert_eq!(router.remove(id), Some(*id)));
    assert_eq!(format!("{router:?}"), format!("{:?}", Router::<[u8; 16]>::default()));
}

#[test]
fn many_patterns_that_begin_alike_are_told_apart_by_what_comes_later() {
    for (before, after, path_before, path_after) in [
        ("~/v(/svc-", r"/x)\d", "/v/svc-", "/x1"),
        (r"~/v\d+/svc-", "$", "/v12/svc-", ""),
        (r"~/v[^/]*(?:/any)?/svc-", r"\b", "/vé/any/svc-", "/z"),
        (r"~/v(?<all>.*/svc-", ")/[ab]*a[ab]{12}c", "/v/svc-/svc-", "/abbbbbbbbbbbbc"),
    ] {
        let router = router((0..60).map(|number| numbered(number).path(&format!("{before}{number}{after}"))));
        for number in 0..60 {
            let call = get(&format!("{path_before}{number}{path_after}"));
            assert_eq!(found(&router, &call), Some(number), "{before} {call:?}");
        }
        assert_eq!(found(&router, &get(&format!("{path_before}60{path_after}"))), None);
    }
}

#[test]
fn requests_may_be_of_any_size() {
    let inner = (0..50).map(|number| numbered(number).path(&format!(r"~/\w+/x-{number}/y")));
    let router = router(inner.chain([numbered(100).host("*.test"), numbered(101).sni("*.test").path("/")]));
    let segments = format!("{}/x-7/y", "/é".repeat(20_000));
    assert_eq!(found(&router, &get(&segments)), Some(101));
    assert_eq!(found(&router, &get("/é/x-7/y")), Some(7));
    assert_eq!(found(&router, &get(&"/".repeat(100_000))), Some(101));
    let host = |length: usize| format!("{}.test", "a.".repeat(length / 2 - 3) + "a");
    assert_eq!(host(255).len(), 254);
    let plain = |host: &str| get("x").host(host);
    assert_eq!(found(&router, &plain(&host(255))), Some(100));
    assert_eq!(found(&router, &plain(&host(400))), None, "no name is that long");
    let nested =
        (1..40).map(|length| numbered(length).host(&format!("*.{}test", "a.".repeat(length as usize))));
    let nested = self::router(nested.chain([numbered(50).host("*.a.test").method("GET")]));
    assert_eq!(found(&nested, &plain(&host(255))), Some(50), "a better suffix behind many longer ones");
    assert_eq!(found(&nested, &call("PUT", "/").host(&host(255))), Some(39));
    assert_eq!(found(&router, &call(&"M".repeat(100_000), "x")), None);
    assert_eq!(found(&router, &get("x").tls(&"a".repeat(100_000))), None);
}

#[test]
fn routes_for_streams_are_kept_but_no_request_of_http_finds_them() {
    use weir_router::Protocol;
    let stream = numbered(1).protocol(Protocol::TlsPassthrough).sni("a.test");
    let nothing = numbered(2).protocol(Protocol::Tcp);
    let router = router([stream, nothing]);
    assert_eq!(router.len(), 2);
    assert_eq!(found(&router, &get("/").tls("a.test")), None);
    assert_eq!(router.iter().map(|(id, _)| id[3]).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn errors_name_the_place_and_the_value() {
    let invalid = |field, index, value: &str, reason| {
        Err(Error::Invalid { field, index, value: value.to_owned(), reason })
    };
    let header = |name: &str| Field::Headers(name.to_owned());
    for (route, expected) in [
        (route("r"), Err(Error::NoCriteria)),
        (route("r").method("GET").method("a b"), invalid(Field::Methods, Some(1), "a b", Reason::Method)),
        (route("r").host("a.*.b"), invalid(Field::Hosts, Some(0), "a.*.b", Reason::WildcardPlace)),
        (route("r").path("/").path("a"), invalid(Field::Paths, Some(1), "a", Reason::PathStart)),
        (route("r").path("~a"), invalid(Field::Paths, Some(0), "~a", Reason::PathStart)),
        (route("r").path(""), invalid(Field::Paths, Some(0), "", Reason::Empty)),
        (
            route("r").path("/%zz"),
            invalid(Field::Paths, Some(0), "/%zz", Reason::Path(weir_router::path::PathError::BadEscape)),
        ),
        (route("r").header("x y", &["1"]), invalid(header("x y"), None, "x y", Reason::HeaderName)),
        (route("r").header("Host", &["1"]), invalid(header("Host"), None, "Host", Reason::HeaderName)),
        (route("r").header("x", &[]), invalid(header("x"), None, "x", Reason::Empty)),
        (route("r").header("x", &["1", ""]), invalid(header("x"), Some(1), "", Reason::Empty)),
        (route("r").sni("a.test:443"), invalid(Field::Snis, Some(0), "a.test:443", Reason::UnexpectedPort)),
    ] {
        assert_eq!(route.parse().map(|_| ()), expected);
    }
    let error = |route: Route| route.parse().unwrap_err().to_string();
    assert_eq!(
        error(route("r").path("/").path("~/a(?=b)")),
        "paths[1]: `~/a(?=b)`: look-around, including look-ahead and look-behind, is not supported \
         (at byte 2 of the pattern)"
    );
    assert_eq!(
        error(route("r").header("X-V", &["~*a{9999}{9999}"])),
        "headers.X-V[0]: `~*a{9999}{9999}`: the pattern needs about 11198080080 bytes when compiled, \
         more than 4194304 allowed"
    );
    assert_eq!(error(route("r").header("x y", &[])), "headers.x y: `x y`: not a header name to route by");
}

/// Readers keep the snapshot they took while others change theirs, on any thread.
#[test]
fn snapshots_are_read_while_the_router_changes() {
    let mut router = router((0..100).map(|number| numbered(number).path(&format!("/{number}/"))));
    std::thread::scope(|threads| {
        for number in 0..100 {
            let snapshot = router.clone();
            threads.spawn(move || {
                for wanted in 0..100 {
                    let expected = (wanted >= number).then_some(wanted);
                    assert_eq!(found(&snapshot, &get(&format!("/{wanted}/x"))), expected);
                }
            });
            router.remove(&numbered(number).id);
        }
    });
    assert!(router.is_empty());
}
