//! OAuth 2.0 from end to end: every grant, what binds a code and a token, and what is left when the gateway is killed.

use std::fs;
use std::process::Command;
use std::sync::{Barrier, mpsc};
use std::thread;

use serde_json::{Value, json};
use testkit::{Answer, Client, Echo, Gateway, Launch, TempDir};

use crate::durability::SMALL_DISK;
use crate::support::{SOON, client, files_with, launch, route_all};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// All grants, for alice's application `cid` with the secret `cs`, in front of this upstream.
fn authorization_server(launch: Launch, echo: &Echo, config: Value) -> Gateway {
    let gateway = launch.start();
    route_all(&gateway, echo.addr(), json!({}));
    gateway.post("/consumers", &json!({"username": "alice"}));
    add_client(&gateway, json!({"client_id": "cid", "client_secret": "cs"}));
    let mut all = json!({
        "provision_key": "prov", "scopes": ["read", "write"], "enable_authorization_code": true,
        "enable_client_credentials": true, "enable_implicit_grant": true, "enable_password_grant": true,
    });
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    gateway.post("/services/all/plugins", &json!({"name": "oauth2", "config": all}));
    gateway
}

fn add_client(gateway: &Gateway, more: Value) -> Value {
    let mut client = json!({"name": "app", "redirect_uris": ["https://cb.test/x"]});
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.post("/consumers/alice/oauth2", &client)
}

fn try_ask(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Answer> {
    Client::connect_tls(gateway.proxy_ssl(), "localhost", &["http/1.1"])?.request("POST", path, headers, body)
}

/// Posts a form over TLS.
#[track_caller]
fn ask(gateway: &Gateway, path: &str, form: &str) -> Answer {
    try_ask(gateway, path, &[FORM], form.as_bytes()).unwrap()
}

/// Asks for a token as `cid`.
#[track_caller]
fn token(gateway: &Gateway, form: &str) -> Answer {
    ask(gateway, "/oauth2/token", &format!("client_id=cid&client_secret=cs&{form}"))
}

#[track_caller]
fn granted(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        (Some("no-store"), Some("no-cache"))
    );
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, error: &str) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some(error)), "{}", answer.text());
}

/// The part of an answer's address that has this name.
#[track_caller]
fn told(answer: &Answer, name: &str) -> String {
    let address = answer.json()["redirect_uri"].as_str().unwrap_or_default().to_owned();
    let mut pairs = address.split(['?', '#', '&']).filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.unwrap_or_else(|| panic!("no {name} in {address:?}: {}", answer.text()))
}

/// A code for `cid`.
#[track_caller]
fn code(gateway: &Gateway, more: &str) -> String {
    let form = format!("client_id=cid&response_type=code&provision_key=prov&authenticated_userid=u1&{more}");
    let answer = ask(gateway, "/oauth2/authorize", &form);
    assert_eq!(answer.status, 200, "{}", answer.text());
    told(&answer, "code")
}

#[track_caller]
fn with_token(gateway: &Gateway, token: &Value) -> Answer {
    let field = format!("Bearer {}", token.as_str().unwrap());
    client(gateway).request("GET", "/x", &[("Authorization", &field)], b"").unwrap()
}

/// The value of a header field that the upstream saw.
fn seen(answer: &Answer, name: &str) -> Option<String> {
    let json = answer.json();
    let pairs = json["headers"].as_array().unwrap();
    let found = pairs.iter().find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))?;
    Some(found[1].as_str().unwrap().to_owned())
}

