//! A guest that runs, and what it said.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::TempDir;

pub(super) const QEMU: &str = "qemu-system-x86_64";
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// For a guest to switch itself off.
const GRACE: Duration = Duration::from_secs(5);
/// For a monitor to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The serial ports of a guest in QEMU beside the first, which is its console: for a hypervisor's word, and for being asked.
pub(super) const WORDS: u32 = 1;
pub(super) const ASK: u32 = 2;

/// What runs the guest.
#[derive(Debug, Clone)]
pub enum Kernel {
    /// A kernel image, in QEMU: emulated, one CPU without RDRAND and RDSEED, no devices but serial ports.
    Qemu(PathBuf),
    /// A kernel that is a program. Its guests see the CPU of this machine.
    Uml {
        /// The kernel.
        program: PathBuf,
        /// Loaded before it.
        library: Option<PathBuf>,
    },
}

/// A guest. It ends with this value, if not before.
#[derive(Debug)]
pub struct Machine {
    process: Child,
    folder: TempDir,
}

impl Machine {
    /// Boots a kernel with this initramfs; `more`: further arguments of QEMU.
    ///
    /// # Errors
    /// That it cannot be started.
    pub fn boot(kernel: &Kernel, initramfs: &[u8], more: &[&str]) -> io::Result<Self> {
        let folder = TempDir::new();
        fs::write(folder.join("initramfs"), initramfs)?;
        let mut command = Command::new("nice");
        match kernel {
            Kernel::Qemu(image) => qemu(&mut command, image, folder.path(), more),
            Kernel::Uml { program, library } => uml(&mut command, program, library.as_deref(), folder.path()),
        }
        Self::spawn(command, folder)
    }

    /// Starts what runs a guest whose console is the file `console` in `folder`.
    pub(super) fn spawn(mut command: Command, folder: TempDir) -> io::Result<Self> {
        let out = fs::File::create(folder.join("out"))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Ok(Self { process: command.spawn()?, folder })
    }

    /// Waits until it has said a key, and hands out all that it said until then.
    ///
    /// # Errors
    /// With the end of what it said, when it did not in time or died before.
    pub fn hear(&mut self, key: &str, limit: Duration) -> io::Result<Said> {
        self.wait(limit, key, |this| match this.ended()? {
            None => Ok(this.said().text(key).is_some()),
            Some(status) => Err(io::Error::other(format!("the guest ended ({status}): {}", this.tail()))),
        })?;
        Ok(self.said())
    }

    /// Waits until it has switched itself off.
    ///
    /// # Errors
    /// With the end of what it said, when it did not in time, or without a word.
    pub fn finish(mut self, deadline: Duration) -> io::Result<Said> {
        self.wait(deadline, "the guest's end", |this| Ok(this.ended()?.is_some() || this.said().is_whole()))?;
        // A guest that has said all and does not switch itself off has done its work; it is ended with this value.
        let _ = self.wait(GRACE, "it to be off", |this| Ok(this.ended()?.is_some()));
        let said = self.said();
        if said.is_whole() {
            Ok(said)
        } else {
            Err(io::Error::other(format!("the guest died: {}", self.tail())))
        }
    }

    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// What it has said so far.
    pub(super) fn said(&self) -> Said {
        let read = |name: &str| fs::read(self.folder.join(name)).unwrap_or_default();
        Said(String::from_utf8_lossy(&[read("out"), read("console")].concat()).replace('\r', ""))
    }

