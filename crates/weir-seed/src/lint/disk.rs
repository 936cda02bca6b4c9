//! An image that is a disk: raw or qcow2, through libguestfs.
//!
//! `guestfish` opens the disk in a small virtual machine, so that no file system of somebody else's making meets this
//! machine's kernel, needs neither root nor a free loop or nbd device, and knows partitions, LVM and what is mounted
//! where. What it sees is then exported here through FUSE, and looked at as a folder. Everything is mounted beneath folders
//! of this module's own: `/weir-root` and `/weir-esp-N`, the EFI system partitions that the image does not mount itself.
//!
//! The format is always said, since a guess could be led astray by a disk's content. Names that the disk gives go into
//! commands only when they are of harmless characters.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout};
use std::thread::JoinHandle;

use weir_report::shown;

use super::folder::Folder;
use super::guest::Guest;
use super::image::{Access, LintError};
use super::report::Unseen;

/// A format that qemu reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Raw,
    Qcow2,
}

/// A disk whose file systems are mounted.
pub(super) struct Disk {
    pub(super) root: Folder,
    pub(super) esps: Vec<Folder>,
    pub(super) unseen: Vec<Unseen>,
    session: Session,
}

/// Ends an answer. Nothing that guestfish says by itself is this.
const MARK: &str = "weir-seed-lint:done";
const INSTEAD: &str = "mount it and look at the folder instead, or make a tar of it";

impl Disk {
    pub(super) fn open(path: &Path, format: Format, access: Access) -> Result<Self, LintError> {
        let path = fs::canonicalize(path)?;
        let mut session = Session::start(access)?;
        let opened = session.open(&path, format, access.change);
        let Opened { root, esps, unseen } = opened.map_err(|error| match session.guest.is_late() {
            true => LintError::NotAnImage(too_late(access)),
            false => error,
        })?;
        session.guest.is_open()?;
        Ok(Self { root, esps, unseen, session })
    }

    /// Unmounts all, and waits until what was changed is in the disk's file.
    pub(super) fn close(self) -> io::Result<()> {
        let Self { root, esps, session, .. } = self;
        // What is open there holds the mount.
        drop((root, esps));
        session.close()
    }
}

fn too_late(access: Access) -> String {
    format!(
        "a disk that guestfish did not open in {} s; where /dev/kvm does not work, set \
         LIBGUESTFS_BACKEND=direct and LIBGUESTFS_BACKEND_SETTINGS=force_tcg; or {INSTEAD}",
        access.open_within.as_secs()
    )
}

/// What can be looked at.
struct Opened {
    root: Folder,
    esps: Vec<Folder>,
    unseen: Vec<Unseen>,
}

/// A guestfish that takes commands.
struct Session {
    guest: Guest,
    output: BufReader<ChildStdout>,
    /// Gathers what it complains of; not to be read would hold it up.
    complaints: Option<JoinHandle<String>>,
}