#[test]
fn every_grant_gives_a_token_that_works() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    let by_code = granted(&token(
        &gateway,
        &format!("grant_type=authorization_code&code={}", code(&gateway, "scope=read")),
    ));
    let by_itself = granted(&token(&gateway, "grant_type=client_credentials&scope=write"));
    let by_password = granted(&token(
        &gateway,
        "grant_type=password&provision_key=prov&authenticated_userid=u1&scope=read%20write",
    ));
    let refresh = by_password["refresh_token"].as_str().unwrap();
    let refreshed =
        granted(&token(&gateway, &format!("grant_type=refresh_token&refresh_token={refresh}&scope=read")));
    let implicit = ask(
        &gateway,
        "/oauth2/authorize",
        "client_id=cid&response_type=token&provision_key=prov&authenticated_userid=u1&state=s",
    );
    assert!(implicit.json()["redirect_uri"].as_str().unwrap().starts_with("https://cb.test/x#access_token="));
    assert_eq!(told(&implicit, "state"), "s");
    let implicit = json!({"access_token": told(&implicit, "access_token")});

    for (name, token, scope, user) in [
        ("code", &by_code, Some("read"), Some("u1")),
        ("client", &by_itself, Some("write"), None),
        ("refreshed", &refreshed, Some("read"), Some("u1")),
        ("implicit", &implicit, None, Some("u1")),
    ] {
        let answer = with_token(&gateway, &token["access_token"]);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(seen(&answer, "X-Consumer-Username").as_deref(), Some("alice"), "{name}");
        assert_eq!(seen(&answer, "X-Credential-Identifier").as_deref(), Some("cid"), "{name}");
        assert_eq!(seen(&answer, "X-Authenticated-Scope").as_deref(), scope, "{name}");
        assert_eq!(seen(&answer, "X-Authenticated-UserId").as_deref(), user, "{name}");
        assert_eq!(token["access_token"].as_str().unwrap().len(), 32, "{name}");
    }
    assert_eq!(with_token(&gateway, &by_password["access_token"]).status, 401, "it was refreshed");
    assert!(by_itself.get("refresh_token").is_none());
    refused(&token(&gateway, &format!("grant_type=refresh_token&refresh_token={refresh}")), "invalid_grant");
}

#[test]
fn nobody_else_says_who_the_user_is() {
    let echo = Echo::start();
    let gateway =
        authorization_server(launch(), &echo, json!({"anonymous": "alice", "hide_credentials": true}));
    let forged = [("X-Authenticated-UserId", "root"), ("X-Authenticated-Scope", "admin")];
    let answer = client(&gateway).request("GET", "/x", &forged, b"").unwrap();
    assert_eq!((answer.status, seen(&answer, "X-Anonymous-Consumer").as_deref()), (200, Some("true")));
    assert_eq!(
        (seen(&answer, "X-Authenticated-UserId"), seen(&answer, "X-Authenticated-Scope")),
        (None, None)
    );

    let token = granted(&token(&gateway, "grant_type=client_credentials"))["access_token"].clone();
    let token = token.as_str().unwrap();
    let body = format!("a=1&access_token={token}&b=2");
    let answer = client(&gateway).request("POST", "/x?c=3", &[FORM], body.as_bytes()).unwrap();
    assert_eq!(seen(&answer, "X-Credential-Identifier").as_deref(), Some("cid"), "by a form (RFC 6750, 2.2)");
    assert_eq!(answer.json()["body"], "a=1&b=2");
    let answer = client(&gateway).get(&format!("/x?c=3&access_token={token}")).unwrap();
    assert_eq!(answer.json()["path"], "/x?c=3");
}

#[test]
fn groups_decide_about_consumers_with_tokens() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    gateway.post("/services/all/plugins", &json!({"name": "acl", "config": {"allow": ["partners"]}}));
    let token = granted(&token(&gateway, "grant_type=client_credentials"))["access_token"].clone();
    assert_eq!(with_token(&gateway, &token).status, 403);
    gateway.post("/consumers/alice/acls", &json!({"group": "partners"}));
    assert_eq!(with_token(&gateway, &token).status, 200);
}

#[test]
fn a_code_works_once_and_takes_its_tokens_with_it() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    let form = format!("grant_type=authorization_code&code={}", code(&gateway, ""));
    let first = granted(&token(&gateway, &form));
    let refresh = first["refresh_token"].as_str().unwrap();
    let second = granted(&token(&gateway, &format!("grant_type=refresh_token&refresh_token={refresh}")));
    assert_eq!(with_token(&gateway, &second["access_token"]).status, 200);
    refused(&token(&gateway, &form), "invalid_request");
    assert_eq!(
        with_token(&gateway, &second["access_token"]).status,
        401,
        "revoked, though it was refreshed meanwhile"
    );
    let refresh = second["refresh_token"].as_str().unwrap();
    refused(&token(&gateway, &format!("grant_type=refresh_token&refresh_token={refresh}")), "invalid_grant");
}

