//! Clients that leave, answers that end badly, and gateways that end while clients are busy.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Client, Echo, Scripted};

use crate::http2;
use crate::support::{SOON, client, in_front_of, launch, raw, route_all};

/// A service that never answers. It tells when a request came, and when it was given up.
fn silent() -> (Scripted, mpsc::Receiver<()>, mpsc::Receiver<()>) {
    let (came, coming) = mpsc::channel();
    let (left, leaving) = mpsc::channel();
    let service = Scripted::start(move |peer, _| {
        peer.read_head()?;
        let _ = came.send(());
        // Nothing more is asked: this ends with the connection.
        let _ = peer.read_head();
        let _ = left.send(());
        Ok(())
    });
    (service, coming, leaving)
}

#[test]
fn nobody_is_asked_for_a_client_that_left() {
    let (service, coming, leaving) = silent();
    let gateway = in_front_of(service.addr());
    let mut one = client(&gateway);
    one.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    coming.recv_timeout(SOON).unwrap();
    drop(one);
    leaving.recv_timeout(Duration::from_secs(10)).expect("the service's connection is closed at once");
    assert_eq!(service.connections(), 1, "and nobody asked again");
}

#[test]
fn a_stream_that_is_reset_is_given_up_at_the_service() {
    let (service, coming, leaving) = silent();
    let gateway = http2::gateway(service.addr(), &[]);
    http2::run(async {
        let mut sender = http2::connect(&gateway).await;
        let (answer, mut body) = sender.send_request(http2::request("GET", "/"), true).unwrap();
        let body = tokio::task::spawn_blocking(move || {
            coming.recv_timeout(SOON).unwrap();
            body.send_reset(h2::Reason::CANCEL);
            body
        });
        drop((body.await.unwrap(), answer));
        let left = tokio::task::spawn_blocking(move || leaving.recv_timeout(Duration::from_secs(10)));
        left.await.unwrap().expect("the service's connection is closed at once");
    });
    assert_eq!(service.connections(), 1);
}

#[test]
fn a_stream_that_makes_no_room_for_its_answer_is_given_up() {
    let (left, leaving) = mpsc::channel();
    let service = Scripted::start(move |peer, _| {
        peer.read_head()?;
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        while peer.write(&[b'x'; 65536]).is_ok() {}
        let _ = left.send(());
        Ok(())
    });
    let gateway = http2::gateway(service.addr(), &[("WEIR_SEND_TIMEOUT", "0.3")]);
    http2::run(async {
        let mut sender = http2::connect(&gateway).await;
        let (answer, _) = sender.send_request(http2::request("GET", "/"), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        // Nothing of the body is read, and no room made for more.
        let given_up = tokio::task::spawn_blocking(move || leaving.recv_timeout(Duration::from_secs(10)));
        given_up.await.unwrap().expect("the service's connection is closed in time");
        drop(answer);
    });
}

#[test]
fn an_answer_with_two_framings_is_passed_on_with_one() {
    let twice =
        "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let service = Scripted::answering(twice);
    let gateway = in_front_of(service.addr());
    let answer = raw(&gateway, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("content-length")), (200, "hi", None));
    let answer = raw(&gateway, "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str(), answer.header("content-length")), (200, "hi", None));
}

#[test]
fn a_plugin_cannot_say_how_an_answer_is_framed() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    for name in ["Content-Length", "Transfer-Encoding", "Connection"] {
        let config = json!({"header_name": name, "echo_downstream": true});
        let plugin = gateway.post("/plugins", &json!({"name": "correlation-id", "config": config}));
        let mut client = client(&gateway);
        for _ in 0..2 {
            let answer = client.get("/").unwrap();
            assert_eq!(answer.status, 200, "{name}");
            assert!(answer.json().is_object(), "{name}");
        }
        let path = format!("/plugins/{}", plugin["id"].as_str().unwrap());
        assert_eq!(gateway.ask_admin("DELETE", &path, &json!(null)).status, 204);
    }
}

#[test]
fn what_came_of_an_answer_that_breaks_off_is_passed_on() {
    let service = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nX-Is: here\r\n\r\nhi");
    let gateway = in_front_of(service.addr());
    let mut client = client(&gateway);
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let head = client.read_head().unwrap();
    assert_eq!((head.status, head.header("x-is")), (200, Some("here")));
    assert_eq!(client.read_bytes(2).unwrap(), b"hi");
    assert!(client.is_closed().unwrap());
}

/// Asks again and again over one connection until told that it ends. Any other end is an error.
fn busy(address: SocketAddr) -> io::Result<usize> {
    let mut client = Client::connect(address)?;
    for count in 1.. {
        if client.get("/")?.header("connection") == Some("close") {
            return Ok(count);
        }
    }
    Ok(0)
}

#[test]
fn busy_clients_are_told_that_the_gateway_ends() {
    let echo = Echo::start();
    let mut gateway = in_front_of(echo.addr());
    let address = gateway.proxy();
    let clients: Vec<_> = (0..16).map(|_| thread::spawn(move || busy(address))).collect();
    let deadline = Instant::now() + SOON;
    while echo.requests().len() < 100 && Instant::now() < deadline {
        thread::yield_now();
    }
    let ended = gateway.terminate(SOON).unwrap();
    assert!(ended.success());
    for client in clients {
        let told = client.join().unwrap();
        assert!(told.is_ok(), "{told:?}");
    }
}

#[test]
fn who_agrees_upon_http_2_has_to_speak_it() {
    let echo = Echo::start();
    let gateway = launch().env("WEIR_CLIENT_HEADER_TIMEOUT", "0.3").start();
    route_all(&gateway, echo.addr(), json!({}));
    let mut silent = Client::connect_tls(gateway.proxy_ssl(), "a.test", &["h2"]).unwrap();
    // An end without the word of TLS for it is one too.
    match silent.is_closed() {
        Ok(closed) => assert!(closed),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
    }
}

#[test]
fn a_connection_of_http_2_that_asks_nothing_ends() {
    let echo = Echo::start();
    let gateway = http2::gateway(echo.addr(), &[("WEIR_CLIENT_KEEPALIVE_TIMEOUT", "0.3")]);
    http2::run(async {
        let stream = tokio::net::TcpStream::connect(gateway.proxy()).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let ended = tokio::time::timeout(SOON, connection).await;
        assert!(ended.is_ok(), "it is still open");
        drop(sender);
    });
}

#[test]
fn a_renewed_certificate_needs_no_restart() {
    let (gateway, other) = (launch().start(), launch().start());
    let shown = |address| Client::connect_tls(address, "a.test", &[]).unwrap().peer_certificate().unwrap();
    let before = shown(gateway.proxy_ssl());
    let wanted = shown(other.proxy_ssl());
    assert_ne!(before, wanted);
    for file in fs::read_dir(other.prefix().join("ssl")).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), gateway.prefix().join("ssl").join(file.file_name())).unwrap();
    }
    gateway.signal("HUP");
    let deadline = Instant::now() + SOON;
    while shown(gateway.proxy_ssl()) != wanted {
        assert!(Instant::now() < deadline, "{}", gateway.log());
        thread::yield_now();
    }
}
