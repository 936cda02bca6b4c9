//! The mark that a seed was fetched, so that it is not fetched again, but by a copy of the disk.
//!
//! It holds a digest of what the firmware and the cloud call the machine, and the boot's id. A machine that has such a name
//! fetches once. One that has none cannot be told from a copy of its disk, so it fetches once in every boot. `machine-id`
//! counts in either case, yet alone it tells nothing: copies share it.
//!
//! `pollinate` keeps an empty file, which images and copies of disks carry over: none of them ever fetches.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use weir_kernel::clock;

/// Where it is.
pub const PATH: &str = "/var/lib/weir-seed/fetched";
const FIRST: &str = "weir-seed fetched 1";
const MAX_BYTES: u64 = 4096;

/// What tells this machine and this boot from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Lower-case hexadecimal digits of a SHA-256: the name by firmware or cloud is readable by root alone. `None`: it has no name.
    name: Option<String>,
    boot: String,
}

impl Machine {
    /// The machine whose files are under `root` (`/` but for tests).
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let line = |path: &str| line(&root.join(path));
        let firmware = line("sys/class/dmi/id/product_uuid").filter(|uuid| says_something(uuid));
        let firmware = firmware.or_else(|| line("sys/firmware/devicetree/base/serial-number"));
        let cloud = line("var/lib/cloud/data/instance-id");
        let has_name = firmware.is_some() || cloud.is_some();
        let name = has_name.then(|| {
            let mut hash = Sha256::new();
            for part in [firmware, cloud, line("etc/machine-id")] {
                let part = part.unwrap_or_default();
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
        });
        Self { name, boot: boot_id(root).unwrap_or_default() }
    }

    /// Whether it fetched already: when, in seconds since 1970, by the clock of that time.
    #[must_use]
    pub fn fetched(&self, root: &Path) -> Option<i64> {
        let mut text = String::new();
        File::open(path(root)).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let mut value = |key: &str| lines.next()?.strip_prefix(key);
        value(FIRST)?;
        let at = value("at ")?.parse().ok()?;
        let (name, boot) = (value("machine ")?, value("boot ")?);
        let same = match &self.name {
            Some(own) => name == own,
            None => name == "-" && !boot.is_empty() && boot == self.boot,
        };
        same.then_some(at)
    }

    /// Notes that it fetched just now.
    ///
    /// # Errors
    /// That the file cannot be written; it is as it was then.
    pub fn remember(&self, root: &Path) -> io::Result<()> {
        let path = path(root);
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let beside = folder.join("fetched.new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o644).open(&beside)?;
        let name = self.name.as_deref().unwrap_or("-");
        write!(file, "{FIRST}\nat {}\nmachine {name}\nboot {}\n", clock::unix_seconds(), self.boot)?;
        fs::rename(&beside, &path)
    }
}

/// The id of this boot. Copies of a running machine share it.
pub(super) fn boot_id(root: &Path) -> Option<String> {
    line(&root.join("proc/sys/kernel/random/boot_id"))
}

fn path(root: &Path) -> std::path::PathBuf {
    root.join(PATH.trim_start_matches('/'))
}

/// The first line of a file, if there is something in it.
fn line(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default().trim_matches(['\0', ' ', '\t', '\r']);
    (!line.is_empty()).then(|| line.to_owned())
}

/// Firmware that was never told a UUID has all digits the same, or the example of the SMBIOS specification.
fn says_something(uuid: &str) -> bool {
    let mut digits = uuid.bytes().filter(|byte| *byte != b'-');
    let first = digits.next();
    digits.any(|digit| Some(digit) != first)
        && !uuid.eq_ignore_ascii_case("03000200-0400-0500-0006-000700080009")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), files);
        let machine = Machine::read(root.path());
        (root, machine)
    }

    fn put(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    const UUID: &str = "sys/class/dmi/id/product_uuid";
    const BOOT: &str = "proc/sys/kernel/random/boot_id";
    const CLOUD: &str = "var/lib/cloud/data/instance-id";

    #[test]
    fn a_machine_with_a_name_fetches_once_and_its_copy_again() {
        let (root, machine) =
            machine(&[(UUID, "4c4c4544-0042\n"), (BOOT, "one\n"), ("etc/machine-id", "m\n")]);
        assert_eq!(machine.fetched(root.path()), None);
        machine.remember(root.path()).unwrap();
        assert!(machine.fetched(root.path()).is_some());
        // The name itself is for root alone.
        let text = fs::read_to_string(path(root.path())).unwrap();
        assert!(!text.contains("4c4c4544") && text.ends_with("boot one\n"), "{text}");
        let again = |files: &[(&str, &str)]| {
            put(root.path(), files);
            Machine::read(root.path()).fetched(root.path()).is_some()
        };
        assert!(again(&[(BOOT, "two\n")]), "the next boot");
        assert!(!again(&[(UUID, "4c4c4544-0043\n")]), "a copy on other hardware");
        assert!(again(&[(UUID, "4c4c4544-0042\n")]));
        assert!(!again(&[(CLOUD, "i-2\n")]), "a new instance of a cloud");
        fs::remove_file(root.path().join(CLOUD)).unwrap();
        assert!(!again(&[("etc/machine-id", "n\n")]), "a machine id of its own");
    }

    #[test]
    fn a_machine_without_a_name_fetches_once_a_boot() {
        for uuid in ["", "00000000-0000-0000-0000-000000000000", "03000200-0400-0500-0006-000700080009"] {
            let (root, machine) = machine(&[(UUID, uuid), (BOOT, "one"), ("etc/machine-id", "m")]);
            machine.remember(root.path()).unwrap();
            assert!(machine.fetched(root.path()).is_some());
            put(root.path(), &[(BOOT, "two")]);
            assert_eq!(Machine::read(root.path()).fetched(root.path()), None, "{uuid}");
        }
    }

    #[test]
    fn other_files_are_no_mark() {
        let (root, machine) = machine(&[(BOOT, "one")]);
        for text in
            ["", "weir-seed fetched 1\n", "weir-seed fetched 1\nat x\nmachine -\nboot one\n", "at 1\n"]
        {
            put(root.path(), &[("var/lib/weir-seed/fetched", text)]);
            assert_eq!(machine.fetched(root.path()), None, "{text:?}");
        }
        let (root, nowhere) = self::machine(&[]);
        nowhere.remember(root.path()).unwrap();
        assert_eq!(nowhere.fetched(root.path()), None, "nothing tells this boot from others");
    }
}
