//! With a provider that is slow, lies, or is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Echo, Peer, Scripted};

use super::{put, with_token};
use crate::support::{SOON, launch, route_all};

/// A token that has the form of one.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwOi8vaSJ9.AAAA";

fn answer(peer: &mut Peer, status: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    peer.write(head.as_bytes())?;
    peer.write(body)
}

/// The discovery document of an issuer on this port, with these members changed.
fn document(port: &str, more: &Value) -> Vec<u8> {
    let base = format!("http://127.0.0.1:{port}");
    let mut document = json!({"issuer": base, "jwks_uri": format!("{base}/keys"),
        "introspection_endpoint": format!("{base}/introspect")});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document.to_string().into_bytes()
}

/// The port that a request was sent to.
fn port(head: &str) -> String {
    let host = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("host: 127.0.0.1:").map(str::to_owned));
    host.unwrap_or_default()
}

/// A provider that says this of itself, and answers everything else so.
fn provider(
    more: Value,
    other: impl Fn(&mut Peer, &str) -> std::io::Result<()> + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |peer, _| {
        loop {
            let head = peer.read_head()?;
            match head.starts_with("GET /.well-known/") {
                true => answer(peer, "200 OK", &document(&port(&head), &more))?,
                false => other(peer, &head)?,
            }
        }
    })
}

#[test]
fn whoever_is_no_provider_vouches_for_nobody() {
    let upstream = Echo::start();
    let gateway = launch().start();
    route_all(&gateway, upstream.addr(), json!({}));
    let expect = |server: &Scripted, more: Value, token: &str, why: &str| {
        let base = json!({"issuer": server.url(), "client_id": "weir", "client_secret": "s"});
        put(&gateway, &base, more);
        let start = Instant::now();
        let answer = with_token(&gateway, token);
        assert_eq!(answer.status, 503, "{why}: {}", answer.text());
        assert_eq!(answer.json()["message"], "Service unavailable");
        assert!(start.elapsed() < SOON / 2, "{why} took {:?}", start.elapsed());
        assert!(gateway.log().contains(why), "{why} is not in: {}", gateway.log());
    };
    let silent = Scripted::start(|peer, _| peer.wait_for_end());
    expect(&silent, json!({"timeout": 300}), TOKEN, "takes too long");
    let slow = provider(json!({}), |peer, _| {
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        loop {
            peer.write(b" ")?;
            thread::sleep(Duration::from_millis(5));
        }
    });
    expect(&slow, json!({"timeout": 300}), TOKEN, "takes too long");
    // Ten megabytes of keys, announced or not.
    let huge = provider(json!({}), |peer, _| answer(peer, "200 OK", &vec![b' '; 10 << 20]));
    expect(&huge, json!({}), TOKEN, "keys: the answer is longer than 1048576 bytes");
    let endless = provider(json!({}), |peer, _| {
        peer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            peer.write(format!("10000\r\n{}\r\n", " ".repeat(0x10000)).as_bytes())?;
        }
    });
    expect(&endless, json!({}), TOKEN, "keys: the answer is longer than 1048576 bytes");
    let other = provider(json!({"issuer": "http://127.0.0.1:1"}), |_, _| Ok(()));
    expect(&other, json!({}), TOKEN, "of another issuer");
    let leaking = provider(json!({"token_endpoint": "http://evil.test/token"}), |_, _| Ok(()));
    expect(&leaking, json!({}), TOKEN, "token_endpoint in the discovery document is no https URL");
    let empty = provider(json!({}), |peer, _| answer(peer, "200 OK", br#"{"keys":[]}"#));
    expect(&empty, json!({}), TOKEN, "no key that can be used");
    // A secret that is published is none.
    let oct = provider(json!({}), |peer, _| {
        answer(peer, "200 OK", br#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#)
    });
    expect(&oct, json!({"rediscovery_lifetime": 1}), TOKEN, "no key that can be used");
    let moved = provider(json!({}), |peer, _| {
        peer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    });
    expect(&moved, json!({}), TOKEN, "the answer is a redirect");
    let broken = provider(json!({}), |peer, _| answer(peer, "500 Internal Server Error", b"{}"));
    expect(&broken, json!({}), TOKEN, "keys: the answer has status 500");
    let web = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html");
    expect(&web, json!({}), TOKEN, "discovery document cannot be read");
    let rude = Scripted::answering("SSH-2.0-OpenSSH_9.2\r\n");
    expect(&rude, json!({}), TOKEN, "the connection failed");
    let gone = Scripted::start(|_, _| Ok(()));
    let url = gone.url();
    drop(gone);
    put(&gateway, &json!({"issuer": url, "client_id": "weir"}), json!({}));
    gateway.post("/consumers", &json!({"username": "guest"}));
    assert_eq!(with_token(&gateway, TOKEN).status, 503);
    put(&gateway, &json!({"issuer": url, "client_id": "weir"}), json!({"anonymous": "guest"}));
    assert_eq!(with_token(&gateway, TOKEN).status, 503, "nobody stands in");
}

const KEYS: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"b",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

#[test]
fn an_introspection_that_lies_is_believed_by_nobody() {
    let upstream = Echo::start();
    let gateway = launch().start();
    route_all(&gateway, upstream.addr(), json!({}));
    for (body, status) in [
        (r#"{"active":true,"sub":"alice"}"#, 200),
        (r#"{"active":false}"#, 401),
        (r#"{"active":true}"#, 403),
        (r#"{"active":true,"sub":"alice","exp":1}"#, 401),
        (r#"{"active":true,"sub":"alice","iss":"http://evil.test"}"#, 401),
        (r#"{"active":"true","sub":"alice"}"#, 503),
        (r#"{"sub":"alice"}"#, 503),
        ("[]", 503),
        ("true", 503),
    ] {
        let server = provider(json!({}), move |peer, head| match head.starts_with("GET /keys") {
            true => answer(peer, "200 OK", KEYS),
            false => {
                let length = head
                    .to_ascii_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .unwrap()
                    .split("\r\n")
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                let form = String::from_utf8(peer.read_bytes(length)?).unwrap();
                assert!(
                    form.contains("token=opaque") && head.contains("uthorization: Basic"),
                    "{head}{form}"
                );
                answer(peer, "200 OK", body.as_bytes())
            }
        });
        let base = json!({"issuer": server.url(), "client_id": "weir", "client_secret": "s", "auth_methods": ["introspection"]});
        put(&gateway, &base, json!({}));
        let got = with_token(&gateway, "opaque");
        assert_eq!(got.status, status, "{body}: {}\n{}", got.text(), gateway.log());
    }
}

#[test]
fn of_many_who_wait_one_asks() {
    let upstream = Echo::start();
    let gateway = launch().env("WEIR_WORKERS", "2").start();
    route_all(&gateway, upstream.addr(), json!({}));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = provider(json!({}), move |peer, _| {
        count.fetch_add(1, Ordering::Relaxed);
        // Long enough for all to be waiting.
        thread::sleep(Duration::from_millis(300));
        answer(peer, "200 OK", KEYS)
    });
    put(&gateway, &json!({"issuer": server.url(), "client_id": "weir"}), json!({}));
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| assert_eq!(with_token(&gateway, TOKEN).status, 401));
        }
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
