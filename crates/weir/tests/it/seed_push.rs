//! `weir seed push` and `weir seed receive`, through a real sshd of the test's own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use testkit::TempDir;

use crate::command::weir;

/// The folder of the program under test.
fn own_folder() -> &'static str {
    Path::new(env!("CARGO_BIN_EXE_weir")).parent().unwrap().to_str().unwrap()
}

/// Without the program under test, and without any other of its name.
const NO_WEIR: &str = "/usr/bin:/bin";

/// An SSH server with keys of its own, for the user that runs the tests.
struct Sshd {
    dir: TempDir,
    port: u16,
    child: Child,
    log: Option<thread::JoinHandle<()>>,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Sshd {
    /// Starts it; `None` where there is none, with a line that says so.
    fn start(test: &str, extra: &str) -> Option<Self> {
        let server = Path::new("/usr/sbin/sshd");
        if !server.exists() || Command::new("ssh").arg("-V").output().is_err() {
            testkit::report_skip(test, "there is no OpenSSH");
            return None;
        }
        // Where it is root it wants its folder, which is empty.
        if is_root() && fs::create_dir_all("/run/sshd").is_err() {
            testkit::report_skip(test, "/run/sshd is missing");
            return None;
        }
        let dir = TempDir::new();
        for name in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.join(name))
                .status();
            assert!(made.unwrap().success());
        }
        fs::copy(dir.join("user.pub"), dir.join("authorized")).unwrap();
        let at = dir.path().display();
        let conf = format!(
            "HostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel DEBUG3\n\
             ListenAddress 127.0.0.1\nMaxStartups 1000\n{extra}\n"
        );
        fs::write(dir.join("conf"), conf).unwrap();
        // Somebody else may take the port in between; then another.
        (0..10).find_map(|_| Self::listen(&dir)).map(|(port, child, log)| {
            let host_key = fs::read_to_string(dir.join("host.pub")).unwrap();
            fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
            let sshd = Self { dir, port, child, log: Some(log) };
            sshd.make_client();
            sshd
        })
    }

    fn listen(dir: &TempDir) -> Option<(u16, Child, thread::JoinHandle<()>)> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("conf"))
            .args(["-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = File::create(dir.join("log")).unwrap();
        let listening = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Server listening on"));
        if !listening {
            child.wait().unwrap();
            return None;
        }
        // Read on to the end, so that it never waits for us.
        let log = thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| drop(writeln!(log, "{line}")));
        });
        Some((port, child, log))
    }

    /// `ssh`, for whom there is nothing but this server: no configuration, agent or known hosts of whoever runs the tests.
    fn make_client(&self) {
        let at = self.dir.path().display();
        let options = ["IdentitiesOnly=yes", "IdentityAgent=none", "GlobalKnownHostsFile=/dev/null"]
            .map(|option| format!(" -o {option}"))
            .concat();
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F none -i {at}/user -o UserKnownHostsFile={at}/known{options} \"$@\"\n"
        );
        fs::create_dir(self.dir.join("bin")).unwrap();
        executable(&self.client(), &script);
    }

    fn client(&self) -> PathBuf {
        self.dir.join("bin/ssh")
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `weir seed push` to it.
    fn push(&self, options: &str) -> Output {
        let client = self.client();
        weir(&format!("seed push --ssh {} {options} {}", client.display(), self.host())).output().unwrap()
    }

    /// Ends it and gives what it said.
    fn log(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap();
        fs::read_to_string(self.dir.join("log")).unwrap()
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_host_with_weir_takes_the_seed_by_it() {
    let Some(sshd) = Sshd::start(testkit::test_name!(), &format!("SetEnv PATH={}:{NO_WEIR}", own_folder()))
    else {
        return;
    };
    let output = sshd.push("--json");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = json(&output);
    assert_eq!((report["schema"].as_str(), report["seeded"].as_u64()), (Some("weir.seed.push/1"), Some(1)));
    let record = &report["hosts"][0]["record"];
    assert!(record["by"].as_str().unwrap().starts_with("weir "), "{record}");
    assert_eq!((record["bytes"].as_u64(), record["credited_bits"].as_u64()), (Some(64), Some(0)));
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(record["boot_id"].as_str(), Some(boot_id.trim()));
    assert_eq!(record["ready_after"], true);

    let output = sshd.push("--credit --bytes 48");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("48 bytes"), "{said}");
    assert_eq!(said.contains("384 bits credited"), record["reseeded"] == true, "{said}");

    if !is_root() {
        return testkit::report_skip(testkit::test_name!(), "notes of arrivals need root");
    }
    let doctor = json(&weir("doctor --json").output().unwrap());
    let arrivals = doctor["host"]["arrivals"].as_array().unwrap();
    let ours = |bytes: u64, bits: u64| {
        arrivals.iter().any(|arrival| {
            arrival["way"] == "push"
                && arrival["from"] == "127.0.0.1"
                && arrival["bytes"] == bytes
                && arrival["credited_bits"] == bits
        })
    };
    assert!(ours(64, 0) && (record["reseeded"] == false || ours(48, 384)), "{arrivals:?}");
    let text = weir("doctor").output().unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).contains("arrived in this boot"), "{text:?}");
}

