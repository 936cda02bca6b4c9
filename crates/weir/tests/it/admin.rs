//! The Admin API beyond what is recorded: who may use it, what it mints, what it says of randomness, bad input.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Answer, Client, TempDir};

use crate::support::{SOON, launch, metric, refuses_to_start};

fn ask(gateway: &testkit::Gateway, path: &str, headers: &[(&str, &str)]) -> Answer {
    Client::connect(gateway.admin()).unwrap().request("GET", path, headers, b"").unwrap()
}

fn post(gateway: &testkit::Gateway, path: &str, kind: &str, body: &[u8]) -> Answer {
    let headers = [("Content-Type", kind)];
    Client::connect(gateway.admin()).unwrap().request("POST", path, &headers, body).unwrap()
}

#[test]
fn beyond_loopback_it_asks_for_a_token() {
    let gateway = launch().env("WEIR_ADMIN_LISTEN", "0.0.0.0:0").start();
    let path = gateway.prefix().join("secrets/admin.token");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let token = fs::read_to_string(&path).unwrap().trim().to_owned();
    assert_eq!(token.len(), 32);
    assert!(!gateway.log().contains(&token), "the token is in the log");

    let none = ask(&gateway, "/services", &[]);
    assert_eq!((none.status, none.text().contains("Token required")), (401, true), "{}", none.text());
    let mut wrong = token.clone();
    wrong.replace_range(31.., if token.ends_with('0') { "1" } else { "0" });
    for shown in [wrong.as_str(), "", &token[..31], &format!("{token}0")] {
        assert_eq!(ask(&gateway, "/services", &[("Kong-Admin-Token", shown)]).status, 401, "{shown}");
    }
    // Nothing is told apart without it, not even what is there.
    for path in ["/", "/status", "/randomness", "/metrics", "/nowhere"] {
        assert_eq!(ask(&gateway, path, &[]).status, 401, "{path}");
    }
    // Asked for under any name: whoever has the token is no page of a website.
    let shown = [("kong-admin-token", token.as_str()), ("Host", "gateway.test")];
    assert_eq!(ask(&gateway, "/services", &shown).status, 200);
    // It changes nothing, so it asks for nothing.
    assert_eq!(Client::connect(gateway.status()).unwrap().get("/status").unwrap().status, 200);
}

#[test]
fn the_token_outlives_a_restart_and_can_be_set() {
    let dir = TempDir::new();
    let token = || fs::read_to_string(dir.join("secrets/admin.token")).unwrap();
    let launch = || launch().prefix(dir.path()).env("WEIR_ADMIN_AUTH", "token");
    let mut gateway = launch().start();
    let first = token();
    gateway.terminate(SOON).unwrap();
    let gateway = launch().start();
    assert_eq!(token(), first);
    assert_eq!(ask(&gateway, "/", &[("Kong-Admin-Token", first.trim())]).status, 200);
    assert_eq!(ask(&gateway, "/", &[]).status, 401, "on loopback too, when it is asked for everywhere");
    drop(gateway);
    let gateway = launch().env("WEIR_ADMIN_TOKEN", "set by the operator").start();
    assert_eq!(ask(&gateway, "/", &[("Kong-Admin-Token", "set by the operator")]).status, 200);
    assert_eq!(ask(&gateway, "/", &[("Kong-Admin-Token", first.trim())]).status, 401);
}

#[test]
fn it_is_not_served_to_whoever_comes_by() {
    let dir = TempDir::new();
    let env = [("WEIR_ADMIN_AUTH", "off"), ("WEIR_ADMIN_LISTEN", "0.0.0.0:0")];
    let said = refuses_to_start(dir.path(), &env);
    assert!(said.contains("admin_auth is off") && said.contains("0.0.0.0:0"), "{said}");
}

#[test]
fn a_client_certificate_is_as_good_as_a_token() {
    if Command::new("curl").arg("--version").output().is_err() {
        testkit::skip!("curl is not installed");
    }
    let dir = TempDir::new();
    let (own, other) = (authority(&dir, "own"), authority(&dir, "other"));
    client_certificate(&dir, "alice", &own);
    client_certificate(&dir, "mallory", &other);
    let gateway = launch()
        .env("WEIR_ADMIN_LISTEN", "127.0.0.1:0, 0.0.0.0:0 ssl")
        .env("WEIR_ADMIN_CLIENT_CA", dir.join("own.pem"))
        .start();
    let listeners = fs::read_to_string(gateway.prefix().join("run/listeners.json")).unwrap();
    let listeners: Value = serde_json::from_str(&listeners).unwrap();
    let url = format!("https://{}/services", listeners["admin_ssl"][0].as_str().unwrap());
    let status = |certificate: Option<&str>| {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}", &url]);
        if let Some(name) = certificate {
            curl.arg("--cert").arg(dir.join(format!("{name}.pem")));
            curl.arg("--key").arg(dir.join(format!("{name}.key")));
        }
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    assert_eq!(status(Some("alice")), "200");
    assert_eq!(status(None), "000", "the handshake fails");
    assert_eq!(status(Some("mallory")), "000");
}

