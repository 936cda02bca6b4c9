//! The service's side: connections that are kept, answers that are broken, late or early, and attempts that are made again.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Echo, Reply, Scripted, Then};

use crate::support::{SOON, client, get, in_front_of, launch, raw, route_all};

#[test]
fn connections_to_a_service_are_kept_and_used_again() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    for n in 0..40 {
        // Each over a connection of the client's own: a worker's connection to the service is its own business.
        assert_eq!(get(&gateway, &format!("/{n}")).status, 200);
    }
    assert!(echo.connections() <= 2, "one for each worker, not {}", echo.connections());
}

#[test]
fn a_connection_that_died_while_it_waited_is_not_noticed() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let mut client = client(&gateway);
    for _ in 0..20 {
        assert_eq!(client.request("POST", "/", &[], b"x").unwrap().status, 200);
        echo.close_connections();
    }
    assert_eq!(echo.requests().len(), 20, "none was sent twice");
}

#[test]
fn the_pool_has_the_limits_that_are_set() {
    let echo = Echo::start();
    let gateway = launch().env("WEIR_UPSTREAM_KEEPALIVE_MAX_REQUESTS", "3").env("WEIR_WORKERS", "1").start();
    route_all(&gateway, echo.addr(), json!({}));
    let mut one = client(&gateway);
    (0..9).for_each(|_| assert_eq!(one.get("/").unwrap().status, 200));
    assert_eq!(echo.connections(), 3);

    let echo = Echo::start();
    let gateway = launch().env("WEIR_UPSTREAM_KEEPALIVE_POOL_SIZE", "0").start();
    route_all(&gateway, echo.addr(), json!({}));
    (0..5).for_each(|_| assert_eq!(get(&gateway, "/").status, 200));
    assert_eq!(echo.connections(), 5);
}

/// Answers that cannot be passed on as they are.
const INVALID: &[(&str, &str)] = &[
    ("nothing of HTTP", "hello\r\n\r\n"),
    ("another version", "HTTP/2 200 OK\r\n\r\n"),
    ("no status", "HTTP/1.1 OK\r\n\r\n"),
    ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"),
    ("two lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    ("a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!"),
    ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ("a coding that is not chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"),
    ("two codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello"),
    ("a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
    ("a field without a colon", "HTTP/1.1 200 OK\r\nbroken\r\n\r\n"),
    ("NUL in a value", "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
    ("a lone carriage return", "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n"),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-Len"),
    ("nothing", ""),
];

#[test]
fn answers_that_can_be_read_in_two_ways_are_not_passed_on() {
    for (what, bytes) in INVALID {
        let upstream = Scripted::answering(*bytes);
        let gateway = in_front_of(upstream.addr());
        let answer = raw(&gateway, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.status, 502, "{what}: {}", answer.text());
        assert!(!answer.text().contains("127.0.0.1"), "{what}: it tells of the inside");
    }
}

#[test]
fn a_head_too_large_is_not_passed_on() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(1000));
    for bytes in [long, many] {
        let upstream = Scripted::answering(bytes);
        assert_eq!(get(&in_front_of(upstream.addr()), "/").status, 502);
    }
}

#[test]
fn what_follows_an_answer_is_nobodys_answer() {
    // An answer to a request that nobody made stands ready behind each answer.
    let upstream = Scripted::start(|peer, _| {
        loop {
            peer.read_head()?;
            // In one piece: what comes after the next request cannot be told from its answer.
            peer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood\
                  HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            )?;
        }
    });
    let gateway = in_front_of(upstream.addr());
    let mut client = client(&gateway);
    for _ in 0..20 {
        assert_eq!(client.get("/").unwrap().text(), "good");
    }
    // Bytes beyond a length, chunks that end before their bytes do.
    let extra =
        Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(get(&in_front_of(extra.addr()), "/").text(), "good");
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_break_off() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    ] {
        let upstream = Scripted::answering(bytes);
        let gateway = in_front_of(upstream.addr());
        let cut = client(&gateway).get("/");
        assert!(
            cut.as_ref()
                .is_err_and(|e| matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)),
            "{bytes:?}: {cut:?}"
        );
    }
}