#[test]
fn a_host_without_weir_takes_it_by_sh_and_weir_may_be_anywhere() {
    let Some(sshd) = Sshd::start(testkit::test_name!(), &format!("SetEnv PATH={NO_WEIR}")) else { return };
    if ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/bin"]
        .iter()
        .any(|dir| Path::new(dir).join("weir").exists())
    {
        testkit::skip!("Weir is installed on this machine");
    }
    let output = sshd.push("--json --credit");
    assert_eq!(output.status.code(), Some(1), "the credit was refused: {output:?}");
    let record = json(&output)["hosts"][0]["record"].clone();
    assert_eq!((record["by"].as_str(), record["bytes"].as_u64()), (Some("sh"), Some(64)), "{record}");
    assert!(record["credit_refused"].is_string());
    let output = sshd.push(&format!("--json --remote-weir {}", env!("CARGO_BIN_EXE_weir")));
    let record = json(&output)["hosts"][0]["record"].clone();
    assert!(record["by"].as_str().unwrap().starts_with("weir "), "{record}");
    let output = sshd.push("--json --remote-weir /opt/no-weir-here");
    assert_eq!(json(&output)["hosts"][0]["record"]["by"], "sh");
}

#[test]
fn a_login_shell_that_is_no_sh_passes_the_seed_on() {
    for shell in ["fish", "tcsh", "zsh", "mksh"] {
        let Some(path) =
            ["/usr/bin", "/bin"].map(|dir| Path::new(dir).join(shell)).into_iter().find(|path| path.exists())
        else {
            testkit::report_skip(testkit::test_name!(), &format!("there is no {shell}"));
            continue;
        };
        // The server runs this through the user's own shell, and it runs the command as a login shell would.
        let force = format!(
            "ForceCommand exec {} -c \"$SSH_ORIGINAL_COMMAND\"\nSetEnv PATH={}:{NO_WEIR}",
            path.display(),
            own_folder()
        );
        let Some(sshd) = Sshd::start(testkit::test_name!(), &force) else { return };
        let output = sshd.push("--json");
        assert_eq!(json(&output)["hosts"][0]["record"]["bytes"], 64, "{shell}: {output:?}");
    }
}

#[test]
fn hosts_that_fail_are_told_and_stop_nobody() {
    let Some(sshd) = Sshd::start(testkit::test_name!(), &format!("SetEnv PATH={}:{NO_WEIR}", own_folder()))
    else {
        return;
    };
    let Some(stranger) = Sshd::start(testkit::test_name!(), "") else { return };
    let Some(slow) = Sshd::start(testkit::test_name!(), "ForceCommand exec sleep 600") else { return };
    let Some(narrow) =
        Sshd::start(testkit::test_name!(), "ForceCommand echo this account is for backups alone >&2; exit 1")
    else {
        return;
    };
    for other in [&slow, &narrow] {
        fs::copy(sshd.dir.join("user.pub"), other.dir.join("authorized")).unwrap();
        let mut known = File::options().append(true).open(sshd.dir.join("known")).unwrap();
        known.write_all(&fs::read(other.dir.join("known")).unwrap()).unwrap();
    }
    // Nobody listens where nothing is bound, and nobody answers where nobody accepts.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let list = format!(
        "# one of each kind\n{}\n{} # is not known\n{}\n{}\n{}\n{silent}\n{}\n",
        sshd.host(),
        stranger.host(),
        slow.host(),
        narrow.host(),
        sshd.host(),
        listening.local_addr().unwrap()
    );
    fs::write(sshd.dir.join("hosts"), list).unwrap();
    let output = sshd.push(&format!("--json --timeout 12 --hosts {}", sshd.dir.join("hosts").display()));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = json(&output);
    let hosts = report["hosts"].as_array().unwrap();
    assert_eq!((report["seeded"].as_u64(), hosts.len()), (Some(1), 6), "{report:#}");
    let error = |host: &str| {
        let entry = hosts.iter().find(|entry| entry["host"] == host).unwrap();
        let text = |name: &str| entry["error"][name].as_str().unwrap_or_default().to_owned();
        (text("kind"), text("message"))
    };
    assert_eq!(error(&sshd.host()), Default::default());
    let (kind, message) = error(&stranger.host());
    assert!(kind == "ssh" && message.contains("Host key verification failed"), "{message}");
    assert_eq!(error(&slow.host()), ("late".to_owned(), "no answer within 12 s".to_owned()));
    let (kind, message) = error(&narrow.host());
    assert!(kind == "refused" && message.contains("for backups alone"), "{message}");
    let (kind, message) = error(&silent.to_string());
    assert!(kind == "ssh" && message.contains("Connection refused"), "{message}");
    let (kind, _) = error(&listening.local_addr().unwrap().to_string());
    assert!(["late", "ssh"].contains(&kind.as_str()), "{kind}");
    let told = stderr(&output);
    assert!(told.contains(&format!("{} is named more than once", sshd.host())), "{told}");
    assert!(told.contains(&format!("weir: {}: no answer within 12 s\n", slow.host())), "{told}");
}

