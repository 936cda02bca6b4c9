//! What whoever runs a gateway is told: at its start, by `weir check`, at a reload.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Gateway, Launch, TempDir};

use crate::command::{weir, with_getrandom};

const PROGRAM: &str = env!("CARGO_BIN_EXE_weir");
/// For what is a matter of moments on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_start_waits_for_the_kernel_and_says_so() {
    if with_getrandom("EAGAIN", "version").is_none() {
        testkit::skip!("no strace that may trace");
    }
    // The first two draws are the C library's and std's hash keys, which ask in a way that no kernel answers so.
    // Without `-f` the first thread alone is told so; `-D` leaves the gateway the process that was started.
    let inject = "inject=getrandom:error=EAGAIN:when=3..10";
    let strace = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=getrandom", "-e", inject];
    let mut gateway = Launch::new(PROGRAM).under(strace).start();
    // It is ready before it has said so.
    assert!(gateway.terminate(PATIENCE).unwrap().success());
    let log = gateway.log();
    let (waiting, ready) =
        (log.find("waiting for the kernel's random number generator"), log.find("ready version="));
    assert!(waiting.is_some() && waiting < ready, "{log}");
}

#[test]
fn a_start_without_randomness_is_refused() {
    let prefix = TempDir::new();
    let arguments = format!("start --prefix {}", prefix.path().display());
    let Some(output) = with_getrandom("EPERM", &arguments) else {
        testkit::skip!("no strace that may trace");
    };
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("seccomp"), "{message}");
}

#[test]
fn a_first_start_says_what_it_made_and_the_next_one_that_nothing_was() {
    let prefix = TempDir::new();
    let start = || Launch::new(PROGRAM).prefix(prefix.path()).env("WEIR_ADMIN_AUTH", "token").start();
    let mut gateway = start();
    gateway.terminate(PATIENCE).unwrap();
    let log = gateway.log();
    for file in ["weir.db", "secrets/store.key", "secrets/admin.token", "ssl/self-signed.crt"] {
        assert!(log.contains(&format!("made {}", prefix.path().join(file).display())), "{log}");
    }
    let ready = log.lines().find(|line| line.contains("ready version=")).unwrap();
    assert!(ready.contains(&format!("prefix={}", prefix.path().display())), "{ready}");
    assert!(!ready.contains("admin_ssl"), "{ready}");
    let token = fs::read_to_string(prefix.path().join("secrets/admin.token")).unwrap();
    assert!(!log.contains(token.trim()));
    // One log holds both.
    let mut gateway = start();
    gateway.terminate(PATIENCE).unwrap();
    assert_eq!(gateway.log().matches("made ").count(), log.matches("made ").count());
}

#[test]
fn debug_does_not_drown_in_statements() {
    let gateway = Launch::new(PROGRAM).env("WEIR_LOG_LEVEL", "debug").start();
    gateway.post("/services", &json!({"host": "a.test"}));
    let log = gateway.log();
    assert!(!log.contains("SELECT") && !log.contains("INSERT"), "{log}");
}

#[test]
fn a_port_that_is_taken_is_said_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["WEIR_PROXY_LISTEN", "WEIR_ADMIN_LISTEN"] {
        let error = Launch::new(PROGRAM).env(key, &address).try_start().err().unwrap().to_string();
        assert_eq!(error.matches("in use").count(), 1, "{error}");
        assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
    }
}

#[test]
fn a_key_that_others_may_read_is_called_that() {
    let prefix = TempDir::new();
    Launch::new(PROGRAM).prefix(prefix.path()).start().terminate(PATIENCE).unwrap();
    let key = prefix.path().join("secrets/store.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = || {
        let output = weir("start --prefix").arg(prefix.path()).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let message = refused();
    assert!(message.contains("chmod 600") && !message.contains("put the key back"), "{message}");
    fs::remove_file(&key).unwrap();
    let message = refused();
    assert!(message.contains("put the key back"), "{message}");
    assert!(!key.exists(), "no new key is made for a database that is there");
}

fn check(file: &Path) -> Output {
    weir("check").arg(file).env("WEIR_PREFIX", file.with_extension("prefix")).output().unwrap()
}

#[test]
fn check_lists_whatever_a_start_would_refuse() {
    let folder = TempDir::new();
    let file = folder.path().join("weir.conf");
    let authorities = folder.path().join("ca.pem");
    fs::write(&authorities, "nothing").unwrap();
    let text = format!(
        "admin_auth = off\nadmin_listen = 0.0.0.0:0\nplugins = bundled, nonsense, loopback\nssl_cert = {0}/a.pem\n\
         ssl_cert_key = {0}/a.key\nadmin_client_ca = {1}\nproxy_listn = off\nlog_level = loud\n",
        folder.path().display(),
        authorities.display(),
    );
    fs::write(&file, text).unwrap();
    let output = check(&file);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in
        ["proxy_listn", "log_level", "no 'nonsense', no 'loopback'", "a.pem", "ca.pem", "admin_auth is off"]
    {
        let line = said.lines().find(|line| line.contains(part));
        assert!(line.is_some_and(|line| line.starts_with("error: ")), "{part}: {said}");
    }
    assert!(!file.with_extension("prefix").exists(), "check makes nothing");
    fs::write(&file, "proxy_listen = 127.0.0.1:0\n").unwrap();
    fs::write(file.with_extension("prefix"), "").unwrap();
    assert!(String::from_utf8(check(&file).stdout).unwrap().contains("it is no folder"));
    fs::remove_file(file.with_extension("prefix")).unwrap();
    let output = check(&file);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"the configuration is good\n");
}

