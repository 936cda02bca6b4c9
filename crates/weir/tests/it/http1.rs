//! HTTP/1.1 at the client's side: what may be said, how long it may take, and what must not be understood in two ways.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use testkit::{Client, Echo, Reply, Scripted};

use crate::support::{SOON, client, get, in_front_of, launch, metric, raw, route_all};

/// Requests that two programs could read differently, and the status each is refused with. Where the body is what is
/// wrong, the service must not get to see it as a request of its own.
const TWO_READINGS: &[(&str, &str, u16)] = &[
    (
        "two lengths that differ",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        400,
    ),
    (
        "two equal lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        400,
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
    ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", 400),
    ("a length in hexadecimal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", 400),
    (
        "a length beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
        400,
    ),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello", 400),
    (
        "length and coding",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "coding and length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two codings",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "a coding that is not the last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "a coding behind a tab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("a misspelt coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello", 400),
    ("a space before the name", "POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\nhello", 400),
    ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    ("a field without a colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400),
    ("a field without a name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    ("NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n", 400),
    ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a lone carriage return in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a user in the host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    ("a user in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no version", "GET /\r\nHost: a\r\n\r\n", 400),
    ("a version of another kind", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("TLS where none is spoken", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
];

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    for (what, bytes, status) in TWO_READINGS {
        let mut client = client(&gateway);
        // Whatever follows would be a second request to whoever read the first in the other way.
        client.write(bytes.as_bytes()).unwrap();
        let _ = client.write(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.read_answer().unwrap();
        assert_eq!(answer.status, *status, "{what}: {}", answer.text());
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
        let end = client.is_closed();
        assert!(
            matches!(end, Ok(true)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset),
            "{what}"
        );
    }
    assert_eq!(echo.requests().len(), 0, "{:?}", echo.requests());
    assert_eq!(metric(&gateway, "weir_http_refused_total"), TWO_READINGS.len() as u64);
    assert_eq!(get(&gateway, "/after").status, 200);
}

#[test]
fn broken_chunks_end_the_connection() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let huge = format!("{}\r\n", "1".repeat(5000));
    let trailers = format!("0\r\n{}\r\n", "T: v\r\n".repeat(5000));
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "g\r\n",
        "fffffffffffffffff\r\n",
        "5;\x01=a\r\nhello\r\n0\r\n\r\n",
        huge.as_str(),
        trailers.as_str(),
    ] {
        let mut client = client(&gateway);
        client.write(head.as_bytes()).unwrap();
        let _ = client.write(chunks.as_bytes());
        let _ = client.write(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.read_answer().unwrap();
        assert_eq!(answer.status, 400, "{chunks:?}");
        let end = client.is_closed();
        assert!(
            matches!(end, Ok(true)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset),
            "{chunks:?}"
        );
    }
    assert!(echo.requests().iter().all(|request| request.path != "/smuggled"), "{:?}", echo.requests());
    assert_eq!(get(&gateway, "/after").status, 200);
}

#[test]
fn what_is_understood_goes_on_in_one_reading() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    // Lines may end with a line feed alone (RFC 9112, 2.2); what goes on is written anew.
    assert_eq!(raw(&gateway, "GET /lf HTTP/1.1\nHost: a\nX-One: 1\n\n").status, 200);
    // Chunks that have come whole become a length; extensions and trailers end here.
    let chunked = "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                   5;note=\"x\"\r\nhello\r\n0006\r\n world\r\n000\r\nX-Trailer: t\r\n\r\n";
    assert_eq!(raw(&gateway, chunked).status, 200);
    // What belongs to the connection ends here too, and what it names.
    let hop = "GET /hop HTTP/1.1\r\nHost: a\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\
               Proxy-Connection: x\r\nTE: gzip\r\nUpgrade: other\r\nProxy: http://evil\r\nX.Dotted: 1\r\n\r\n";
    assert_eq!(raw(&gateway, hop).status, 200);
    let requests = echo.requests();
    assert_eq!(requests[0].header("x-one"), Some("1"));
    assert_eq!(
        (requests[1].body.as_slice(), requests[1].header("content-length")),
        (&b"hello world"[..], Some("11"))
    );
    assert_eq!(requests[1].header("transfer-encoding"), None);
    for gone in ["x-mine", "keep-alive", "proxy-connection", "te", "upgrade", "proxy", "x.dotted"] {
        assert_eq!(requests[2].header(gone), None, "{gone}");
    }
}

#[test]
fn heads_are_bounded() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let status = |request: String| raw(&gateway, request).status;
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length));
    assert_eq!(status(target(8000)), 200);
    assert_eq!(status(target(8200)), 414);
    assert_eq!(status(target(1 << 20)), 414);
    let field = |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(length));
    assert_eq!(status(field(8000)), 200);
    assert_eq!(status(field(8200)), 400);
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(count));
    assert_eq!(status(fields(150)), 200);
    assert_eq!(status(fields(250)), 400);
    let total = |lines: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", format!("X: {}\r\n", "a".repeat(4000)).repeat(lines))
    };
    assert_eq!(status(total(7)), 200);
    assert_eq!(status(total(9)), 400);
    // The end that never comes.
    let mut endless = client(&gateway);
    endless.write(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    let _ = endless.write(format!("X: {}\r\n", "a".repeat(8000)).repeat(20).as_bytes());
    assert_eq!(endless.read_answer().unwrap().status, 400);
}

