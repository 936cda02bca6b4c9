//! The Ansible collection, run by a real ansible-core: on this machine, and over ssh on hosts in namespaces.

mod feed;
mod hosts;
mod seeds;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use testkit::TempDir;

/// The folder of the collection.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ansible").canonicalize().unwrap()
}

/// Ansible, with the collection installed for it alone.
pub(crate) struct Ansible {
    home: TempDir,
}

/// Why there is no Ansible here that could be run; tried once.
pub(crate) fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<bool> = OnceLock::new();
    let missing = MISSING.get_or_init(|| Command::new("ansible-playbook").arg("--version").output().is_err());
    missing.then_some("there is no ansible-core")
}

impl Ansible {
    /// Installs the collection from its folder, as a user would.
    pub(crate) fn new() -> Self {
        let ansible = Self::without_collection();
        let output = ansible
            .command("ansible-galaxy")
            .args(["collection", "install", "--offline"])
            .arg(source())
            .arg("-p")
            .arg(ansible.home.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        ansible
    }

    fn without_collection() -> Self {
        let ansible = Self { home: TempDir::new() };
        fs::write(ansible.join("ansible.cfg"), "").unwrap();
        ansible
    }

    /// The path of something in its folder.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// A command of Ansible's, which finds the collection and none of this user's configuration.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ANSIBLE_"))
        {
            command.env_remove(name);
        }
        command.env("ANSIBLE_COLLECTIONS_PATHS", self.home.path());
        command.env("ANSIBLE_COLLECTIONS_PATH", self.home.path());
        command.env("ANSIBLE_HOME", self.join("home")).env("HOME", self.home.path());
        command.env("ANSIBLE_CONFIG", self.join("ansible.cfg")).env("ANSIBLE_LOCALHOST_WARNING", "false");
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// A playbook on hosts of an inventory.
    pub(crate) fn playbook(&self, inventory: &Path, text: &str) -> Command {
        let path = self.join("playbook.yml");
        fs::write(&path, text).unwrap();
        let mut command = self.command("ansible-playbook");
        command.arg("-i").arg(inventory).arg(path);
        command
    }

    /// An inventory of this machine under several names.
    pub(crate) fn locals(&self, names: &[&str]) -> PathBuf {
        let path = self.join("locals");
        let line = |name: &&str| {
            format!("{name} ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n")
        };
        fs::write(&path, names.iter().map(line).collect::<String>()).unwrap();
        path
    }

    /// A stand-in for a program, on this machine.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        write_program(&path, text);
        path
    }
}

pub(crate) fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a run did: each task's result for each host, by `TASK/HOST`, and the recap.
pub(crate) struct Run {
    output: Output,
    results: BTreeMap<String, Value>,
    stats: Value,
}

impl Run {
    pub(crate) fn of(mut command: Command) -> Self {
        let plugins = hosts::file("recorded.py").parent().unwrap().to_owned();
        command.env("ANSIBLE_CALLBACK_PLUGINS", plugins).env("ANSIBLE_STDOUT_CALLBACK", "recorded");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let document = text.lines().find(|line| line.starts_with("{\"results\"")).unwrap_or_default();
        let said: Value =
            serde_json::from_str(document).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let mut results = BTreeMap::new();
        for result in said["results"].as_array().unwrap() {
            let name = format!("{}/{}", result[0].as_str().unwrap(), result[1].as_str().unwrap());
            results.insert(name, result[2].clone());
        }
        Self { output, results, stats: said["recap"].clone() }
    }

    pub(crate) fn result(&self, task: &str, host: &str) -> &Value {
        let key = format!("{task}/{host}");
        self.results.get(&key).unwrap_or_else(|| panic!("no {key} in {:?}", self.results.keys()))
    }

    /// Of a host: how many tasks changed something and failed.
    pub(crate) fn recap(&self, host: &str) -> (u64, u64) {
        let number =
            |what: &str| self.stats[host][what].as_u64().unwrap_or_else(|| panic!("{:?}", self.output));
        (number("changed"), number("failures") + number("unreachable"))
    }

    /// The tasks that changed something, and those that failed, for a message.
    pub(crate) fn notable(&self) -> String {
        let told = |result: &&Value| result["changed"] == true || result["failed"] == true;
        let lines = self.results.iter().filter(|(_, result)| told(result));
        lines.map(|(name, result)| format!("{name}: {result}\n")).collect()
    }
}

/// A stand-in for `weir seed new` on the controller that keeps what it handed out in a file beside it.
pub(crate) const KNOWN_SEEDS: &str = r##"#!/usr/bin/python3
import base64, os, sys
assert sys.argv[1:3] == ["seed", "new"], sys.argv
given = sys.stdin.read() if "--merge" in sys.argv else "#cloud-config\n"
seed = base64.b64encode(os.urandom(int(sys.argv[sys.argv.index("--bytes") + 1]))).decode()
with open(os.path.join(os.path.dirname(sys.argv[0]), "seeds"), "a") as seeds:
    seeds.write(seed + "\n")
if "cloud-config" in sys.argv:
    print(given + "random_seed:\n  file: /dev/urandom\n  encoding: base64\n  data: " + seed)
else:
    print(seed)
"##;

