//! `weir doctor`

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::Value;

use crate::command::{weir, with_getrandom};

fn tree(name: &str) -> String {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weir-kernel/testdata/hosts");
    trees.join(name).to_str().unwrap().to_owned()
}

/// The status and the report of a run.
fn report(arguments: &str) -> (Option<i32>, Value) {
    let output = weir(&format!("doctor --json {arguments}")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let sections = report["sections"].as_array().unwrap().iter();
    let mut findings = sections.flat_map(|section| section["findings"].as_array().unwrap());
    findings.find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id} in {report:#}"))
}

#[test]
fn the_status_says_how_grave_it_is() {
    for (name, status, verdict) in [
        ("bare-metal", 0, "ok"),
        ("azure-haveged", 0, "note"),
        ("cloned-vm", 1, "warning"),
        ("keys-too-early", 2, "critical"),
    ] {
        let (code, report) = report(&format!("--root {}", tree(name)));
        assert_eq!((code, report["verdict"].as_str()), (Some(status), Some(verdict)), "{name}");
        assert_eq!(report["schema"], "weir.doctor/1");
        assert_eq!(report["exit"], status);
    }
}

#[test]
fn not_to_be_able_to_look_is_status_3() {
    let empty = testkit::TempDir::new();
    let (code, report) = report(&format!("--root {}", empty.path().display()));
    assert_eq!((code, report["verdict"].as_str()), (Some(3), Some("unknown")));
    let output = weir("doctor --root /nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent: not present"));
    let output = weir("doctor --root /dev/null").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    std::fs::write(empty.join("RECORDED"), "nonsense").unwrap();
    let output = weir(&format!("doctor --root {}", empty.path().display())).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn text_is_plain_where_there_is_no_terminal() {
    let output = weir(&format!("doctor --root {}", tree("bare-metal"))).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("heron, Linux 6.1.0-20-amd64, up 10 d 0 h\nok: its randomness is good\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b'));
}

#[test]
fn this_host_is_ready_and_is_looked_at_by_anybody() {
    let (code, report) = report("");
    assert!(matches!(code, Some(0..=2)));
    assert_eq!(report["host"]["ready"], true);
    assert_eq!(finding(&report, "kernel.ready")["verdict"], "ok");
}

#[test]
fn anybody_may_look_and_is_told_what_he_did_not_see() {
    const NOBODY: u32 = 65_534;
    let mut command = weir("doctor --json");
    let output = match command.uid(NOBODY).gid(NOBODY).output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            testkit::skip!("needs root, and a build folder that nobody may look into");
        }
        output => output.unwrap(),
    };
    assert!(matches!(output.status.code(), Some(0..=2)), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["host"]["ready"], true);
    // This test is another user's process.
    let unseen = report["unseen"].as_array().unwrap();
    let processes = unseen.iter().find(|item| item["what"].as_str().unwrap().contains("of other user"));
    assert_eq!(processes.expect("processes are listed")["command"], "sudo weir doctor", "{report:#}");
}

#[test]
fn a_policy_against_getrandom_is_found() {
    for (error, part) in [("EPERM", "may not call getrandom"), ("ENOSYS", "not implemented")] {
        let Some(output) = with_getrandom(error, "doctor --json") else {
            testkit::skip!("no strace that may trace");
        };
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let draw = finding(&report, "kernel.draw");
        assert_eq!(draw["verdict"], "warning");
        assert!(draw["what"].as_str().unwrap().contains(part), "{draw}");
        assert_ne!(output.status.code(), Some(0));
    }
    let Some(output) = with_getrandom("EAGAIN", "doctor --json") else {
        testkit::skip!("no strace that may trace");
    };
    assert_eq!(output.status.code(), Some(2), "a generator that is not ready is critical");
}

/// A server on loopback that does `serve` with its first connection.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    address
}

#[test]
fn a_probe_times_each_phase_and_reports_a_bad_certificate() {
    let signed = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificates = vec![CertificateDer::from(signed.cert.der().to_vec())];
    let config = config.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    let address = server(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        // Until the client hangs up.
        let _ = stream.read(&mut [0; 1]);
    });
    let (_, report) = report(&format!("--probe https://localhost:{}", address.port()));
    let connection = finding(&report, "probe.connection");
    assert_eq!(connection["verdict"], "ok", "{connection}");
    let what = connection["what"].as_str().unwrap();
    for phase in ["name resolution", "the TCP connection", "the TLS handshake"] {
        assert!(what.contains(phase), "{what}");
    }
    assert_eq!(finding(&report, "probe.certificate")["verdict"], "note");
}

#[test]
fn a_probe_that_fails_says_in_which_phase() {
    // Held here, the port can be nobody's at any other address, and at this one nobody listens.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = SocketAddr::from(([127, 0, 0, 2], held.local_addr().unwrap().port()));
    let speaks_no_tls = server(|mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"220 hello\r\n");
        let _ = stream.read(&mut [0; 4096]);
    });
    let (silent_sender, silent_receiver) = std::sync::mpsc::channel::<()>();
    let silent = server(move |_stream| {
        let _ = silent_receiver.recv();
    });
    for (target, part) in [
        ("https://name.invalid".to_owned(), "name resolution"),
        (format!("https://{closed}"), "the TCP connection"),
        (format!("https://{speaks_no_tls}"), "the TLS handshake"),
        (format!("https://{silent} --probe-timeout 1"), "not finished within 1 s"),
    ] {
        let (_, report) = report(&format!("--probe {target}"));
        let connection = finding(&report, "probe.connection");
        assert_eq!(connection["verdict"], "warning", "{connection}");
        assert!(connection["what"].as_str().unwrap().contains(part), "{connection}");
    }
    drop(silent_sender);
}

#[test]
fn what_cannot_be_probed_is_wrong_usage() {
    for url in ["http://x", "https://x:0", "https://", "x --probe-timeout 0", "x --probe-timeout 3601"] {
        assert_eq!(weir(&format!("doctor --probe {url}")).output().unwrap().status.code(), Some(2), "{url}");
    }
}
