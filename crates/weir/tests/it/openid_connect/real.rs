//! With a real provider.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use testkit::{Client, Echo, Gateway, TempDir};

use super::{Browser, location, make_certificate, put, with_token};
use crate::support::{launch, passed_on, route_all};

const PACKAGE: &str = "oidc-provider@8.8.1";
/// As it is in an Authorization field, form-urlencoded (RFC 6749, 2.3.1).
const CLIENT: &str = "Basic d2VpcjphK3NlY3JldCt3aXRoKyUzQSthbmQrJTI1K2FuZCslMkI=";

/// The folder that the provider's package is installed in, once for all runs.
fn package() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE.replace('@', "-"));
            if folder.join("node_modules/oidc-provider").exists() {
                return Some(folder);
            }
            // Beside and moved into place, so that no other run sees half of it.
            let beside = folder.with_extension(std::process::id().to_string());
            fs::create_dir_all(&beside).ok()?;
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
                .arg(&beside)
                .arg(PACKAGE);
            let installed = npm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if !installed.is_ok_and(|status| status.success()) {
                let _ = fs::remove_dir_all(&beside);
                return None;
            }
            let _ = fs::rename(&beside, &folder);
            Some(folder).filter(|folder| folder.exists())
        })
        .as_deref()
}

struct Setup {
    provider: Child,
    port: u16,
    gateway: Gateway,
    base: Value,
    _folder: TempDir,
    _upstream: Echo,
}

impl Setup {
    /// A provider whose access tokens live for so many seconds, and a gateway that trusts it.
    fn new(life: u32) -> Option<Self> {
        let package = package()?;
        let folder = TempDir::new();
        make_certificate(folder.path());
        let upstream = Echo::start();
        let gateway = launch().env("SSL_CERT_FILE", folder.join("ca.crt")).start();
        route_all(&gateway, upstream.addr(), json!({}));
        let redirect = format!("https://localhost:{}/callback", gateway.proxy_ssl().port());
        let mut provider = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openid_connect/provider.mjs"))
            .args([folder.path().to_str().unwrap(), &redirect, &life.to_string()])
            .env("PROVIDER_FOLDER", package)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("provider.log")).unwrap())
            .spawn()
            .ok()?;
        // Other lines are notices.
        let lines = BufReader::new(provider.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.filter_map(|line| line.parse().ok()).next();
        let Some(port) = port else {
            let _ = provider.wait();
            panic!(
                "the provider does not start: {}",
                fs::read_to_string(folder.join("provider.log")).unwrap()
            );
        };
        let base = json!({
            "issuer": format!("https://localhost:{port}"), "client_id": "weir",
            "client_secret": "a secret with : and % and +", "audience_required": ["api"],
            "session_secret": "the secret of these tests",
            "redirect_uri": redirect, "scopes": ["openid", "email"],
        });
        Some(Self { provider, port, gateway, base, _folder: folder, _upstream: upstream })
    }

    fn put(&self, more: Value) {
        put(&self.gateway, &self.base, more);
    }

    fn ask_provider(&self, path: &str) -> Value {
        let mut client = Client::connect_tls(([127, 0, 0, 1], self.port).into(), "localhost", &[]).unwrap();
        serde_json::from_str(&client.get(path).unwrap().text()).unwrap_or_default()
    }

    /// A token of the client's own for this resource.
    fn token(&self, resource: &str) -> String {
        let mut client = Client::connect_tls(([127, 0, 0, 1], self.port).into(), "localhost", &[]).unwrap();
        let form = format!("grant_type=client_credentials&scope=read&resource={resource}");
        let headers = [("Authorization", CLIENT), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = client.request("POST", "/token", &headers, form.as_bytes()).unwrap();
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
    }

    /// Logs in from the first request to the one that is let through; gives the last redirect.
    fn log_in(&self, browser: &mut Browser, path: &str) -> String {
        let ours = self.gateway.proxy_ssl();
        let mut server = ours;
        let mut answer = browser.get(ours, path);
        for _ in 0..6 {
            let path;
            (server, path) = location(server, &answer);
            if server == ours && !path.starts_with("/callback") {
                return path;
            }
            answer = browser.get(server, &path);
        }
        panic!("the login does not end: {} {}\n{}", answer.status, answer.text(), self.gateway.log());
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = self.provider.kill();
        let _ = self.provider.wait();
    }
}

