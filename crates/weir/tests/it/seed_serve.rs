//! `weir seed serve`: with the real `pollinate`, with curl, under a stand-in for systemd.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::{Client, TempDir};

use crate::command::weir;

/// The server; it ends when dropped.
pub(crate) struct Serving {
    child: Child,
    /// What it said when it started.
    pub(crate) said: Vec<String>,
    pub(crate) folder: TempDir,
}

impl Serving {
    /// On ports of the kernel's choice, with a certificate of its own.
    pub(crate) fn start(more: &str) -> Self {
        let folder = TempDir::new();
        let own = folder.join("own");
        Self::with(
            weir(&format!("seed serve --listen 127.0.0.1:0 --self-signed {} {more}", own.display())),
            folder,
        )
    }

    /// With a certificate that is there.
    pub(crate) fn of(certificate: &Path, key: &Path) -> Self {
        let files = format!("--cert {} --key {}", certificate.display(), key.display());
        Self::with(weir(&format!("seed serve --listen 127.0.0.1:0 {files}")), TempDir::new())
    }

    fn with(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        // The pin is the last of it.
        for line in lines.by_ref().map_while(Result::ok) {
            let is_last = line.contains("--pin ");
            said.push(line);
            if is_last {
                break;
            }
        }
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, said, folder }
    }

    pub(crate) fn addr(&self, scheme: &str) -> SocketAddr {
        let found =
            self.said.iter().find_map(|line| line.strip_prefix(&format!("weir: listening on {scheme}://")));
        found.unwrap_or_else(|| panic!("{:?}", self.said)).parse().unwrap()
    }

    pub(crate) fn pin(&self) -> &str {
        self.said.iter().find_map(|line| line.split("--pin ").nth(1)).unwrap()
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("own/cert.pem")
    }

    fn terminate(&mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let until = Instant::now() + Client::TIMEOUT;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn curl(arguments: &[&str]) -> Option<Output> {
    let output = Command::new("curl").args(["-s", "--max-time", "15"]).args(arguments).output().ok()?;
    Some(output)
}

/// SHA-512 of "abc": FIPS 180-2, C.1.
const ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

#[test]
fn the_certificate_of_the_first_start_is_private_stays_and_is_pinned_as_curl_does() {
    let mut serving = Serving::start("");
    let own = serving.folder.join("own/key.pem");
    assert_eq!(std::fs::metadata(own).unwrap().mode() & 0o777, 0o600);
    let url = format!("https://localhost:{}/", serving.addr("https").port());
    let certificate = serving.certificate();
    let pins = [
        "--cacert",
        certificate.to_str().unwrap(),
        "--pinnedpubkey",
        serving.pin(),
        "-d",
        "challenge=abc",
        &url,
    ];
    let Some(output) = curl(&pins) else { testkit::skip!("there is no curl") };
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        (text.lines().next(), text.len()),
        (Some(ABC), 258),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (pin, own) = (serving.pin().to_owned(), serving.folder.join("own"));
    assert_eq!(serving.terminate(), Some(0));
    let again = Serving::with(
        weir(&format!("seed serve --listen 127.0.0.1:0 --self-signed {}", own.display())),
        TempDir::new(),
    );
    assert_eq!(again.pin(), pin);
}

/// Debian's pollinate, with its device, cache and log in a folder, and no say of the system's configuration.
fn pollinate(folder: &Path, server: &str, certificate: &Path) -> Option<Output> {
    let script = std::fs::read_to_string("/usr/bin/pollinate").ok()?;
    let own = script
        .replace("CACHEDIR=\"/var/cache/${PKG}\"", &format!("CACHEDIR=\"{}\"", folder.display()))
        .replace("\"/etc/default/${PKG}\"", "/nonexistent");
    assert!(
        own.contains(folder.to_str().unwrap()) && !own.contains("/etc/default"),
        "another pollinate than known"
    );
    let path = folder.join("pollinate");
    std::fs::write(&path, own).unwrap();
    let device = folder.join("device");
    std::fs::write(&device, "").unwrap();
    let options = format!("--cacert {}", certificate.display());
    let output = Command::new("sh")
        .arg(path)
        .args(["--binary", "--strict", "--server", server, "--curl-opts", &options, "--device"])
        .arg(device)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some(output)
}

#[test]
fn the_real_pollinate_is_served() {
    if Command::new("xxd").arg("-v").output().is_err() || Command::new("curl").arg("-V").output().is_err() {
        testkit::skip!("pollinate needs curl and xxd");
    }
    let serving = Serving::start("--metrics 127.0.0.1:0");
    let url = format!("https://localhost:{}/", serving.addr("https").port());
    let folder = TempDir::new();
    let Some(output) = pollinate(folder.path(), &url, &serving.certificate()) else {
        testkit::skip!("there is no pollinate")
    };
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::metadata(folder.join("device")).unwrap().len(), 64, "what it writes is one SHA-512");
    assert!(folder.join("seeded").exists());
    // It ends with an error for a wrong hash, so it has seen the right one.
    let mut metrics = Client::connect(serving.addr("metrics at http")).unwrap();
    assert!(metrics.get("/metrics").unwrap().text().contains("answers_total{form=\"text\"} 1\n"));
}