/// Rewrites a gateway's configuration, has it read, and waits until the log says how that ended.
fn reload(gateway: &Gateway, file: &Path, text: &str, outcome: &str) -> String {
    let before = gateway.log().matches(outcome).count();
    fs::write(file, text).unwrap();
    gateway.signal("HUP");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = gateway.log();
        if log.matches(outcome).count() > before {
            return log;
        }
        assert!(Instant::now() < deadline, "no '{outcome}' in {log}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_reload_changes_what_the_admin_api_asks_for() {
    let folder = TempDir::new();
    let file = folder.path().join("weir.conf");
    let common = "admin_auth = token\n";
    fs::write(&file, format!("{common}admin_token = first\n")).unwrap();
    let prefix = folder.path().join("prefix");
    let args = [
        "start".into(),
        "--conf".into(),
        file.clone().into_os_string(),
        "--prefix".into(),
        prefix.clone().into(),
    ];
    let gateway = Launch::new(PROGRAM).prefix(&prefix).args(args).start();
    let ask = |token: &str, host: &str| {
        let fields = [("Kong-Admin-Token", token), ("Host", host)];
        Client::connect(gateway.admin()).unwrap().request("GET", "/services", &fields, b"").unwrap().status
    };
    assert_eq!((ask("first", "localhost"), ask("second", "localhost")), (200, 401));
    assert_eq!(ask("first", "gateway.test"), 403);

    let next = format!("{common}admin_token = second\nadmin_hosts = gateway.test\n");
    reload(&gateway, &file, &next, "the configuration was read again");
    assert_eq!((ask("first", "localhost"), ask("second", "localhost")), (401, 200));
    assert_eq!(ask("second", "gateway.test"), 200);

    // What needs a restart stays as it is, and is said each time.
    for _ in 0..2 {
        let log = reload(
            &gateway,
            &file,
            "admin_token = second\n",
            "admin_auth changed: it takes effect at the next start",
        );
        assert!(!log.contains("panicked"), "{log}");
    }
    assert_eq!(ask("wrong", "localhost"), 401);

    // What a start would refuse is refused.
    let log = reload(
        &gateway,
        &file,
        "plugins = nonsense\nadmin_token = third\n",
        "the configuration stays as it was",
    );
    assert!(log.contains("there is no 'nonsense'"), "{log}");
    assert_eq!((ask("second", "localhost"), ask("third", "localhost")), (200, 401));
}

#[test]
fn authorities_of_a_service_that_are_not_used_are_told_of() {
    let gateway = Gateway::start(PROGRAM);
    let service = |verify: Value| {
        json!({"host": "a.test", "protocol": "https", "tls_verify": verify,
               "ca_certificates": ["11111111-1111-4111-8111-111111111111"]})
    };
    gateway.post("/services", &service(Value::Null));
    assert!(!gateway.log().contains("ca_certificates"));
    let id = gateway.post("/services", &service(Value::Bool(true)))["id"].as_str().unwrap().to_owned();
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("not against its ca_certificates"));
    assert!(line.is_some_and(|line| line.contains("WARN") && line.contains(&id)), "{log}");
}

#[test]
fn a_signal_that_comes_as_soon_as_it_is_ready_stops_it_in_order() {
    for _ in 0..5 {
        let mut gateway = Gateway::start(PROGRAM);
        assert!(gateway.terminate(PATIENCE).unwrap().success());
        assert!(gateway.log().contains("stopped"), "{}", gateway.log());
    }
}
