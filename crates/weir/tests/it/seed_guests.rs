//! Seeds in real guests: a Debian with cloud-init and sshd, from user-data to proof.
//!
//! A guest takes two minutes under emulation, so these run where `WEIR_LAB` is set, and as root, since making the image needs it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::lab::{Cloud, CloudGuest, Image, Said};
use testkit::{TempDir, skip};

use crate::command::weir;

/// For a boot, on a machine that has much else to do.
const BOOT: Duration = Duration::from_secs(600);

/// What a guest says of itself when cloud-init has ended: fresh draws, what cloud-init applied, and when its keys were made.
const AGENT: &str = r#"#!/bin/sh
say() { echo "GUEST $*" >/dev/console; }
say "draw=$(head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1)"
say "seeded=$(grep -c 'config-seed_random already ran\|Running module seed_random' /var/log/cloud-init.log)"
say "cloud=$(cloud-init status | tr -d '\n')"
say "errors=$(python3 -c 'import json; v = json.load(open("/run/cloud-init/status.json"))["v1"]; print(sum((s.get("errors", []) for s in v.values() if isinstance(s, dict)), []))')"
say "schema=$(cloud-init schema --system 2>&1 | tr '\n' ' ')"
say "arrivals=$(tail -n +2 /run/weir-seed/arrivals | tr '\n' '|')"
say "machine=$(sha256sum /etc/machine-id | cut -d' ' -f1)"
for key in /etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_rsa_key; do
  say "key=$(ssh-keygen -l -f $key | cut -d' ' -f2)"
  say "key_at=$(stat -c %Y $key)"
done
say "end=1"
"#;

fn available() -> Result<Cloud, String> {
    match std::env::var_os("WEIR_LAB") {
        Some(_) => Cloud::find_or_make(),
        None => Err("takes minutes; set WEIR_LAB to run it".to_owned()),
    }
}

