//! mtls-auth: certificates of clients, from the handshake to the service.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme, StreamOwned,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::{Value, json};
use testkit::{Echo, Gateway, TempDir};

use crate::support::{launch, route_all};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = common_name(name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn common_name(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

/// A client's certificate and key: its common name, and whatever else is changed.
fn certificate(
    by: &Authority,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = common_name(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

/// A client's side of TLS, which remembers whether it was asked for a certificate, and sessions.
struct Tls {
    config: Arc<ClientConfig>,
    asked: Arc<Resolver>,
}

#[derive(Debug)]
struct Resolver {
    key: Option<Arc<CertifiedKey>>,
    was_asked: AtomicBool,
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl Tls {
    fn new(certificate: Option<&(rcgen::Certificate, KeyPair)>) -> Self {
        Self::with(certificate, rustls::ALL_VERSIONS)
    }

    fn with(
        certificate: Option<&(rcgen::Certificate, KeyPair)>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = certificate.map(|(certificate, key)| {
            let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            Arc::new(CertifiedKey::from_der(vec![certificate.der().clone()], der, &provider).unwrap())
        });
        let asked = Arc::new(Resolver { key, was_asked: AtomicBool::new(false) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_client_cert_resolver(Arc::clone(&asked) as _);
        Self { config: Arc::new(config), asked }
    }

    /// Asks over a connection of its own: the status, the JSON, and how the handshake went.
    fn get(&self, server: SocketAddr) -> (u16, Value, HandshakeKind) {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = StreamOwned::new(session, TcpStream::connect(server).unwrap());
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let json = &text[text.find('{').unwrap()..=text.rfind('}').unwrap()];
        (status, serde_json::from_str(json).unwrap(), stream.conn.handshake_kind().unwrap())
    }

    fn was_asked(&self) -> bool {
        self.asked.was_asked.swap(false, Ordering::Relaxed)
    }
}

/// What reached the service in this field.
fn passed_on(echo: &Value, name: &str) -> Vec<String> {
    let fields: Vec<(String, String)> = serde_json::from_value(echo["headers"].clone()).unwrap();
    fields.into_iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

const PLUGIN: &str = "/plugins/0b0f4b5e-6a2b-4a57-9b2f-0d9d7b3c3f12";

fn put(gateway: &Gateway, authority: &str, more: Value) {
    let mut config = json!({"ca_certificates": [authority]});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = gateway.ask_admin("PUT", PLUGIN, &json!({"name": "mtls-auth", "config": config}));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A gateway in front of an upstream, an authority that it knows, and that one's id.
fn setup() -> (Echo, Gateway, Authority, String) {
    let upstream = Echo::start();
    let gateway = launch().start();
    route_all(&gateway, upstream.addr(), json!({}));
    let ours = authority("ours");
    let id =
        gateway.post("/ca_certificates", &json!({"cert": ours.pem()}))["id"].as_str().unwrap().to_owned();
    (upstream, gateway, ours, id)
}

#[test]
fn a_certificate_says_who_a_client_is() {
    let (_upstream, gateway, ours, id) = setup();
    let server = gateway.proxy_ssl();
    put(&gateway, &id, json!({}));
    gateway.post("/consumers", &json!({"username": "alice"}));
    gateway.post("/consumers", &json!({"username": "service", "custom_id": "spiffe://weir.test/a"}));
    let plain = |_: &mut CertificateParams| {};
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let alice = certificate(&ours, "alice", plain);
        let (status, echo, _) = Tls::with(Some(&alice), versions).get(server);
        assert_eq!(status, 200, "{echo}");
        assert_eq!(passed_on(&echo, "X-Consumer-Username"), ["alice"]);
    }
    let named = certificate(&ours, "whoever", |params| {
        params.subject_alt_names = vec![rcgen::SanType::URI("spiffe://weir.test/a".try_into().unwrap())];
    });
    assert_eq!(passed_on(&Tls::new(Some(&named)).get(server).1, "X-Consumer-Username"), ["service"]);

    let refused = |certificate: Option<&(rcgen::Certificate, KeyPair)>, why: &str| {
        let (status, answer, _) = Tls::new(certificate).get(server);
        assert_eq!((status, answer["message"].as_str()), (401, Some(why)), "{answer}");
    };
    refused(None, "A TLS client certificate is required");
    refused(
        Some(&certificate(&authority("ours"), "alice", plain)),
        "The TLS client certificate cannot be verified",
    );
    let expired = certificate(&ours, "alice", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    });
    refused(Some(&expired), "The TLS client certificate has expired");
    let early = certificate(&ours, "alice", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2100, 1, 1), date_time_ymd(2101, 2, 1));
    });
    refused(Some(&early), "The TLS client certificate is not valid yet");
    let servers = certificate(&ours, "alice", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    refused(Some(&servers), "The TLS client certificate cannot be verified");
    refused(Some(&certificate(&ours, "bob", plain)), "The TLS client certificate is nobody's here");
    assert_eq!(testkit::Client::connect(gateway.proxy()).unwrap().get("/").unwrap().status, 401);

    // A name that is alice's by a credential, of this authority and of no other.
    let other = authority("other");
    let other_id = gateway.post("/ca_certificates", &json!({"cert": other.pem()}))["id"].clone();
    let credential = json!({"subject_name": "bob", "ca_certificate": {"id": other_id}});
    let credential = gateway.post("/consumers/alice/mtls-auth", &credential);
    refused(Some(&certificate(&ours, "bob", plain)), "The TLS client certificate is nobody's here");
    put(&gateway, other_id.as_str().unwrap(), json!({}));
    let (_, echo, _) = Tls::new(Some(&certificate(&other, "bob", plain))).get(server);
    assert_eq!(passed_on(&echo, "X-Consumer-Username"), ["alice"], "{echo}");
    assert_eq!(passed_on(&echo, "X-Credential-Identifier"), [credential["id"].as_str().unwrap()]);
    let twice = gateway.ask_admin(
        "POST",
        "/consumers/alice/mtls-auth",
        &json!({"subject_name": "bob", "ca_certificate": {"id": other_id}}),
    );
    assert_eq!(twice.status, 409, "{}", twice.text());
    let in_use = gateway.ask_admin(
        "DELETE",
        &format!("/ca_certificates/{}", other_id.as_str().unwrap()),
        &Value::Null,
    );
    assert_eq!(in_use.status, 400, "a credential names it: {}", in_use.text());

    // No consumer, but a group.
    put(&gateway, &id, json!({"skip_consumer_lookup": true}));
    gateway.post(
        "/plugins",
        &json!({"name": "acl", "config": {"allow": ["bob"], "always_use_authenticated_groups": true}}),
    );
    let (status, echo, _) = Tls::new(Some(&certificate(&ours, "bob", plain))).get(server);
    assert_eq!((status, passed_on(&echo, "X-Credential-Identifier")), (200, vec!["CN=bob".to_owned()]));
    assert_eq!(Tls::new(Some(&certificate(&ours, "carol", plain))).get(server).0, 403);
}

#[test]
fn clients_are_asked_only_while_it_matters() {
    let (_upstream, gateway, ours, id) = setup();
    let server = gateway.proxy_ssl();
    gateway.post("/consumers", &json!({"username": "alice"}));
    let alice = Tls::new(Some(&certificate(&ours, "alice", |_| {})));
    assert_eq!(alice.get(server).0, 200);
    assert!(!alice.was_asked());
    assert_eq!(alice.get(server).2, HandshakeKind::Resumed, "sessions are resumed");
    put(&gateway, &id, json!({}));
    let (status, answer, kind) = alice.get(server);
    assert_eq!(
        (status, kind),
        (200, HandshakeKind::Full),
        "a session without a certificate is no way around it: {answer}"
    );
    assert!(alice.was_asked());
    gateway.ask_admin("PATCH", PLUGIN, &json!({"enabled": false}));
    assert_eq!(Tls::new(None).get(server).0, 200);
    alice.get(server);
    assert!(!alice.was_asked());
}

#[test]
fn a_session_that_is_resumed_is_verified_again() {
    let (_upstream, gateway, ours, id) = setup();
    let server = gateway.proxy_ssl();
    put(&gateway, &id, json!({"skip_consumer_lookup": true}));
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let alice = Tls::with(Some(&certificate(&ours, "alice", |_| {})), versions);
        assert_eq!(alice.get(server).2, HandshakeKind::Full);
        let (status, echo, kind) = alice.get(server);
        assert_eq!((status, kind), (200, HandshakeKind::Resumed));
        assert_eq!(passed_on(&echo, "X-Credential-Identifier"), ["CN=alice"]);
        let other = authority("other");
        let other = gateway.post("/ca_certificates", &json!({"cert": other.pem()}));
        put(&gateway, other["id"].as_str().unwrap(), json!({"skip_consumer_lookup": true}));
        let (status, _, kind) = alice.get(server);
        assert_eq!((status, kind), (401, HandshakeKind::Resumed), "the authority is trusted no more");
        put(&gateway, &id, json!({"skip_consumer_lookup": true}));
    }
}

#[test]
fn http2_carries_it_too() {
    let (_upstream, gateway, ours, id) = setup();
    put(&gateway, &id, json!({"skip_consumer_lookup": true}));
    let folder = TempDir::new();
    let (certificate, key) = certificate(&ours, "alice", |_| {});
    fs::write(folder.join("a.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("a.key"), key.serialize_pem()).unwrap();
    let curl = |more: &[&str]| {
        let url = format!("https://{}/", gateway.proxy_ssl());
        let write = "%{http_version} %{http_code}";
        let output = Command::new("curl")
            .args(["-sk", "--http2", "-o", "/dev/null", "-w", write])
            .args(more)
            .arg(url)
            .output();
        output.map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let (certificate, key) = (folder.join("a.crt"), folder.join("a.key"));
    let with = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    match curl(&with) {
        Ok(said) => assert_eq!(said, "2 200"),
        Err(error) => testkit::skip!("curl cannot be run: {error}"),
    }
    assert_eq!(curl(&[]).unwrap(), "2 401");
}

#[test]
fn only_authorities_are_taken() {
    let (_upstream, gateway, ours, _) = setup();
    let (client, _) = certificate(&ours, "alice", |_| {});
    let old = {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2020, 1, 1);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    };
    for (cert, why) in [
        (client.pem(), "not appear to be a CA"),
        (old.pem(), "certificate expired"),
        (format!("{0}{0}", ours.pem()), "only one certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), "invalid certificate"),
        ("x".repeat(100_000), "invalid certificate"),
    ] {
        let answer = gateway.ask_admin("POST", "/ca_certificates", &json!({"cert": cert}));
        assert_eq!(answer.status, 400, "{why}: {}", answer.text());
        assert!(answer.text().contains(why), "{why} is not in {}", answer.text());
    }
}
