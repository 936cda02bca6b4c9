//! `weir seed verify`: against servers of ssh and TLS that these tests start.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::TempDir;

use crate::command::weir;

const SSHD: &str = "/usr/sbin/sshd";

/// What servers and clients of ssh need, in a folder.
struct Lab {
    dir: TempDir,
}

/// A server of ssh, which stands for a machine: its files are below a folder of its own.
struct Machine {
    child: Child,
    port: u16,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

impl Lab {
    /// `None` where there is no sshd, or this user may not start one.
    fn new() -> Option<Self> {
        if !Path::new(SSHD).exists() || fs::create_dir_all("/run/sshd").is_err() {
            return None;
        }
        let lab = Self { dir: TempDir::new() };
        lab.key("user", "ed25519");
        fs::copy(lab.path("user.pub"), lab.path("authorized")).unwrap();
        let config = format!(
            "IdentityFile {}\nIdentitiesOnly yes\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n",
            lab.path("user").display()
        );
        fs::write(lab.path("ssh_config"), config).unwrap();
        Some(lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn key(&self, name: &str, kind: &str) {
        let path = self.path(name);
        run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", "", "-f", path.to_str().unwrap()]);
    }

    /// A folder with what a machine has: ids, and something to draw from.
    fn root(&self, name: &str, machine_id: &str, boot_id: &str) -> PathBuf {
        let root = self.path(name);
        for folder in ["etc/ssh", "proc/sys/kernel/random", "dev/shm", "tmp", "var/lib/systemd"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("etc/machine-id"), format!("{machine_id}\n")).unwrap();
        fs::write(root.join("proc/sys/kernel/random/boot_id"), format!("{boot_id}\n")).unwrap();
        symlink("/dev/urandom", root.join("dev/urandom")).unwrap();
        root
    }

    /// Starts a server with this host key; `more` is added to its configuration.
    fn start(&self, key: &str, root: &Path, more: &str) -> Machine {
        let host_key = self.path(key);
        let public = root.join(format!("etc/ssh/ssh_host_{key}_key.pub"));
        let _ = fs::copy(host_key.with_extension("pub"), public);
        // Somebody else may take the port in between: then the next one is tried.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = self.path(&format!("sshd-{port}"));
            let text = format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
                 UsePAM no\nPermitRootLogin yes\nSetEnv WEIR_VERIFY_ROOT={}\n{more}\n",
                host_key.display(),
                self.path("authorized").display(),
                root.display()
            );
            fs::write(&config, text).unwrap();
            let mut child = Command::new(SSHD)
                .args(["-D", "-e", "-f", config.to_str().unwrap()])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let until = Instant::now() + Duration::from_secs(20);
            while child.try_wait().unwrap().is_none() && Instant::now() < until {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Machine { child, port };
                }
                std::thread::yield_now();
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("no sshd came up")
    }

    fn verify(&self, arguments: &str) -> Output {
        let config = self.path("ssh_config");
        weir(&format!("seed verify -F {} {arguments}", config.display())).output().unwrap()
    }
}

impl Machine {
    fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id} in {report:#}"))
}

/// All findings but the one that depends on the machine that the tests run on.
fn ids(report: &Value) -> Vec<&str> {
    let ids = report["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap());
    ids.filter(|id| *id != "vmgenid.absent").collect()
}

#[test]
fn machines_that_differ_are_told_to() {
    let Some(lab) = Lab::new() else { testkit::skip!("no sshd that this user may start") };
    let machines: Vec<Machine> = (0..3)
        .map(|at| {
            lab.key(&format!("key{at}"), "ed25519");
            let root = lab.root(&format!("root{at}"), &format!("{at:032}"), &format!("boot-{at}"));
            lab.start(&format!("key{at}"), &root, "")
        })
        .collect();
    let names: Vec<String> = machines.iter().map(Machine::name).collect();
    let output = lab.verify(&format!("{} --json", names.join(" ")));
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["schema"], "weir.seed.verify/1");
    let compared: Vec<&str> =
        report["compared"].as_array().unwrap().iter().map(|thing| thing["what"].as_str().unwrap()).collect();
    assert_eq!(compared, ["draws", "boot id", "machine id", "ssh host keys"], "{report:#}");
    assert!(report["machines"].as_array().unwrap().iter().all(|machine| machine["reached"] == true));
    // Ids are compared and neither sent nor shown.
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&"0".repeat(31)), "{report:#}");
    let text = String::from_utf8(lab.verify(&names.join(" ")).stdout).unwrap();
    assert!(text.contains("3 machines, all distinct"), "{text}");
}

