//! Sessions from end to end: what a cookie stands for, how it ends, and what is left when the gateway is killed.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Answer, Echo, Gateway, Launch, TempDir};

use crate::support::{SOON, client, files_with, launch, route_all};

/// A gateway whose clients show alice's key once and their session from then on; others are guests.
fn gateway_with(launch: Launch, echo: &Echo, config: Value) -> Gateway {
    let gateway = launch.start();
    route_all(&gateway, echo.addr(), json!({}));
    for name in ["alice", "guest"] {
        gateway.post("/consumers", &json!({"username": name}));
    }
    gateway.post("/consumers/alice/key-auth", &json!({"key": "k1"}));
    gateway.post("/services/all/plugins", &json!({"name": "key-auth", "config": {"anonymous": "guest"}}));
    gateway.post("/services/all/plugins", &json!({"name": "session", "config": config}));
    gateway
}

#[track_caller]
fn ask(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    client(gateway).request(method, path, headers, b"").unwrap()
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookies(answer: &Answer) -> Vec<String> {
    let fields = answer.headers.all("set-cookie").into_iter();
    fields.map(|field| field.split(';').next().unwrap().to_owned()).collect()
}

/// The cookie of a session that begins with a key.
#[track_caller]
fn begin(gateway: &Gateway) -> String {
    let answer = ask(gateway, "GET", "/x", &[("apikey", "k1")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    cookies(&answer).into_iter().find(|cookie| cookie.starts_with("session=")).expect("a session")
}

/// The value of a header field that the upstream saw.
fn seen(answer: &Answer, name: &str) -> Option<String> {
    let json = answer.json();
    let pairs = json["headers"].as_array().unwrap();
    let found = pairs.iter().find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))?;
    Some(found[1].as_str().unwrap().to_owned())
}

/// Who a request with this cookie is from.
#[track_caller]
fn who(gateway: &Gateway, cookie: &str) -> String {
    let answer = ask(gateway, "GET", "/x", &[("Cookie", cookie)]);
    seen(&answer, "X-Consumer-Username").unwrap_or_else(|| panic!("{}: {}", answer.status, answer.text()))
}

/// Waits for a time to pass that was configured.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_session_stands_for_what_began_it() {
    for storage in ["cookie", "kong"] {
        let echo = Echo::start();
        let gateway = gateway_with(launch(), &echo, json!({"storage": storage, "cookie_same_site": "Lax"}));
        let answer = ask(&gateway, "GET", "/x", &[("apikey", "k1")]);
        let field = answer.header("set-cookie").unwrap();
        assert!(field.ends_with("; Path=/; SameSite=Lax; Secure; HttpOnly"), "{field}");
        let cookie = &cookies(&answer)[0];
        let again = ask(&gateway, "GET", "/x", &[("Cookie", cookie)]);
        for name in ["X-Consumer-ID", "X-Consumer-Username", "X-Credential-Identifier"] {
            assert_eq!(seen(&again, name), seen(&answer, name), "{storage}: {name}");
        }
        assert_eq!(again.header("set-cookie"), None, "{storage}: it is as good as new");
        let guest = ask(&gateway, "GET", "/x", &[]);
        assert_eq!(seen(&guest, "X-Consumer-Username").as_deref(), Some("guest"));
        assert_eq!(guest.header("set-cookie"), None, "{storage}: guests get no session");
    }
}

#[test]
fn whoever_returns_at_once_is_known() {
    let echo = Echo::start();
    let gateway = gateway_with(launch(), &echo, json!({"storage": "kong"}));
    for round in 0..100 {
        let cookie = begin(&gateway);
        assert_eq!(who(&gateway, &cookie), "alice", "round {round}");
    }
}

#[test]
fn a_cookie_is_good_where_it_was_made_for() {
    let echo = Echo::start();
    let gateway = gateway_with(launch(), &echo, json!({"secret": "0123456789abcdef"}));
    let cookie = begin(&gateway);
    assert_eq!(who(&gateway, &cookie), "alice");
    let plugins = gateway.ask_admin("GET", "/plugins", &Value::Null).json();
    let plugin =
        plugins["data"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "session").unwrap();
    let path = format!("/plugins/{}", plugin["id"].as_str().unwrap());
    let config = |config: Value| {
        assert_eq!(gateway.ask_admin("PATCH", &path, &json!({"config": config})).status, 200);
    };
    config(json!({"audience": "others"}));
    assert_eq!(who(&gateway, &cookie), "guest");
    config(json!({"audience": "default", "cookie_name": "sid"}));
    assert_eq!(who(&gateway, &cookie.replace("session=", "sid=")), "guest");
    config(json!({"cookie_name": "session", "secret": "0123456789abcdeg"}));
    assert_eq!(who(&gateway, &cookie), "guest");
    config(json!({"secret": "0123456789abcdef"}));
    assert_eq!(who(&gateway, &cookie), "alice");
    assert_eq!(gateway.ask_admin("DELETE", "/consumers/alice", &Value::Null).status, 204);
    assert_eq!(who(&gateway, &cookie), "guest", "a session ends with its consumer");
}