/// Asserts that no seed that the stand-in handed out is in a text. Pieces count too: a seed may be cut by a line.
pub(crate) fn assert_hidden(ansible: &Ansible, output: &Output) -> usize {
    let seeds = fs::read_to_string(ansible.join("seeds")).unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for seed in seeds.lines() {
        for at in 0..seed.len() - 12 {
            let piece = &seed[at..at + 12];
            let line = text.lines().find(|line| line.contains(piece));
            assert_eq!(line.map(|line| line.replace(seed, "SEED")), None, "Ansible showed a seed");
        }
    }
    seeds.lines().count()
}

#[test]
fn every_part_of_the_collection_is_documented() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::new();
    for (kind, names) in [
        ("module", &["weir_seed", "weir_doctor"][..]),
        ("lookup", &["seed", "user_data"]),
        ("role", &["seed", "feed"]),
    ] {
        for name in names {
            let name = format!("weir.randomness.{name}");
            let output = ansible.command("ansible-doc").args(["-t", kind, &name]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.len() > 500, "{name}: {output:?}");
        }
    }
}

#[test]
fn it_is_built_into_one_file() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::without_collection();
    let mut build = ansible.command("ansible-galaxy");
    let output =
        build.args(["collection", "build", "--output-path"]).arg(ansible.home.path()).arg(source()).output();
    assert!(output.unwrap().status.success());
    assert!(ansible.join("weir-randomness-0.1.0.tar.gz").exists());
}

/// What was packed twice must be the same twice: a collection is installed from its folder alone, and links lead nowhere then.
#[test]
fn the_role_brings_the_units_that_packages_bring() {
    let packaging = source().join("../packaging/weir-feed");
    let files = source().join("roles/feed/files");
    let mut compared = 0;
    let mut folders = vec![packaging.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let copy = files.join(path.strip_prefix(&packaging).unwrap());
            assert_eq!(fs::read(&path).unwrap(), fs::read(&copy).unwrap(), "{} is old", copy.display());
            compared += 1;
        }
    }
    assert_eq!(compared, 11);
}

#[test]
fn the_playbooks_are_playbooks() {
    if let Some(why) = missing() {
        testkit::skip!("{why}");
    }
    let ansible = Ansible::new();
    let mut check = ansible.command("ansible-playbook");
    let output =
        check.args(["--syntax-check", "-i", "localhost,", "weir.randomness.provision"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let play = |name: &str| fs::read_to_string(source().join("playbooks").join(name)).unwrap();
    let docs = fs::read_to_string(source().join("../docs/seeding/ansible.md")).unwrap();
    assert!(docs.contains(&play("provision.yml")), "the documentation shows another playbook");
}

/// The tests of ansible-test that need nothing which would have to be fetched.
#[test]
fn ansible_finds_the_collection_sane() {
    if Command::new("ansible-test").arg("--version").output().is_err() {
        testkit::skip!("there is no ansible-test");
    }
    let ansible = Ansible::new();
    let mut sanity = ansible.command("ansible-test");
    sanity.arg("sanity").current_dir(ansible.join("ansible_collections/weir/randomness"));
    for test in [
        "action-plugin-docs",
        "empty-init",
        "future-import-boilerplate",
        "line-endings",
        "metaclass-boilerplate",
        "no-assert",
        "no-illegal-filenames",
        "no-smart-quotes",
        "replace-urlopen",
        "shebang",
        "symlinks",
        "use-argspec-type-path",
    ] {
        sanity.args(["--test", test]);
    }
    let output = sanity.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Everything that Python files hold has to be understood by the oldest Python that hosts may have, 3.6.
#[test]
fn modules_keep_to_old_python() {
    let check = "import ast, pathlib, sys\n\
        for path in pathlib.Path(sys.argv[1]).glob('plugins/module*/*.py'):\n    \
        ast.parse(path.read_text(), str(path), feature_version=(3, 6))\n    print(path)\n";
    let Ok(output) = Command::new("python3").args(["-c", check]).arg(source()).output() else {
        testkit::skip!("there is no python3");
    };
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 6);
}

/// Numbers of ioctls as C compilers of those machines have them, from asm/ioctl.h.
#[test]
fn ioctls_are_numbered_as_each_machine_does() {
    let check = "import importlib.util, sys\n\
        spec = importlib.util.spec_from_file_location('pool', sys.argv[1])\n\
        pool = importlib.util.module_from_spec(spec); spec.loader.exec_module(pool)\n\
        for machine in 'x86_64 aarch64 riscv64 s390x armv7l ppc64le mips64 sparc64 alpha parisc64'.split():\n    \
        print(machine, hex(pool.ioctl_number(3, 8, machine)), hex(pool.ioctl_number(7, 0, machine)))\n";
    let file = source().join("plugins/module_utils/pool.py");
    let Ok(output) = Command::new("python3").args(["-c", check]).arg(file).output() else {
        testkit::skip!("there is no python3");
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in text.lines() {
        let numbers = match line.split(' ').next() {
            Some("ppc64le" | "mips64" | "sparc64" | "alpha") => "0x80085203 0x20005207",
            Some("parisc64") => "0x80085203 0x5207",
            _ => "0x40085203 0x5207",
        };
        assert!(line.ends_with(&format!(" {numbers}")), "{line}");
    }
    assert_eq!(text.lines().count(), 10, "{output:?}");
}
