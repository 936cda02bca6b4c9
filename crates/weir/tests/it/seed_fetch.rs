//! `weir seed fetch`, as a boot and a user run it.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{NEVER_READY, Scripted, TempDir};
use weir_kernel::host::arrivals;

use crate::command::weir;
use crate::seed_serve::Serving;

fn fetch(root: &TempDir, arguments: &str) -> Output {
    weir(&format!("seed fetch --root {} {arguments}", root.path().display())).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a fetch that must not fail the boot says; its status is 0, and 1 with `--strict`.
fn failing(arguments: &str) -> String {
    let root = TempDir::new();
    let output = fetch(&root, arguments);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{}", said(&output));
    assert_eq!(fetch(&root, &format!("{arguments} --strict")).status.code(), Some(1));
    assert!(!root.join("var/lib/weir-seed/fetched").exists(), "nothing to remember");
    said(&output)
}

#[test]
fn a_seed_is_fetched_once_noted_and_remembered() {
    let (serving, root) = (Serving::start(""), TempDir::new());
    // What tells this machine from a copy of its disk.
    std::fs::create_dir_all(root.join("sys/class/dmi/id")).unwrap();
    let uuid = root.join("sys/class/dmi/id/product_uuid");
    std::fs::write(&uuid, "4c4c4544-0042").unwrap();
    let server = format!("--server {} --pin {}", serving.addr("https"), serving.pin());
    let output = fetch(&root, &server);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        output.status.success() && text.contains("a seed is mixed in, none of it credited"),
        "{output:?}"
    );
    let noted = std::fs::read_to_string(root.join("run/weir-seed/arrivals")).unwrap();
    let all = arrivals::parse(&noted);
    assert_eq!((all.len(), all[0].way.as_str(), all[0].credited_bits), (1, "fetch", 0));

    let output = fetch(&root, &server);
    assert_eq!(output.stdout, b"this machine fetched a seed before; --again fetches another\n");
    assert_eq!(fetch(&root, &format!("{server} --quiet")).stdout, b"");
    let output = fetch(&root, &format!("{server} --json --again"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["schema"], &report["arrived"]), (&"weir.seed.fetch/1".into(), &1.into()));
    assert_eq!(report["servers"][0]["credited_bits"], 0);
    std::fs::write(&uuid, "4c4c4544-0043").unwrap();
    let output = fetch(&root, &format!("{server} --quiet"));
    assert_eq!((output.stdout.len(), said(&output)), (0, String::new()));
    let noted = std::fs::read_to_string(root.join("run/weir-seed/arrivals")).unwrap();
    assert_eq!(arrivals::parse(&noted).len(), 3, "a copy of the disk fetches again");
}

#[test]
fn the_configuration_says_what_the_command_line_does_not() {
    let (serving, root) = (Serving::start(""), TempDir::new());
    let file = root.join("seed.conf");
    std::fs::write(&file, format!("server = {}\npin = {}\n", serving.addr("https"), serving.pin())).unwrap();
    let output = fetch(&root, &format!("--strict --config {}", file.display()));
    assert!(output.status.success(), "{}", said(&output));
    std::fs::write(&file, "servers = x\n").unwrap();
    let output = fetch(&root, &format!("--again --config {}", file.display()));
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("seed.conf: line 1: there is no \"servers\""), "{}", said(&output));
    std::fs::write(&file, "# nothing\n").unwrap();
    let none = failing(&format!("--config {}", file.display()));
    assert!(
        none.starts_with("weir: no server: name one with --server, or in ") && none.lines().count() == 1,
        "{none}"
    );
}

