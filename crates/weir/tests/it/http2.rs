//! HTTP/2 in front, in plain and over TLS, and TLS itself.

use std::future::Future;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use testkit::{Client, Echo, Gateway, Reply, TempDir};

use crate::support::{SOON, client, in_front_of, launch, route_all};

/// Runs a test's future, which may take this long.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime
        .block_on(local.run_until(async { tokio::time::timeout(SOON, future).await }))
        .expect("it takes too long")
}

/// A gateway whose plain listener speaks HTTP/2 too.
pub(crate) fn gateway(upstream: SocketAddr, env: &[(&str, &str)]) -> Gateway {
    let mut launch = launch().env("WEIR_PROXY_LISTEN", "127.0.0.1:0 http2, 127.0.0.1:0 ssl http2");
    for (name, value) in env {
        launch = launch.env(name, value);
    }
    let gateway = launch.start();
    route_all(&gateway, upstream, json!({}));
    gateway
}

pub(crate) async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(gateway.proxy()).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    sender.ready().await.unwrap()
}

pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://a.test{path}")).body(()).unwrap()
}

/// An answer's status and body.
async fn ask(sender: &mut SendRequest<Bytes>, request: Request<()>, body: &[u8]) -> (StatusCode, Vec<u8>) {
    let mut ready = sender.clone().ready().await.unwrap();
    let (answer, mut stream) = ready.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body), true).unwrap();
    }
    let answer = answer.await.unwrap();
    let status = answer.status();
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    (status, bytes)
}