#[test]
fn bodies_are_bounded_where_a_limit_is_set() {
    let echo = Echo::start();
    let gateway = launch().env("WEIR_CLIENT_MAX_BODY_SIZE", "1k").start();
    route_all(&gateway, echo.addr(), serde_json::json!({}));
    let post =
        |length: usize| client(&gateway).request("POST", "/", &[], &vec![b'x'; length]).unwrap().status;
    assert_eq!(post(1024), 200);
    assert_eq!(post(1025), 413);
    let chunked = |length: usize| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        // Many small chunks: what frames them does not count.
        let chunks = "1\r\nx\r\n".repeat(length);
        raw(&gateway, format!("{head}{chunks}0\r\n\r\n")).status
    };
    assert_eq!(chunked(1024), 200);
    assert_eq!(chunked(1025), 413);
    assert_eq!(echo.requests().iter().filter(|r| r.body.len() > 1024).count(), 0);
}

#[test]
fn a_client_waits_for_its_word_to_go_on() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut waiting = client(&gateway);
    waiting.write(head).unwrap();
    assert_eq!(waiting.read_head().unwrap().status, 100);
    waiting.write(b"hello").unwrap();
    let answer = waiting.read_answer().unwrap();
    assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("hello")));
    assert_eq!(echo.requests()[0].header("expect"), None, "the gateway has given its word already");

    // Whoever does not wait is not told.
    let answer = raw(&gateway, [&head[..], b"hello"].concat());
    assert_eq!((answer.status, answer.interim), (200, vec![]));

    // Where nobody wants the body nobody asks for it, and the connection is not used for what might be it.
    gateway.ask_admin("PATCH", "/services/all", &serde_json::json!({"enabled": false}));
    let mut unwanted = client(&gateway);
    let answer = unwanted.send(head).unwrap();
    assert_eq!((answer.status, answer.interim.clone()), (404, vec![]));
    assert!(unwanted.is_closed().unwrap());
}

#[test]
fn answers_without_bodies_have_none() {
    let upstream = Echo::with(|request| match request.path.as_str() {
        "/204" => Reply::new(204),
        "/304" => Reply::new(304).header("ETag", "\"x\"").header("Content-Length", "5"),
        _ => Reply::new(200).body("hello"),
    });
    let gateway = in_front_of(upstream.addr());
    let mut client = client(&gateway);
    // One connection: a byte too many or too few, and the next answer is not read.
    for _ in 0..2 {
        let head = client.request("HEAD", "/", &[], b"").unwrap();
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("5"), 0));
        let none = client.get("/204").unwrap();
        assert_eq!((none.status, none.header("content-length"), none.body.len()), (204, None, 0));
        let not_modified = client.get("/304").unwrap();
        assert_eq!((not_modified.status, not_modified.header("etag")), (304, Some("\"x\"")));
        assert_eq!(client.get("/").unwrap().text(), "hello");
        // The gateway's own answers keep to it as well.
        let own = client.request("HEAD", "/", &[("Host", "a/b")], b"");
        drop(own);
        client = Client::connect(gateway.proxy()).unwrap();
    }
}

#[test]
fn interim_answers_of_the_service_end_here() {
    let upstream = Scripted::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = in_front_of(upstream.addr());
    let answer = get(&gateway, "/");
    assert_eq!((answer.status, answer.text(), answer.interim), (200, "ok".to_owned(), vec![]));
    assert_eq!(answer.headers.get("link"), None);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let mut client = client(&gateway);
    let one = |n: usize| match n % 3 {
        0 => format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
        1 => format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"),
        _ => format!(
            "POST /{n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n\r\n"
        ),
    };
    let all: String = (0..60).map(one).collect();
    client.write(all.as_bytes()).unwrap();
    for n in 0..60 {
        let answer = client.read_answer().unwrap();
        assert_eq!(answer.json()["path"], format!("/{n}"));
        assert_eq!(answer.json()["body"], if n % 3 == 0 { "" } else { "body" });
    }
}

#[test]
fn clients_of_http_1_0_are_served() {
    let upstream = Echo::with(|_| Reply::new(200).body("in pieces").chunked(3));
    let gateway = in_front_of(upstream.addr());
    let mut old = client(&gateway);
    let answer = old.send(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(
        (answer.status, answer.header("transfer-encoding"), answer.text()),
        (200, None, "in pieces".into())
    );
    assert!(old.is_closed().unwrap());
}

#[test]
fn clients_that_dawdle_are_let_go() {
    let echo = Echo::start();
    let gateway = launch()
        .env("WEIR_CLIENT_HEADER_TIMEOUT", "0.3")
        .env("WEIR_CLIENT_BODY_TIMEOUT", "0.3")
        .env("WEIR_CLIENT_KEEPALIVE_TIMEOUT", "0.3")
        .start();
    route_all(&gateway, echo.addr(), serde_json::json!({}));
    let began = Instant::now();

    // Nothing at all; half a head; a head one byte at a time.
    assert!(client(&gateway).is_closed().unwrap());
    let mut half = client(&gateway);
    half.write(b"GET / HTTP/1.1\r\nHost:").unwrap();
    assert_eq!(half.read_answer().unwrap().status, 408);
    assert!(half.is_closed().unwrap());
    let mut trickle = client(&gateway);
    let mut sent = 0;
    let refused = loop {
        // Every byte is in time, all of them together are not.
        if trickle.write(b"X").is_err() || sent > 10_000 {
            break None;
        }
        sent += 1;
        std::thread::yield_now();
        if began.elapsed() > Duration::from_secs(2) {
            break Some(trickle.read_answer().unwrap().status);
        }
    };
    assert!(matches!(refused, None | Some(408 | 414)), "{refused:?}");

    // Half a body.
    let mut body = client(&gateway);
    body.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").unwrap();
    assert_eq!(body.read_answer().unwrap().status, 408);
    assert!(body.is_closed().unwrap());

    // No next request.
    let mut idle = client(&gateway);
    assert_eq!(idle.get("/").unwrap().status, 200);
    assert!(idle.is_closed().unwrap());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(get(&gateway, "/").status, 200);
}
