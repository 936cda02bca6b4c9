//! ldap-auth against OpenLDAP's slapd, and against servers that no directory is.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use serde_json::{Value, json};
use testkit::{Answer, Echo, Gateway, Scripted, TempDir};

use crate::support::{SOON, client, launch, passed_on, route_all};

/// Like that of many directories: people, below whom there are others as well.
const ENTRIES: &str = "\
dn: dc=weir,dc=test
objectClass: dcObject
objectClass: organization
o: weir
dc: weir

dn: ou=people,dc=weir,dc=test
objectClass: organizationalUnit
ou: people

dn: ou=admins,ou=people,dc=weir,dc=test
objectClass: organizationalUnit
ou: admins

dn: cn=alice,ou=people,dc=weir,dc=test
objectClass: person
cn: alice
sn: a
userPassword: wonder:land

dn: cn=O\\2C Brien \\2B \\22co\\22 \\231,ou=people,dc=weir,dc=test
objectClass: person
cn: O, Brien + \"co\" #1
sn: b
userPassword: paddy

dn: cn=eve,ou=admins,ou=people,dc=weir,dc=test
objectClass: person
cn: eve
sn: e
userPassword: apple
";

/// A directory server of this test's own.
struct Slapd {
    folder: TempDir,
    child: Child,
    plain: u16,
    tls: u16,
}