#[test]
fn a_certificate_must_be_one_that_is_trusted() {
    let serving = Serving::start("");
    let port = serving.addr("https").port();
    let unknown = failing(&format!("--server localhost:{port}"));
    assert!(
        unknown.contains("from no authority that is trusted here; use --ca or --pin")
            || unknown.contains("ca-certificates"),
        "{unknown}"
    );
    let other = failing(&format!(
        "--server localhost:{port} --pin sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    ));
    assert!(other.contains(&format!("its key is not a pinned one; it is {}", serving.pin())), "{other}");
    let root = TempDir::new();
    let ca = format!("--ca {} --strict --server", serving.certificate().display());
    assert!(fetch(&root, &format!("{ca} localhost:{port}")).status.success());
    let name = failing(&format!("--ca {} --server localhost.:{port}", serving.certificate().display()));
    assert!(name.lines().count() == 2, "{name}");
    let missing = failing(&format!("--ca /nonexistent --server localhost:{port}"));
    assert!(missing.contains("/nonexistent: No such file"), "{missing}");
}

/// A server with a certificate like this.
fn with_certificate(change: impl FnOnce(&mut rcgen::CertificateParams)) -> (TempDir, Serving) {
    let folder = TempDir::new();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let serving = Serving::of(&folder.join("cert.pem"), &folder.join("key.pem"));
    (folder, serving)
}

#[test]
fn a_certificate_as_openssl_makes_it_is_pinned_and_no_servers() {
    let (folder, serving) = with_certificate(|params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let server = format!("--server localhost:{}", serving.addr("https").port());
    let text = failing(&format!("{server} --ca {}", folder.join("cert.pem").display()));
    assert!(text.contains("its certificate is an authority's own"), "{text}");
    let root = TempDir::new();
    let pinned = fetch(&root, &format!("{server} --pin {} --strict", serving.pin()));
    assert!(pinned.status.success(), "{}", said(&pinned));
}

#[test]
fn the_clock_is_named_where_it_may_be_wrong_and_pins_need_none() {
    for (from, to, says) in [
        (2100, 2110, "its certificate is not valid yet by this machine's clock, which says "),
        (1971, 1972, "its certificate has expired, if this machine's clock is right, which says "),
    ] {
        let (folder, serving) = with_certificate(|params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        });
        let port = serving.addr("https").port();
        let text = failing(&format!("--server localhost:{port} --ca {}", folder.join("cert.pem").display()));
        assert!(text.contains(says), "{text}");
        let root = TempDir::new();
        let pinned = fetch(&root, &format!("--server localhost:{port} --pin {} --strict", serving.pin()));
        assert!(pinned.status.success(), "{}", said(&pinned));
    }
}

#[test]
fn plain_http_takes_a_word_and_hosts_that_say_nothing_hold_up_no_boot() {
    let root = TempDir::new();
    let output = fetch(&root, "--server http://127.0.0.1:1");
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--insecure-http allows it"), "{}", said(&output));
    let silent = Scripted::start(|peer, _| peer.wait_for_end());
    let start = Instant::now();
    let held = failing(&format!("--server {} --insecure-http --timeout 0.3", silent.url()));
    assert!(held.contains("no answer within 0.3 s, while waiting for its answer"), "{held}");
    let tls = failing(&format!("--server {} --timeout 0.3", silent.addr()));
    assert!(tls.contains("no answer within 0.3 s, while agreeing on keys"), "{tls}");
    // Four runs of 0.3 s, and all the time that a busy machine takes to start them.
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn who_waits_for_the_network_tries_again_within_its_time() {
    let start = Instant::now();
    let unreachable = failing("--server 127.0.0.1:1 --timeout 1 --wait");
    // Two runs, each of which gives up a little before its second is over.
    assert!(start.elapsed() > Duration::from_secs(1));
    assert!(unreachable.contains("127.0.0.1:1: Connection refused"), "{unreachable}");
}

#[test]
fn without_a_network_or_a_resolver_it_says_so() {
    testkit::netns::isolated(testkit::test_name!(), || {
        let name = failing("--server seeds.example --timeout 2");
        assert!(
            name.contains("name resolution")
                || name.contains("looking up its name")
                || name.contains("not known"),
            "{name}"
        );
        let address = failing("--server 192.0.2.1 --timeout 2");
        assert!(address.contains("https://192.0.2.1: Network is unreachable"), "{address}");
    });
}

#[test]
fn a_kernel_that_is_not_ready_holds_up_tls_and_not_the_boot() {
    let serving = Serving::start("--http 127.0.0.1:0");
    let program = env!("CARGO_BIN_EXE_weir");
    let root = TempDir::new();
    let run = |arguments: &str| {
        let arguments =
            format!("seed fetch --root {} --timeout 0.5 --strict --again {arguments}", root.path().display());
        let command = [NEVER_READY, program];
        Command::new("python3").args(command).args(arguments.split_ascii_whitespace()).output()
    };
    let Ok(output) = run(&format!("--server {} --pin {}", serving.addr("https"), serving.pin())) else {
        testkit::skip!("there is no python3")
    };
    if said(&output).contains("no filter") {
        testkit::skip!("no system call filter can be set here");
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("waiting for the kernel's own randomness, which TLS needs"),
        "{}",
        said(&output)
    );
    let plain = run(&format!("--server http://{} --insecure-http", serving.addr("http"))).unwrap();
    assert!(plain.status.success(), "{}", said(&plain));
}

#[test]
fn what_cannot_be_remembered_or_mixed_in_is_said_and_fails_nothing() {
    let serving = Serving::start("");
    let server = format!("--server {} --pin {}", serving.addr("https"), serving.pin());
    let output = weir(&format!("seed fetch --strict --again --root /proc/self {server}")).output().unwrap();
    assert!(output.status.success());
    let text = said(&output);
    assert!(
        text.contains("could not be noted for weir doctor")
            && text.contains("the next start will fetch again"),
        "{text}"
    );
    // A /dev without devices.
    let hidden = "mount -t tmpfs none /dev && exec \"$@\"";
    let root = TempDir::new();
    let program = env!("CARGO_BIN_EXE_weir");
    let arguments = format!("seed fetch --strict --again --root {} {server}", root.path().display());
    let unshared = Command::new("unshare")
        .args(["--mount", "sh", "-c", hidden, "sh", program])
        .args(arguments.split_ascii_whitespace())
        .output();
    match unshared {
        Ok(output) if output.status.code() == Some(1) && said(&output).contains("weir: ") => {
            assert!(said(&output).contains("there is no /dev/random here; mount /dev"), "{}", said(&output));
        }
        other => testkit::skip!("no mount namespace: {other:?}"),
    }
}

/// Debian's pollen, where it is installed or `WEIR_TEST_POLLEN` names its program. It ends when it has no system log, so it
/// gets one in a mount namespace.
#[test]
fn the_real_pollen_is_understood() {
    let pollen = std::env::var("WEIR_TEST_POLLEN").unwrap_or_else(|_| "/usr/bin/pollen".to_owned());
    if !std::path::Path::new(&pollen).exists() {
        testkit::skip!("there is no pollen");
    }
    let folder = TempDir::new();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (http, https) = (free(), free());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    const LOG: &str = "import os,socket,sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind('/run/log')
os.set_inheritable(log.fileno(), True)
os.execv(sys.argv[1], sys.argv[1:])";
    let started = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            "mount -t tmpfs none /run && exec python3 -c \"$@\"",
            "sh",
            LOG,
            &pollen,
        ])
        .args(["-http-port", &http.to_string(), "-https-port", &https.to_string(), "-device=/dev/urandom"])
        .arg("-cert")
        .arg(folder.join("cert.pem"))
        .arg("-key")
        .arg(folder.join("key.pem"))
        .spawn();
    let Ok(mut child) = started else { testkit::skip!("there is no unshare") };
    let ca = format!(
        "--server localhost:{https} --ca {} --wait --strict --json",
        folder.join("cert.pem").display()
    );
    let output = fetch(&folder, &ca);
    child.kill().unwrap();
    child.wait().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["arrived"], 1, "{report} {}", said(&output));
}