impl Session {
    fn start(access: Access) -> Result<Self, LintError> {
        let started = Guest::start(access.open_within, access.change);
        let (guest, output, errors) = started.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LintError::NotAnImage(format!(
                "a disk: that takes guestfish, which is not installed here (Debian's package is libguestfs-tools); {INSTEAD}"
            )),
            _ => LintError::Io(error),
        })?;
        let complaints = std::thread::spawn(move || gathered(errors));
        Ok(Self { guest, output: BufReader::new(output), complaints: Some(complaints) })
    }

    fn open(&mut self, path: &Path, format: Format, change: bool) -> Result<Opened, LintError> {
        self.add(path, format, change)?;
        let mut unseen = Vec::new();
        let esps = self.mount(change, &mut unseen)?;
        let top = self.export(change)?;
        let esps = (0..esps).map(|number| Folder::open(&top.join(format!("weir-esp-{number}"))));
        let esps = esps.collect::<io::Result<_>>()?;
        Ok(Opened { root: Folder::open(&top.join("weir-root"))?, esps, unseen })
    }

    fn add(&mut self, path: &Path, format: Format, change: bool) -> Result<(), LintError> {
        let name = path.to_str().filter(|name| shown(name) == **name);
        let name = name.ok_or_else(|| io::Error::other("guestfish takes no path with such characters"))?;
        let format = match format {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        };
        // What is removed is given back to the disk's file as well.
        let access = if change { "readonly:false discard:besteffort" } else { "readonly:true" };
        self.ask(&[&format!("add-drive {} format:{format} {access}", quoted(name)), "run"])?;
        Ok(())
    }

    /// Mounts the system on the disk, and says how many EFI system partitions it left to be mounted apart.
    fn mount(&mut self, change: bool, unseen: &mut Vec<Unseen>) -> Result<usize, LintError> {
        let roots = self.ask(&["inspect-os"])?;
        let file_systems = pairs(&self.ask(&["list-filesystems"])?, unseen);
        let mut mounts = match roots.as_slice() {
            [root] if is_harmless(root) => {
                let found = self.ask(&[&format!("inspect-get-mountpoints {root}")])?;
                pairs(&found, unseen).into_iter().collect()
            }
            // A tree without the marks of a system may still be one.
            [] => only_root(&file_systems)?,
            _ => {
                return Err(LintError::NotAnImage(format!(
                    "a disk with more than one system on it; {INSTEAD}"
                )));
            }
        };
        let mount = if change { "mount" } else { "mount-ro" };
        let root = mounts
            .remove("/")
            .ok_or_else(|| LintError::NotAnImage(format!("a disk without a root file system; {INSTEAD}")))?;
        self.ask(&["mkmountpoint /weir-root", &format!("{mount} {root} /weir-root")])?;
        // Sorted, what is mounted in another comes after it. Behind a dash, a command may fail.
        for (at, device) in &mounts {
            self.ask(&[&format!("-{mount} {device} /weir-root{at}")])?;
        }
        let used: Vec<&String> = mounts.values().chain([&root]).collect();
        let esps = file_systems.iter().filter(|(device, kind)| *kind == "vfat" && !used.contains(device));
        let mut number = 0;
        for (device, _) in esps.clone() {
            let at = format!("/weir-esp-{number}");
            self.ask(&[&format!("mkmountpoint {at}"), &format!("-{mount} {device} {at}")])?;
            number += 1;
        }
        let mounted = self.ask(&["mountpoints"])?;
        let mounted: Vec<&str> = mounted.iter().filter_map(|line| Some(line.rsplit_once(": ")?.1)).collect();
        let wanted = mounts.iter().map(|(at, device)| (format!("/weir-root{at}"), device));
        let wanted = wanted
            .chain(esps.enumerate().map(|(number, (device, _))| (format!("/weir-esp-{number}"), device)));
        for (_, device) in wanted.filter(|(at, _)| !mounted.contains(&at.as_str())) {
            unseen.push(Unseen { what: device.clone(), why: "it could not be mounted".to_owned() });
        }
        Ok(number)
    }

    /// Exports what is mounted to a new folder.
    fn export(&mut self, change: bool) -> Result<PathBuf, LintError> {
        let folder = self.guest.mount_folder()?;
        let name = folder.to_str().filter(|name| is_harmless(name));
        let name =
            name.ok_or_else(|| io::Error::other("guestfish takes no path with such characters; set TMPDIR"))?;
        // With the program, the mount ends too, however that comes to its end.
        self.ask(&[&format!("mount-local {name} readonly:{} options:auto_unmount", !change)])?;
        // Accesses wait until it runs.
        self.guest.say("mount-local-run")?;
        Ok(folder)
    }

    fn close(mut self) -> io::Result<()> {
        self.guest.unmount()?;
        self.guest.say("sync\n-fstrim /weir-root\numount-all\nshutdown")?;
        self.guest.say_no_more();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest)?;
        match self.guest.wait()? {
            true => Ok(()),
            false => Err(io::Error::other(format!("guestfish: {}", self.why()))),
        }
    }

    /// Has commands done, and gives what they print. It ends itself at the first that fails.
    fn ask(&mut self, lines: &[&str]) -> Result<Vec<String>, LintError> {
        for line in lines.iter().copied().chain([format!("echo {MARK}").as_str()]) {
            // It may have ended; what it said before tells more than that.
            let _ = self.guest.say(line);
        }
        let mut answer = Vec::new();
        loop {
            let mut line = String::new();
            if self.output.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
                return Err(self.complaint());
            }
            match line.trim_end() {
                MARK => return Ok(answer),
                "" => {}
                line => answer.push(line.to_owned()),
            }
        }
    }

    fn complaint(&mut self) -> LintError {
        self.guest.leave_to_signal();
        LintError::NotAnImage(format!("a disk that guestfish cannot open ({}); {INSTEAD}", self.why()))
    }

    /// What it said before it ended.
    fn why(&mut self) -> String {
        let said = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let last = lines.clone().rfind(|line| line.contains("error:")).or_else(|| lines.clone().next_back());
        shown(last.unwrap_or("it said nothing")).chars().take(300).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.guest.unmount();
        self.guest.say_no_more();
        let _ = io::copy(&mut self.output, &mut io::sink());
        let _ = self.guest.wait();
    }
}

