//! Paths as Kong 3.9.1 was recorded to treat them (`proxy.paths.*`), and laws of the normal form.

use proptest::prelude::*;
use weir_router::Router;
use weir_router::path::{PathError, escape, normalize, upstream_path};

use crate::support::{get, route};

/// What the upstream gets for a request's path, by way of the router; none if no route matches.
fn forwarded(route_path: &str, strip: bool, service: Option<&str>, raw: &str) -> Option<String> {
    let router: Router<()> = [(route("r").path(route_path).criteria(), ())].into_iter().collect();
    let path = normalize(raw.as_bytes()).ok()?;
    let call = get(&path);
    let end = router.find(&call.request())?.path_end();
    Some(upstream_path(service, &path, end, strip).into_owned())
}

/// `strip-v*-service-S-route-R`: service path, route path, and for some request paths what the upstream gets.
const STRIPPED: &[(Option<&str>, &str, &[(&str, &str)])] = &[
    (None, "/r", &[("/r", "/"), ("/r/", "/"), ("/r/x", "/x"), ("/rx", "/x"), ("/r/x/", "/x/")]),
    (None, "/r/", &[("/r/", "/"), ("/r/x", "/x"), ("/r/x/", "/x/")]),
    (Some("/"), "/", &[("/", "/"), ("/x", "/x"), ("/x/", "/x/")]),
    (Some("/"), "/r", &[("/r", "/"), ("/r/", "/"), ("/r/x", "/x"), ("/rx", "/x"), ("/r/x/", "/x/")]),
    (Some("/"), "/r/", &[("/r/", "/"), ("/r/x", "/x"), ("/r/x/", "/x/")]),
    (
        Some("/svc"),
        "/r",
        &[("/r", "/svc"), ("/r/", "/svc/"), ("/r/x", "/svc/x"), ("/rx", "/svc/x"), ("/r/x/", "/svc/x/")],
    ),
    (Some("/svc"), "/r/", &[("/r/", "/svc/"), ("/r/x", "/svc/x"), ("/r/x/", "/svc/x/")]),
    (Some("/svc/"), "/", &[("/", "/svc/"), ("/x", "/svc/x"), ("/x/", "/svc/x/")]),
    (
        Some("/svc/"),
        "/r",
        &[("/r", "/svc"), ("/r/", "/svc/"), ("/r/x", "/svc/x"), ("/rx", "/svc/x"), ("/r/x/", "/svc/x/")],
    ),
    (Some("/svc/"), "/r/", &[("/r/", "/svc/"), ("/r/x", "/svc/x"), ("/r/x/", "/svc/x/")]),
];

/// `keep-v*-service-S-route-R`, in the same form.
const KEPT: &[(Option<&str>, &str, &[(&str, &str)])] = &[
    (None, "/", &[("/", "/"), ("/x", "/x"), ("/x/", "/x/")]),
    (None, "/r", &[("/r", "/r"), ("/r/", "/r/"), ("/r/x", "/r/x"), ("/rx", "/rx"), ("/r/x/", "/r/x/")]),
    (None, "/r/", &[("/r/", "/r/"), ("/r/x", "/r/x"), ("/r/x/", "/r/x/")]),
    (Some("/"), "/", &[("/", "/"), ("/x", "/x"), ("/x/", "/x/")]),
    (Some("/"), "/r", &[("/r", "/r"), ("/r/", "/r/"), ("/r/x", "/r/x"), ("/rx", "/rx"), ("/r/x/", "/r/x/")]),
    (Some("/"), "/r/", &[("/r/", "/r/"), ("/r/x", "/r/x"), ("/r/x/", "/r/x/")]),
    (Some("/svc"), "/", &[("/", "/svc"), ("/x", "/svc/x"), ("/x/", "/svc/x/")]),
    (
        Some("/svc"),
        "/r",
        &[
            ("/r", "/svc/r"),
            ("/r/", "/svc/r/"),
            ("/r/x", "/svc/r/x"),
            ("/rx", "/svc/rx"),
            ("/r/x/", "/svc/r/x/"),
        ],
    ),
    (Some("/svc"), "/r/", &[("/r/", "/svc/r/"), ("/r/x", "/svc/r/x"), ("/r/x/", "/svc/r/x/")]),
    (Some("/svc/"), "/", &[("/", "/svc/"), ("/x", "/svc/x"), ("/x/", "/svc/x/")]),
    (
        Some("/svc/"),
        "/r",
        &[
            ("/r", "/svc/r"),
            ("/r/", "/svc/r/"),
            ("/r/x", "/svc/r/x"),
            ("/rx", "/svc/rx"),
            ("/r/x/", "/svc/r/x/"),
        ],
    ),
    (Some("/svc/"), "/r/", &[("/r/", "/svc/r/"), ("/r/x", "/svc/r/x"), ("/r/x/", "/svc/r/x/")]),
];