#[test]
fn what_clones_share_is_found_and_failing_hosts_stop_nobody() {
    let Some(lab) = Lab::new() else { testkit::skip!("no sshd that this user may start") };
    for key in ["shared", "own", "other"] {
        lab.key(key, "ed25519");
    }
    // Two that were restored from one snapshot of memory, one draw after the other; and one machine with two names.
    let one = lab.root("one", "abc", "boot-1");
    let clone = lab.root("clone", "abc", "boot-1");
    let stream: Vec<u8> = (0..512u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for (root, from) in [(&one, 0), (&clone, 64)] {
        fs::remove_file(root.join("dev/urandom")).unwrap();
        fs::write(root.join("dev/urandom"), &stream[from..]).unwrap();
        fs::write(root.join("var/lib/systemd/random-seed"), [7; 512]).unwrap();
    }
    let single = lab.root("single", "def", "boot-2");
    let machines = [
        lab.start("shared", &one, ""),
        lab.start("shared", &clone, ""),
        lab.start("own", &single, ""),
        lab.start("own", &single, ""),
        lab.start("other", &single, "ForceCommand echo hello"),
        lab.start("other", &single, "ForceCommand yes"),
        lab.start(
            "other",
            &single,
            r#"ForceCommand printf "weir-verify 1 begin\nboot-id \033[2J\nweir-verify 1 end\n""#,
        ),
    ];
    let mut names: Vec<String> = machines.iter().map(Machine::name).collect();
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    names.push(format!("127.0.0.1:{closed}"));
    let list = lab.path("hosts");
    fs::write(&list, format!("# a fleet\n{}\n\n", names.join(" # comment\n"))).unwrap();

    let output = lab.verify(&format!("--hosts {} --json", list.display()));
    let report = json(&output);
    assert_eq!(output.status.code(), Some(2), "{report:#}");
    assert!(!output.stdout.contains(&0x1b));
    let pair = serde_json::json!([names[0], names[1]]);
    for id in ["draws.equal", "boot-id.shared", "machine-id.shared", "host-key.shared", "seed-file.shared"] {
        assert_eq!(finding(&report, id)["machines"], pair, "{id}");
    }
    assert_eq!(finding(&report, "boot-id.shared")["verdict"], "critical");
    assert!(finding(&report, "draws.equal")["what"].as_str().unwrap().contains("6 of the draws"));
    assert_eq!(finding(&report, "hosts.same")["machines"], serde_json::json!([names[2]]));
    assert_eq!(report["machines"][2]["names"], serde_json::json!([names[2], names[3]]));
    let unreached = finding(&report, "hosts.unreached");
    assert_eq!(unreached["machines"], serde_json::json!(names[4..]));
    assert_eq!(ids(&report).len(), 7, "{report:#}");
    // What was made to tell them apart is gone.
    for root in [&one, &clone, &single] {
        assert_eq!(fs::read_dir(root.join("dev/shm")).unwrap().count(), 0);
    }
    let text = String::from_utf8(lab.verify(&names.join(" ")).stdout).unwrap();
    assert!(!text.contains('\x1b') && text.contains("weir seed push"), "{text}");
}

#[test]
fn names_that_cannot_be_told_apart_are_said_to_be_so() {
    let Some(lab) = Lab::new() else { testkit::skip!("no sshd that this user may start") };
    lab.key("one", "ed25519");
    let root = lab.root("root", "abc", "boot-1");
    for folder in ["dev/shm", "tmp"] {
        fs::remove_dir(root.join(folder)).unwrap();
    }
    let machines = [lab.start("one", &root, ""), lab.start("one", &root, "")];
    let names: Vec<String> = machines.iter().map(Machine::name).collect();
    let output = lab.verify(&format!("{} --json", names.join(" ")));
    let report = json(&output);
    assert_eq!(finding(&report, "hosts.undecided")["machines"], serde_json::json!(names));
    assert!(!ids(&report).contains(&"boot-id.shared"), "{report:#}");
}

#[test]
fn without_logging_in_host_keys_are_compared() {
    let Some(lab) = Lab::new() else { testkit::skip!("no sshd that this user may start") };
    lab.key("shared", "rsa");
    lab.key("own", "ecdsa");
    let root = lab.root("root", "abc", "boot-1");
    let machines =
        [lab.start("shared", &root, ""), lab.start("shared", &root, ""), lab.start("own", &root, "")];
    let names: Vec<String> = machines.iter().map(Machine::name).collect();
    let output = lab.verify(&format!("--scan {} root@{} --json", names.join(" "), names[2]));
    let report = json(&output);
    assert_eq!(output.status.code(), Some(2), "{report:#}");
    assert_eq!(ids(&report), ["host-key.shared"]);
    let shared = finding(&report, "host-key.shared");
    assert_eq!(shared["machines"], serde_json::json!(names[..2]));
    assert!(shared["why"].as_str().unwrap().contains("lead to one machine"));
    assert_eq!(report["machines"].as_array().unwrap().len(), 3);
}

/// A server of TLS with this certificate, by openssl. Ends with its guard.
fn tls_server(certificate: &Path, key: &Path, version: &str) -> Machine {
    for _ in 0..20 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("openssl")
            .args(["s_server", "-quiet", version, "-accept", &format!("127.0.0.1:{port}"), "-cert"])
            .args([certificate, Path::new("-key"), key])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() && Instant::now() < until {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Machine { child, port };
            }
            std::thread::yield_now();
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("no server of TLS came up")
}

#[test]
fn keys_of_certificates_are_compared_and_a_server_that_says_nothing_is_not_waited_for() {
    if Command::new("openssl").arg("version").output().is_err() {
        testkit::skip!("no openssl");
    }
    let dir = TempDir::new();
    let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    let make = "req -x509 -newkey rsa:2048 -nodes -subj /CN=image -days 2 -keyout";
    let mut arguments: Vec<&str> = make.split(' ').collect();
    arguments.extend([key.to_str().unwrap(), "-out", certificate.to_str().unwrap()]);
    run("openssl", &arguments);
    let servers = [tls_server(&certificate, &key, "-tls1_2"), tls_server(&certificate, &key, "-tls1_3")];
    // Takes connections, for the kernel does, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
    // Two names of this machine stand for two machines.
    let (one, other) = (format!("127.0.0.1:{}", servers[0].port), format!("localhost:{}", servers[1].port));
    let output = weir(&format!(
        "seed verify --tls {one} {other} {silent} --timeout 5 --json --files {}",
        certificate.display()
    ));
    let output = { output }.output().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(2), "{report:#}");
    assert_eq!(ids(&report), ["tls-key.shared", "places.unread"], "{report:#}");
    let shared = finding(&report, "tls-key.shared");
    assert_eq!(
        (&shared["verdict"], &shared["places"]),
        (&"critical".into(), &serde_json::json!([one, other]))
    );
    assert_eq!(finding(&report, "places.unread")["places"], serde_json::json!([silent]));
    let unseen = report["unseen"].as_array().unwrap();
    assert!(unseen.iter().all(|unseen| unseen["of"] == silent.as_str()), "handshakes are proofs: {report:#}");
}