type Authority = rcgen::CertifiedIssuer<'static, rcgen::KeyPair>;

fn authority(dir: &TempDir, name: &str) -> Authority {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    fs::write(dir.join(format!("{name}.pem")), issuer.pem()).unwrap();
    issuer
}

fn client_certificate(dir: &TempDir, name: &str, issuer: &Authority) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    fs::write(dir.join(format!("{name}.pem")), params.signed_by(&key, issuer).unwrap().pem()).unwrap();
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn pages_of_websites_cannot_use_it_on_loopback() {
    let gateway =
        launch().env("WEIR_ADMIN_HOSTS", "gw.test").env("WEIR_ADMIN_ORIGINS", "https://ui.test").start();
    let refused = ask(&gateway, "/services", &[("Host", "rebound.test")]);
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
    assert!(refused.json()["message"].as_str().unwrap().contains("admin_hosts"), "{}", refused.text());
    let refused = ask(&gateway, "/services", &[("Origin", "https://elsewhere.test")]);
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
    // A write from a form of a page, which no preflight announces, changes nothing.
    let form = [("Origin", "https://elsewhere.test"), ("Content-Type", "application/x-www-form-urlencoded")];
    let answer =
        Client::connect(gateway.admin()).unwrap().request("POST", "/consumers", &form, b"username=mallory");
    assert_eq!(answer.unwrap().status, 403);
    assert_eq!(ask(&gateway, "/consumers/mallory", &[]).status, 404);

    assert_eq!(ask(&gateway, "/services", &[("Host", "gw.test:8001")]).status, 200);
    let allowed = ask(&gateway, "/services", &[("Origin", "https://ui.test")]);
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin")),
        (200, Some("https://ui.test"))
    );
}

#[test]
fn minted_keys_are_base62_and_all_different() {
    let gateway = launch().start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let before = metric(&gateway, "weir_random_draws_total{purpose=\"token\"}");
    let mut keys = HashSet::new();
    for _ in 0..64 {
        let key = gateway.post("/consumers/alice/key-auth", &json!({}))["key"].as_str().unwrap().to_owned();
        assert!(key.len() == 32 && key.bytes().all(|b| b.is_ascii_alphanumeric()), "{key}");
        keys.insert(key);
    }
    // Two alike by chance: odds of 2016 / 62^32, less than 10^-53.
    assert_eq!(keys.len(), 64);
    // A letter that stays away from all 2048 places: odds of 62 * (61/62)^2048, less than 3 * 10^-13.
    let letters: HashSet<u8> = keys.iter().flat_map(|key| key.bytes()).collect();
    assert_eq!(letters.len(), 62);
    let after = metric(&gateway, "weir_random_draws_total{purpose=\"token\"}");
    assert!(after >= before + 64, "each key is a draw of its own: {before}, then {after}");
}

#[test]
fn randomness_is_shown_wherever_it_is_asked_for() {
    let gateway = launch().start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    gateway.post("/consumers/alice/key-auth", &json!({}));
    let of_admin = ask(&gateway, "/randomness", &[]).json();
    let of_status = Client::connect(gateway.status()).unwrap().get("/randomness").unwrap().json();
    let in_status = ask(&gateway, "/status", &[]).json()["randomness"].clone();
    for randomness in [&of_admin, &of_status, &in_status] {
        assert_eq!(randomness["ready"], true);
        assert!(["vdso", "syscall"].contains(&randomness["way"].as_str().unwrap()), "{randomness}");
        assert!(randomness["generation"].is_object(), "{randomness}");
        assert_eq!(randomness["failures"], 0);
        let draws = randomness["draws"].as_object().unwrap();
        assert_eq!(draws["token"]["draws"], 1, "{randomness}");
        for count in ["draws", "bytes"] {
            let sum: u64 = draws.values().map(|purpose| purpose[count].as_u64().unwrap()).sum();
            assert_eq!(randomness["total"][count].as_u64().unwrap(), sum, "{randomness}");
        }
    }
    assert_eq!(metric(&gateway, "weir_random_ready"), 1);
    assert_eq!(metric(&gateway, "weir_random_failures_total"), 0);
    assert_eq!(metric(&gateway, "weir_random_draws_total{purpose=\"token\"}"), 1);
    assert!(metric(&gateway, "weir_random_bytes_total{purpose=\"token\"}") >= 24);
    assert_eq!(metric(&gateway, "weir_random_way{way=\""), 1);
}