#[test]
fn bases_are_joined_as_recorded() {
    for (strip, table) in [(true, STRIPPED), (false, KEPT)] {
        for (service, route_path, requests) in table {
            for (raw, expected) in *requests {
                let found = forwarded(route_path, strip, *service, raw);
                assert_eq!(found.as_deref(), Some(*expected), "{service:?} {route_path} {strip} {raw}");
            }
        }
    }
}

/// `regex-strip`, `regex-keep`, `hosts-only-strip`.
#[test]
fn what_matched_is_taken_off() {
    for (raw, stripped, kept) in [
        ("/u/12", "/svc", "/svc/u/12"),
        ("/u/12/x", "/svc/x", "/svc/u/12/x"),
        ("/u/12x", "/svc/x", "/svc/u/12x"),
    ] {
        assert_eq!(forwarded(r"~/u/\d+", true, Some("/svc"), raw).as_deref(), Some(stripped));
        assert_eq!(forwarded(r"~/u/\d+", false, Some("/svc"), raw).as_deref(), Some(kept));
    }
    assert_eq!(upstream_path(Some("/svc"), "/x/y", 0, true), "/svc/x/y");
    assert_eq!(upstream_path(Some("/svc"), "/", 0, true), "/svc");
}

/// Not recorded: a match that ends within a segment of which dots remain may not lead out of the service's path.
#[test]
fn a_strip_leaves_no_dot_segment() {
    for (raw, expected) in [
        ("/r..", "/svc"),
        ("/r../", "/svc/"),
        ("/r../x", "/svc/x"),
        ("/r./x", "/svc/x"),
        ("/r.", "/svc"),
        ("/r...", "/svc/..."),
        ("/r..%2Fx", "/svc/..%2Fx"),
    ] {
        assert_eq!(forwarded("/r", true, Some("/svc"), raw).as_deref(), Some(expected), "{raw}");
    }
}

/// `encoding-*`, `dots-*`, `forwarded-path`, `options-star`: raw paths, and what an upstream without a path gets.
#[test]
fn paths_take_their_normal_form_as_recorded() {
    for (raw, expected) in [
        ("/%41%62", Ok("/Ab")),
        ("/a%2Fb", Ok("/a%2Fb")),
        ("/a%2fb", Ok("/a%2Fb")),
        ("/a+b", Ok("/a+b")),
        ("/a%20b", Ok("/a%20b")),
        ("/a%25b", Ok("/a%25b")),
        ("/é", Ok("/%C3%A9")),
        ("/%c3%a9", Ok("/%C3%A9")),
        ("/a%3Fb%23c", Ok("/a%3Fb%23c")),
        ("/%7Ea%2Db%5Fc%2E", Ok("/~a-b_c.")),
        ("/%5Bx%5D", Ok("/%5Bx%5D")),
        ("/a|b", Ok("/a%7Cb")),
        (r"/a\b", Ok("/a%5Cb")),
        ("/a;x=1/b", Ok("/a;x=1/b")),
        ("/{a}", Ok("/%7Ba%7D")),
        ("/a/..", Ok("/")),
        ("/a/..%2Fb", Ok("/a/..%2Fb")),
        ("/a/.../b", Ok("/a/.../b")),
        ("///a///b", Ok("/a/b")),
        ("/a%2F%2Fb", Ok("/a%2F%2Fb")),
        ("/a/.//../b", Ok("/b")),
        // Not recorded, but RFC 3986 5.2.4 and 6.2.2.
        ("/", Ok("/")),
        ("/.", Ok("/")),
        ("/..", Ok("/")),
        ("/a/.", Ok("/a/")),
        ("/a/b/..", Ok("/a/")),
        ("/a/b/../", Ok("/a/")),
        ("/../../a", Ok("/a")),
        ("/a/%2e%2E/b", Ok("/b")),
        ("/a/.%2e/b", Ok("/b")),
        ("/.well-known/..x/.y", Ok("/.well-known/..x/.y")),
        ("/a%0D%0Ab", Ok("/a%0D%0Ab")),
        // Refused.
        ("/%ff", Err(PathError::NotUtf8)),
        ("/%C3", Err(PathError::NotUtf8)),
        ("/a%00b", Err(PathError::Nul)),
        ("/a\0b", Err(PathError::Nul)),
        ("/a%zz", Err(PathError::BadEscape)),
        ("/a%4", Err(PathError::BadEscape)),
        ("/a%", Err(PathError::BadEscape)),
        ("/a%+1", Err(PathError::BadEscape)),
        ("*", Err(PathError::NotAbsolute)),
        ("x", Err(PathError::NotAbsolute)),
        ("", Err(PathError::NotAbsolute)),
    ] {
        let found = normalize(raw.as_bytes()).map(|path| upstream_path(None, &path, 0, false).into_owned());
        assert_eq!(found.as_deref().map_err(|error| *error), expected, "{raw}");
    }
    assert_eq!(normalize(b"/caf\xE9"), Err(PathError::NotUtf8), "Latin-1 as it stands");
    assert_eq!(normalize("/a b/é".as_bytes()).unwrap(), "/a b/é");
}