#[test]
fn a_code_is_good_for_who_asked_for_it() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    add_client(&gateway, json!({"client_id": "other", "client_secret": "os"}));
    let taken = code(&gateway, "");
    let form = format!("client_id=other&client_secret=os&grant_type=authorization_code&code={taken}");
    refused(&ask(&gateway, "/oauth2/token", &form), "invalid_request");
    granted(&token(&gateway, &format!("grant_type=authorization_code&code={taken}")));

    let named = code(&gateway, "redirect_uri=https%3A%2F%2Fcb.test%2Fx");
    let form = format!("grant_type=authorization_code&code={named}");
    refused(&token(&gateway, &form), "invalid_grant");
    granted(&token(&gateway, &format!("{form}&redirect_uri=https%3A%2F%2Fcb.test%2Fx")));

    let proof = code(&gateway, &format!("code_challenge={CHALLENGE}&code_challenge_method=S256"));
    let form = format!("grant_type=authorization_code&code={proof}");
    refused(&token(&gateway, &form), "invalid_request");
    refused(&token(&gateway, &format!("{form}&code_verifier={}", "w".repeat(43))), "invalid_grant");
    granted(&token(&gateway, &format!("{form}&code_verifier={VERIFIER}")));

    let without = code(&gateway, "");
    let form = format!("grant_type=authorization_code&code={without}&code_verifier={VERIFIER}");
    refused(&token(&gateway, &form), "invalid_grant");
}

#[test]
fn a_public_client_proves_itself_by_pkce() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    add_client(&gateway, json!({"client_id": "spa", "client_type": "public"}));
    let form = "client_id=spa&response_type=code&provision_key=prov&authenticated_userid=u1";
    let answer = ask(&gateway, "/oauth2/authorize", form);
    assert_eq!((answer.status, told(&answer, "error")), (400, "invalid_request".to_owned()));
    let form = format!("{form}&code_challenge={CHALLENGE}&code_challenge_method=S256");
    let code = told(&ask(&gateway, "/oauth2/authorize", &form), "code");
    let exchange = format!("client_id=spa&grant_type=authorization_code&code={code}");
    refused(&ask(&gateway, "/oauth2/token", &exchange), "invalid_request");
    let issued = granted(&ask(&gateway, "/oauth2/token", &format!("{exchange}&code_verifier={VERIFIER}")));
    assert_eq!(with_token(&gateway, &issued["access_token"]).status, 200);
    let refresh = issued["refresh_token"].as_str().unwrap();
    granted(&ask(
        &gateway,
        "/oauth2/token",
        &format!("client_id=spa&grant_type=refresh_token&refresh_token={refresh}"),
    ));
    refused(
        &ask(&gateway, "/oauth2/token", "client_id=spa&grant_type=client_credentials"),
        "unauthorized_client",
    );
}

/// Sends the same form from two connections at once; the answers.
fn both(gateway: &Gateway, form: &str) -> [Answer; 2] {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let one = || {
            let mut client = Client::connect_tls(gateway.proxy_ssl(), "localhost", &["http/1.1"]).unwrap();
            start.wait();
            client.request("POST", "/oauth2/token", &[FORM], form.as_bytes()).unwrap()
        };
        let threads = [scope.spawn(one), scope.spawn(one)];
        threads.map(|thread| thread.join().unwrap())
    })
}

#[test]
fn of_two_who_refresh_at_once_one_wins() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    let mut issued =
        granted(&token(&gateway, "grant_type=password&provision_key=prov&authenticated_userid=u1"));
    for round in 0..20 {
        let refresh = issued["refresh_token"].as_str().unwrap();
        let form = format!("client_id=cid&client_secret=cs&grant_type=refresh_token&refresh_token={refresh}");
        let answers = both(&gateway, &form);
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((won.len(), lost.len()), (1, 1), "round {round}");
        refused(lost[0], "invalid_grant");
        issued = granted(won[0]);
        assert_eq!(with_token(&gateway, &issued["access_token"]).status, 200, "round {round}");
    }
    let tokens = gateway.ask_admin("GET", "/oauth2_tokens", &Value::Null).json();
    assert_eq!(tokens["data"].as_array().unwrap().len(), 1, "none is left over");
}

