//! A Debian guest with cloud-init and sshd, such as clouds start from an image.
//!
//! The image is made once, by debootstrap, which takes root, Debian's archive and some minutes, and stays in the lab's folder as
//! `cloud/` (the tree `root/`, `root.img`, `vmlinuz`, `initrd`). A test puts its own files into a copy ([`Cloud::with`]) and boots as many
//! guests from that as it likes: each writes to a layer of its own.
//!
//! A guest sees this machine's loopback as 10.0.2.2. Nothing else can be reached from it, and only its sshd from here, at a port
//! of loopback.

use std::fmt::Write;
use std::fs;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::Lab;
use super::machine::{self, Machine};
use crate::TempDir;

const SUITE: &str = "bookworm";
/// python3-cffi-backend: debootstrap does not see that cloud-init's libraries need it.
const PACKAGES: &str = "systemd-sysv,udev,dbus,iproute2,python3-cffi-backend,cloud-init,linux-image-cloud-amd64,\
                        initramfs-tools,zstd,openssh-server,ca-certificates";
/// Room for what a guest writes.
const SIZE: &str = "1600M";

/// What makes the tree a guest of the lab: one data source, a fixed address, no key or seed of its own, and a program that is run
/// when cloud-init has ended.
const FILES: &[(&str, &str)] = &[
    (
        "etc/cloud/cloud.cfg.d/90-lab.cfg",
        "datasource_list: [ NoCloud, None ]\nlocale: false\nnetwork: {config: disabled}\n",
    ),
    ("etc/fstab", "/dev/vda / ext4 defaults 0 1\n"),
    ("etc/hostname", "lab\n"),
    ("etc/machine-id", ""),
    (
        "etc/systemd/network/80-lab.network",
        "[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n",
    ),
    (
        "etc/systemd/system/lab-agent.service",
        "[Unit]\nAfter=cloud-final.service ssh.service\n[Service]\nType=oneshot\nExecStart=/usr/local/sbin/lab-agent\n\
         StandardOutput=tty\nStandardError=tty\nTTYPath=/dev/console\n",
    ),
];
const LINKS: &[(&str, &str)] = &[
    ("etc/systemd/system/cloud-init.target.wants/lab-agent.service", "../lab-agent.service"),
    (
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "/lib/systemd/system/systemd-networkd.service",
    ),
    (
        "etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service",
        "/lib/systemd/system/systemd-networkd-wait-online.service",
    ),
];

/// The image.
#[derive(Debug)]
pub struct Cloud(PathBuf);

impl Cloud {
    /// Finds it, or makes it.
    ///
    /// # Errors
    /// What is missing for that.
    pub fn find_or_make() -> Result<Self, String> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock();
        let cloud = Self(Lab::place().join("cloud"));
        if !cloud.0.join("root.img").is_file() {
            cloud.make()?;
        }
        Ok(cloud)
    }

    /// The tree that the image was made of. It is everybody's: copy it before changing anything.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.0.join("root")
    }

    fn make(&self) -> Result<(), String> {
        let tree = self.tree();
        if !tree.join("etc/cloud").is_dir() || !tree.join("usr/sbin/sshd").is_file() {
            let _ = fs::remove_dir_all(&tree);
            fs::create_dir_all(&self.0).map_err(|error| error.to_string())?;
            let include = format!("--include={PACKAGES}");
            let arguments = ["--variant=minbase", &include, SUITE];
            run(Command::new("debootstrap").args(arguments).arg(&tree))?;
        }
        prepare(&tree).map_err(|error| error.to_string())?;
        for (name, pattern) in [("vmlinuz", "vmlinuz-"), ("initrd", "initrd.img-")] {
            let file = first(&tree.join("boot"), pattern)?;
            fs::copy(file, self.0.join(name)).map_err(|error| error.to_string())?;
        }
        let (new, image) = (self.0.join("root.new"), self.0.join("root.img"));
        let _ = fs::remove_file(&new);
        run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(&new).arg(SIZE))?;
        fs::rename(new, image).map_err(|error| error.to_string())
    }

    /// A copy with more files in it: where from, where to. Modes are kept, missing folders are made.
    ///
    /// # Errors
    /// That it cannot be made.
    pub fn with(&self, files: &[(&Path, &str)], links: &[(&str, &str)]) -> io::Result<Image> {
        let folder = TempDir::new();
        let image = folder.join("root.img");
        // Most of it is holes.
        run(Command::new("cp").args(["--sparse=always", "--"]).arg(self.0.join("root.img")).arg(&image))
            .map_err(io::Error::other)?;
        let mut plan = String::new();
        for (from, to) in files {
            let (above, name) = folders(&mut plan, to);
            let _ = writeln!(plan, "cd {above}\nrm {name}\nwrite {} {name}", from.display());
            let mode = 0o100_000 | fs::metadata(from)?.permissions().mode() & 0o7777;
            let _ = writeln!(plan, "sif {name} mode 0{mode:o}\nsif {name} uid 0\nsif {name} gid 0");
        }
        for (at, to) in links {
            let (above, name) = folders(&mut plan, at);
            let _ = writeln!(plan, "cd {above}\nsymlink {name} {to}");
        }
        let mut debugfs = Command::new("debugfs");
        debugfs.arg("-w").arg(&image).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = debugfs.spawn()?;
        // Folders that are there already are among its complaints.
        child.stdin.take().map(|mut pipe| pipe.write_all(plan.as_bytes())).transpose()?;
        child.wait()?;
        Ok(Image { cloud: self.0.clone(), image, _folder: folder })
    }
}