#[test]
fn an_answer_to_the_end_of_the_connection_is_whole() {
    let upstream = Scripted::answering("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    let answer = get(&in_front_of(upstream.addr()), "/");
    assert_eq!(
        (answer.text().as_str(), answer.header("transfer-encoding")),
        ("until the end", Some("chunked"))
    );
}

#[test]
fn a_service_may_answer_before_it_has_read_the_request() {
    // It reads the head alone, answers and closes, while a large body is on its way.
    let upstream = Scripted::answering(
        "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntoo",
    );
    let gateway = in_front_of(upstream.addr());
    let mut client = client(&gateway);
    client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").unwrap();
    let early = client.read_answer().unwrap();
    assert_eq!((early.status, early.text().as_str()), (413, "too"));

    // It answers, keeps the connection open, and reads on.
    let upstream = Scripted::start(|peer, _| {
        peer.read_head()?;
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")?;
        peer.wait_for_end()
    });
    let gateway = in_front_of(upstream.addr());
    let mut client = crate::support::client(&gateway);
    client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").unwrap();
    let early = client.read_answer().unwrap();
    assert_eq!((early.status, early.text().as_str()), (200, "early"));
}

#[test]
fn attempts_are_made_again_where_that_does_no_harm() {
    let (silent, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (failing, counted) = (Arc::clone(&silent), Arc::clone(&calls));
    let upstream = Echo::with(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let fail =
            failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fail { Reply::new(200).then(Then::Hangup) } else { Reply::json(&request.to_json()) }
    });
    let gateway = launch().start();
    route_all(&gateway, upstream.addr(), json!({"retries": 3}));
    let ask = |method: &str, failures: usize| {
        silent.store(failures, Ordering::SeqCst);
        calls.store(0, Ordering::SeqCst);
        let status = client(&gateway).request(method, "/", &[], b"body").unwrap().status;
        silent.store(0, Ordering::SeqCst);
        (status, calls.load(Ordering::SeqCst))
    };
    assert_eq!(ask("PUT", 3), (200, 4));
    assert_eq!(upstream.requests().last().unwrap().body, b"body", "the body goes with each attempt");
    // One more where the first went over a connection that was kept: it may have died while it waited.
    assert!(matches!(ask("GET", 6), (502, 4 | 5)));
    // The service may have done what it was asked to: asking again could do it twice.
    assert_eq!(ask("POST", 1), (502, 1));
    assert_eq!(ask("PATCH", 1), (502, 1));
    // Over a connection that was kept, and without a body: still no reason to do it twice (RFC 9110, 9.2.2).
    let mut kept = client(&gateway);
    assert_eq!(kept.get("/").unwrap().status, 200);
    silent.store(1, Ordering::SeqCst);
    calls.store(0, Ordering::SeqCst);
    let status = kept.request("POST", "/", &[], b"").unwrap().status;
    assert_eq!((status, calls.load(Ordering::SeqCst)), (502, 1));
    gateway.ask_admin("PATCH", "/services/all", &json!({"retries": 0}));
    assert_eq!(ask("PUT", 1), (502, 1));
}

#[test]
fn each_of_the_three_timeouts_ends_a_request() {
    let gateway = launch().start();
    let limits = json!({"connect_timeout": 300, "write_timeout": 300, "read_timeout": 300, "retries": 0});
    // Connecting: an address that never answers (RFC 5737 sets it aside), where there is a way to it at all.
    route_all(&gateway, "192.0.2.1:9".parse().unwrap(), limits.clone());
    let began = Instant::now();
    let status = get(&gateway, "/").status;
    assert!(status == 504 || status == 502, "{status}");
    // Reading: a service that takes the request and says nothing, and one that stops in its head.
    let silent = Scripted::start(|peer, _| peer.wait_for_end());
    let stuck = Scripted::start(|peer, _| {
        peer.read_head()?;
        peer.write(b"HTTP/1.1 200 OK\r\nContent-")?;
        peer.wait_for_end()
    });
    for upstream in [&silent, &stuck] {
        let body = json!({"host": "127.0.0.1", "port": upstream.addr().port()});
        gateway.ask_admin("PATCH", "/services/all", &body);
        assert_eq!(get(&gateway, "/").status, 504);
    }
    // Reading: one that stops in its body. What was said stays said; the end shows that it is not all.
    let half = Scripted::start(|peer, _| {
        peer.read_head()?;
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")?;
        peer.wait_for_end()
    });
    gateway.ask_admin("PATCH", "/services/all", &json!({"port": half.addr().port()}));
    assert!(client(&gateway).get("/").is_err());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_service_that_takes_nothing_is_not_waited_for() {
    let deaf = Scripted::start(|peer, _| {
        peer.read_head()?;
        std::thread::park_timeout(3 * SOON);
        Ok(())
    });
    let gateway = launch().start();
    route_all(&gateway, deaf.addr(), json!({"write_timeout": 300, "retries": 0}));
    // Pieces that go on one by one: between them it is the client that is late, until the service takes no more.
    for (size, pause) in [(1 << 20, Duration::ZERO), (10_000, Duration::from_micros(100))] {
        let mut upload = client(&gateway);
        upload.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nhello").unwrap();
        // Longer than the limit, which is not the service's fault.
        std::thread::park_timeout(Duration::from_millis(600));
        let piece = vec![b'x'; size];
        let ended = loop {
            match upload.write(&piece) {
                Ok(()) => std::thread::park_timeout(pause),
                Err(error) => break error,
            }
        };
        let held = matches!(ended.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!held, "the request is held for ever, in pieces of {size}");
    }
}

#[test]
fn a_service_that_refuses_connections_is_told_of() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = in_front_of(closed);
    let answer = get(&gateway, "/");
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains(&closed.port().to_string()), "{}", answer.text());
    assert!(
        gateway.log().contains("the service failed") && gateway.log().contains("refused"),
        "{}",
        gateway.log()
    );
}
