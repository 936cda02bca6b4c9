//! openid-connect against the provider of `provider.mjs`, which is oidc-provider, and against one that lies.

mod fake;
mod real;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use serde_json::{Value, json};
use testkit::{Answer, Client, Gateway};

/// A certificate for localhost, by an authority of its own, for the provider and for those who trust it.
fn make_certificate(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
    fs::write(folder.join("server.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

/// Configures the one instance, for what was there before and this besides.
fn put(gateway: &Gateway, base: &Value, more: Value) {
    let mut config = base.clone();
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let id = "/plugins/0b0f4b5e-6a2b-4a57-9b2f-0d9d7b3c3f11";
    let answer = gateway.ask_admin("PUT", id, &json!({"name": "openid-connect", "config": config}));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn with_token(gateway: &Gateway, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    Client::connect(gateway.proxy())
        .unwrap()
        .request("GET", "/a", &[("Authorization", &bearer)], b"")
        .unwrap()
}

/// As much of a browser as a login takes: cookies by server, and redirects, one at a time.
#[derive(Clone, Default)]
struct Browser {
    cookies: BTreeMap<(SocketAddr, String), String>,
}

impl Browser {
    /// Asks for a path at a server, with TLS.
    fn get(&mut self, server: SocketAddr, path: &str) -> Answer {
        self.ask("GET", server, path, &[], b"")
    }

    fn ask(
        &mut self,
        method: &str,
        server: SocketAddr,
        path: &str,
        more: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mine = self.cookies.iter().filter(|((of, _), _)| *of == server);
        let cookies: Vec<String> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let host = format!("localhost:{}", server.port());
        let mut headers = vec![("Host", host.as_str()), ("Accept", "text/html")];
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        headers.extend_from_slice(more);
        let mut client = Client::connect_tls(server, "localhost", &[]).unwrap();
        let answer = client.request(method, path, &headers, body).unwrap();
        for field in answer
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"))
            .map(|(_, field)| field)
        {
            let (name, rest) = field.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let gone = field.contains("Max-Age=0") || field.contains("expires=Thu, 01 Jan 1970");
            let key = (server, name.to_owned());
            match gone || value.is_empty() {
                true => drop(self.cookies.remove(&key)),
                false => drop(self.cookies.insert(key, value.to_owned())),
            }
        }
        answer
    }

    fn names(&self, server: SocketAddr) -> Vec<&str> {
        self.cookies.keys().filter(|(of, _)| *of == server).map(|(_, name)| name.as_str()).collect()
    }
}

/// Where a redirect of this server leads: which server, and the path there. Everything is on loopback.
fn location(server: SocketAddr, answer: &Answer) -> (SocketAddr, String) {
    let url = answer.headers.get("Location").unwrap_or_else(|| panic!("{} {}", answer.status, answer.text()));
    let Some((_, rest)) = url.split_once("://") else { return (server, url.to_owned()) };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port: u16 = authority.rsplit(':').next().unwrap().parse().unwrap_or(443);
    (([127, 0, 0, 1], port).into(), format!("/{path}"))
}
