//! Credentials from the moment they are minted to the moment they are good for nothing any more.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Answer, Client, Echo, Gateway, NEVER_READY, TempDir};

use crate::support::{SOON, client, files_with, launch, metric, route_all};

/// A consumer `alice`, and key-auth in front of everything.
fn with_key_auth(gateway: &Gateway, upstream: SocketAddr) {
    route_all(gateway, upstream, json!({}));
    gateway.post("/plugins", &json!({"name": "key-auth"}));
    gateway.post("/consumers", &json!({"username": "alice"}));
}

#[track_caller]
fn new_key(gateway: &Gateway, fields: Value) -> Value {
    gateway.post("/consumers/alice/key-auth", &fields)
}

fn with_key(gateway: &Gateway, key: &str) -> Answer {
    client(gateway).request("GET", "/", &[("apikey", key)], b"").unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Asks again until it is so, as it is to become soon.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

#[test]
fn ten_thousand_keys_minted_at_once_are_all_different() {
    const CLIENTS: usize = 64;
    const EACH: usize = 157;
    let gateway = launch().start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let mint = |admin: SocketAddr| -> Vec<String> {
        let mut client = Client::connect(admin).unwrap();
        let kind = [("Content-Type", "application/json")];
        let mut one = || client.request("POST", "/consumers/alice/key-auth", &kind, b"{}").unwrap();
        (0..EACH).map(|_| text(&one().json()["key"]).to_owned()).collect()
    };
    let admin = gateway.admin();
    let threads: Vec<_> = (0..CLIENTS).map(|_| thread::spawn(move || mint(admin))).collect();
    let keys: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    // 190.5 bits each: two alike among ten thousand come once in 10^49 runs.
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), CLIENTS * EACH);
    assert!(keys.iter().all(|key| key.len() == 32 && key.bytes().all(|b| b.is_ascii_alphanumeric())));
    let random = Client::connect(admin).unwrap().get("/randomness").unwrap().json();
    assert!(random["draws"]["token"]["draws"].as_u64() >= Some((CLIENTS * EACH) as u64), "{random}");
}