impl Slapd {
    fn start() -> Option<Self> {
        let slapd = program("slapd")?;
        let folder = TempDir::new();
        fs::create_dir(folder.join("db")).unwrap();
        make_certificate(folder.path());
        let path = |name: &str| folder.join(name).display().to_string();
        let schemas =
            ["core", "cosine", "inetorgperson"].map(|name| format!("include /etc/ldap/schema/{name}.schema"));
        // `bind_anon_cred` has it accept a bind without a password, as the standard does and some servers do.
        let config = format!(
            "{}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nallow bind_anon_cred\npidfile {}\n\
             TLSCertificateFile {}\nTLSCertificateKeyFile {}\ndatabase mdb\nmaxsize 10485760\n\
             suffix \"dc=weir,dc=test\"\ndirectory {}\naccess to * by anonymous auth by * none\n",
            schemas.join("\n"),
            path("pid"),
            path("server.crt"),
            path("server.key"),
            path("db"),
        );
        fs::write(folder.join("slapd.conf"), config).unwrap();
        fs::write(folder.join("entries.ldif"), ENTRIES).unwrap();
        let added = Command::new(program("slapadd")?)
            .args(["-f", &path("slapd.conf"), "-l", &path("entries.ldif")])
            .output()
            .unwrap();
        assert!(added.status.success(), "slapadd: {}", String::from_utf8_lossy(&added.stderr));
        // It takes no port 0: a free one may be gone by the time it binds it, and then others are tried.
        for _ in 0..10 {
            let (plain, tls) = (free_port(), free_port());
            if let Some(child) = run(&slapd, folder.path(), plain, tls) {
                return Some(Self { folder, child, plain, tls });
            }
        }
        panic!("slapd does not start");
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn start_again(&mut self) {
        let slapd = program("slapd").unwrap();
        self.child = run(&slapd, self.folder.path(), self.plain, self.tls).expect("slapd starts again");
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/local/sbin", "/usr/bin"]
        .map(|folder| Path::new(folder).join(name))
        .into_iter()
        .find(|file| file.exists())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs slapd until it takes connections; `None` when it ends before that.
fn run(slapd: &Path, folder: &Path, plain: u16, tls: u16) -> Option<Child> {
    let listen = format!("ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{tls}");
    let mut child = Command::new(slapd)
        .args(["-d", "0", "-h", &listen, "-f"])
        .arg(folder.join("slapd.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if [plain, tls].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
            return Some(child);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("slapd listens nowhere");
}

/// A certificate for 127.0.0.1, by an authority of its own.
fn make_certificate(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
    fs::write(folder.join("server.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

/// A gateway whose requests all have to get past ldap-auth.
fn guarded(gateway: Gateway, upstream: &Echo, port: u16, more: Value) -> Gateway {
    route_all(&gateway, upstream.addr(), json!({}));
    put(&gateway, port, more);
    gateway
}

/// Configures the one instance.
fn put(gateway: &Gateway, port: u16, more: Value) {
    let mut config = json!({"ldap_host": "127.0.0.1", "ldap_port": port, "attribute": "cn",
        "base_dn": "ou=people,dc=weir,dc=test", "cache_ttl": 0, "header_type": "basic"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let plugin = json!({"name": "ldap-auth", "config": config});
    let id = "/plugins/0b0f4b5e-6a2b-4a57-9b2f-0d9d7b3c3f10";
    let answer = gateway.ask_admin("PUT", id, &plugin);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn basic(pair: &str) -> String {
    format!("Basic {}", base64(pair.as_bytes()))
}

/// RFC 4648 4, in the plainest way.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = |at: usize| {
            if at > chunk.len() { '=' } else { char::from(DIGITS[(word >> (18 - 6 * at)) as usize & 63]) }
        };
        [0, 1, 2, 3].map(digit)
    };
    bytes.chunks(3).flat_map(digits).collect()
}

fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    client(gateway).request("GET", "/", headers, b"").unwrap()
}

fn login(gateway: &Gateway, pair: &str) -> u16 {
    ask(gateway, &[("Authorization", &basic(pair))]).status
}

macro_rules! slapd {
    () => {
        match Slapd::start() {
            Some(slapd) => slapd,
            None => testkit::skip!("there is no slapd (Debian: slapd)"),
        }
    };
}

#[test]
fn the_directory_says_who_may_pass() {
    let slapd = slapd!();
    let upstream = Echo::start();
    let gateway = guarded(launch().start(), &upstream, slapd.plain, json!({"realm": "staff \"a\""}));
    let good = basic("alice:wonder:land");
    let answer = ask(
        &gateway,
        &[("Authorization", &good), ("X-Credential-Identifier", "root"), ("X-Consumer-ID", "1")],
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(passed_on(&answer, "X-Credential-Identifier"), ["alice"]);
    assert!(passed_on(&answer, "X-Consumer-ID").is_empty());
    assert_eq!(passed_on(&answer, "Authorization"), [good.as_str()]);

    for wrong in ["alice:wonderland", "bob:wonder:land", "alice:", ":", "alice", "eve:apple"] {
        let answer = ask(&gateway, &[("Authorization", &basic(wrong))]);
        assert_eq!(answer.status, 401, "{wrong}");
        assert_eq!(answer.headers.get("WWW-Authenticate"), Some(r#"basic realm="staff \"a\"""#));
        assert_eq!(answer.json()["message"], "Unauthorized");
    }
    assert_eq!(ask(&gateway, &[]).status, 401);
    assert_eq!(ask(&gateway, &[("Authorization", &good), ("Authorization", &good)]).status, 401, "twice");

    // The proxy's own field comes first, and the other is looked at when it is refused.
    put(&gateway, slapd.plain, json!({"header_type": "ldap", "hide_credentials": true}));
    let (good, bad) = (good.replace("Basic", "LDAP"), basic("alice:x").replace("Basic", "ldap"));
    let answer = ask(&gateway, &[("Proxy-Authorization", &bad), ("Authorization", &good)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(passed_on(&answer, "Authorization").is_empty(), "{}", answer.text());
    assert_eq!(ask(&gateway, &[("Proxy-Authorization", &good)]).status, 200);
    let refused = ask(&gateway, &[("Proxy-Authorization", &bad)]);
    assert_eq!((refused.status, refused.headers.get("WWW-Authenticate")), (401, Some("LDAP")));
}

#[test]
fn a_username_is_nothing_but_a_username() {
    let slapd = slapd!();
    let upstream = Echo::start();
    let gateway = guarded(launch().start(), &upstream, slapd.plain, json!({}));
    assert_eq!(login(&gateway, "O, Brien + \"co\" #1:paddy"), 200, "{}", gateway.log());
    // Below another entry, and beside the base: both exist, or would without escaping.
    assert_eq!(login(&gateway, "eve,ou=admins:apple"), 401);
    assert_eq!(login(&gateway, "eve\\,ou=admins:apple"), 401);
    assert_eq!(login(&gateway, "alice\r\nX-Admin\\3a 1:wonder:land"), 401);
}

#[test]
fn tls_from_the_start_or_later() {
    let slapd = slapd!();
    let upstream = Echo::start();
    let trusting = launch().env("SSL_CERT_FILE", slapd.folder.join("ca.crt")).start();
    let gateway = guarded(trusting, &upstream, slapd.tls, json!({"ldaps": true, "verify_ldap_host": true}));
    assert_eq!(login(&gateway, "alice:wonder:land"), 200, "{}", gateway.log());
    assert_eq!(login(&gateway, "alice:x"), 401);
    put(&gateway, slapd.plain, json!({"start_tls": true, "verify_ldap_host": true}));
    assert_eq!(login(&gateway, "alice:wonder:land"), 200, "{}", gateway.log());
    // The certificate is for the address, not for this name of it.
    put(
        &gateway,
        slapd.plain,
        json!({"start_tls": true, "verify_ldap_host": true, "ldap_host": "localhost"}),
    );
    assert_eq!(login(&gateway, "alice:wonder:land"), 500);

    let gateway = guarded(launch().start(), &upstream, slapd.tls, json!({"ldaps": true}));
    assert_eq!(login(&gateway, "alice:wonder:land"), 200, "{}", gateway.log());
    put(&gateway, slapd.tls, json!({"ldaps": true, "verify_ldap_host": true}));
    assert_eq!(login(&gateway, "alice:wonder:land"), 500);
    assert!(gateway.log().contains("UnknownIssuer"), "{}", gateway.log());
}

#[test]
fn a_server_that_is_gone_lets_nobody_in_who_was_not_in_already() {
    let mut slapd = slapd!();
    let upstream = Echo::start();
    let gateway = guarded(launch().start(), &upstream, slapd.plain, json!({"cache_ttl": 600}));
    gateway.post("/consumers", &json!({"username": "guest"}));
    assert_eq!(login(&gateway, "alice:wonder:land"), 200);
    slapd.stop();
    assert_eq!(login(&gateway, "alice:wonder:land"), 200, "remembered");
    assert_eq!(login(&gateway, "alice:x"), 500);
    put(&gateway, slapd.plain, json!({"anonymous": "guest"}));
    assert_eq!(
        login(&gateway, "alice:wonder:land"),
        500,
        "forgotten with the configuration, and nobody stands in"
    );
    assert_eq!(passed_on(&ask(&gateway, &[]), "X-Anonymous-Consumer"), ["true"]);
    slapd.start_again();
    assert_eq!(login(&gateway, "alice:wonder:land"), 200, "{}", gateway.log());
    slapd.stop();
    slapd.start_again();
    assert_eq!(login(&gateway, "alice:wonder:land"), 200, "what was kept is replaced: {}", gateway.log());
    let wrong = ask(&gateway, &[("Authorization", &basic("alice:x"))]);
    assert_eq!(passed_on(&wrong, "X-Anonymous-Consumer"), ["true"]);
}

/// Reads one request of LDAP and gives its message id; all of ours have four bytes of it at one place.
fn read_request(peer: &mut testkit::Peer) -> io::Result<[u8; 4]> {
    let head = peer.read_bytes(8)?;
    assert_eq!(head[0], 0x30, "a SEQUENCE");
    peer.read_bytes(usize::from(head[1]) - 6)?;
    Ok([head[4], head[5], head[6], head[7]])
}

/// An answer to it: the tag of its operation, and a result code.
fn answer(id: [u8; 4], kind: u8, code: u8) -> Vec<u8> {
    [&[0x30, 15, 2, 4][..], &id, &[kind, 7, 10, 1, code, 4, 0, 4, 0]].concat()
}

#[test]
fn connections_are_used_again() {
    let server = Scripted::start(|peer, _| {
        loop {
            let id = read_request(peer)?;
            peer.write(&answer(id, 0x61, 0))?;
        }
    });
    let upstream = Echo::start();
    let gateway =
        guarded(launch().env("WEIR_WORKERS", "1").start(), &upstream, server.addr().port(), json!({}));
    for _ in 0..3 {
        assert_eq!(login(&gateway, "a:b"), 200);
    }
    assert_eq!(server.connections(), 1);
    put(&gateway, server.addr().port(), json!({"keepalive": 0}));
    for _ in 0..2 {
        assert_eq!(login(&gateway, "a:b"), 200);
    }
    assert_eq!(server.connections(), 3);
    put(&gateway, server.addr().port(), json!({"keepalive": 0, "cache_ttl": 600}));
    for _ in 0..5 {
        assert_eq!(login(&gateway, "a:b"), 200);
    }
    assert_eq!(server.connections(), 4);
    assert_eq!(login(&gateway, "a:c"), 200);
    assert_eq!(server.connections(), 5, "another password is not remembered");
}

#[test]
fn a_server_that_is_slow_or_lies_is_none() {
    let upstream = Echo::start();
    let gateway = guarded(launch().start(), &upstream, 1, json!({}));
    let expect = |server: &Scripted, more: Value, why: &str| {
        put(&gateway, server.addr().port(), more);
        let start = Instant::now();
        let answer = ask(&gateway, &[("Authorization", &basic("a:b"))]);
        assert_eq!(answer.status, 500, "{why}");
        assert_eq!(answer.json()["message"], "An unexpected error occurred");
        assert!(start.elapsed() < SOON / 2, "{why} took {:?}", start.elapsed());
        assert!(gateway.log().contains(why), "{why} is not in: {}", gateway.log());
    };
    let silent = Scripted::start(|peer, _| {
        loop {
            read_request(peer)?;
        }
    });
    expect(&silent, json!({"timeout": 300}), "takes too long");
    let endless = Scripted::start(|peer, _| {
        read_request(peer)?;
        // It announces 60 KiB and sends them a byte at a time, for ever as it were.
        peer.write(&[0x30, 0x83, 0, 0xf0, 0])?;
        loop {
            peer.write(&[0])?;
            thread::sleep(Duration::from_millis(5));
        }
    });
    expect(&endless, json!({"timeout": 300}), "takes too long");
    let huge = Scripted::start(|peer, _| {
        read_request(peer)?;
        peer.write(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff])?;
        loop {
            peer.write(&[0; 65536])?;
        }
    });
    expect(&huge, json!({}), "is not LDAP");
    let web = Scripted::start(|peer, _| peer.write(b"HTTP/1.1 200 OK\r\n\r\n"));
    expect(&web, json!({"keepalive": 0}), "is not LDAP");
    let other = Scripted::start(|peer, _| {
        read_request(peer)?;
        peer.write(&answer([0, 0, 0, 77], 0x61, 0))
    });
    expect(&other, json!({}), "something that was not asked");
    let busy = Scripted::start(|peer, _| {
        let id = read_request(peer)?;
        peer.write(&answer(id, 0x61, 51))
    });
    expect(&busy, json!({}), "result code 51");
    let without = Scripted::start(|peer, _| {
        let id = read_request(peer)?;
        peer.write(&answer(id, 0x78, 2))
    });
    expect(&without, json!({"start_tls": true}), "refuses StartTLS");
    // Somebody on the way adds a bind's answer in plain, hoping that it counts once TLS is on.
    let injected = Scripted::start(|peer, _| {
        let id = read_request(peer)?;
        peer.write(&[answer(id, 0x78, 0), answer([0, 0, 0, 1], 0x61, 0)].concat())
    });
    let before = gateway.log().matches("not asked").count();
    expect(&injected, json!({"start_tls": true}), "something that was not asked");
    assert_eq!(gateway.log().matches("not asked").count(), before + 1);
    let hasty = Scripted::start(|_, _| Ok(()));
    expect(&hasty, json!({}), "the connection failed");
}