/// Has debugfs make the folders above a path, and gives what is above it and its name.
fn folders<'a>(plan: &mut String, path: &'a str) -> (&'a str, &'a str) {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let ends = above.match_indices('/').map(|(at, _)| at).skip(1).chain([above.len()]);
    ends.for_each(|end| {
        let _ = writeln!(plan, "mkdir {}", above.get(..end).unwrap_or_default());
    });
    (above, name)
}

/// A copy of the image with a test's files in it.
#[derive(Debug)]
pub struct Image {
    cloud: PathBuf,
    image: PathBuf,
    _folder: TempDir,
}

/// A guest that was booted from it.
#[derive(Debug)]
pub struct CloudGuest {
    /// The machine.
    pub machine: Machine,
    /// Where on this machine's loopback its sshd answers.
    pub ssh_port: u16,
}

impl Image {
    /// Boots a guest that finds `seed`, an ISO image, in its second drive; `more`: further arguments of QEMU.
    ///
    /// # Errors
    /// That it cannot be started.
    pub fn boot(&self, seed: &Path, more: &[&str]) -> io::Result<CloudGuest> {
        let folder = TempDir::new();
        let layer = folder.join("layer.qcow2");
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(&self.image).arg(&layer);
        run(&mut create).map_err(io::Error::other)?;
        // Free now, and of no interest to anybody in the moment until QEMU has it.
        let ssh_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let drive = |format: &str, file: &Path, rest: &str| {
            format!("if=virtio,format={format},file={}{rest}", file.display())
        };
        let mut command = Command::new("nice");
        command.args([machine::QEMU, "-machine", "pc-i440fx-7.0,accel=tcg", "-cpu", "max,-rdrand,-rdseed"]);
        command.args([
            "-smp",
            "1",
            "-m",
            "1024",
            "-nodefaults",
            "-no-user-config",
            "-nographic",
            "-no-reboot",
        ]);
        command.args(["-serial", &format!("file:{}", folder.join("console").display())]);
        command.arg("-kernel").arg(self.cloud.join("vmlinuz")).arg("-initrd").arg(self.cloud.join("initrd"));
        command.args(["-append", "console=ttyS0 root=/dev/vda rw panic=-1 systemd.show_status=0 quiet"]);
        command.args(["-drive", &drive("qcow2", &layer, ""), "-drive", &drive("raw", seed, ",readonly=on")]);
        let net = format!("user,id=n0,hostfwd=tcp:127.0.0.1:{ssh_port}-:22");
        command.args(["-netdev", &net, "-device", "virtio-net-pci,netdev=n0"]).args(more);
        Ok(CloudGuest { machine: Machine::spawn(command, folder)?, ssh_port })
    }
}

fn prepare(tree: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        fs::write(tree.join(path), text)?;
    }
    for (path, to) in LINKS {
        let path = tree.join(path);
        path.parent().map(fs::create_dir_all).transpose()?;
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(to, path)?;
    }
    // What the packages made when they were installed would be every guest's.
    for entry in fs::read_dir(tree.join("etc/ssh"))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path())?;
        }
    }
    // systemd takes the second for a machine without an id.
    for file in ["var/lib/systemd/random-seed", "var/lib/dbus/machine-id"] {
        let _ = fs::remove_file(tree.join(file));
    }
    for cache in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        let _ = fs::remove_dir_all(tree.join(cache));
    }
    Ok(())
}

/// The first file in a folder whose name begins so.
fn first(folder: &Path, start: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    files.next().map(|entry| entry.path()).ok_or_else(|| format!("no {start}* in {}", folder.display()))
}

/// Runs a program to its end.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    Err(format!("{name}: {}", last.into_iter().rev().collect::<Vec<_>>().join("; ")))
}
