//! Hosts for Ansible: namespaces of their own, each with a real sshd, and some with a systemd.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::TempDir;

/// A host that has not answered by then has not begun.
const PATIENCE: Duration = Duration::from_secs(180);

/// A file of `tests/ansible`.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ansible").join(name)
}

/// Hosts on a network of the test's own. They end with it.
pub(crate) struct Hosts {
    folder: TempDir,
    names: Vec<&'static str>,
    network: Child,
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // Its children, and with them all hosts, end when the test's process namespace does.
        let _ = self.network.kill();
        let _ = self.network.wait();
    }
}

impl Hosts {
    /// Starts hosts, each `NAME:KIND` as `host.sh` knows it. `prepare` may put programs into `NAME/bin` of the folder.
    ///
    /// # Errors
    /// The first host that does not come up, with what it said.
    pub(crate) fn start(hosts: &[&'static str], prepare: impl FnOnce(&Path)) -> Result<Self, String> {
        let folder = TempDir::new();
        for name in ["host_key", "client_key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(name));
            assert!(keygen.status().unwrap().success());
        }
        prepare(folder.path());
        let mut network = Command::new("bash");
        network.arg(file("network.sh")).arg(folder.path()).arg(file("host.sh")).args(hosts);
        let network = network.stdin(Stdio::null()).spawn().unwrap();
        let names = hosts.iter().filter_map(|host| Some(host.split_once(':')?.0)).collect();
        let hosts = Self { folder, names, network };
        hosts.await_all()?;
        hosts.write_inventory();
        Ok(hosts)
    }

    fn await_all(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        for (name, address) in self.addresses() {
            let address: SocketAddr = format!("{address}:22").parse().unwrap();
            while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
                if Instant::now() >= until {
                    let log = fs::read_to_string(self.folder.join(name).join("log")).unwrap_or_default();
                    return Err(format!("host {name} does not come up: {log}"));
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    fn addresses(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.names.iter().zip(1..).map(|(name, number)| (*name, format!("10.77.{number}.2")))
    }

    /// The inventory of all of them, and the keys by which they are known.
    fn write_inventory(&self) {
        let key = fs::read_to_string(self.folder.join("host_key.pub")).unwrap();
        let known: String = self.addresses().map(|(_, address)| format!("{address} {key}")).collect();
        fs::write(self.folder.join("known_hosts"), known).unwrap();
        let hosts: String =
            self.addresses().map(|(name, address)| format!("{name} ansible_host={address}\n")).collect();
        let variables = self.inventory_variables();
        let variables: String = variables
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}\n", value.as_str().unwrap()))
            .collect();
        fs::write(self.inventory(), format!("{hosts}[all:vars]\nansible_user=root\n{variables}")).unwrap();
    }

    /// How every host is reached.
    pub(crate) fn inventory_variables(&self) -> serde_json::Value {
        let within = |name: &str| self.folder.join(name).display().to_string();
        let options = format!(
            "-F /dev/null -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes \
             -o ControlMaster=auto -o ControlPersist=60 -o ControlPath={}-%C",
            within("known_hosts"),
            within("c")
        );
        serde_json::json!({
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": within("client_key"),
            "ansible_ssh_args": options,
        })
    }

    /// Where the inventory is.
    pub(crate) fn inventory(&self) -> PathBuf {
        self.folder.join("inventory")
    }

    /// A command on a host, as its root; what it said.
    pub(crate) fn on(&self, name: &str, command: &str) -> String {
        let (_, address) = self.addresses().find(|(known, _)| *known == name).unwrap();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=yes", "-o"]);
        ssh.arg(format!("UserKnownHostsFile={}", self.folder.join("known_hosts").display()));
        ssh.arg("-i").arg(self.folder.join("client_key")).arg(format!("root@{address}")).arg(command);
        let output = ssh.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    }
}