#[test]
fn nothing_secret_is_in_the_log() {
    let folder = TempDir::new();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut child = weir(&format!("seed serve --http 127.0.0.1:{port}")).stderr(log).spawn().unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let until = Instant::now() + Client::TIMEOUT;
    let mut client = loop {
        match Client::connect(addr) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    let challenge = "5e5e5e5e5e5e5e5e";
    let path = format!("/?challenge={challenge}");
    let answer = client.request("POST", &path, &[("User-Agent", challenge)], b"").unwrap().text();
    child.kill().unwrap();
    child.wait().unwrap();
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("a seed was given") && log.contains("127.0.0.1"), "{log}");
    assert!(!log.contains(challenge) && !log.contains(answer.lines().nth(1).unwrap()), "{log}");
}

#[test]
fn a_new_certificate_is_read_on_sighup_and_a_bad_one_is_not() {
    let folder = TempDir::new();
    let write = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    };
    let first = write();
    let serving = Serving::of(&folder.join("cert.pem"), &folder.join("key.pem"));
    let shown = || {
        let client = Client::connect_tls(serving.addr("https"), "localhost", &["http/1.1"]).unwrap();
        client.peer_certificate().unwrap()
    };
    assert_eq!(shown(), first);
    let reload = || Command::new("kill").args(["-HUP", &serving.child.id().to_string()]).status().unwrap();
    let second = write();
    assert!(reload().success());
    let until = Instant::now() + Client::TIMEOUT;
    while shown() != second {
        assert!(Instant::now() < until);
    }
    std::fs::write(folder.join("cert.pem"), "nothing").unwrap();
    assert!(reload().success());
    assert_eq!(shown(), second);
}

#[test]
fn sockets_of_systemd_are_served_on() {
    let folder = TempDir::new();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let own = folder.join("own");
    let program = env!("CARGO_BIN_EXE_weir");
    let started = Command::new("systemd-socket-activate")
        .args(["--listen", &format!("127.0.0.1:{port}"), program, "seed", "serve", "--self-signed"])
        .arg(&own)
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else { testkit::skip!("there is no systemd-socket-activate") };
    // It says where it listens, and starts the program when somebody connects.
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Listening on") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0);
    }
    let rest = std::thread::spawn(move || said.read_to_string(&mut String::new()));
    let addr = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    let mut client = Client::connect_tls(addr, "localhost", &["http/1.1"]).unwrap();
    let answer = client.request("POST", "/", &[], b"challenge=abc").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answer.text().lines().next(), Some(ABC));
    let _ = rest.join();
}

#[test]
fn systemd_is_told_when_it_serves() {
    let folder = TempDir::new();
    let socket = std::os::unix::net::UnixDatagram::bind(folder.join("notify")).unwrap();
    socket.set_read_timeout(Some(Client::TIMEOUT)).unwrap();
    let own = folder.join("own");
    let mut command = weir(&format!("seed serve --listen 127.0.0.1:0 --self-signed {}", own.display()));
    command.env("NOTIFY_SOCKET", folder.join("notify"));
    let mut serving = Serving::with(command, TempDir::new());
    let mut heard = [0; 64];
    let mut hear = || {
        let length = socket.recv(&mut heard).unwrap();
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!(serving.terminate(), Some(0));
    assert_eq!(hear(), "STOPPING=1");
}

#[test]
fn what_cannot_be_served_is_said_in_a_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("seed serve --http {}", taken.local_addr().unwrap());
    for (arguments, status, says) in [
        ("seed serve --listen 127.0.0.1:0", 1, "HTTPS needs --cert and --key, or --self-signed DIR"),
        ("seed serve --listen 127.0.0.1:0 --cert /nonexistent --key /nonexistent", 1, "/nonexistent"),
        (taken.as_str(), 1, "cannot listen on 127.0.0.1:"),
        ("seed serve --listen 127.0.0.1:0 --self-signed /dev/null/x", 1, "/dev/null/x"),
        ("seed serve --rate 0", 2, "a rate is N or N/BURST"),
        ("seed serve --listen nowhere", 2, "--listen"),
        ("seed serve --cert x", 2, "--key"),
    ] {
        let output = weir(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
        assert!(said.contains(says), "{arguments}: {said}");
        assert!(status == 2 || said.lines().count() == 1, "{said}");
    }
}

/// The units as they are installed, beside a program of that name.
fn units() -> (TempDir, Vec<PathBuf>) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packaging/weir-seed/systemd");
    let dir = TempDir::new();
    std::fs::copy(env!("CARGO_BIN_EXE_weir"), dir.join("weir")).unwrap();
    let mut units = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let path = dir.join(entry.file_name());
        std::fs::write(&path, text.replace("@BINDIR@", dir.path().to_str().unwrap())).unwrap();
        units.push(path);
    }
    assert_eq!(units.len(), 3);
    (dir, units)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let (_dir, units) = units();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units).output()
    else {
        testkit::skip!("there is no systemd-analyze")
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_units_are_exposed_to_little() {
    let (_dir, units) = units();
    // In tenths, as for weir-feed; most services of a distribution have 9 and more.
    for (name, threshold) in [("weir-seed-fetch.service", 30), ("weir-seed-serve.service", 20)] {
        let unit = units.iter().find(|unit| unit.ends_with(name)).unwrap();
        let threshold = format!("--threshold={threshold}");
        let arguments = ["security", "--offline=true", &threshold, "--no-pager"];
        let Ok(output) = Command::new("systemd-analyze").args(arguments).arg(unit).output() else {
            testkit::skip!("there is no systemd-analyze")
        };
        if String::from_utf8_lossy(&output.stderr).contains("nknown option") {
            testkit::skip!("this systemd-analyze looks at running units alone");
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