macro_rules! setup {
    ($life:expr) => {
        match Setup::new($life) {
            Some(setup) => setup,
            None => testkit::skip!("oidc-provider cannot be installed (Debian: npm, and the npm registry)"),
        }
    };
}

#[test]
fn bearer_tokens_are_verified_by_the_published_keys() {
    let setup = setup!(600);
    let gateway = &setup.gateway;
    setup.put(json!({"credential_claim": ["client_id"], "upstream_headers_claims": ["scope", "aud"],
        "upstream_headers_names": ["X-Scope", "X-Audience"], "realm": "api"}));
    let token = setup.token("urn:api");
    let answer = with_token(gateway, &token);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.log());
    assert_eq!(passed_on(&answer, "X-Credential-Identifier"), ["weir"]);
    assert_eq!(passed_on(&answer, "X-Scope"), ["read"]);
    assert_eq!(passed_on(&answer, "X-Audience"), ["api"]);

    // Changed anywhere, it is no good.
    let parts: Vec<&str> = token.split('.').collect();
    let changed = format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>());
    let none = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    for bad in [changed.as_str(), &none, "x", "a.b.c", &token[1..], &setup.token("urn:opaque")] {
        let answer = with_token(gateway, bad);
        assert_eq!(answer.status, 401, "{bad}");
        assert_eq!(
            answer.headers.get("WWW-Authenticate"),
            Some(r#"Bearer realm="api", error="invalid_token""#)
        );
    }
    let nothing =
        Client::connect(gateway.proxy()).unwrap().request("GET", "/", &[("X-Scope", "admin")], b"").unwrap();
    assert_eq!(nothing.status, 401);
    assert_eq!(nothing.headers.get("WWW-Authenticate"), Some(r#"Bearer realm="api""#));

    // For others, or for less than is asked for.
    setup.put(json!({"audience_required": ["billing"]}));
    assert_eq!(with_token(gateway, &token).status, 401);
    setup.put(json!({"scopes_required": ["write", "read email"]}));
    let narrow = with_token(gateway, &token);
    assert_eq!(narrow.status, 403);
    assert!(narrow.headers.get("WWW-Authenticate").unwrap().contains("insufficient_scope"));
    setup.put(json!({"algorithms": ["RS256"], "credential_claim": ["client_id"]}));
    assert_eq!(with_token(gateway, &token).status, 401, "ES256 is not allowed");

    // A consumer, by the name in a claim; or nobody.
    setup.put(json!({"consumer_claim": ["client_id"], "credential_claim": ["client_id"]}));
    assert_eq!(with_token(gateway, &token).status, 403);
    gateway.post("/consumers", &json!({"username": "service", "custom_id": "weir"}));
    let answer = with_token(gateway, &token);
    assert_eq!(passed_on(&answer, "X-Consumer-Username"), ["service"]);
    assert_eq!(passed_on(&answer, "X-Credential-Identifier"), ["weir"]);
}

#[test]
fn new_keys_are_found_and_asked_for_no_more_often_than_told() {
    let setup = setup!(600);
    setup.put(json!({"rediscovery_lifetime": 1, "credential_claim": ["client_id"]}));
    let old = setup.token("urn:api");
    assert_eq!(with_token(&setup.gateway, &old).status, 200, "{}", setup.gateway.log());
    assert_eq!(setup.ask_provider("/test/counts")["keys"], 1);
    setup.ask_provider("/test/rotate");
    let new = setup.token("urn:api");
    let end = std::time::Instant::now() + crate::support::SOON;
    while with_token(&setup.gateway, &new).status != 200 {
        assert!(std::time::Instant::now() < end, "{}", setup.gateway.log());
    }
    assert_eq!(setup.ask_provider("/test/counts")["keys"], 2);
    assert_eq!(with_token(&setup.gateway, &old).status, 200, "remembered");
    // Made-up keys: the provider is asked once in a second at most, whatever comes.
    setup.put(json!({"rediscovery_lifetime": 3600, "credential_claim": ["client_id"]}));
    let unknown = |n: usize| {
        let digits: Vec<u8> = format!(r#"{{"alg":"ES256","kid":"made-up-{n:03}"}}"#).into_bytes();
        format!("{}.e30.AAAA", crate::ldap_auth::base64(&digits).trim_end_matches('='))
    };
    for n in 0..20 {
        assert_eq!(with_token(&setup.gateway, &unknown(n)).status, 401);
    }
    let keys = setup.ask_provider("/test/counts")["keys"].as_u64().unwrap();
    assert!(keys <= 4, "{keys}");
}

#[test]
fn other_tokens_are_what_the_provider_says_of_them() {
    let setup = setup!(600);
    setup.put(json!({"auth_methods": ["introspection"], "credential_claim": ["client_id"], "hide_credentials": true}));
    let token = setup.token("urn:opaque");
    for _ in 0..3 {
        let answer = with_token(&setup.gateway, &token);
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), setup.gateway.log());
        assert_eq!(passed_on(&answer, "X-Credential-Identifier"), ["weir"]);
        assert!(passed_on(&answer, "Authorization").is_empty());
    }
    assert_eq!(setup.ask_provider("/test/counts")["introspected"], 1, "it is remembered");
    assert_eq!(with_token(&setup.gateway, "made-up").status, 401);
}

const BROWSER: [&str; 3] = ["authorization_code", "session", "refresh_token"];

#[test]
fn a_browser_logs_in_and_out() {
    let setup = setup!(600);
    let gateway = &setup.gateway;
    let ours = gateway.proxy_ssl();
    setup.put(
        json!({"auth_methods": BROWSER, "authenticated_groups_claim": ["groups"], "logout_path": "/logout",
        "logout_redirect_uri": "https://bye.test/", "upstream_headers_claims": ["email"],
        "upstream_headers_names": ["X-Email"], "upstream_access_token_header": "X-Token"}),
    );
    gateway.post(
        "/plugins",
        &json!({"name": "acl", "config": {"allow": ["night"], "always_use_authenticated_groups": true}}),
    );
    let mut browser = Browser::default();
    assert_eq!(setup.log_in(&mut browser, "/a/b?c=d&e"), "/a/b?c=d&e");
    assert_eq!(browser.names(ours), ["session"], "the login's own cookie is gone");
    let answer = browser.ask(
        "GET",
        ours,
        "/a",
        &[("X-Email", "root@weir.test"), ("Cookie", "session_id=theirs")],
        b"",
    );
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.log());
    assert_eq!(passed_on(&answer, "X-Credential-Identifier"), ["alice"]);
    assert_eq!(passed_on(&answer, "X-Email"), ["alice@weir.test"]);
    assert_eq!(passed_on(&answer, "Cookie"), ["session_id=theirs"], "ours do not go on");
    assert_eq!(passed_on(&answer, "X-Token").len(), 1);
    assert!(!gateway.log().contains(&passed_on(&answer, "X-Token")[0]));

    let copy = browser.clone();
    assert_eq!(browser.get(ours, "/logout").status, 200, "GET does not log out unless told so");
    let out = browser.ask("POST", ours, "/logout", &[], b"");
    assert_eq!(out.status, 303, "{}", out.text());
    let url = out.headers.get("Location").unwrap();
    assert!(url.contains("/session/end?client_id=weir&id_token_hint=ey"), "{url}");
    assert!(url.ends_with("&post_logout_redirect_uri=https%3A%2F%2Fbye.test%2F"), "{url}");
    assert!(browser.names(ours).is_empty());
    assert_eq!(setup.ask_provider("/test/counts")["revoked"], 1);
    assert_eq!(copy.clone().get(ours, "/a").status, 302, "a copy of the cookies is no good any more");
}

