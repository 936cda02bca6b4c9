//! A write that is answered is in force: nothing waits between configuring and using.

use serde_json::{Value, json};
use testkit::{Client, Echo, Reply};

use crate::support::launch;

#[test]
fn routes_work_on_every_worker_when_they_are_answered() {
    let echo = Echo::with(|_| Reply::new(200));
    let gateway = launch().env("WEIR_WORKERS", "3").start();
    let host = json!({"name": "s", "host": "127.0.0.1", "port": echo.addr().port()});
    gateway.post("/services", &host);
    // Connections that are open already: the kernel has spread them over the workers.
    let mut clients: Vec<Client> = (0..12).map(|_| Client::connect(gateway.proxy()).unwrap()).collect();
    for n in 0..60 {
        let path = format!("/made/{n}");
        let route = gateway.post("/services/s/routes", &json!({"paths": [path]}));
        for client in &mut clients {
            assert_eq!(client.get(&path).unwrap().status, 200, "created: {path}");
        }
        let id = route["id"].as_str().unwrap();
        let moved = format!("/moved/{n}");
        gateway.ask_admin("PATCH", &format!("/routes/{id}"), &json!({"paths": [moved]}));
        for client in &mut clients {
            assert_eq!(client.get(&path).unwrap().status, 404, "changed: {path}");
            assert_eq!(client.get(&moved).unwrap().status, 200, "changed: {moved}");
        }
        assert_eq!(gateway.ask_admin("DELETE", &format!("/routes/{id}"), &Value::Null).status, 204);
        for client in &mut clients {
            assert_eq!(client.get(&moved).unwrap().status, 404, "deleted: {moved}");
        }
    }
}

#[test]
fn plugins_and_credentials_work_when_they_are_answered() {
    let echo = Echo::with(|_| Reply::new(200));
    let gateway = launch().start();
    gateway.post("/services", &json!({"name": "s", "host": "127.0.0.1", "port": echo.addr().port()}));
    gateway.post("/services/s/routes", &json!({"name": "r", "paths": ["/"]}));
    gateway.post("/consumers", &json!({"username": "alice"}));
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(gateway.proxy()).unwrap()).collect();
    let mut all = |key: &str, status: u16, when: &str| {
        for client in &mut clients {
            let answer = client.request("GET", "/", &[("apikey", key)], b"").unwrap();
            assert_eq!(answer.status, status, "{when}: {}", answer.text());
        }
    };
    for round in 0..15 {
        let plugin = gateway.post("/routes/r/plugins", &json!({"name": "key-auth"}));
        all("nobody's", 401, "key-auth is on");
        let key = gateway.post("/consumers/alice/key-auth", &json!({}));
        let (id, text) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap().to_owned());
        all(&text, 200, "the key is there");
        let other = format!("replaced-{round}");
        gateway.ask_admin("PATCH", &format!("/consumers/alice/key-auth/{id}"), &json!({"key": other}));
        all(&text, 401, "the key is another");
        all(&other, 200, "the other key is there");
        assert_eq!(
            gateway.ask_admin("DELETE", &format!("/consumers/alice/key-auth/{id}"), &Value::Null).status,
            204
        );
        all(&other, 401, "the key is gone");
        let path = format!("/plugins/{}", plugin["id"].as_str().unwrap());
        assert_eq!(gateway.ask_admin("PATCH", &path, &json!({"enabled": false})).status, 200);
        all("", 200, "key-auth is off");
        assert_eq!(gateway.ask_admin("DELETE", &path, &Value::Null).status, 204);
    }
}

#[test]
fn a_consumer_that_goes_takes_its_credentials_along() {
    let echo = Echo::with(|_| Reply::new(200));
    let gateway = launch().start();
    gateway.post("/services", &json!({"name": "s", "host": "127.0.0.1", "port": echo.addr().port()}));
    gateway.post("/services/s/routes", &json!({"paths": ["/"]}));
    gateway.post("/plugins", &json!({"name": "key-auth"}));
    gateway.post("/consumers", &json!({"username": "alice"}));
    gateway.post("/consumers/alice/key-auth", &json!({"key": "k"}));
    let mut client = Client::connect(gateway.proxy()).unwrap();
    assert_eq!(client.request("GET", "/", &[("apikey", "k")], b"").unwrap().status, 200);
    assert_eq!(gateway.ask_admin("DELETE", "/consumers/alice", &Value::Null).status, 204);
    assert_eq!(client.request("GET", "/", &[("apikey", "k")], b"").unwrap().status, 401);
}