/// `encoding-strip-*`.
#[test]
fn what_remains_after_a_strip_is_escaped_again() {
    for (raw, expected) in [
        ("/r/%41%62", "/svc/Ab"),
        ("/r/a%20b", "/svc/a%20b"),
        ("/r/a+b", "/svc/a+b"),
        ("/r/a%25b", "/svc/a%25b"),
        ("/r/%C3%A9", "/svc/%C3%A9"),
        ("/r/a%3Fb%23c", "/svc/a%3Fb%23c"),
    ] {
        assert_eq!(forwarded("/r", true, Some("/svc"), raw).as_deref(), Some(expected), "{raw}");
    }
}

/// `long-path`, longer.
#[test]
fn long_paths_pass() {
    let path = format!("/{}", "a".repeat(100_000));
    assert_eq!(forwarded("/", true, None, &path), Some(path));
}

#[test]
fn nothing_is_copied_that_need_not_be() {
    use std::borrow::Cow;
    let raw = "/r/.well-known/a.b/c..d/";
    let path = normalize(raw.as_bytes()).unwrap();
    assert!(matches!(path, Cow::Borrowed(_)));
    assert!(matches!(upstream_path(None, &path, 2, true), Cow::Borrowed("/.well-known/a.b/c..d/")));
    assert!(matches!(upstream_path(Some("/"), &path, 2, false), Cow::Borrowed(_)));
}

/// The normal form the long way: split, decode, resolve.
fn normalize_slowly(raw: &str) -> Result<String, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let mut stack: Vec<Vec<u8>> = Vec::new();
    let mut directory = true;
    for segment in raw[1..].split('/') {
        let mut decoded = Vec::new();
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                0 => return Err(PathError::Nul),
                b'%' => {
                    let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                    let digits = String::from_utf8_lossy(&digits).into_owned();
                    if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                        return Err(PathError::BadEscape);
                    }
                    match u8::from_str_radix(&digits, 16).unwrap() {
                        0 => return Err(PathError::Nul),
                        byte if b"!*'();:@&=+$,/?%#[]".contains(&byte) => {
                            decoded.extend(format!("%{}", digits.to_uppercase()).bytes());
                        }
                        byte => decoded.push(byte),
                    }
                }
                byte => decoded.push(byte),
            }
        }
        directory = matches!(decoded.as_slice(), b"" | b"." | b"..");
        match decoded.as_slice() {
            b"" | b"." => {}
            b".." => {
                stack.pop();
            }
            _ => stack.push(decoded),
        }
    }
    let mut out = Vec::new();
    for segment in &stack {
        out.push(b'/');
        out.extend(segment);
    }
    if directory || out.is_empty() {
        out.push(b'/');
    }
    String::from_utf8(out).map_err(|_| PathError::NotUtf8)
}

fn raw_path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("/".to_owned()),
        2 => Just(".".to_owned()),
        1 => "%[0-9a-fA-F]{2}",
        1 => Just("%2e".to_owned()),
        1 => Just("%".to_owned()),
        3 => "[a-c~;:é ]",
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_normal_form_is_what_the_slow_way_finds(raw in raw_path()) {
        prop_assert_eq!(normalize(raw.as_bytes()).map(|path| path.into_owned()), normalize_slowly(&raw));
    }

    /// What the upstream gets has one meaning: whoever normalises it again changes nothing, and leaves the base nowhere.
    #[test]
    fn what_the_upstream_gets_is_normal(raw in raw_path(), strip: bool, cut in 0usize..12, base in "(/[a-c]{1,3}){0,2}/?") {
        if let Ok(path) = normalize(raw.as_bytes()) {
            prop_assert_eq!(normalize(path.as_bytes()), Ok(path.clone()));
            let cut = (0..=cut).rev().find(|cut| path.is_char_boundary(*cut)).unwrap_or(0);
            let base = if base.is_empty() { None } else { Some(base.as_str()) };
            let upstream = upstream_path(base, &path, cut, strip);
            prop_assert!(upstream.starts_with(base.map_or("/", |base| base.strip_suffix('/').unwrap_or(base))));
            prop_assert!(upstream.bytes().all(|byte| byte.is_ascii_graphic()));
            let again = normalize(upstream.as_bytes());
            prop_assert_eq!(again.map(|path| escape(&path).into_owned()), Ok(upstream.into_owned()));
        }
    }
}