#[test]
fn each_plugin_has_a_secret_of_its_own() {
    let (echo, dir) = (Echo::start(), TempDir::new());
    let gateway = gateway_with(launch().prefix(dir.path()), &echo, json!({}));
    gateway.post("/plugins", &json!({"name": "session"}));
    let plugins = gateway.ask_admin("GET", "/plugins", &Value::Null).json();
    let secrets: Vec<&str> = plugins["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|plugin| plugin["config"]["secret"].as_str())
        .collect();
    assert_eq!(secrets.len(), 2);
    assert!(secrets[0] != secrets[1] && secrets.iter().all(|secret| secret.len() == 32));
    assert_eq!(files_with(dir.path(), secrets[0]), Vec::<String>::new());
}

#[test]
fn what_is_no_cookie_of_ours_counts_for_nothing() {
    let echo = Echo::start();
    let gateway = gateway_with(launch(), &echo, json!({}));
    let good = begin(&gateway);
    let long = format!("session={}", "A".repeat(6000));
    let cut = &good[..good.len() - 1];
    for bad in ["session=", "session=x", "session=AQ", "session", ";;;=;", &long, cut, "session=\u{e9}"] {
        assert_eq!(who(&gateway, bad), "guest", "{}", &bad[..bad.len().min(40)]);
    }
    let among = format!("a=b; session=old-and-broken; {good}; c");
    assert_eq!(who(&gateway, &among), "alice", "a browser may send one for another path first");
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    for config in [
        json!({"idling_timeout": 1}),
        json!({"absolute_timeout": 1}),
        json!({"rolling_timeout": 1}),
        json!({"rolling_timeout": 1, "storage": "kong"}),
    ] {
        let echo = Echo::start();
        let gateway = gateway_with(launch(), &echo, config.clone());
        let cookie = begin(&gateway);
        let began = Instant::now();
        until(&config.to_string(), || who(&gateway, &cookie) == "guest");
        assert!(began.elapsed() > Duration::from_millis(900), "{config}");
    }
}

/// Uses a session for longer than it would last unused, and gives the ids that it had.
#[track_caller]
fn use_for_long(name: &str, config: &Value) -> Vec<String> {
    let echo = Echo::start();
    let gateway = gateway_with(launch(), &echo, config.clone());
    let first = begin(&gateway);
    let (mut cookie, mut ids, began) = (first.clone(), Vec::new(), Instant::now());
    until(name, || {
        let answer = ask(&gateway, "GET", "/x", &[("Cookie", &cookie)]);
        assert_eq!(seen(&answer, "X-Consumer-Username").as_deref(), Some("alice"), "{name}");
        let id = answer.header("session-id").unwrap().to_owned();
        if ids.last() != Some(&id) {
            ids.push(id);
        }
        cookie = cookies(&answer).pop().unwrap_or_else(|| cookie.clone());
        began.elapsed() > Duration::from_secs(5)
    });
    assert_eq!(who(&gateway, &first), "guest", "{name}: the first cookie is over");
    ids
}

#[test]
fn a_session_that_is_used_goes_on() {
    let told = json!(["id"]);
    thread::scope(|scope| {
        scope.spawn(|| {
            let ids = use_for_long("idling", &json!({"idling_timeout": 2, "response_headers": told}));
            assert_eq!(ids.len(), 1);
        });
        for (name, storage) in [("rolling", "cookie"), ("rolling, stored", "kong")] {
            let config =
                json!({"rolling_timeout": 2, "stale_ttl": 1, "storage": storage, "response_headers": told});
            scope.spawn(move || {
                let ids = use_for_long(name, &config);
                assert!(ids.len() > 2, "{name}: {} ids", ids.len());
            });
        }
    });
}

#[test]
fn logging_out_ends_a_session() {
    let echo = Echo::start();
    let config = json!({
        "storage": "kong", "remember": true, "read_body_for_logout": true, "logout_methods": ["POST"],
        "logout_query_arg": "bye", "logout_post_arg": "bye",
    });
    let gateway = gateway_with(launch(), &echo, config);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let json_type = ("Content-Type", "application/json");
    for (path, headers, body) in [
        ("/x?bye=1", &[][..], &b""[..]),
        ("/x", &[form], b"a=1&bye=1"),
        ("/x", &[json_type], b"{\"bye\": true}"),
    ] {
        let all = cookies(&ask(&gateway, "GET", "/x", &[("apikey", "k1")])).join("; ");
        assert!(all.contains("session=") && all.contains("remember="), "{all}");
        assert_eq!(who(&gateway, &all), "alice");
        assert_eq!(ask(&gateway, "GET", "/x?bye=1", &[("Cookie", &all)]).json()["path"], "/x?bye=1");
        let headers = [headers, &[("Cookie", all.as_str())]].concat();
        let answer = client(&gateway).request("POST", path, &headers, body).unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
        let cleared = answer.headers.all("set-cookie");
        assert!(
            cleared.len() == 2
                && cleared.iter().all(|field| field.contains("=; ") && field.contains("Max-Age=0"))
        );
        assert_eq!(who(&gateway, &all), "guest", "whoever kept the cookies has nothing");
    }
    let kept = cookies(&ask(&gateway, "GET", "/x", &[("apikey", "k1")])).join("; ");
    let answer = client(&gateway).request("POST", "/x", &[form, ("Cookie", &kept)], b"stay=1").unwrap();
    assert_eq!(answer.json()["body"], "stay=1");
}

#[test]
fn a_browser_is_remembered_after_its_session() {
    for storage in ["cookie", "kong"] {
        let echo = Echo::start();
        let config = json!({"storage": storage, "remember": true, "absolute_timeout": 1, "stale_ttl": 0});
        let gateway = gateway_with(launch(), &echo, config);
        let answer = ask(&gateway, "GET", "/x", &[("apikey", "k1")]);
        let remember = cookies(&answer).into_iter().find(|cookie| cookie.starts_with("remember=")).unwrap();
        assert!(answer.headers.all("set-cookie").iter().any(|field| field.contains("; Max-Age=604")));
        let back = ask(&gateway, "GET", "/x", &[("Cookie", &remember)]);
        assert_eq!(seen(&back, "X-Consumer-Username").as_deref(), Some("alice"), "{storage}");
        let new = cookies(&back);
        assert_eq!(new.len(), 2, "{storage}: a session, and a successor of what remembered it");
        assert!(new.iter().all(|cookie| who(&gateway, cookie) == "alice"), "{storage}");
        if storage == "kong" {
            until("the one before is gone", || who(&gateway, &remember) == "guest");
        }
    }
}

#[test]
fn a_session_that_has_a_successor_is_good_for_a_while() {
    let echo = Echo::start();
    let config = json!({"storage": "kong", "remember": true, "stale_ttl": 600});
    let gateway = gateway_with(launch(), &echo, config);
    let first = cookies(&ask(&gateway, "GET", "/x", &[("apikey", "k1")]));
    let remember = first.iter().find(|cookie| cookie.starts_with("remember=")).unwrap();
    assert_eq!(cookies(&ask(&gateway, "GET", "/x", &[("Cookie", remember)])).len(), 2);
    until("it is known that there is one", || {
        let answer = ask(&gateway, "GET", "/x", &[("Cookie", remember)]);
        assert_eq!(seen(&answer, "X-Consumer-Username").as_deref(), Some("alice"));
        cookies(&answer).is_empty()
    });
}

#[test]
fn headers_tell_of_the_session() {
    let echo = Echo::start();
    let all = json!([
        "id",
        "audience",
        "subject",
        "timeout",
        "idling-timeout",
        "rolling-timeout",
        "absolute-timeout"
    ]);
    let gateway = gateway_with(launch(), &echo, json!({"request_headers": all, "response_headers": all}));
    let forged = [("Session-Subject", "root"), ("Session-Id", "1")];
    let guest = ask(&gateway, "GET", "/x", &forged);
    assert_eq!((seen(&guest, "Session-Subject"), seen(&guest, "Session-Id")), (None, None));
    let cookie = begin(&gateway);
    let answer = ask(&gateway, "GET", "/x", &[("Cookie", &cookie), ("Session-Subject", "root")]);
    assert_eq!(seen(&answer, "Session-Subject"), seen(&answer, "X-Consumer-ID"));
    assert_eq!(seen(&answer, "Session-Id").as_deref(), answer.header("session-id"));
    assert_eq!(answer.header("session-audience"), Some("default"));
    for (name, most) in
        [("timeout", 900), ("idling-timeout", 900), ("rolling-timeout", 3600), ("absolute-timeout", 86400)]
    {
        let left: i64 = answer.header(&format!("session-{name}")).unwrap().parse().unwrap();
        assert!((most - 60..=most).contains(&left), "{name}: {left}");
    }
}

#[test]
fn a_stored_session_survives_kill_9_and_its_id_is_nowhere_to_be_read() {
    for at_rest in ["encrypted", "digest"] {
        let (echo, dir) = (Echo::start(), TempDir::new());
        let launch_it = || {
            let launch = launch().prefix(dir.path()).env("WEIR_SECRETS_AT_REST", at_rest);
            launch.env("WEIR_LOG_LEVEL", "debug")
        };
        let config = json!({"storage": "kong", "response_headers": ["id"]});
        let mut gateway = gateway_with(launch_it(), &echo, config);
        let answer = ask(&gateway, "GET", "/x", &[("apikey", "k1")]);
        let (cookie, id) = (cookies(&answer).remove(0), answer.header("session-id").unwrap().to_owned());
        assert_eq!(id.len(), 43);
        // The answer does not wait for the disk.
        until("it is stored", || gateway.log().contains("a session is stored"));
        gateway.kill();
        assert_eq!(files_with(dir.path(), &id), Vec::<String>::new(), "{at_rest}");
        let gateway = launch_it().start();
        assert_eq!(who(&gateway, &cookie), "alice", "{at_rest}");
    }
}