/// Everything in /proc that other users may see of processes, until told to stop.
fn watch(stop: &AtomicBool) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            for name in ["cmdline", "environ"] {
                seen.extend(fs::read(entry.path().join(name)).ok().filter(|bytes| !bytes.is_empty()));
            }
        }
        seen.sort_unstable();
        seen.dedup();
    }
    seen
}

#[test]
fn a_seed_is_in_no_argument_environment_or_log() {
    for path in [format!("{}:{NO_WEIR}", own_folder()), NO_WEIR.to_owned()] {
        let Some(sshd) = Sshd::start(testkit::test_name!(), &format!("SetEnv PATH={path}")) else { return };
        let seed = sshd.dir.join("seed");
        let tee = format!("#!/bin/sh\ntee {} | {} -vvv \"$@\"\n", seed.display(), sshd.client().display());
        executable(&sshd.dir.join("tee"), &tee);
        let stop = AtomicBool::new(false);
        let (output, seen) = thread::scope(|scope| {
            let watching = scope.spawn(|| watch(&stop));
            let program = sshd.dir.join("tee");
            let output =
                weir(&format!("seed push --json --ssh {} {}", program.display(), sshd.host())).output();
            stop.store(true, Ordering::Relaxed);
            (output.unwrap(), watching.join().unwrap())
        });
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let watched =
            |part: &[u8]| seen.iter().any(|bytes| bytes.windows(part.len()).any(|window| window == part));
        assert!(watched(b"seed\0push"), "the watch saw nothing");
        let seed = fs::read(seed).unwrap();
        assert_eq!(seed.len(), 64);
        let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        let log = sshd.log();
        let told = [output.stdout, output.stderr, log.into_bytes()];
        for form in [&seed[..16], &hex.as_bytes()[..24], &STANDARD.encode(&seed).as_bytes()[..24]] {
            assert!(!watched(form), "in an argument or environment");
            assert!(!told.iter().any(|text| text.windows(form.len()).any(|window| window == form)), "told");
        }
    }
}

#[test]
fn a_printed_line_seeds_a_host_through_sshd() {
    for path in [format!("{}:{NO_WEIR}", own_folder()), NO_WEIR.to_owned()] {
        let Some(sshd) = Sshd::start(testkit::test_name!(), &format!("SetEnv PATH={path}")) else { return };
        for os in ["linux", "macos"] {
            let line = weir(&format!("seed push --print --os {os} {}", sshd.host())).output().unwrap();
            let line = String::from_utf8(line.stdout).unwrap();
            assert_eq!(line.lines().count(), 1);
            let path = format!("{}:{}", sshd.dir.join("bin").display(), std::env::var("PATH").unwrap());
            let output = Command::new("sh").args(["-c", &line]).env("PATH", path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let taken = said.contains("bytes 64\n")
                || said.contains("mixed in") && stderr(&output).contains("64+0 records out");
            assert!(output.status.success() && taken, "{output:?}");
            if is_root() {
                assert!(said.contains("reseeded"), "{said}");
            }
        }
    }
}

#[test]
fn whoever_waits_sees_how_far_it_is() {
    let dir = TempDir::new();
    executable(
        &dir.join("ssh"),
        "#!/bin/sh\nfor last; do host=$command; command=$last; done\n\
        test $host = bad && { printf 'no \\033[31mway' >&2; exit 255; }\nexec sh -c \"$command\"\n",
    );
    let run = format!("{} seed push --ssh {}/ssh good bad", env!("CARGO_BIN_EXE_weir"), dir.path().display());
    let Ok(output) = Command::new("script").args(["-qec", &run, "/dev/null"]).stdin(Stdio::null()).output()
    else {
        testkit::skip!("there is no script(1)");
    };
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("[                    ] 0 of 2 hosts"), "{said:?}");
    // Told once, by the report on the same terminal.
    assert_eq!(said.matches("no [31mway").count(), 1, "{said:?}");
    assert!(said.contains("2 hosts: 1 with a seed, 1 without"), "{said:?}");
    let quiet =
        weir(&format!("seed push --quiet --ssh {}/ssh good bad", dir.path().display())).output().unwrap();
    assert_eq!(
        (quiet.stdout.as_slice(), stderr(&quiet).as_str()),
        (b"".as_slice(), "weir: bad: no [31mway\n")
    );
}