#[test]
fn requests_share_a_connection() {
    let echo = Echo::with(|request| Reply::json(&request.to_json()).delay(Duration::from_millis(20)));
    let gateway = gateway(echo.addr(), &[]);
    run(async {
        let sender = connect(&gateway).await;
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let mut sender = sender.clone();
                tokio::task::spawn_local(async move {
                    let body = format!("body {n}");
                    let (status, answer) =
                        ask(&mut sender, request("POST", &format!("/{n}?q")), body.as_bytes()).await;
                    let answer: Value = serde_json::from_slice(&answer).unwrap();
                    assert_eq!(
                        (status, answer["path"].as_str()),
                        (StatusCode::OK, Some(format!("/{n}?q").as_str()))
                    );
                    assert_eq!(answer["body"], body);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let request = &echo.requests()[0];
    assert_eq!(request.header("x-forwarded-host"), Some("a.test"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
}

#[test]
fn the_plain_listener_speaks_both() {
    let echo = Echo::start();
    let gateway = gateway(echo.addr(), &[]);
    assert_eq!(client(&gateway).get("/").unwrap().status, 200);
    let curl = |options: &[&str]| {
        let url = format!("http://{}/", gateway.proxy());
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]).args(options).arg(url);
        curl.output().map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Ok(second) = curl(&["--http2-prior-knowledge"]) else { testkit::skip!("curl is not installed") };
    assert_eq!(second, "2 200");
    assert_eq!(curl(&["--http1.1"]).unwrap(), "1.1 200");
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let upstream = Echo::with(|request| Reply::new(200).body(request.body.clone()));
    let gateway = gateway(upstream.addr(), &[]);
    let body: Vec<u8> = (0..8 << 20).map(|n: u32| (n % 251) as u8).collect();
    run(async {
        let mut sender = connect(&gateway).await;
        let (status, answer) = ask(&mut sender, request("POST", "/"), &body).await;
        assert_eq!(status, StatusCode::OK);
        assert!(answer == body, "{} of {} bytes, or others", answer.len(), body.len());
    });
}

#[test]
fn bodies_are_bounded_here_too() {
    let echo = Echo::start();
    let gateway = gateway(echo.addr(), &[("WEIR_CLIENT_MAX_BODY_SIZE", "1k")]);
    run(async {
        let mut sender = connect(&gateway).await;
        assert_eq!(ask(&mut sender, request("POST", "/"), &[b'x'; 1024]).await.0, StatusCode::OK);
        // Without a length, so that only counting tells.
        assert_eq!(
            ask(&mut sender, request("POST", "/"), &[b'x'; 1025]).await.0,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        let mut with_length = request("POST", "/");
        with_length.headers_mut().insert("content-length", 1025.into());
        assert_eq!(ask(&mut sender, with_length, &[b'x'; 1025]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(ask(&mut sender, request("GET", "/"), b"").await.0, StatusCode::OK);
    });
    assert!(echo.requests().iter().all(|request| request.body.len() <= 1024));
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let echo = Echo::start();
    let gateway = gateway(echo.addr(), &[("WEIR_CLIENT_BODY_TIMEOUT", "0.3")]);
    run(async {
        let mut sender = connect(&gateway).await;
        let (answer, mut stream) = sender.send_request(request("POST", "/"), false).unwrap();
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        assert_eq!(answer.await.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
        // The connection lives on.
        assert_eq!(ask(&mut sender, request("GET", "/"), b"").await.0, StatusCode::OK);
    });
}

#[test]
fn what_has_no_meaning_through_a_gateway_is_refused() {
    let echo = Echo::start();
    let gateway = gateway(echo.addr(), &[]);
    run(async {
        let mut sender = connect(&gateway).await;
        assert_eq!(ask(&mut sender, request("TRACE", "/"), b"").await.0, StatusCode::METHOD_NOT_ALLOWED);
        let mut many = request("GET", "/");
        (0..1000).for_each(|n| {
            drop(many.headers_mut().insert(
                http::HeaderName::try_from(format!("x-{n}")).unwrap(),
                "a".repeat(40).parse().unwrap(),
            ))
        });
        let mut ready = sender.clone().ready().await.unwrap();
        let refused = match ready.send_request(many, true) {
            Ok((answer, _)) => answer.await.map(|answer| answer.status()),
            Err(error) => Err(error),
        };
        assert!(!matches!(refused, Ok(status) if status.is_success()), "{refused:?}");
    });
    assert_eq!(echo.requests().len(), 0);
}

#[test]
fn a_stream_that_its_client_gives_up_takes_nothing_with_it() {
    let upstream = Echo::with(|request| {
        let slow = request.path == "/slow";
        Reply::new(200).delay(Duration::from_secs(if slow { 60 } else { 0 }))
    });
    let gateway = gateway(upstream.addr(), &[]);
    run(async {
        let mut sender = connect(&gateway).await;
        for _ in 0..20 {
            let (answer, mut stream) = sender.send_request(request("GET", "/slow"), true).unwrap();
            stream.send_reset(h2::Reason::CANCEL);
            drop((answer, stream));
            sender = sender.ready().await.unwrap();
        }
        assert_eq!(ask(&mut sender, request("GET", "/"), b"").await.0, StatusCode::OK);
    });
}

#[test]
fn the_first_start_makes_a_certificate_and_keeps_it() {
    let (dir, echo) = (TempDir::new(), Echo::start());
    let mut gateway = launch().prefix(dir.path()).start();
    route_all(&gateway, echo.addr(), json!({}));
    let shown = |gateway: &Gateway, alpn: &[&str]| {
        let mut tls = Client::connect_tls(gateway.proxy_ssl(), "any.test", alpn).unwrap();
        let (certificate, chosen) = (tls.peer_certificate().unwrap(), tls.alpn());
        if chosen.as_deref() != Some("h2") {
            let answer = tls.get("/").unwrap();
            assert_eq!(answer.status, 200);
            assert!(answer.text().contains(r#"["X-Forwarded-Proto","https"]"#), "{}", answer.text());
        }
        (certificate, chosen)
    };
    let (first, chosen) = shown(&gateway, &[]);
    assert_eq!(chosen, None);
    assert_eq!(shown(&gateway, &["http/1.1"]).1.as_deref(), Some("http/1.1"));
    assert_eq!(shown(&gateway, &["h2", "http/1.1"]).1.as_deref(), Some("h2"));
    gateway.terminate(SOON).unwrap();
    let gateway = launch().prefix(dir.path()).start();
    assert_eq!(shown(&gateway, &[]).0, first, "the same certificate after a restart");
    let other = launch().start();
    route_all(&other, echo.addr(), json!({}));
    assert_ne!(shown(&other, &[]).0, first, "another one elsewhere");
}

#[test]
fn http_2_over_tls_as_curl_speaks_it() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let url = format!("https://{}/a?b", gateway.proxy_ssl());
    let output = Command::new("curl").args(["-sk", "-w", "\n%{http_version} %{http_code}", &url]).output();
    let Ok(output) = output else { testkit::skip!("curl is not installed") };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("\n2 200"), "{text}");
    assert_eq!(echo.requests()[0].header("x-forwarded-proto"), Some("https"));
}

#[test]
fn what_is_no_handshake_is_let_go() {
    let echo = Echo::start();
    let gateway = in_front_of(echo.addr());
    let mut plain = Client::connect(gateway.proxy_ssl()).unwrap();
    assert!(plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err());
    assert_eq!(
        Client::connect_tls(gateway.proxy_ssl(), "a.test", &[]).unwrap().get("/").unwrap().status,
        200
    );
    assert!(!gateway.log().contains("panicked"));
}
