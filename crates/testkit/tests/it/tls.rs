use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use testkit::{Client, TempDir};

#[test]
fn answers_come_through_tls_with_the_certificate_shown() {
    let dir = TempDir::new();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=weir.test", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        testkit::skip!("needs the openssl command");
    }
    let cert = CertificateDer::from_pem_file(cert).unwrap();
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.clone()], PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
        let mut request = [0; 512];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        (stream.conn.server_name().map(str::to_owned), request[..length].to_vec())
    });
    let mut client = Client::connect_tls(addr, "weir.test", &["h2", "http/1.1"]).unwrap();
    assert_eq!(client.alpn().as_deref(), Some("http/1.1"));
    assert_eq!(client.peer_certificate().as_deref(), Some(cert.as_ref()));
    assert_eq!(client.get("/secret").unwrap().text(), "ok");
    let (sni, request) = server.join().unwrap();
    assert_eq!(sni.as_deref(), Some("weir.test"));
    assert!(request.starts_with(b"GET /secret HTTP/1.1\r\nHost: weir.test\r\n"));
}
