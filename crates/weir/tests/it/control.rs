//! The commands around a gateway, its configuration, and what signals do.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Echo, Gateway, Launch, Listeners, Reply, Scripted, TempDir};

use crate::command::{stdout, weir};
use crate::support::{SOON, client, get, launch, refuses_to_start, route_all, said};

/// A command about the gateway of this prefix.
fn about(arguments: &str, prefix: &Path) -> Output {
    weir(arguments).arg("--prefix").arg(prefix).output().unwrap()
}

/// A gateway that is configured by this file, and by nothing else.
fn with_file(dir: &TempDir, text: &str) -> Launch {
    let conf = dir.join("weir.conf");
    fs::write(&conf, text).unwrap();
    let args = ["start".into(), "--conf".into(), conf.into_os_string(), "--prefix".into(), dir.path().into()];
    let launch = Launch::new(env!("CARGO_BIN_EXE_weir")).args(args).prefix(dir.path());
    launch.without_env("WEIR_PROXY_LISTEN").without_env("WEIR_ADMIN_LISTEN").without_env("WEIR_STATUS_LISTEN")
}

const LISTEN: &str = "proxy_listen = 127.0.0.1:0\nadmin_listen = 127.0.0.1:0\nstatus_listen = 127.0.0.1:0\n";

#[test]
fn a_running_gateway_is_found_by_its_prefix() {
    let dir = TempDir::new();
    let mut gateway = launch().prefix(dir.path()).start();
    let health = about("health", dir.path());
    let text = String::from_utf8(health.stdout).unwrap();
    assert_eq!(health.status.code(), Some(0), "{text}");
    assert!(text.contains(&format!("running: process {}", gateway.pid())), "{text}");
    assert!(text.contains(&gateway.proxy().to_string()) && text.ends_with("ready\n"), "{text}");

    let second = refuses_to_start(dir.path(), &[]);
    assert!(
        second.contains("running with this prefix already") && second.contains(&gateway.pid().to_string()),
        "{second}"
    );

    let stop = about("stop", dir.path());
    assert_eq!((stop.status.code(), stop.stdout), (Some(0), b"stopped\n".to_vec()));
    assert!(gateway.wait(SOON).unwrap().success());
    for command in ["stop", "reload", "health"] {
        let (status, message) = said(&about(command, dir.path()));
        assert_eq!(status, Some(1), "{command}");
        assert!(message.contains("no gateway is running with the prefix"), "{command}: {message}");
    }
}