/// Lines of `name: value`, of which either may go into a command.
fn pairs(lines: &[String], unseen: &mut Vec<Unseen>) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for line in lines {
        match line.rsplit_once(": ") {
            Some((name, value)) if is_harmless(name) && is_harmless(value) => {
                pairs.insert(name.to_owned(), value.to_owned());
            }
            _ => unseen.push(Unseen {
                what: shown(line),
                why: "a name of such characters is not mounted".to_owned(),
            }),
        }
    }
    pairs
}

/// The one file system that can be a root, where nothing says which is.
fn only_root(file_systems: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, LintError> {
    let no_root = ["swap", "vfat", "unknown", "crypto_LUKS"];
    let can_be: Vec<_> = file_systems.iter().filter(|(_, kind)| !no_root.contains(&kind.as_str())).collect();
    match can_be.as_slice() {
        [(device, _)] => Ok(BTreeMap::from([("/".to_owned(), (*device).clone())])),
        _ => Err(LintError::NotAnImage(format!("a disk on which no system was found; {INSTEAD}"))),
    }
}

fn is_harmless(name: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@".contains(&byte);
    !name.is_empty() && name.bytes().all(harmless) && !name.split('/').any(|part| part == "..")
}

/// A word for guestfish.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', r"\\").replace('"', r#"\""#))
}

/// All that is said, of which the last part is kept.
fn gathered(mut errors: ChildStderr) -> String {
    const MOST: usize = 64 << 10;
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = errors.read(&mut piece) {
        kept.extend_from_slice(piece.get(..length).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(MOST));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names_go_into_commands() {
        for name in ["/dev/sda1", "/boot/efi", "btrfsvol:/dev/sda2/root", "vfat", "/"] {
            assert!(is_harmless(name), "{name}");
        }
        for name in ["", "/a b", "/a|sh", "<!", "/x\ny", "/x;y", "/a/../b", "\"", "/$(x)"] {
            assert!(!is_harmless(name), "{name}");
        }
        assert_eq!(quoted(r#"/a "b"\c"#), r#""/a \"b\"\\c""#);
    }

    #[test]
    fn a_single_file_system_is_taken_for_the_root() {
        let of = |list: &[(&str, &str)]| {
            only_root(&list.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect())
        };
        assert_eq!(of(&[("/dev/sda1", "vfat"), ("/dev/sda2", "ext4")]).unwrap()["/"], "/dev/sda2");
        assert!(of(&[("/dev/sda1", "xfs"), ("/dev/sda2", "ext4")]).is_err());
        assert!(of(&[("/dev/sda1", "swap")]).is_err());
    }
}
