//! A gateway under test, and the little that most tests set up in it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Answer, Client, Gateway, Launch};

use crate::command::weir;

/// For what should happen at once, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A gateway with two workers, whatever machine this is.
pub(crate) fn launch() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_weir")).env("WEIR_WORKERS", "2")
}

/// A gateway, and all requests to it going to this upstream.
#[track_caller]
pub(crate) fn in_front_of(upstream: SocketAddr) -> Gateway {
    let gateway = launch().start();
    route_all(&gateway, upstream, json!({}));
    gateway
}

/// Routes all requests to an upstream; `more` are fields of the service.
#[track_caller]
pub(crate) fn route_all(gateway: &Gateway, upstream: SocketAddr, more: Value) {
    let mut service = json!({"name": "all", "host": upstream.ip().to_string(), "port": upstream.port()});
    service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.post("/services", &service);
    gateway.post("/services/all/routes", &json!({"paths": ["/"], "strip_path": false}));
}

/// A connection to the proxy.
#[track_caller]
pub(crate) fn client(gateway: &Gateway) -> Client {
    Client::connect(gateway.proxy()).unwrap()
}

/// A request over a connection of its own.
#[track_caller]
pub(crate) fn get(gateway: &Gateway, path: &str) -> Answer {
    client(gateway).get(path).unwrap()
}

/// The values of a field that reached the echoing upstream, however it was written.
pub(crate) fn passed_on(answer: &Answer, name: &str) -> Vec<String> {
    let fields: Vec<(String, String)> = serde_json::from_value(answer.json()["headers"].clone()).unwrap();
    fields.into_iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// Sends these bytes over a connection of its own, and reads one answer.
#[track_caller]
pub(crate) fn raw(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> Answer {
    client(gateway).send(bytes.as_ref()).unwrap()
}

/// What a gateway on this prefix says when it does not start: standard error.
#[track_caller]
pub(crate) fn refuses_to_start(prefix: &Path, env: &[(&str, &str)]) -> String {
    let mut command = weir("start --prefix");
    command.arg(prefix);
    for name in ["WEIR_PROXY_LISTEN", "WEIR_ADMIN_LISTEN", "WEIR_STATUS_LISTEN"] {
        command.env(name, "127.0.0.1:0");
    }
    let output = command.envs(env.iter().copied()).output().unwrap();
    let (status, said) = said(&output);
    assert_eq!(status, Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// A program's exit status, and what it wrote to standard error.
pub(crate) fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The number in a line of the metrics that begins so.
#[track_caller]
pub(crate) fn metric(gateway: &Gateway, beginning: &str) -> u64 {
    let text = Client::connect(gateway.status()).unwrap().get("/metrics").unwrap().text();
    let line = text.lines().find(|line| line.starts_with(beginning));
    let number = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {beginning} in:\n{text}"))
}

/// Every file below a folder that holds this text.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}