/// A kernel that does not give: strace answers getrandom from now on with an error.
#[test]
fn nothing_is_minted_when_the_kernel_does_not_give() {
    let available = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    if !available.is_ok_and(|output| output.status.success()) {
        testkit::skip!("no strace that may trace");
    }
    let dir = TempDir::new();
    let mut gateway = launch().prefix(dir.path()).start();
    gateway.post("/consumers", &json!({"username": "alice"}));
    assert!(gateway.terminate(SOON).unwrap().success());
    // The vDSO never enters the kernel; where it is not to be had every draw does.
    let inject = "inject=getrandom:error=EAGAIN";
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=getrandom", "-e", inject];
    let started = launch().under(strace).prefix(dir.path()).try_start();
    let gateway = match started {
        Ok(gateway) => gateway,
        // Drawing to begin with is refused too: nothing is served that was not made in order.
        Err(error) => return assert!(error.to_string().contains("random"), "{error}"),
    };
    if ask(&gateway, "/randomness", &[]).json()["way"] == "vdso" {
        testkit::skip!("this kernel's vDSO draws without a system call that could be refused");
    }
    let refused = gateway.ask_admin("POST", "/consumers/alice/key-auth", &json!({}));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.text());
    let none = gateway.ask_admin("GET", "/consumers/alice/key-auth", &Value::Null).json();
    assert_eq!(none["data"], json!([]));
}

#[test]
fn bad_bodies_are_refused_and_change_nothing() {
    let gateway = launch().start();
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let deep = |depth: usize| {
        format!(r#"{{"name":"a","host":"b.test","tags":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        (json, b"{\"name\":\"a\xff\",\"host\":\"b.test\"}".to_vec(), 400),
        (json, b"{\"name\":\"\\ud800\",\"host\":\"b.test\"}".to_vec(), 400),
        (json, deep(100).into_bytes(), 400),
        (json, deep(1_000_000).into_bytes(), 400),
        (json, b"{\"name\":\"a\",\"host\":\"b.test\"".to_vec(), 400),
        (json, b"{\"name\":\"a\",\"host\":\"b.test\"} {}".to_vec(), 400),
        (json, b"\xef\xbb\xbf{}".to_vec(), 400),
        (json, b"{\"name\":\"a\",\"host\":\"b.test\",\"port\":1e400}".to_vec(), 400),
        (json, b"{\"name\":\"a\",\"host\":\"b.test\",\"port\":99999999999999999999999}".to_vec(), 400),
        (json, b"{\"name\":\"a\\u0000b\",\"host\":\"b.test\"}".to_vec(), 400),
        (json, format!("{{\"name\":\"{}\",\"host\":\"b.test\"}}", "x".repeat(11 << 20)).into_bytes(), 413),
        (form, b"name=%ff&host=b.test".to_vec(), 400),
        (form, b"name=a&host=b.test&tags[=x".to_vec(), 400),
        (form, format!("name=a&host=b.test&{}=x", vec!["t"; 100].join(".")).into_bytes(), 400),
        (form, format!("name=a&host=b.test&t{}=x", "[a]".repeat(1_000_000)).into_bytes(), 400),
        (form, b"t&".repeat(3_000_000), 400),
        ("multipart/form-data", b"--x\r\n".to_vec(), 400),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--".to_vec(),
            400,
        ),
        ("text/plain", b"name=a".to_vec(), 415),
    ];
    for (kind, body, status) in cases {
        let answer = post(&gateway, "/services", kind, &body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(answer.status, status, "{kind}: {shown}: {}", answer.text());
        if status == 400 {
            assert!(answer.json()["message"].is_string(), "{shown}: {}", answer.text());
        }
    }
    assert_eq!(ask(&gateway, "/services", &[]).json()["data"], json!([]));
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    let peak = ask(&gateway, "/status", &[]).json()["memory"]["peak_resident_bytes"].as_u64().unwrap();
    assert!(peak < 120 << 20, "{peak} bytes");
}

#[test]
fn bad_requests_are_refused() {
    let gateway = launch().start();
    let raw = |bytes: &[u8]| Client::connect(gateway.admin()).unwrap().send(bytes).unwrap().status;
    assert_eq!(raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nbroken\r\n\r\n"), 400);
    assert_eq!(raw(b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400);
    let both = b"POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!([400, 415].contains(&raw(both)));
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(70_000));
    assert!([404, 414].contains(&raw(long.as_bytes())));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "x: 1\r\n".repeat(1000));
    assert_eq!(raw(many.as_bytes()), 431);
    assert_eq!(ask(&gateway, "/", &[]).status, 200);
}