#[test]
fn wrong_usage_is_a_status_of_its_own() {
    for wrong in [
        "seed push",
        "seed push a b --bytes 31",
        "seed push -- -oProxyCommand=x",
        "seed push a --remote-weir weir",
        "seed push a --os linux",
        "seed push --hosts /nonexistent",
        "seed push --hosts /dev/null",
        "seed receive --remove",
        "seed receive --file /x --credit",
    ] {
        let output = weir(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong}");
    }
    let output = weir(&format!("seed push --hosts {}", env!("CARGO_BIN_EXE_weir"))).output().unwrap();
    assert!(output.status.code() == Some(2) && stderr(&output).contains(": not a text file"), "{output:?}");
    let output = weir("seed push --ssh /nonexistent/ssh a").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stderr(&output).contains("/nonexistent/ssh could not be started"), "{output:?}");
}

/// `weir seed receive` with this standard input.
fn receive(arguments: &str, input: &[u8]) -> Output {
    let mut child = weir(&format!("seed receive {arguments}"))
        .env_remove("SSH_CONNECTION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever has read enough closes the pipe.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

#[test]
fn a_seed_is_received_by_a_pipe_or_a_file() {
    let output = receive("", &[1; 64]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("weir-seed record 1\nby weir ") && said.ends_with("end\n"), "{said}");
    assert_eq!(json(&receive("--json --from there", &[1; 32]))["bytes"], 32);
    for (length, why) in [(0, "too short"), (31, "too short"), (4097, "too long")] {
        let output = receive("", &vec![1; length]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(output.stdout.is_empty() && stderr(&output).contains(why), "{output:?}");
    }
    let output = receive("--credit", &[0; 64]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("not credited: the bytes repeat themselves"), "{output:?}");
    let different: Vec<u8> = (0..64).collect();
    let output = receive("--credit", &different);
    assert_eq!(stderr(&output).contains("did not come through ssh"), output.status.success(), "{output:?}");
    assert!(!stderr(&receive("--credit --from there", &different)).contains("through ssh"));
    let dir = TempDir::new();
    let file = dir.join("seed");
    fs::write(&file, [1; 64]).unwrap();
    let output = receive(&format!("--file {}", file.display()), &[]);
    assert_eq!((output.status.code(), file.exists()), (Some(0), true));
    let output = receive(&format!("--file {} --remove", file.display()), &[]);
    assert_eq!((output.status.code(), file.exists()), (Some(0), false));
    assert_eq!(receive(&format!("--file {}", file.display()), &[]).status.code(), Some(3));
    assert_eq!(receive(&format!("--file {}", dir.path().display()), &[]).status.code(), Some(3));
}

#[test]
fn without_the_right_a_seed_is_mixed_in_and_not_credited() {
    if !is_root() {
        testkit::skip!("needs root, to give it up");
    }
    let dir = TempDir::new();
    // Where others may run it.
    let program = dir.join("weir");
    fs::copy(env!("CARGO_BIN_EXE_weir"), &program).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(["seed", "receive", "--credit"]);
    let seed = dir.join("seed");
    fs::write(&seed, (0..64).collect::<Vec<u8>>()).unwrap();
    let Ok(output) = command.stdin(File::open(seed).unwrap()).output() else {
        testkit::skip!("there is no setpriv(1)");
    };
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    for line in ["bytes 64", "superuser no", "credited-bits 0", "reseeded no"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(stderr(&output).contains("weir: not credited: "), "{output:?}");
    assert!(stderr(&output).contains("weir doctor will not know of it: "), "{output:?}");
}

#[test]
fn a_seed_on_its_way_leaves_no_core_dump() {
    let mut child = weir("seed receive").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // It has turned them off before it reads, and it reads when it sleeps in the pipe.
    let status = format!("/proc/{}", child.id());
    let asleep = |wchan: &str| wchan.contains("pipe") || wchan == "0";
    let stat = || fs::read_to_string(format!("{status}/stat")).unwrap();
    while !stat().contains(") S ")
        || !asleep(&fs::read_to_string(format!("{status}/wchan")).unwrap_or("0".into()))
    {
        thread::yield_now();
    }
    let limits = fs::read_to_string(format!("{status}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    child.stdin.take().unwrap().write_all(&[1; 64]).unwrap();
    assert!(child.wait().unwrap().success());
}