#[test]
fn of_two_who_show_one_code_at_once_none_keeps_a_token() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    for round in 0..5 {
        let code = code(&gateway, "");
        let form = format!("client_id=cid&client_secret=cs&grant_type=authorization_code&code={code}");
        let answers = both(&gateway, &form);
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(with_token(&gateway, &won[0].json()["access_token"]).status, 401, "round {round}");
    }
}

#[test]
fn a_refresh_token_may_be_used_again_where_that_is_wished() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({"reuse_refresh_token": true}));
    let first = granted(&token(&gateway, "grant_type=password&provision_key=prov&authenticated_userid=u1"));
    let form = format!("grant_type=refresh_token&refresh_token={}", first["refresh_token"].as_str().unwrap());
    let mut before = first.clone();
    for _ in 0..3 {
        let next = granted(&token(&gateway, &form));
        assert_eq!(next["refresh_token"], first["refresh_token"]);
        assert_eq!(with_token(&gateway, &before["access_token"]).status, 401);
        assert_eq!(with_token(&gateway, &next["access_token"]).status, 200);
        before = next;
    }
}

#[test]
fn revocation_is_in_force_when_it_is_answered() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    let issue = || {
        let form = "grant_type=password&provision_key=prov&authenticated_userid=u1";
        let issued = granted(&token(&gateway, form));
        assert_eq!(with_token(&gateway, &issued["access_token"]).status, 200);
        issued
    };
    let delete = |path: &str| assert_eq!(gateway.ask_admin("DELETE", path, &Value::Null).status, 204);
    let one = issue();
    delete(&format!("/oauth2_tokens/{}", one["access_token"].as_str().unwrap()));
    assert_eq!(with_token(&gateway, &one["access_token"]).status, 401);
    let form = format!("grant_type=refresh_token&refresh_token={}", one["refresh_token"].as_str().unwrap());
    refused(&token(&gateway, &form), "invalid_grant");

    let two = issue();
    gateway.ask_admin("PATCH", "/oauth2/cid", &json!({"client_secret": "new"}));
    refused(&token(&gateway, "grant_type=client_credentials"), "invalid_client");
    assert_eq!(
        with_token(&gateway, &two["access_token"]).status,
        200,
        "a token outlives its client's secret"
    );
    delete("/oauth2/cid");
    assert_eq!(with_token(&gateway, &two["access_token"]).status, 401, "and not its client");
}