#[test]
fn keys_that_were_answered_survive_kill_9_and_no_others_exist() {
    let prefix = TempDir::new();
    let mut gateway = launch().prefix(prefix.path()).start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let (told, telling) = mpsc::channel();
    let admin = gateway.admin();
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let told = told.clone();
            thread::spawn(move || {
                let Ok(mut client) = Client::connect(admin) else { return };
                let kind = [("Content-Type", "application/json")];
                while let Ok(answer) = client.request("POST", "/consumers/alice/key-auth", &kind, b"{}") {
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    let _ = told.send(text(&answer.json()["key"]).to_owned());
                }
            })
        })
        .collect();
    let mut answered: BTreeSet<String> = (0..100).map(|_| telling.recv_timeout(SOON).unwrap()).collect();
    gateway.kill();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    drop(told);
    answered.extend(telling.iter());
    let gateway = launch().prefix(prefix.path()).start();
    let mut there = BTreeSet::new();
    let mut path = "/key-auths?size=1000".to_owned();
    loop {
        let page = gateway.ask_admin("GET", &path, &Value::Null).json();
        there.extend(page["data"].as_array().unwrap().iter().map(|key| text(&key["key"]).to_owned()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert!(answered.is_subset(&there));
    // What each writer had under way may have been committed and not answered.
    assert!(there.len() <= answered.len() + 8);
    let audited = gateway.ask_admin("GET", "/audit/credentials?size=1000", &Value::Null).json();
    assert_eq!(audited["data"].as_array().unwrap().len(), there.len().min(1000));
}

#[test]
fn a_rotated_key_and_its_successor_are_both_good_for_a_while() {
    let upstream = Echo::start();
    let gateway = launch().start();
    with_key_auth(&gateway, upstream.addr());
    let old = new_key(&gateway, json!({"kind": "shop", "tags": ["a"]}));
    assert!(text(&old["key"]).starts_with("weir_shop_"), "{old}");
    let path = format!("/consumers/alice/key-auth/{}/rotate", text(&old["id"]));
    let new = gateway.post(&path, &json!({"grace": 2}));
    // It is minted as what it replaces was, and everything but the secret goes along.
    assert!(text(&new["key"]).starts_with("weir_shop_") && new["key"] != old["key"], "{new}");
    assert_eq!((&new["tags"], &new["consumer"]), (&old["tags"], &old["consumer"]));
    assert_eq!(new["rotated"]["id"], old["id"]);
    assert_eq!(with_key(&gateway, text(&new["key"])).status, 200);
    assert_eq!(with_key(&gateway, text(&old["key"])).status, 200);
    eventually("the old key ends", || with_key(&gateway, text(&old["key"])).status == 401);
    assert_eq!(with_key(&gateway, text(&new["key"])).status, 200);

    let path = format!("/key-auths/{}/rotate", text(&new["id"]));
    let newest = gateway.post(&path, &json!({"grace": 0}));
    assert_eq!(with_key(&gateway, text(&new["key"])).status, 401);
    assert_eq!(with_key(&gateway, text(&newest["key"])).status, 200);
    for (body, status) in
        [(json!({"grace": -1}), 400), (json!({"grace": "x"}), 400), (json!({"nope": 1}), 400)]
    {
        let path = format!("/key-auths/{}/rotate", text(&newest["id"]));
        assert_eq!(gateway.ask_admin("POST", &path, &body).status, status, "{body}");
    }
    assert_eq!(gateway.ask_admin("GET", &path, &Value::Null).status, 405);
    assert_eq!(gateway.ask_admin("POST", "/consumers/alice/rotate", &json!({})).status, 404);
}

#[test]
fn a_rotated_secret_is_told_and_keeps_its_name() {
    let gateway = launch().start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let basic = gateway.post("/consumers/alice/basic-auth", &json!({"username": "u", "password": "p"}));
    let new = gateway.post("/basic-auths/u/rotate", &json!({}));
    assert_eq!((&new["id"], &new["username"]), (&basic["id"], &basic["username"]));
    assert_eq!(text(&new["password"]).len(), 32, "{new}");
    let stored = gateway.ask_admin("GET", "/basic-auths/u", &Value::Null).json();
    assert!(text(&stored["password"]).starts_with("$argon2id$"), "{stored}");
    assert!(stored.get("previous").is_none(), "{stored}");

    let hmac = gateway.post("/consumers/alice/hmac-auth", &json!({"username": "u"}));
    let new = gateway.post("/hmac-auths/u/rotate", &json!({"secret": "mine"}));
    assert_eq!((&new["secret"], &new["id"]), (&json!("mine"), &hmac["id"]));

    let client = gateway.post("/consumers/alice/oauth2", &json!({"name": "a", "hash_secret": true}));
    assert_eq!(text(&client["client_secret"]).len(), 32, "a minted secret is told once: {client}");
    let new = gateway.post(&format!("/oauth2/{}/rotate", text(&client["client_id"])), &json!({}));
    assert_eq!(text(&new["client_secret"]).len(), 32, "{new}");
    let stored = gateway.ask_admin("GET", &format!("/oauth2/{}", text(&client["id"])), &Value::Null).json();
    assert!(text(&stored["client_secret"]).starts_with("$pbkdf2-sha512$"), "{stored}");

    gateway.post("/consumers/alice/jwt", &json!({"key": "k"}));
    gateway.post("/jwts/k/rotate", &json!({}));
    assert_eq!(gateway.ask_admin("PATCH", "/jwts/k", &json!({"previous": "x"})).status, 400);
}

#[test]
fn who_did_what_is_written_down_without_any_secret() {
    let prefix = TempDir::new();
    let start = || launch().prefix(prefix.path()).start();
    let mut gateway = start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let key = new_key(&gateway, json!({}));
    let id = text(&key["id"]);
    assert_eq!(gateway.ask_admin("PATCH", &format!("/key-auths/{id}"), &json!({"tags": ["x"]})).status, 200);
    let new = gateway.post(&format!("/key-auths/{id}/rotate"), &json!({"grace": 60}));
    assert_eq!(gateway.ask_admin("DELETE", "/consumers/alice", &Value::Null).status, 204);
    let log = gateway.ask_admin("GET", &format!("/audit/credentials?about={id}"), &Value::Null).json();
    let done: Vec<&str> =
        log["data"].as_array().unwrap().iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(done, ["created", "changed", "rotated", "deleted"]);
    let first = &log["data"][0];
    assert_eq!((&first["actor"], &first["entity"]), (&json!("127.0.0.1"), &json!("keyauth_credentials")));
    assert_eq!(first["consumer"], key["consumer"]);
    // By consumer, a page at a time.
    let consumer = text(&key["consumer"]["id"]);
    let page =
        gateway.ask_admin("GET", &format!("/audit/credentials?about={consumer}&size=4"), &Value::Null).json();
    assert_eq!(page["data"].as_array().unwrap().len(), 4);
    let rest = gateway.ask_admin("GET", text(&page["next"]), &Value::Null).json();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next"]), (2, &Value::Null));
    assert_eq!(gateway.ask_admin("GET", "/audit/credentials?about=x", &Value::Null).status, 400);
    assert_eq!(gateway.ask_admin("DELETE", "/audit/credentials", &Value::Null).status, 405);
    let lines = gateway.log();
    assert!(lines.contains("credential rotated") && lines.contains("actor=\"127.0.0.1\""), "{lines}");
    for secret in [text(&key["key"]), text(&new["key"])] {
        assert!(!lines.contains(secret));
    }
    gateway.terminate(SOON).unwrap();
    for secret in [text(&key["key"]), text(&new["key"])] {
        assert_eq!(files_with(prefix.path(), secret), Vec::<String>::new());
    }
}

#[test]
fn a_key_that_is_kept_as_a_digest_is_shown_once() {
    let upstream = Echo::start();
    let prefix = TempDir::new();
    let start = |at_rest: &str| launch().prefix(prefix.path()).env("WEIR_SECRETS_AT_REST", at_rest).start();
    let mut gateway = start("encrypted");
    with_key_auth(&gateway, upstream.addr());
    let before = new_key(&gateway, json!({}));
    gateway.terminate(SOON).unwrap();

    let mut gateway = start("digest");
    let new = new_key(&gateway, json!({}));
    for (key, name) in [(&before, "encrypted before"), (&new, "minted since")] {
        let shown =
            gateway.ask_admin("GET", &format!("/key-auths/{}", text(&key["id"])), &Value::Null).json();
        assert_eq!(shown["key"], Value::Null, "{name}");
        assert_eq!(with_key(&gateway, text(&key["key"])).status, 200, "{name}");
    }
    // A change of something else leaves the key as it is.
    let path = format!("/key-auths/{}", text(&new["id"]));
    assert_eq!(gateway.ask_admin("PATCH", &path, &json!({"tags": ["x"]})).status, 200);
    assert_eq!(with_key(&gateway, text(&new["key"])).status, 200);
    // Nobody writes a digest of their own.
    let forged = json!({"key": "weir:digest:1:00"});
    assert_eq!(gateway.ask_admin("POST", "/consumers/alice/key-auth", &forged).status, 400);
    let same = json!({"key": text(&new["key"])});
    assert_eq!(gateway.ask_admin("POST", "/consumers/alice/key-auth", &same).status, 409);
    gateway.terminate(SOON).unwrap();

    let mut gateway = start("plain");
    assert!(gateway.log().contains("secrets_at_rest is plain"));
    let plain = new_key(&gateway, json!({}));
    assert_eq!(with_key(&gateway, text(&new["key"])).status, 200);
    gateway.terminate(SOON).unwrap();
    assert_ne!(files_with(prefix.path(), text(&plain["key"])), Vec::<String>::new());

    let mut gateway = start("encrypted");
    let shown = gateway.ask_admin("GET", &format!("/key-auths/{}", text(&plain["id"])), &Value::Null).json();
    assert_eq!(shown["key"], plain["key"]);
    gateway.terminate(SOON).unwrap();
    assert_eq!(files_with(prefix.path(), text(&plain["key"])), Vec::<String>::new());
}

#[test]
fn keys_minted_by_default_can_say_what_they_open() {
    let gateway = launch().env("WEIR_API_KEY_KIND", "shop").start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    assert!(text(&new_key(&gateway, json!({}))["key"]).starts_with("weir_shop_"));
    assert_eq!(text(&new_key(&gateway, json!({"kind": null}))["key"]).len(), 32);
    let bad = gateway.ask_admin("POST", "/consumers/alice/key-auth", &json!({"kind": "No!"}));
    assert_eq!(bad.status, 400, "{}", bad.text());
}

#[test]
fn a_password_hash_of_kongs_is_taken_as_it_is_when_asked() {
    let gateway = launch().start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let path = "/consumers/alice/basic-auth?_transform=false";
    let sha1 = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8";
    let taken = gateway.post(path, &json!({"username": "u", "password": sha1}));
    assert_eq!(taken["password"], sha1);
    let refused = gateway.ask_admin("POST", path, &json!({"username": "v", "password": "hunter2"}));
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(!refused.text().contains("hunter2"));
}

#[test]
fn when_a_key_was_last_used_is_known_after_a_restart() {
    let upstream = Echo::start();
    let prefix = TempDir::new();
    let mut gateway = launch().prefix(prefix.path()).start();
    with_key_auth(&gateway, upstream.addr());
    let key = new_key(&gateway, json!({}));
    let usage = |gateway: &Gateway| {
        let path = format!("/consumers/alice/key-auth/{}/usage", text(&key["id"]));
        gateway.ask_admin("GET", &path, &Value::Null).json()["last_used_at"].as_i64()
    };
    assert_eq!(usage(&gateway), None);
    assert_eq!(with_key(&gateway, text(&key["key"])).status, 200);
    eventually("the use is noticed", || usage(&gateway).is_some());
    let noticed = usage(&gateway);
    gateway.terminate(SOON).unwrap();
    let gateway = launch().prefix(prefix.path()).start();
    assert_eq!(usage(&gateway), noticed);
}

#[test]
fn whoever_guesses_keys_is_locked_out_and_counted() {
    let upstream = Echo::start();
    let gateway = launch()
        .env("WEIR_AUTH_LOCKOUT_ATTEMPTS", "3")
        .env("WEIR_AUTH_LOCKOUT_DURATION", "600")
        .env("WEIR_TRUSTED_IPS", "127.0.0.1")
        .start();
    with_key_auth(&gateway, upstream.addr());
    let key = new_key(&gateway, json!({}));
    let ask = |key: &str, from: &str| {
        client(&gateway).request("GET", "/", &[("apikey", key), ("X-Real-IP", from)], b"").unwrap()
    };
    for _ in 0..3 {
        assert_eq!(ask("guess", "192.0.2.1").status, 401);
    }
    // The right key does not help who guessed before.
    let locked = ask(text(&key["key"]), "192.0.2.1");
    assert_eq!(locked.status, 429);
    assert!(locked.header("Retry-After").is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 590));
    assert_eq!(ask(text(&key["key"]), "192.0.2.2").status, 200);
    assert_eq!(metric(&gateway, "weir_auth_failures_total{plugin=\"key-auth\"}"), 3);
    assert_eq!(metric(&gateway, "weir_auth_lockouts_total"), 1);
}

#[test]
fn before_the_kernel_is_ready_known_keys_are_good_and_nothing_is_minted() {
    let script = Command::new("python3").args([NEVER_READY, "/bin/true"]).output();
    if !script.is_ok_and(|output| output.status.success()) {
        testkit::skip!("no python3 that may put a system-call filter in place");
    }
    let upstream = Echo::start();
    let prefix = TempDir::new();
    let mut gateway = launch().prefix(prefix.path()).start();
    with_key_auth(&gateway, upstream.addr());
    let key = new_key(&gateway, json!({}));
    gateway.terminate(SOON).unwrap();

    let mut gateway = launch().prefix(prefix.path()).under(["python3", NEVER_READY]).start();
    for _ in 0..3 {
        assert_eq!(with_key(&gateway, text(&key["key"])).status, 200);
    }
    assert_eq!(with_key(&gateway, "guess").status, 401);
    for (path, body) in [
        ("/consumers/alice/key-auth", json!({})),
        ("/consumers/alice/basic-auth", json!({"username": "u", "password": "p"})),
        ("/consumers", json!({"username": "bob"})),
    ] {
        let refused = gateway.ask_admin("POST", path, &body);
        assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("5")), "{path}");
        assert!(refused.text().contains("random number generator is not ready"), "{}", refused.text());
    }
    // No handshake begins that would have to wait, and the worker goes on.
    assert!(Client::connect_tls(gateway.proxy_ssl(), "a.test", &[]).is_err());
    assert_eq!(with_key(&gateway, text(&key["key"])).status, 200);
    let ready = Client::connect(gateway.status()).unwrap().get("/status/ready").unwrap();
    assert_eq!(ready.status, 503);
    assert!(gateway.log().contains("generator is not ready"));
    assert!(gateway.terminate(Duration::from_secs(40)).unwrap().success());
}

