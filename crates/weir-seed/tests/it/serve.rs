//! The server, over plain HTTP on loopback. TLS is around it in the tests of the program.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use testkit::{Answer, Client};
use tokio::sync::watch;
use weir_seed::serve::{Endpoint, Kind, Limits, Rate, Server};

/// A server on a thread of its own; it ends when dropped.
struct Running {
    addr: SocketAddr,
    metrics: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

const WIDE: Rate = Rate { per_second: 100_000, burst: 100_000 };

fn wide() -> Limits {
    Limits { peer: WIDE, overall: WIDE, ..Limits::default() }
}

impl Running {
    /// Believes whoever connects, as a proxy, to name its peers, or nobody.
    fn start(limits: Limits, is_proxy: bool) -> Self {
        let bind = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            (listener.local_addr().unwrap(), listener)
        };
        let ((addr, listener), (metrics, metrics_listener)) = (bind(), bind());
        let (stop, stopped) = watch::channel(false);
        let trusted = if is_proxy { vec!["127.0.0.0/8".parse().unwrap()] } else { Vec::new() };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let tokio = |listener| tokio::net::TcpListener::from_std(listener).unwrap();
                let endpoints = vec![
                    Endpoint { kind: Kind::Http, listener: tokio(listener) },
                    Endpoint { kind: Kind::Metrics, listener: tokio(metrics_listener) },
                ];
                Server::new(limits, trusted).serve(endpoints, stopped).await;
            });
        });
        Self { addr, metrics, stop, thread: Some(thread) }
    }

    fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        Client::connect(self.addr).unwrap().request(method, path, fields, body.as_bytes()).unwrap()
    }

    fn from(&self, peer: &str) -> Answer {
        self.ask("POST", "/", &[("X-Forwarded-For", peer)], "challenge=abc")
    }

    fn counted(&self, line: &str) -> u64 {
        let page = Client::connect(self.metrics).unwrap().get("/metrics").unwrap().text();
        let value = page.lines().find_map(|other| other.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {line} in {page}")).parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let _ = self.thread.take().unwrap().join();
    }
}

/// SHA-512 of "abc": FIPS 180-2, C.1.
const ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

#[test]
fn a_challenge_is_answered_with_its_hash_and_a_fresh_seed() {
    let server = Running::start(wide(), false);
    let mut seeds = std::collections::HashSet::new();
    for (method, path, body) in [
        ("POST", "/", "challenge=abc&tag=x"),
        ("POST", "/any/path", "challenge=abc"),
        ("GET", "/?challenge=abc", ""),
    ] {
        let answer = server.ask(method, path, &[], body);
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        let text = answer.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[1].len()), (2, ABC, 128), "{text}");
        assert!(seeds.insert(lines[1].to_owned()));
    }
    let json = server.ask("POST", "/", &[("Content-Type", "application/json")], r#"{"challenge":"abc"}"#);
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.json()["challenge_response"], ABC);
    assert!(seeds.insert(json.json()["seed"].as_str().unwrap().to_owned()));
    let asked = server.ask("POST", "/", &[("Accept", "application/json")], "challenge=abc");
    assert_eq!(asked.json()["challenge_response"], ABC);
    assert_eq!(server.counted("weir_seed_answers_total{form=\"text\"}"), 3);
    assert_eq!(server.counted("weir_seed_answers_total{form=\"json\"}"), 2);
    assert_eq!(server.counted("weir_seed_drawn_bytes_total"), 5 * 64);
}

#[test]
fn what_is_no_request_is_refused_with_the_reason() {
    let server = Running::start(wide(), false);
    let long = format!("challenge={}", "a".repeat(2000));
    let huge = "a".repeat(5000);
    for (method, kind, body, status) in [
        ("PUT", "text/plain", "challenge=abc", 405),
        ("POST", "application/x-www-form-urlencoded", "", 400),
        ("POST", "application/x-www-form-urlencoded", long.as_str(), 400),
        ("POST", "application/x-www-form-urlencoded", huge.as_str(), 413),
        ("POST", "application/json", "{", 400),
        ("POST", "multipart/form-data; boundary=x", "--x", 415),
    ] {
        let answer = server.ask(method, "/", &[("Content-Type", kind)], body);
        assert_eq!((answer.status, answer.text().lines().count()), (status, 1), "{body}: {}", answer.text());
    }
    assert_eq!(server.counted("weir_seed_refusals_total{reason=\"request\"}"), 6);
    // By its head alone: the body never comes.
    let mut client = Client::connect(server.addr).unwrap();
    let announced = client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4097\r\n\r\n").unwrap();
    assert_eq!(announced.status, 413);
    let mut client = Client::connect(server.addr).unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(client.send(head.as_bytes()).map_or(431, |answer| answer.status), 431);
}