#[test]
fn every_token_that_was_answered_survives_kill_9() {
    let (echo, dir) = (Echo::start(), TempDir::new());
    let mut gateway = authorization_server(launch().prefix(dir.path()), &echo, json!({}));
    let (sender, receiver) = mpsc::channel();
    let mut issued: Vec<Value> = Vec::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            let (gateway, sender) = (&gateway, sender.clone());
            scope.spawn(move || {
                let form = b"client_id=cid&client_secret=cs&grant_type=password&provision_key=prov&authenticated_userid=u1";
                while let Ok(answer) = try_ask(gateway, "/oauth2/token", &[FORM], form) {
                    if sender.send(granted(&answer)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        issued.extend(receiver.iter().take(25));
        gateway.signal("KILL");
        issued.extend(receiver.iter());
    });
    gateway.kill();
    let gateway = launch().prefix(dir.path()).start();
    for token in &issued {
        assert_eq!(with_token(&gateway, &token["access_token"]).status, 200, "of {}", issued.len());
    }
    let refresh = issued[0]["refresh_token"].as_str().unwrap();
    granted(&token(&gateway, &format!("grant_type=refresh_token&refresh_token={refresh}")));
}

#[test]
fn a_stolen_database_reveals_no_token() {
    for at_rest in ["encrypted", "digest"] {
        let (echo, dir) = (Echo::start(), TempDir::new());
        let launch_it = || {
            let launch = launch().prefix(dir.path()).env("WEIR_SECRETS_AT_REST", at_rest);
            launch.env("WEIR_LOG_LEVEL", "debug")
        };
        let config = json!({"provision_key": null});
        let mut gateway = authorization_server(launch_it(), &echo, config);
        let plugins = gateway.ask_admin("GET", "/plugins", &Value::Null).json();
        let provision_key = plugins["data"][0]["config"]["provision_key"].as_str().unwrap().to_owned();
        assert_eq!(provision_key.len(), 32, "minted");
        let hashed =
            json!({"client_id": "hashed", "client_secret": "only-its-hash-is-kept", "hash_secret": true});
        add_client(&gateway, hashed);
        let user = format!("provision_key={provision_key}&authenticated_userid=u1");
        let form = format!("client_id=cid&response_type=code&{user}");
        let code = told(&ask(&gateway, "/oauth2/authorize", &form), "code");
        let pending = told(&ask(&gateway, "/oauth2/authorize", &form), "code");
        let one = granted(&token(&gateway, &format!("grant_type=authorization_code&code={code}")));
        let form =
            format!("grant_type=refresh_token&refresh_token={}", one["refresh_token"].as_str().unwrap());
        let two = granted(&token(&gateway, &form));
        let by_hash = |gateway: &Gateway, secret: &str| {
            let form = format!("client_id=hashed&client_secret={secret}&grant_type=client_credentials");
            ask(gateway, "/oauth2/token", &form)
        };
        refused(&by_hash(&gateway, "another"), "invalid_client");
        assert_eq!(
            with_token(&gateway, &granted(&by_hash(&gateway, "only-its-hash-is-kept"))["access_token"])
                .status,
            200
        );

        let text = |token: &Value, field: &str| token[field].as_str().unwrap().to_owned();
        let mut secrets = vec![provision_key, code, pending.clone(), "only-its-hash-is-kept".to_owned()];
        for token in [&one, &two] {
            secrets.extend([text(token, "access_token"), text(token, "refresh_token")]);
        }
        gateway.kill();
        for secret in &secrets {
            assert_eq!(files_with(dir.path(), secret), Vec::<String>::new(), "{at_rest}");
        }
        // What nobody can read still works.
        let gateway = launch_it().start();
        assert_eq!(with_token(&gateway, &two["access_token"]).status, 200, "{at_rest}");
        granted(&token(&gateway, &format!("grant_type=authorization_code&code={pending}")));
        let form = format!("grant_type=refresh_token&refresh_token={}", text(&two, "refresh_token"));
        granted(&token(&gateway, &form));
        granted(&by_hash(&gateway, "only-its-hash-is-kept"));
    }
}

#[test]
fn what_is_no_request_for_a_token_is_said_to_be_none() {
    let echo = Echo::start();
    let gateway = authorization_server(launch(), &echo, json!({}));
    let post =
        |headers: &[(&str, &str)], body: &[u8]| try_ask(&gateway, "/oauth2/token", headers, body).unwrap();
    let json = ("Content-Type", "application/json");
    for (headers, body) in [
        (&[FORM][..], &b"grant_type=%zz"[..]),
        (&[FORM], b"grant_type=\xff"),
        (&[FORM], b"grant_type=password&grant_type=password"),
        (&[json], b"{"),
        (&[json], b"[]"),
        (&[json], b"{\"grant_type\": {\"a\": 1}}"),
        (&[FORM, ("Authorization", "Basic Y2lkOmNz")], b"client_id=cid&client_secret=cs"),
    ] {
        refused(&post(headers, body), "invalid_request");
    }
    let long = format!("client_id=cid&client_secret={}", "x".repeat(5000));
    refused(&post(&[FORM], long.as_bytes()), "invalid_request");
    let answer = post(&[FORM, ("Authorization", "Basic Y2lkOg==")], b"grant_type=client_credentials");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("invalid_client")));
    // Answered before it is read.
    let answer = post(&[FORM, ("Content-Length", "20000000")], b"");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("invalid_request")));

    let get =
        |headers: &[(&str, &str)], path: &str| client(&gateway).request("GET", path, headers, b"").unwrap();
    let token = granted(&token(&gateway, "grant_type=client_credentials"))["access_token"].clone();
    let good = format!("Bearer {}", token.as_str().unwrap());
    assert_eq!(get(&[("Authorization", &good)], "/x?access_token=another").status, 400, "RFC 6750, 3.1");
    assert_eq!(get(&[("Authorization", &good), ("Authorization", "Bearer x")], "/x").status, 400);
    for bad in
        ["Bearer", "Bearer ", "Bearer \u{e9}", "Bearer a b", "Basic !!", "Digest x", &"Bearer x".repeat(900)]
    {
        assert_eq!(get(&[("Authorization", bad)], "/x").status, 401, "{bad}");
    }
    assert_eq!(get(&[], "/oauth2/token").status, 405);
    refused(
        &client(&gateway).request("POST", "/oauth2/token", &[FORM], b"client_id=cid").unwrap(),
        "access_denied",
    );
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[test]
fn uploads_behind_it_go_on_as_they_come() {
    let echo = Echo::start();
    let gateway = authorization_server(launch().env("WEIR_CLIENT_BODY_BUFFER_SIZE", "1k"), &echo, json!({}));
    let token = granted(&token(&gateway, "grant_type=client_credentials"))["access_token"].clone();
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        token.as_str().unwrap()
    );
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    let answer = client(&gateway).send(format!("{head}{}0\r\n\r\n", chunk.repeat(4)).as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["body"].as_str().unwrap().len(), 4 * 0x2000);
}