/// What the tests of this file need outside of guests.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: TempDir::new() };
        let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
        assert!(Command::new("ssh-keygen").args(keygen).arg(desk.file("id")).status().unwrap().success());
        desk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file that can be run.
    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The program under test, small enough for an image.
    fn weir(&self) -> PathBuf {
        let path = self.file("weir");
        let strip = Command::new("strip").arg("-o").arg(&path).arg(env!("CARGO_BIN_EXE_weir")).status();
        assert!(strip.unwrap().success());
        path
    }

    /// The user-data that an operator has already: comments, a key, and no seed.
    fn user_data(&self) -> PathBuf {
        let key = fs::read_to_string(self.file("id.pub")).unwrap();
        let path = self.file("user-data");
        let text = format!(
            "#cloud-config\n# of the whole fleet\ndisable_root: false   # the tests come as root\nssh_authorized_keys:\n  - {key}"
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// A NoCloud ISO for a guest of that name, with a seed of its own.
    fn iso(&self, name: &str) -> PathBuf {
        let iso = self.file(&format!("{name}.iso"));
        let user_data = self.user_data();
        let mut new = weir("seed new --format iso");
        new.arg("--merge").arg(user_data).args(["--hostname", name, "-o"]).arg(&iso);
        let output = new.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        iso
    }

    /// A command of `weir seed` for a guest, by this desk's key.
    fn seed(&self, arguments: &str) -> Command {
        let mut command = weir(&format!("seed {arguments}"));
        let identity = format!("IdentityFile={}", self.file("id").display());
        for option in
            [identity.as_str(), "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        {
            command.args(["--ssh-option", option]);
        }
        command
    }

    /// What a command in a guest says.
    fn ask(&self, guest: &CloudGuest, command: &str) -> String {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        ssh.args(["-o", "LogLevel=ERROR", "-p", &guest.ssh_port.to_string(), "-i"]).arg(self.file("id"));
        let output = ssh.args(["root@127.0.0.1", command]).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A seed server of ours; it ends with this value.
struct Server {
    process: Child,
    port: u16,
    pin: String,
}

impl Server {
    fn start(desk: &Desk) -> Self {
        let mut serve = weir("seed serve --listen 127.0.0.1:0 --self-signed");
        serve.arg(desk.file("server")).stderr(Stdio::piped());
        let mut process = serve.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let after = |line: &str, what: &str| Some(line.split_once(what)?.1.trim().to_owned());
        let port = lines.find_map(|line| after(&line, "https://127.0.0.1:")).unwrap().parse().unwrap();
        let pin = lines.find_map(|line| after(&line, "--pin ")).unwrap();
        // Its log has to go somewhere, or it would stand still.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port, pin }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An image with weir in it that fetches from this server at boot.
fn image(cloud: &Cloud, desk: &Desk, server: &Server) -> Image {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let unit = fs::read_to_string(root.join("packaging/weir-seed/systemd/weir-seed-fetch.service")).unwrap();
    fs::write(desk.file("unit"), unit.replace("@BINDIR@", "/usr/local/bin")).unwrap();
    // Emulated, a handshake alone takes longer than any real guest would need for all of it.
    let config = format!("server = https://10.0.2.2:{}\npin = {}\ntimeout = 60\n", server.port, server.pin);
    fs::write(desk.file("config"), config).unwrap();
    const UNIT: &str = "/etc/systemd/system/weir-seed-fetch.service";
    let files = [
        (desk.weir(), "/usr/local/bin/weir"),
        (desk.program("agent", AGENT), "/usr/local/sbin/lab-agent"),
        (desk.file("unit"), UNIT),
        (desk.file("config"), "/etc/weir/seed.conf"),
    ];
    let files: Vec<(&Path, &str)> = files.iter().map(|(from, to)| (from.as_path(), *to)).collect();
    const WANTS: &str = "/etc/systemd/system/multi-user.target.wants/weir-seed-fetch.service";
    cloud.with(&files, &[(WANTS, UNIT)]).unwrap()
}

/// Field of a line of `/run/weir-seed/arrivals`.
fn arrivals(said: &Said) -> Vec<Vec<String>> {
    let lines = said.text("arrivals").unwrap().split('|').filter(|line| !line.is_empty());
    lines.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

fn applied(said: &Said) {
    assert_eq!(said.text("cloud"), Some("status: done"), "{said:?}");
    assert_eq!(said.text("errors"), Some("[]"), "{said:?}");
    assert!(said.number("seeded") > Some(0.0), "{said:?}");
    assert!(!said.text("schema").unwrap().to_lowercase().contains("invalid"), "{said:?}");
}

#[test]
fn guests_of_one_image_take_seeds_by_every_way_and_differ() {
    let cloud = match available() {
        Ok(cloud) => cloud,
        Err(why) => skip!("{why}"),
    };
    let desk = Desk::new();
    let server = Server::start(&desk);
    let image = image(&cloud, &desk, &server);
    let (one, other) = (desk.iso("one"), desk.iso("other"));

    // Two boots of one image and seed, and one of another seed, two at a time.
    let mut first = image.boot(&one, &[]).unwrap();
    let mut second = image.boot(&other, &[]).unwrap();
    let said = first.machine.hear("end", BOOT).unwrap();
    let said_by_other = second.machine.hear("end", BOOT).unwrap();
    assert_fetched(&said);
    assert_fetched(&said_by_other);
    assert_pushed(&desk, &first, &second);
    drop(second);
    let mut again = image.boot(&one, &[]).unwrap();
    let said_again = again.machine.hear("end", BOOT).unwrap();

    for said in [&said, &said_by_other, &said_again] {
        applied(said);
    }
    for what in ["draw", "key", "machine"] {
        let all = [&said, &said_by_other, &said_again].map(|said| said.text(what).unwrap());
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{what}: {all:?}");
    }
}

/// A seed came from the server before any host key was made, uncredited, and was felt at once.
fn assert_fetched(said: &Said) {
    let arrivals = arrivals(said);
    let fetched = arrivals.iter().find(|line| line[2] == "fetch").unwrap_or_else(|| panic!("{said:?}"));
    assert!(fetched[3].contains("10.0.2.2"), "{fetched:?}");
    assert_eq!((fetched[5].as_str(), fetched[8].as_str()), ("0", "yes"), "{fetched:?}");
    let at: f64 = fetched[0].parse().unwrap();
    for made in said.all("key_at") {
        assert!(at <= made.parse().unwrap(), "a key of {made} is older than the seed of {at}");
    }
}

/// Two running guests take a push, tell of it, and are found to differ.
fn assert_pushed(desk: &Desk, first: &CloudGuest, second: &CloudGuest) {
    let hosts = [first, second].map(|guest| format!("root@127.0.0.1:{}", guest.ssh_port));
    let output = desk.seed("push --json").args(&hosts).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for host in report["hosts"].as_array().unwrap() {
        let record = &host["record"];
        assert!(record["by"].as_str().unwrap().starts_with("weir "), "{host}");
        assert_eq!((&record["bytes"], &record["reseeded"]), (&64.into(), &true.into()), "{host}");
    }
    let doctor: Value = serde_json::from_str(&desk.ask(first, "weir doctor --json")).unwrap();
    let sections = doctor["sections"].as_array().unwrap().iter();
    let mut findings = sections.flat_map(|section| section["findings"].as_array().unwrap());
    let arrived = findings.find(|finding| finding["id"] == "seeds.arrived").unwrap();
    assert!(arrived["what"].as_str().unwrap().contains("by push from 10.0.2.2"), "{arrived}");

    let output = desk.seed("verify --json").args(&hosts).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
