//! Who sends a request: passwords, signatures and tokens through the gateway as a whole. What each plugin answers to what is
//! tested beside the plugins, and against Kong's recorded behaviour.

use std::time::Instant;

use serde_json::{Value, json};
use testkit::{Answer, Echo, Gateway};

use crate::support::{SOON, client, in_front_of};

const ALICE: &str = "6d0b2b1e-0000-4000-8000-000000000001";
/// `printf 'hunter26d0b2b1e-0000-4000-8000-000000000001' | sha1sum`: how Kong keeps the password `hunter2` of this consumer.
const KONGS: &str = "8ef8fdf5388351fb1749bc09f46f2546b5f8b1b8";

fn guarded(echo: &Echo, plugin: &str, config: Value) -> Gateway {
    let gateway = in_front_of(echo.addr());
    gateway.post("/consumers", &json!({"id": ALICE, "username": "alice"}));
    gateway.post("/services/all/plugins", &json!({"name": plugin, "config": config}));
    gateway
}

#[track_caller]
fn send(gateway: &Gateway, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    client(gateway).request("POST", "/", headers, body).unwrap()
}

fn basic(gateway: &Gateway, text: &str) -> u16 {
    send(gateway, &[("Authorization", &format!("Basic {text}"))], b"").status
}

#[test]
fn a_hash_of_kongs_is_replaced_after_the_next_success() {
    let echo = Echo::start();
    let gateway = guarded(&echo, "basic-auth", json!({}));
    let credential = json!({"username": "u", "password": KONGS});
    gateway.post("/consumers/alice/basic-auth?_transform=false", &credential);
    let kept = || gateway.ask_admin("GET", "/consumers/alice/basic-auth/u", &Value::Null).json();
    let (good, bad) = ("dTpodW50ZXIy", "dTpodW50ZXIz");
    assert_eq!((basic(&gateway, bad), basic(&gateway, good)), (401, 200));
    let before = Instant::now();
    while kept()["password"] == KONGS {
        assert!(before.elapsed() < SOON, "{}", gateway.log());
        std::thread::yield_now();
    }
    assert!(kept()["password"].as_str().unwrap().starts_with("$argon2id$"), "{}", kept());
    assert_eq!((basic(&gateway, bad), basic(&gateway, good)), (401, 200));
}

#[test]
fn many_who_show_the_same_password_at_once_are_all_let_in() {
    let echo = Echo::start();
    let gateway = guarded(&echo, "basic-auth", json!({}));
    gateway.post("/consumers/alice/basic-auth", &json!({"username": "u", "password": "p"}));
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..48).map(|_| scope.spawn(|| basic(&gateway, "dTpw"))).collect();
        all.into_iter().for_each(|one| assert_eq!(one.join().unwrap(), 200));
    });
}

#[test]
fn a_changed_password_is_good_at_once_and_the_old_one_is_not() {
    let echo = Echo::start();
    let gateway = guarded(&echo, "basic-auth", json!({}));
    gateway.post("/consumers/alice/basic-auth", &json!({"username": "u", "password": "p"}));
    assert_eq!((basic(&gateway, "dTpw"), basic(&gateway, "dTpw")), (200, 200));
    let changed = gateway.ask_admin("PATCH", "/consumers/alice/basic-auth/u", &json!({"password": "q"}));
    assert_eq!(changed.status, 200);
    assert_eq!((basic(&gateway, "dTpw"), basic(&gateway, "dTpx")), (401, 200));
    assert_eq!(gateway.ask_admin("DELETE", "/consumers/alice/basic-auth/u", &Value::Null).status, 204);
    assert_eq!(basic(&gateway, "dTpx"), 401);
}

#[test]
fn a_key_in_a_form_of_parts_does_not_reach_the_service() {
    let echo = Echo::start();
    let gateway = guarded(&echo, "key-auth", json!({"key_in_body": true, "hide_credentials": true}));
    gateway.post("/consumers/alice/key-auth", &json!({"key": "k"}));
    let rest = "--e\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--e--\r\n";
    let body = format!("--e\r\nContent-Disposition: form-data; name=\"apikey\"\r\n\r\nk\r\n{rest}");
    let headers = [("Content-Type", "multipart/form-data; boundary=e")];
    assert_eq!(send(&gateway, &headers, body.as_bytes()).status, 200);
    let received = echo.requests().pop().unwrap();
    assert_eq!(received.body, rest.as_bytes());
    assert_eq!(received.header("Content-Length"), Some(&*rest.len().to_string()));
}

#[test]
fn nonsense_is_refused_and_does_no_harm() {
    let echo = Echo::start();
    let long = "A".repeat(20_000);
    for plugin in ["basic-auth", "hmac-auth", "jwt"] {
        let config = if plugin == "jwt" { json!({"cookie_names": ["c"]}) } else { json!({}) };
        let gateway = guarded(&echo, plugin, config);
        for value in [
            "Basic",
            "Basic ====",
            "hmac username=\"",
            "Bearer ..",
            "Bearer e30.e30.",
            "\u{e9}",
            ",,,",
            &long,
        ] {
            for scheme in ["", "Basic ", "hmac ", "Bearer "] {
                let value = format!("{scheme}{value}");
                for field in ["Authorization", "Proxy-Authorization", "Cookie"] {
                    let cookie = format!("c={value}");
                    let value = if field == "Cookie" { &cookie } else { &value };
                    let status = send(&gateway, &[(field, value)], b"").status;
                    assert!(matches!(status, 400 | 401 | 431), "{plugin} {field} {status}");
                }
            }
        }
        assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    }
    assert!(echo.requests().is_empty());
}