#[test]
fn a_change_that_nobody_waits_for_is_in_force_all_the_same() {
    use std::io::Write;
    let upstream = Echo::start();
    let gateway = launch().start();
    with_key_auth(&gateway, upstream.addr());
    for _ in 0..20 {
        let key = new_key(&gateway, json!({}));
        let path = format!("/consumers/alice/key-auth/{}", text(&key["id"]));
        let mut socket = std::net::TcpStream::connect(gateway.admin()).unwrap();
        let request = format!("DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        drop(socket);
        // Whoever else writes meanwhile notices nothing.
        let other = new_key(&gateway, json!({}));
        assert_eq!(with_key(&gateway, text(&other["key"])).status, 200);
        // It may not have been read before its sender was gone; what is gone from the store is good for nothing.
        let stored = gateway.ask_admin("GET", &path, &Value::Null).status;
        if stored == 404 {
            assert_eq!(with_key(&gateway, text(&key["key"])).status, 401);
        }
    }
}

#[test]
fn a_secret_that_is_set_ends_what_was_left_of_a_grace() {
    let upstream = Echo::start();
    let gateway = launch().start();
    route_all(&gateway, upstream.addr(), json!({}));
    gateway.post("/plugins", &json!({"name": "basic-auth"}));
    gateway.post("/consumers", &json!({"username": "alice"}));
    gateway.post("/consumers/alice/basic-auth", &json!({"username": "u", "password": "first"}));
    // `u:` and the password, in Base64.
    let with = |shown: &str| {
        let field = format!("Basic {shown}");
        client(&gateway).request("GET", "/", &[("Authorization", &field)], b"").unwrap().status
    };
    let (first, second, third) = ("dTpmaXJzdA==", "dTpzZWNvbmQ=", "dTp0aGlyZA==");
    gateway.post("/basic-auths/u/rotate", &json!({"password": "second", "grace": 600}));
    assert_eq!((with(first), with(second)), (200, 200));
    assert_eq!(gateway.ask_admin("PATCH", "/basic-auths/u", &json!({"password": "third"})).status, 200);
    assert_eq!((with(first), with(second), with(third)), (401, 401, 200));

    // A key pair's old key is no secret of another kind either.
    let client = gateway.post("/consumers/alice/oauth2", &json!({"name": "a", "hash_secret": true}));
    let path = format!("/oauth2/{}", text(&client["id"]));
    assert_eq!(gateway.ask_admin("PATCH", &path, &json!({"hash_secret": false})).status, 400);
    let both = json!({"hash_secret": false, "client_secret": "new"});
    assert_eq!(gateway.ask_admin("PATCH", &path, &both).status, 200);
}