    fn tail(&self) -> String {
        let Said(text) = self.said();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Waits until something is so.
    pub(super) fn wait(
        &mut self,
        limit: Duration,
        what: &str,
        mut is_so: impl FnMut(&mut Self) -> io::Result<bool>,
    ) -> io::Result<()> {
        let end = Instant::now() + limit;
        while !is_so(self)? {
            if Instant::now() >= end {
                let why = format!("waited {limit:?} for {what}: {}", self.tail());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Sends bytes to a serial port.
    pub(super) fn send(&self, port: u32, bytes: &[u8]) -> io::Result<()> {
        let mut stream = UnixStream::connect(self.folder.join(format!("port{port}")))?;
        stream.write_all(bytes)?;
        // The port stands still once nobody takes what it sends; the machine's end is the end of this.
        thread::spawn(move || io::copy(&mut stream, &mut io::sink()));
        Ok(())
    }

    /// Has QEMU's monitor do something, and hands out its answer.
    pub(super) fn monitor(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(self.folder.join("monitor"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        until_prompt(&mut stream)?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        until_prompt(&mut stream)
    }
}

/// What QEMU's monitor says until it waits for a command.
fn until_prompt(stream: &mut UnixStream) -> io::Result<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"(qemu) ") && stream.read(&mut byte)? == 1 {
        text.extend(byte);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

impl Drop for Machine {
    fn drop(&mut self) {
        // User-mode Linux makes itself the head of a session, and its guest's processes are processes here. std has no call to
        // end them all. It fails where there is no such group, as with QEMU.
        let group = self.process.id().to_string();
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -s KILL -- \"-$0\"", &group]).stderr(Stdio::null());
        let _ = kill.status();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn qemu(command: &mut Command, image: &Path, folder: &Path, more: &[&str]) {
    let port = |number: u32| {
        format!("socket,id=s{number},path={}/port{number},server=on,wait=off", folder.display())
    };
    // A machine type that hands the kernel no seed.
    command.args([
        QEMU,
        "-machine",
        "pc-i440fx-7.0,accel=tcg",
        "-cpu",
        "max,-rdrand,-rdseed",
        "-smp",
        "1",
        "-m",
        "256",
    ]);
    command.args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot"]);
    // A file takes all at once. What a socket's log keeps is not what was sent when its other side is slow.
    command.args(["-serial", &format!("file:{}/console", folder.display())]);
    for number in [WORDS, ASK] {
        command.args(["-chardev", &port(number), "-serial", &format!("chardev:s{number}")]);
    }
    command.args(["-monitor", &format!("unix:{}/monitor,server=on,wait=off", folder.display())]);
    command.arg("-kernel").arg(image).arg("-initrd").arg(folder.join("initramfs"));
    command.args(["-append", "console=ttyS0 loglevel=1 panic=-1"]).args(more);
}

fn uml(command: &mut Command, program: &Path, library: Option<&Path>, folder: &Path) {
    let mut initrd = OsString::from("initrd=");
    initrd.push(folder.join("initramfs"));
    // The library is for the kernel alone, not for `nice`.
    if let Some(library) = library {
        let mut preload = OsString::from("LD_PRELOAD=");
        preload.push(library);
        command.arg("env").arg(preload);
    }
    command.arg(program).arg("mem=256M").arg(initrd);
    command.args(["con0=fd:0,fd:1", "con1=null", "ssl=null", "console=tty0", "loglevel=1", "panic=-1"]);
}

/// What a guest said.
#[derive(Debug, Clone, Default)]
pub struct Said(String);

impl Said {
    fn is_whole(&self) -> bool {
        self.text("end") == Some("1")
    }

    /// The values of a key, in order.
    #[must_use]
    pub fn all(&self, key: &str) -> Vec<&str> {
        // What else writes to the console may have begun the line.
        let said = self.0.lines().filter_map(|line| line.split_once("GUEST ").map(|(_, said)| said));
        said.filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    }

    /// The value of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.all(key).first().copied()
    }

    /// The number that a key has.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok()
    }

    /// A field of the daemon's status file: what follows it on each of its lines.
    #[must_use]
    pub fn status(&self, field: &str) -> Vec<&str> {
        let lines = self.all("status").into_iter();
        lines.filter_map(|line| line.strip_prefix(field)?.strip_prefix(' ')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_said_is_found_among_other_lines() {
        let said = Said("boot\n[  1.0] xGUEST ready_ms=12.5\nGUEST status=phase schedule\nGUEST status=source a\nGUEST end=1".into());
        assert_eq!(said.number("ready_ms"), Some(12.5));
        assert_eq!(said.text("ready"), None);
        assert_eq!(said.status("source"), ["a"]);
        assert!(said.is_whole());
    }
}