#[test]
fn a_login_belongs_to_the_browser_that_began_it() {
    let setup = setup!(600);
    let ours = setup.gateway.proxy_ssl();
    setup.put(json!({"auth_methods": BROWSER}));
    let (mut mallory, mut alice) = (Browser::default(), Browser::default());
    let began = mallory.get(ours, "/a");
    assert_eq!(began.status, 302, "{}", began.text());
    let (provider, path) = location(ours, &began);
    for part in ["code_challenge_method=S256", "response_type=code", "nonce=", "scope=openid+email"] {
        assert!(path.contains(part), "{part} is not in {path}");
    }
    let (server, path) = location(provider, &mallory.get(provider, &path));
    let (server, path) = location(provider, &mallory.get(server, &path));
    let (server, callback) = location(provider, &mallory.get(server, &path));
    assert_eq!(server, ours);
    // Alice follows a link that would log her in as Mallory.
    let lured = alice.get(ours, &callback);
    assert_eq!(lured.status, 401, "{}", lured.text());
    assert!(alice.names(ours).is_empty());
    // Another state, another issuer, no code.
    for wrong in [
        callback.replace("state=", "state=x"),
        callback.replace("iss=https", "iss=http"),
        callback.replace("code=", "error="),
    ] {
        assert_eq!(mallory.clone().get(ours, &wrong).status, 401, "{wrong}");
    }
    let code = callback.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let guessed = callback.replace(code, &code.chars().rev().collect::<String>());
    assert_eq!(mallory.clone().get(ours, &guessed).status, 401);
    assert_eq!(mallory.get(ours, &callback).status, 302, "{}", setup.gateway.log());
    assert_eq!(mallory.get(ours, "/a").status, 200);
    // What a script asks for is not sent elsewhere.
    let script = alice.ask("GET", ours, "/a", &[("Sec-Fetch-Mode", "cors")], b"");
    assert_eq!(script.status, 401);
    assert_eq!(alice.ask("POST", ours, "/a", &[], b"x").status, 401);
    // Cookies are for this configuration's secret.
    setup.put(json!({"auth_methods": BROWSER, "session_secret": "another"}));
    assert_eq!(mallory.get(ours, "/a").status, 302);
}

#[test]
fn sessions_are_renewed_once_for_all_who_ask_at_once() {
    // Tokens live for less than the margin: every request finds them about to expire.
    let setup = setup!(5);
    let ours = setup.gateway.proxy_ssl();
    setup.put(json!({"auth_methods": BROWSER}));
    let mut browser = Browser::default();
    setup.log_in(&mut browser, "/a");
    let same: Vec<_> = (0..6).map(|_| browser.clone()).collect();
    let threads: Vec<_> = same
        .into_iter()
        .map(|mut browser| {
            std::thread::spawn(move || {
                let answer = browser.get(ours, "/a");
                (answer.status, answer.headers.get("Set-Cookie").is_some(), browser)
            })
        })
        .collect();
    let mut ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for (status, has_cookie, _) in &ended {
        assert_eq!((*status, *has_cookie), (200, true), "{}", setup.gateway.log());
    }
    assert_eq!(setup.ask_provider("/test/counts")["refreshed"], 1);
    let (_, _, mut renewed) = ended.pop().unwrap();
    assert_eq!(renewed.get(ours, "/a").status, 200);
    assert_eq!(setup.ask_provider("/test/counts")["refreshed"], 2);
}