#[test]
fn who_guesses_is_locked_out() {
    let echo = Echo::start();
    let launch = launch().env("WEIR_AUTH_LOCKOUT_ATTEMPTS", "5");
    let gateway = authorization_server(launch, &echo, json!({}));
    for guess in 0..5 {
        let form = format!("client_id=cid&client_secret=guess-{guess}&grant_type=client_credentials");
        refused(&ask(&gateway, "/oauth2/token", &form), "invalid_client");
    }
    let answer = token(&gateway, "grant_type=client_credentials");
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn a_full_disk_loses_no_token() {
    let works = Command::new("unshare").args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        testkit::skip!("no mount namespace: needs root and unshare");
    }
    let (echo, dir) = (Echo::start(), TempDir::new());
    let home = dir.path().to_str().unwrap();
    let launch = launch()
        .under(["unshare", "--mount", "sh", "-c", SMALL_DISK, home])
        .args(["start", "--prefix", &format!("{home}/full")])
        .prefix(dir.path());
    let mut gateway = authorization_server(launch, &echo, json!({}));
    let issued = granted(&token(&gateway, "grant_type=password&provision_key=prov&authenticated_userid=u1"));
    let tags: Vec<String> = (0..100).map(|n| format!("{n:0>120}")).collect();
    let filler = |n: usize| json!({"name": format!("s{n}"), "host": "a.test", "tags": tags});
    let full = (0..1000).any(|n| gateway.ask_admin("POST", "/services", &filler(n)).status == 507);
    assert!(full, "the disk does not become full");

    let form =
        format!("grant_type=refresh_token&refresh_token={}", issued["refresh_token"].as_str().unwrap());
    let mut answer = token(&gateway, &form);
    let mut current = issued;
    // Less than a service may still fit, for a while.
    while answer.status == 200 {
        current = answer.json();
        let refresh = current["refresh_token"].as_str().unwrap();
        answer = token(&gateway, &format!("grant_type=refresh_token&refresh_token={refresh}"));
    }
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.text());
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert_eq!(
        with_token(&gateway, &current["access_token"]).status,
        200,
        "the old one is as good as it was"
    );
    fs::remove_file(format!("/proc/{}/root{home}/full/ballast", gateway.pid())).unwrap();
    let refresh = current["refresh_token"].as_str().unwrap();
    granted(&token(&gateway, &format!("grant_type=refresh_token&refresh_token={refresh}")));
    assert!(gateway.terminate(SOON).unwrap().success());
}
