//! Bodies pass through in pieces, in both directions, however large they are; WebSockets pass through as they are.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use serde_json::json;
use testkit::{Client, Echo, Gateway, Message, Scripted};

use crate::support::{SOON, client, in_front_of, launch, route_all};

/// Larger than the gateway may become.
const LARGE: u64 = 256 << 20;
/// The most that the gateway may grow by while that much passes through.
const GROWTH: u64 = 24 << 20;

fn resident(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn an_upload_beyond_memory_passes_through() {
    let counted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&counted);
    let upstream = Scripted::start(move |peer, _| {
        peer.read_head()?;
        while counter.load(Ordering::SeqCst) < LARGE {
            let count = peer.read_some()?.len() as u64;
            counter.fetch_add(count, Ordering::SeqCst);
        }
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = in_front_of(upstream.addr());
    let before = resident(&gateway);
    let mut client = client(&gateway);
    client
        .write(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())
        .unwrap();
    let piece = vec![b'x'; 1 << 20];
    (0..LARGE >> 20).for_each(|_| client.write(&piece).unwrap());
    assert_eq!(client.read_answer().unwrap().status, 200);
    assert_eq!(counted.load(Ordering::SeqCst), LARGE);
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} bytes");
}

#[test]
fn a_download_beyond_memory_passes_through() {
    let upstream = Scripted::start(|peer, _| {
        peer.read_head()?;
        peer.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())?;
        let piece = vec![b'x'; 1 << 20];
        (0..LARGE >> 20).try_for_each(|_| peer.write(&piece))
    });
    let gateway = in_front_of(upstream.addr());
    let before = resident(&gateway);
    let mut client = client(&gateway);
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.read_head().unwrap().header("content-length"), Some(LARGE.to_string().as_str()));
    let mut digest = 0u64;
    for _ in 0..LARGE >> 20 {
        digest += client.read_bytes(1 << 20).unwrap().iter().map(|b| u64::from(*b)).sum::<u64>();
    }
    assert_eq!(digest, LARGE * u64::from(b'x'));
    let grown = resident(&gateway).saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} bytes");
}

#[test]
fn a_reader_that_stops_stops_the_writer() {
    // The service writes as much as is taken from it; the client takes nothing.
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    let upstream = Scripted::start(move |peer, _| {
        peer.read_head()?;
        peer.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())?;
        for _ in 0..LARGE >> 16 {
            peer.write(&[b'x'; 1 << 16])?;
            counter.fetch_add(1 << 16, Ordering::SeqCst);
        }
        Ok(())
    });
    let gateway = in_front_of(upstream.addr());
    let mut client = client(&gateway);
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.read_head().unwrap();
    // It comes to rest: no more is written while nobody reads.
    let mut last = u64::MAX;
    let mut rests = 0;
    while rests < 10 {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        let now = written.load(Ordering::SeqCst);
        rests = if now == last { rests + 1 } else { 0 };
        last = now;
    }
    assert!(
        last < LARGE / 2,
        "{last} bytes are somewhere between the service and a client that reads nothing"
    );
}

#[test]
fn pieces_arrive_while_the_rest_is_still_to_come() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Scripted::start(move |peer, _| {
        peer.read_head()?;
        // The request's first piece is here while its second is not.
        assert_eq!(peer.read_bytes(10)?, b"5\r\nhello\r\n");
        peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        let _ = wait.lock().unwrap().recv_timeout(SOON);
        peer.read_bytes("5\r\nworld\r\n0\r\n\r\n".len())?;
        peer.write(b"6\r\nsecond\r\n0\r\n\r\n")
    });
    let gateway = launch().start();
    route_all(&gateway, upstream.addr(), json!({}));
    gateway.ask_admin("PATCH", "/services/all/routes", &json!({}));
    let routes = gateway.ask_admin("GET", "/services/all/routes", &serde_json::Value::Null).json();
    let route = format!("/routes/{}", routes["data"][0]["id"].as_str().unwrap());
    let body = json!({"request_buffering": false, "response_buffering": false});
    assert_eq!(gateway.ask_admin("PATCH", &route, &body).status, 200);
    let mut client = client(&gateway);
    client.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").unwrap();
    assert_eq!(client.read_head().unwrap().status, 200);
    assert_eq!(client.read_bytes(10).unwrap(), b"5\r\nfirst\r\n");
    go_on.send(()).unwrap();
    client.write(b"5\r\nworld\r\n0\r\n\r\n").unwrap();
    assert_eq!(client.read_bytes(16).unwrap(), b"6\r\nsecond\r\n0\r\n\r\n"[..16]);
}

#[test]
fn websockets_pass_through() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let mut socket =
        client(&gateway).websocket("/chat?room=1", &[("Sec-WebSocket-Protocol", "a")]).unwrap().unwrap();
    for n in 0..100 {
        socket.send_text(&format!("message {n}")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Text(format!("message {n}")));
    }
    let large = vec![7; 3 << 20];
    // Both directions at once: the service sends back what has not all arrived yet.
    socket.send_binary(&large).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Binary(large));
    socket.close().unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(1000u16.to_be_bytes().to_vec()));
    let request = &echo.requests()[0];
    assert_eq!(request.path, "/chat?room=1");
    assert_eq!(request.header("upgrade"), Some("websocket"));
    assert_eq!(request.header("sec-websocket-protocol"), Some("a"));
}

#[test]
fn an_upgrade_that_the_service_refuses_is_an_answer() {
    let upstream = Scripted::answering("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    let gateway = in_front_of(upstream.addr());
    let refused = client(&gateway).websocket("/", &[]).unwrap().unwrap_err();
    assert_eq!((refused.status, refused.text().as_str()), (426, "no"));
    // A switch that nobody asked for.
    let upstream =
        Scripted::answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    let gateway = in_front_of(upstream.addr());
    let answer = client(&gateway).get("/").unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
}

#[test]
fn a_websocket_over_tls() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let tls = Client::connect_tls(gateway.proxy_ssl(), "a.test", &["http/1.1"]).unwrap();
    let mut socket = tls.websocket("/", &[]).unwrap().unwrap();
    socket.send_text("secret").unwrap();
    assert_eq!(socket.read().unwrap(), Message::Text("secret".to_owned()));
}

#[test]
fn a_client_that_goes_away_is_not_waited_for() {
    let (seen, gone) = mpsc::channel();
    let upstream = Scripted::start(move |peer, _| {
        peer.read_head()?;
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        let piece = [b'x'; 1 << 16];
        while peer.write(&piece).is_ok() {}
        let _ = seen.send(());
        Ok(())
    });
    let gateway = in_front_of(upstream.addr());
    let mut stream = std::net::TcpStream::connect(gateway.proxy()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    std::io::Read::read_exact(&mut stream, &mut [0; 1000]).unwrap();
    drop(stream);
    gone.recv_timeout(SOON).expect("the service is let go when its client is gone");
}