#[test]
fn a_gateway_that_was_killed_leaves_nothing_in_the_way() {
    let dir = TempDir::new();
    let mut gateway = launch().prefix(dir.path()).start();
    gateway.kill();
    assert_eq!(about("health", dir.path()).status.code(), Some(1));
    let gateway = launch().prefix(dir.path()).start();
    assert_eq!(about("health", dir.path()).status.code(), Some(0));
    drop(gateway);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listener in ["WEIR_PROXY_LISTEN", "WEIR_ADMIN_LISTEN", "WEIR_STATUS_LISTEN"] {
        let dir = TempDir::new();
        let said = refuses_to_start(dir.path(), &[(listener, &address)]);
        assert!(said.contains(&address) && said.to_lowercase().contains("in use"), "{listener}: {said}");
        assert!(!dir.join("run/listeners.json").exists(), "{listener}");
    }
    // A port of another gateway, which SO_REUSEPORT would let two of them share without noticing.
    let gateway = launch().start();
    let dir = TempDir::new();
    let said = refuses_to_start(dir.path(), &[("WEIR_PROXY_LISTEN", &gateway.proxy().to_string())]);
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn a_gateway_can_be_stopped_whatever_became_of_its_file() {
    let dir = TempDir::new();
    let mut gateway = with_file(&dir, LISTEN).start();
    fs::write(dir.join("weir.conf"), "nonsense\nlog_level = loud\n").unwrap();
    let conf = dir.join("weir.conf");
    let stop = weir("stop --conf").arg(conf).arg("--prefix").arg(dir.path()).output().unwrap();
    assert_eq!((stop.status.code(), stop.stdout), (Some(0), b"stopped\n".to_vec()));
    assert!(gateway.wait(SOON).unwrap().success());
}

#[test]
fn versions_and_usage() {
    assert_eq!(stdout("version"), format!("weir {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(stdout("--version"), format!("weir {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in ["", "strat", "start --no-such-flag", "check a b", "stop --timeout x"] {
        let output = weir(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
    let (_, message) = said(&weir("strat").output().unwrap());
    assert!(message.contains("start"), "{message}");
}

#[test]
fn a_configuration_is_checked_without_starting() {
    let dir = TempDir::new();
    let check = |text: &str| {
        fs::write(dir.join("weir.conf"), text).unwrap();
        let output = weir("check").arg(dir.join("weir.conf")).output().unwrap();
        let (status, message) = said(&output);
        (status, String::from_utf8(output.stdout).unwrap(), message)
    };
    let (status, text, _) = check(
        "log_level = info # a comment\nproxy_listen = 127.0.0.1:8000 reuseport, [::1]:8443 ssl http2\n",
    );
    assert_eq!((status, text.as_str()), (Some(0), "the configuration is good\n"));
    let (status, text, _) = check("pg_host = db\n");
    assert_eq!(status, Some(0));
    assert!(text.contains("'pg_host' is Kong's and has no meaning here"), "{text}");
    for (bad, part) in [
        ("proxy_listn = off", "line 1: there is no key 'proxy_listn'; did you mean 'proxy_listen'?"),
        ("\n\nlog_levl = info", "line 3: there is no key 'log_levl'; did you mean 'log_level'?"),
        ("xyzzy = 1", "there is no key 'xyzzy'"),
        ("log_level = loud", "none of debug, info, notice, warn, error, crit"),
        ("proxy_listen = 8000", "'8000' is no address"),
        ("proxy_listen = localhost:8000", "'localhost:8000' is no address"),
        ("proxy_listen = 127.0.0.1:8000 tls", "'tls' is nothing that a listener can be"),
        ("proxy_listen = 127.0.0.1:8000, 127.0.0.1:8000 ssl", "is there twice"),
        ("trusted_ips = 10.0.0.0/33", "no address and no network"),
        ("headers = x-everything", "there is no header"),
        ("workers = 0", "neither auto nor a number"),
        ("client_max_body_size = huge", "no size such as"),
        ("shutdown_timeout = soon", "no number of seconds"),
        ("shutdown_timeout = -1", "no number of seconds"),
        ("shutdown_timeout = nan", "no number of seconds"),
        ("database = postgres", "is not in this version"),
        ("ssl_cert = /a.pem", "it needs ssl_cert_key beside it"),
        ("error_template_html = /no/such/file", "/no/such/file"),
        ("admin_auth = maybe", "none of auto, token, off"),
        ("just words", "it is not 'key = value'"),
    ] {
        let (status, text, message) = check(bad);
        assert_eq!(
            (status, message.trim_end()),
            (Some(1), "weir: the configuration cannot be used"),
            "{bad}"
        );
        assert!(text.contains(part) && text.contains("weir.conf"), "{bad}: {text}");
    }
    let (status, _, message) = check("log_level = info\n\u{0}\u{7}\n");
    assert_eq!(status, Some(1), "{message}");
    fs::write(dir.join("weir.conf"), b"log_level = \xff\n").unwrap();
    let (status, message) = said(&weir("check").arg(dir.join("weir.conf")).output().unwrap());
    assert_eq!(status, Some(1), "{message}");
    let output = weir("check /no/such/weir.conf").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && text.contains("/no/such/weir.conf"), "{text}");
    assert!(stdout("check --keys").contains("proxy_listen = 127.0.0.1:8000"));
}

#[test]
fn the_environment_speaks_over_the_file() {
    let dir = TempDir::new();
    let file = format!("{LISTEN}log_level = error\nheaders = off\n");
    let gateway = with_file(&dir, &file)
        .env("WEIR_LOG_LEVEL", "info")
        .env("KONG_HEADERS", "X-Kong-Request-Id")
        .env("WEIR_LOG_LEVLE", "debug")
        .start();
    let log = gateway.log();
    assert!(log.contains("INFO ready"), "{log}");
    assert!(log.contains("WEIR_LOG_LEVLE means nothing; did you mean WEIR_LOG_LEVEL?"), "{log}");
    assert!(log.contains("KONG_HEADERS is taken for WEIR_HEADERS"), "{log}");
    let answer = get(&gateway, "/");
    assert!(answer.header("x-kong-request-id").is_some() && answer.header("server").is_none(), "{answer:?}");
}

#[test]
fn listeners_can_be_off_and_many() {
    let dir = TempDir::new();
    let file =
        "proxy_listen = 127.0.0.1:0, [::1]:0, 127.0.0.1:0 ssl\nadmin_listen = off\nstatus_listen = off\n";
    let gateway = with_file(&dir, file).start();
    let Listeners { proxy, proxy_ssl, admin, status } = gateway.listeners().clone();
    assert_eq!((proxy.len(), proxy_ssl.len(), admin.len(), status.len()), (2, 1, 0, 0));
    for address in proxy {
        assert_eq!(Client::connect(address).unwrap().get("/").unwrap().status, 404);
    }
    let health = about("health", dir.path());
    assert!(
        health.status.success() && String::from_utf8(health.stdout).unwrap().contains("no status_listen")
    );
}

#[test]
fn an_unknown_key_keeps_it_from_starting() {
    let dir = TempDir::new();
    fs::write(dir.join("weir.conf"), "admin_lisen = off\n").unwrap();
    let output = weir("start --conf").arg(dir.join("weir.conf")).output().unwrap();
    let (status, message) = said(&output);
    assert_eq!(status, Some(1));
    assert!(message.contains("did you mean 'admin_listen'?"), "{message}");
}

/// A service that answers when it is told to.
fn slow() -> (Scripted, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (arrived, arrival) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Scripted::start(move |peer, _| {
        peer.read_head()?;
        let _ = arrived.send(());
        let _ = wait.lock().unwrap().recv_timeout(SOON);
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    });
    (upstream, arrival, go_on)
}

#[test]
fn the_end_waits_for_requests_under_way() {
    let (upstream, arrival, go_on) = slow();
    let mut gateway = launch().start();
    route_all(&gateway, upstream.addr(), json!({}));
    let mut idle = client(&gateway);
    // In use once, and kept since.
    assert_eq!(idle.request("GET", "/", &[("Host", "a/b")], b"").unwrap().status, 400);
    let mut idle = client(&gateway);
    let mut busy = client(&gateway);
    busy.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    arrival.recv_timeout(SOON).unwrap();
    gateway.signal("TERM");
    // Whoever waits for nothing is let go at once, in order.
    assert!(idle.is_closed().unwrap());
    assert!(gateway.wait(Duration::from_millis(200)).is_err(), "a request is under way");
    assert!(Client::connect(gateway.proxy()).is_err(), "no new ones are taken");
    go_on.send(()).unwrap();
    let answer = busy.read_answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert!(busy.is_closed().unwrap());
    assert_eq!(gateway.wait(SOON).unwrap().code(), Some(0));
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let (upstream, arrival, _go_on) = slow();
    let mut gateway = launch().env("WEIR_SHUTDOWN_TIMEOUT", "0.3").start();
    route_all(&gateway, upstream.addr(), json!({}));
    let mut busy = client(&gateway);
    busy.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    arrival.recv_timeout(SOON).unwrap();
    // One who never ends a request to the Admin API, or never begins a handshake, holds nobody up.
    let mut half = Client::connect(gateway.admin()).unwrap();
    half.write(b"POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{").unwrap();
    let mut head = Client::connect(gateway.status()).unwrap();
    head.write(b"GET /sta").unwrap();
    let _tls = Client::connect(gateway.proxy_ssl()).unwrap();
    let began = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait(SOON).unwrap().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(gateway.log().contains("cut off"), "{}", gateway.log());
}

#[test]
fn tunnels_end_with_the_gateway() {
    let echo = Echo::start();
    let mut gateway = launch().env("WEIR_SHUTDOWN_TIMEOUT", "0.3").start();
    route_all(&gateway, echo.addr(), json!({}));
    let mut socket = client(&gateway).websocket("/", &[]).unwrap().unwrap();
    socket.send_text("a").unwrap();
    socket.read().unwrap();
    assert_eq!(gateway.terminate(SOON).unwrap().code(), Some(0));
    assert!(socket.read().is_err());
}

/// Asks again and again, over kept connections and new ones, until told to stop; counts, and fails on any answer but
/// a 200.
fn load(gateway: &Gateway, stop: &Arc<AtomicBool>, count: &Arc<AtomicUsize>) -> Vec<thread::JoinHandle<()>> {
    let address = gateway.proxy();
    (0..3)
        .map(|number| {
            let (stop, count) = (Arc::clone(stop), Arc::clone(count));
            thread::spawn(move || {
                let mut client = Client::connect(address).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    if number == 2 {
                        client = Client::connect(address).unwrap();
                    }
                    let answer = client.request("POST", "/", &[], b"body").unwrap();
                    assert_eq!(answer.status, 200);
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect()
}

/// Waits for a line in the log, after as many of its kind.
fn wait_for_log(gateway: &Gateway, text: &str, times: usize) {
    let end = Instant::now() + SOON;
    while gateway.log().matches(text).count() < times {
        assert!(Instant::now() < end, "no {text:?} in the log:\n{}", gateway.log());
        thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn a_reload_changes_what_can_change_and_cuts_no_request() {
    let (dir, echo) = (TempDir::new(), Echo::with(|_| Reply::new(200).body("ok")));
    let gateway = with_file(&dir, &format!("{LISTEN}workers = 2\n")).start();
    route_all(&gateway, echo.addr(), json!({}));
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = load(&gateway, &stop, &count);
    let reload = |more: &str, times: usize| {
        fs::write(dir.join("weir.conf"), format!("{LISTEN}workers = 2\n{more}\n")).unwrap();
        let told = about_file("reload", &dir);
        assert!(told.status.success(), "{told:?}");
        wait_for_log(&gateway, "the configuration was read again", times);
    };
    assert!(get(&gateway, "/").header("via").is_some());
    reload("headers = off\nclient_max_body_size = 10\nlog_level = debug", 1);
    let bare = get(&gateway, "/");
    assert_eq!((bare.header("via"), bare.header("x-kong-request-id")), (None, None), "{bare:?}");
    assert_eq!(client(&gateway).request("POST", "/", &[], b"more than ten").unwrap().status, 413);
    let node = Client::connect(gateway.admin()).unwrap().get("/").unwrap().json();
    assert_eq!(node["configuration"]["log_level"], "debug");

    fs::write(dir.join("page.json"), r#"{"error": "%s"}"#).unwrap();
    reload(&format!("error_template_json = {}\nlog_level = info", dir.join("page.json").display()), 2);
    assert_eq!(raw_status(&gateway), 400);
    let page = Client::connect(gateway.proxy()).unwrap().request("POST", "/", &[], b"more than ten").unwrap();
    assert_eq!(page.status, 200, "the limit is gone again");

    // What cannot be read stays out, by the command and by the signal.
    fs::write(dir.join("weir.conf"), "proxy_listn = off\n").unwrap();
    let (status, message) = said(&about_file("reload", &dir));
    assert!(status == Some(1) && message.contains("did you mean"), "{message}");
    gateway.signal("HUP");
    wait_for_log(&gateway, "the configuration stays as it was", 1);

    // Many at once, while requests pass.
    fs::write(dir.join("weir.conf"), format!("{LISTEN}workers = 3\n")).unwrap();
    let before = count.load(Ordering::SeqCst);
    for _ in 0..20 {
        gateway.signal("HUP");
    }
    wait_for_log(&gateway, "takes effect at the next start", 1);
    let end = Instant::now() + SOON;
    while count.load(Ordering::SeqCst) < before + 200 {
        assert!(Instant::now() < end, "requests no longer pass");
        thread::park_timeout(Duration::from_millis(2));
    }
    stop.store(true, Ordering::SeqCst);
    load.into_iter().for_each(|thread| thread.join().expect("a request was cut"));
}

fn raw_status(gateway: &Gateway) -> u16 {
    client(gateway).send(b"GET / HTTP/1.1\r\n\r\n").unwrap().status
}

fn about_file(command: &str, dir: &TempDir) -> Output {
    weir(command).arg("--conf").arg(dir.join("weir.conf")).arg("--prefix").arg(dir.path()).output().unwrap()
}

#[test]
fn a_reload_moves_listeners_without_cutting_what_they_let_in() {
    let (dir, echo) = (TempDir::new(), Echo::start());
    let gateway = with_file(&dir, LISTEN).start();
    route_all(&gateway, echo.addr(), json!({}));
    let mut kept = client(&gateway);
    assert_eq!(kept.get("/").unwrap().status, 200);
    let more = LISTEN.replace("proxy_listen = 127.0.0.1:0", "proxy_listen = 127.0.0.1:0 ssl");
    fs::write(dir.join("weir.conf"), more).unwrap();
    gateway.signal("HUP");
    wait_for_log(&gateway, "the configuration was read again", 1);
    let text = fs::read_to_string(dir.join("run/listeners.json")).unwrap();
    let now = Listeners::parse(&text).unwrap();
    assert_eq!((now.proxy.len(), now.proxy_ssl.len()), (0, 1), "{text}");
    assert_eq!(Client::connect_tls(now.proxy_ssl[0], "a.test", &[]).unwrap().get("/").unwrap().status, 200);
    assert_eq!(kept.get("/").unwrap().status, 200, "let in before, and served on");
}

#[test]
fn a_changed_log_level_needs_no_restart() {
    let gateway = launch().env("WEIR_LOG_LEVEL", "error").start();
    assert!(!gateway.log().contains("ready"), "{}", gateway.log());
    let set = gateway.ask_admin("PUT", "/debug/node/log-level/debug", &Value::Null);
    assert_eq!(set.status, 200, "{}", set.text());
    gateway.signal("TERM");
    wait_for_log(&gateway, "stopping", 1);
}
