//! The file system that a guest begins with: an archive in cpio's "newc" format, as the kernel's documentation
//! (`driver-api/early-userspace/buffer-format`) describes it. Written here, as neither cpio nor the rights to make device nodes
//! are there everywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_600;
const LINK: u32 = 0o120_777;
/// `/dev/console`: what the first process's output goes to.
const CONSOLE: (u32, u32, u32) = (0o020_600, 5, 1);

/// An initramfs in the making.
#[derive(Debug, Clone)]
pub struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
    names: BTreeSet<String>,
}

impl Initramfs {
    /// One with this program for its first process.
    ///
    /// # Panics
    /// When the program cannot be read.
    #[must_use]
    pub fn new(first: &Path) -> Self {
        let mut this = Self { bytes: Vec::new(), entries: 0, names: BTreeSet::new() };
        for folder in ["dev", "proc", "sys", "run", "tmp", "etc", "var/lib", "var/run"] {
            this.folder(folder);
        }
        let (mode, major, minor) = CONSOLE;
        this.entry("dev/console", mode, (major, minor), &[]);
        this.program("/init", first, None);
        this
    }

    /// A file that only root may read.
    pub fn file(&mut self, path: &str, content: impl AsRef<[u8]>) {
        self.put(path, FILE, content.as_ref());
    }

    /// A script.
    pub fn script(&mut self, path: &str, content: &str) {
        self.put(path, PROGRAM, content.as_bytes());
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.put(path, LINK, target.as_bytes());
    }

    /// A folder, and those above it.
    pub fn folder(&mut self, path: &str) {
        let mut whole = String::new();
        for part in path.trim_matches('/').split('/') {
            whole += part;
            if self.names.insert(whole.clone()) {
                self.entry(&whole, FOLDER, (0, 0), &[]);
            }
            whole.push('/');
        }
    }

    /// A program of this machine with the shared libraries that it needs; `libraries`: a folder to look for them first.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn program(&mut self, path: &str, from: &Path, libraries: Option<&Path>) {
        self.put(
            path,
            PROGRAM,
            &fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())),
        );
        let mut ldd = Command::new("ldd");
        ldd.arg(from);
        if let Some(folder) = libraries {
            ldd.env("LD_LIBRARY_PATH", folder);
        }
        // Of a program that is linked statically it says so, and fails.
        let said = ldd.output().map(|output| output.stdout).unwrap_or_default();
        for library in String::from_utf8_lossy(&said).split_whitespace().filter(|word| word.starts_with('/'))
        {
            let name = library.rsplit('/').next().unwrap_or(library);
            // Where the loader looks, whatever folder it was in here; the loader itself has its place.
            let place = if name.starts_with("ld-") { library.to_owned() } else { format!("/lib/{name}") };
            if !self.names.contains(place.trim_start_matches('/')) {
                let content = fs::read(library).unwrap_or_else(|error| panic!("{library}: {error}"));
                self.put(&place, PROGRAM, &content);
            }
        }
    }

    fn put(&mut self, path: &str, mode: u32, content: &[u8]) {
        let path = path.trim_start_matches('/');
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        self.names.insert(path.to_owned());
        self.entry(path, mode, (0, 0), content);
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let length = u32::try_from(content.len()).expect("a file that fits into the format");
        let name_length = path.len() as u32 + 1;
        let links = if mode == FOLDER { 2 } else { 1 };
        // inode mode uid gid links time size dev(2) rdev(2) name-size check
        let (major, minor) = device;
        let fields = [self.entries, mode, 0, 0, links, 0, length, 0, 0, major, minor, name_length, 0];
        self.bytes.extend(b"070701");
        fields.iter().for_each(|field| self.bytes.extend(format!("{field:08x}").bytes()));
        self.bytes.extend(path.bytes().chain([0]));
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_the_kernel_reads() {
        let dir = crate::TempDir::new();
        let first = dir.join("first");
        fs::write(&first, "#!/bin/true\n").unwrap();
        let mut archive = Initramfs::new(&first);
        archive.file("/etc/deep/er", "abc");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let at = bytes.windows(12).position(|window| window == b"etc/deep/er\0").unwrap();
        let head = std::str::from_utf8(&bytes[at - 110..at]).unwrap();
        assert_eq!(
            (&head[..6], &head[14..22], &head[54..62], &head[94..102]),
            ("070701", "00008180", "00000003", "0000000c")
        );
        // 110 bytes and the name are padded to a multiple of four, and so is what follows.
        assert_eq!(&bytes[(at + 12).next_multiple_of(4)..][..4], b"abc\0");
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.contains("etc/deep\0")
                && text.ends_with("TRAILER!!!\0\0\0\0")
                && text.contains("dev/console\0")
        );
    }
}