#[test]
fn a_peer_that_asks_too_often_is_told_when_to_come_again() {
    let slow = Rate { per_second: 1, burst: 3 };
    let server = Running::start(Limits { peer: slow, ..wide() }, true);
    for _ in 0..3 {
        assert_eq!(server.from("2001:db8::1").status, 200);
    }
    let refused = server.from("2001:db8::2");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("1")),
        "the same network of 64 bits"
    );
    assert_eq!(server.from("2001:db8:0:1::1").status, 200);
    assert_eq!(
        server.from("2001:db8::1, 192.0.2.1").status,
        200,
        "what a peer itself said counts for nothing"
    );
    assert_eq!(server.counted("weir_seed_refusals_total{reason=\"peer_rate\"}"), 1);
    // Nobody is a proxy here.
    let server = Running::start(Limits { peer: slow, ..wide() }, false);
    let status: Vec<_> = (0..5).map(|number| server.from(&format!("192.0.2.{number}")).status).collect();
    assert_eq!(status, [200, 200, 200, 429, 429]);
}

#[test]
fn all_together_have_a_limit() {
    let server = Running::start(Limits { overall: Rate { per_second: 1, burst: 4 }, ..wide() }, true);
    let status: Vec<_> = (0..6).map(|number| server.from(&format!("192.0.2.{number}")).status).collect();
    assert_eq!(status, [200, 200, 200, 200, 429, 429]);
    assert_eq!(server.counted("weir_seed_refusals_total{reason=\"overall_rate\"}"), 2);
}

#[test]
fn who_is_slow_loses_the_connection() {
    let server = Running::start(Limits { patience: Duration::from_millis(200), ..wide() }, false);
    let mut head = Client::connect(server.addr).unwrap();
    head.write(b"POST / HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut body = Client::connect(server.addr).unwrap();
    let answer = body.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\nchall").unwrap();
    assert_eq!(answer.status, 408);
    let _ = head.read_answer();
    assert!(head.is_closed().unwrap());
    assert_eq!(server.counted("weir_seed_refusals_total{reason=\"timeout\"}"), 2);
    // Bytes now and then do not help.
    let server = Running::start(Limits { lifetime: Duration::from_millis(300), ..wide() }, false);
    let mut silent = TcpStream::connect(server.addr).unwrap();
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or_default(), 0);
}

#[test]
fn connections_are_counted_by_peer_and_in_all() {
    let ends = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Client::TIMEOUT)).unwrap();
        matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_))
    };
    for (limits, reason) in [
        (Limits { connections_of_peer: 2, ..wide() }, "peer_connections"),
        (Limits { connections: 2, ..wide() }, "connections"),
    ] {
        let server = Running::start(limits, false);
        let open = [TcpStream::connect(server.addr).unwrap(), TcpStream::connect(server.addr).unwrap()];
        let mut over = TcpStream::connect(server.addr).unwrap();
        assert!(ends(&mut over));
        assert_eq!(server.counted(&format!("weir_seed_refusals_total{{reason=\"{reason}\"}}")), 1);
        assert_eq!(server.counted("weir_seed_connections"), 2);
        drop(open);
    }
}

#[test]
fn what_is_under_way_is_answered_when_the_server_stops() {
    let server = Running::start(wide(), false);
    let mut client = Client::connect(server.addr).unwrap();
    client.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\nchall").unwrap();
    // The metrics have seen the connection, so it is accepted.
    while server.counted("weir_seed_connections") == 0 {}
    server.stop.send(true).unwrap();
    assert_eq!(client.send(b"enge=abc").unwrap().status, 200);
}

#[test]
fn metrics_have_a_place_of_their_own() {
    let server = Running::start(wide(), false);
    assert_eq!(Client::connect(server.metrics).unwrap().get("/").unwrap().status, 404);
    assert_eq!(
        server.ask("GET", "/metrics", &[], "").status,
        400,
        "where seeds are served it is a path like others"
    );
}
