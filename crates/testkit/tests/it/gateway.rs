use std::path::Path;
use std::time::Duration;

use testkit::{Echo, Gateway, Launch, Listeners, TempDir};

const SOON: Duration = Duration::from_secs(20);

/// A shell in the gateway's place: writes its listeners, then does what it is told until it is killed.
fn stand_in(prefix: &Path, listeners: &str, then: &str) -> Launch {
    let script = format!(
        "mkdir -p run; echo started; printf '%s' '{listeners}' > run/tmp; mv run/tmp run/listeners.json; {then}"
    );
    let script = format!("cd {} && {script}", prefix.display());
    Launch::new("/bin/sh").args(["-c", &script]).prefix(prefix).deadline(SOON)
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn it_is_awaited_used_and_killed_with_its_guard() {
    let (dir, echo) = (TempDir::new(), Echo::start());
    let listeners = format!(r#"{{"proxy": ["127.0.0.1:1"], "admin": ["{}"]}}"#, echo.addr());
    let gateway = stand_in(dir.path(), &listeners, "exec sleep 600").start();
    assert_eq!(gateway.proxy().port(), 1);
    assert_eq!(gateway.log(), "started\n");
    let answer = gateway.ask_admin("POST", "/services", &serde_json::json!({"name": "a"}));
    assert_eq!(answer.json()["body"], r#"{"name":"a"}"#);
    assert_eq!(echo.requests()[0].header("content-type"), Some("application/json"));
    let pid = gateway.pid();
    assert!(is_alive(pid));
    drop(gateway);
    assert!(!is_alive(pid));
}

#[test]
fn its_environment_picks_the_ports() {
    let dir = TempDir::new();
    let script =
        r#"printf '%s|' "$WEIR_PROXY_LISTEN" "$WEIR_ADMIN_LISTEN" "${WEIR_STATUS_LISTEN-unset}" "$EXTRA""#;
    let launch = stand_in(dir.path(), "{}", &format!("{script}; touch done; exec sleep 600"));
    let gateway =
        launch.env("EXTRA", "more").without_env("WEIR_STATUS_LISTEN").under(["env", "OTHER=1"]).start();
    while !dir.join("done").exists() {
        std::thread::yield_now();
    }
    let expected = "started\n127.0.0.1:0, 127.0.0.1:0 ssl http2|127.0.0.1:0|unset|more|";
    assert_eq!(gateway.log(), expected);
}

#[test]
fn signals_reach_it_and_its_end_is_awaited() {
    let dir = TempDir::new();
    let loop_ = "trap 'exit 7' TERM; touch trapped; while :; do sleep 0.01; done";
    let mut gateway = stand_in(dir.path(), "{}", loop_).start();
    let early = gateway.wait(Duration::ZERO).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::TimedOut);
    while !dir.join("trapped").exists() {
        std::thread::yield_now();
    }
    assert_eq!(gateway.terminate(SOON).unwrap().code(), Some(7));
}

#[test]
fn failures_to_start_show_the_log() {
    let dir = TempDir::new();
    let ended =
        Launch::new("/bin/sh").args(["-c", "echo address in use; exit 3"]).prefix(dir.path()).try_start();
    let ended = ended.unwrap_err().to_string();
    assert!(ended.contains("address in use") && ended.contains('3'), "{ended}");

    let late =
        Launch::new("/bin/sh").args(["-c", "exec sleep 600"]).deadline(Duration::from_millis(20)).try_start();
    assert!(late.unwrap_err().to_string().contains("listeners.json within 20ms"));

    let nowhere = Launch::new("/no/such/program").try_start().unwrap_err();
    assert!(nowhere.to_string().contains("/no/such/program"), "{nowhere}");

    let garbled = stand_in(dir.path(), "[1]", "exec sleep 600").try_start().unwrap_err();
    assert!(garbled.to_string().contains("[1]"), "{garbled}");
}

#[test]
fn what_an_earlier_process_left_is_not_taken_for_readiness() {
    let dir = TempDir::new();
    std::fs::create_dir(dir.join("run")).unwrap();
    std::fs::write(dir.join("run/listeners.json"), r#"{"admin": ["127.0.0.1:1"]}"#).unwrap();
    let ended = Launch::new("/bin/true").prefix(dir.path()).try_start();
    assert!(ended.unwrap_err().to_string().contains("before it was ready"));
}

#[test]
fn a_directory_outlives_the_process_when_asked() {
    let dir = TempDir::new();
    let first = stand_in(dir.path(), "{}", "echo first > data; touch written; exec sleep 600").start();
    while !dir.join("written").exists() {
        std::thread::yield_now();
    }
    drop(first);
    let again: Gateway = stand_in(dir.path(), "{}", "cat data; touch done; exec sleep 600").start();
    while !dir.join("done").exists() {
        std::thread::yield_now();
    }
    assert!(again.log().ends_with("first\n"), "{}", again.log());
}

#[test]
fn listeners_are_read_strictly() {
    let text = r#"{"proxy": ["127.0.0.1:1", "[::1]:2"], "proxy_ssl": [], "future": 3}"#;
    let listeners = Listeners::parse(text).unwrap();
    assert_eq!(listeners.proxy.iter().map(|a| a.port()).collect::<Vec<_>>(), [1, 2]);
    assert!(listeners.admin.is_empty());
    for bad in
        ["", "[]", "null", r#"{"proxy": "127.0.0.1:1"}"#, r#"{"proxy": ["localhost"]}"#, r#"{"proxy": [1]}"#]
    {
        assert_eq!(Listeners::parse(bad), None, "{bad}");
    }
}