#[test]
fn primes_in_common_are_found_in_files() {
    let dir = TempDir::new();
    // 2^k - c: the largest primes below powers of two.
    let prime = |k: usize, c: u32| (dashu_int::UBig::ONE << k) - c;
    let (p, q, r) = (prime(400, 593), prime(390, 137), prime(300, 153));
    let file = dir.path().join("moduli");
    let (one, other) = (&p * &q, &p * &r);
    fs::write(&file, format!("Modulus={one:X}\nModulus={other:X}\nModulus={one:X}\n")).unwrap();
    let output = weir(&format!("seed verify --json --files {}", file.display())).output().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(2));
    let found = finding(&report, "rsa.common-factor");
    let places: Vec<String> = [2, 1, 3].map(|line| format!("{}:{line}", file.display())).into();
    assert_eq!((&found["places"], found["keys"].as_array().unwrap().len()), (&serde_json::json!(places), 2));
    assert!(found["what"].as_str().unwrap().contains("400 bits"));
    // The same modulus twice is a shared key, and not a prime in common.
    assert_eq!(finding(&report, "key.shared")["places"], serde_json::json!([places[1], places[2]]));
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains(&format!("{p:X}")[8..]),
        "the prime is not shown"
    );
}

#[test]
fn a_list_that_cannot_be_read_or_names_no_host_is_refused() {
    let dir = TempDir::new();
    let list = dir.path().join("hosts");
    fs::write(&list, "web1\n-oProxyCommand=x\n").unwrap();
    for (arguments, status, message) in [
        (format!("--hosts {}", list.display()), 3, "line 2"),
        ("--hosts /nonexistent/hosts".to_owned(), 3, "No such file"),
        (String::new(), 2, "name machines"),
        ("--tls web1".to_owned(), 2, "host:port"),
    ] {
        let output = weir(&format!("seed verify {arguments}")).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(message) && output.stdout.is_empty(), "{stderr}");
    }
}
