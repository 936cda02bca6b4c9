//! The seed file: entropy carried from this boot to the next, and believed in only where that is deserved.
//!
//! In the order that Donenfeld's SeedRNG established, because a seed that is used twice is worth nothing the second time:
//! [`SeedFile::take`] reads the seed and makes sure that it is gone from the disk *before* anybody believes in it, and
//! [`SeedFile::save`] hashes the old seed with a fresh draw, so that neither alone decides.
//!
//! A seed is credited only if it was saved while the kernel was ready, on this same machine. Machines are told apart by what
//! the firmware calls them (SMBIOS or device tree), the machine ID, and the cloud's instance ID: a machine that was made from
//! an image or a copied disk has another identity, finds a foreign seed, and credits nothing for it. Where the firmware
//! has no name for the machine, nothing is credited. A disk that is set back under the same machine cannot be told.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0–7 | `WEIRSEED` |
//! | 8 | version, 1 |
//! | 9 | 1: saved while the kernel was ready |
//! | 10–15 | zero |
//! | 16–47 | SHA-256 of the machine's identity; zero: unknown |
//! | 48–111 | the seed |
//! | 112–143 | SHA-256 of all before |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use sha2::{Digest, Sha256, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// The seed's length in bytes.
const SEED: usize = 64;
const FILE: usize = 144;
const MAGIC: &[u8; 8] = b"WEIRSEED";
const VERSION: u8 = 1;
/// Drawn from a generator that was ready, which promises 256 bits of security and not more.
const WORTH_BITS: u32 = 256;
/// Of a file that is none of ours no more than this is mixed in.
const FOREIGN: u64 = 4096;

/// Where the seed is kept, and for which machine.
#[derive(Debug)]
pub(crate) struct SeedFile {
    dir: PathBuf,
    machine: Option<[u8; 32]>,
}

/// A seed that is on the disk no more.
pub(crate) struct Taken {
    /// What is mixed in.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// What it may be credited with, in bits.
    pub(crate) credit_bits: u32,
    /// Why no more than that.
    pub(crate) why: &'static str,
}

impl SeedFile {
    /// The seed file in a folder, for the machine with this identity.
    pub(crate) fn new(dir: PathBuf, machine: Option<[u8; 32]>) -> Self {
        Self { dir, machine }
    }

    /// Which machine it is now.
    pub(crate) fn belongs_to(&mut self, machine: Option<[u8; 32]>) {
        self.machine = machine;
    }

    fn path(&self) -> PathBuf {
        self.dir.join("seed")
    }

    /// Reads the seed and removes it from the disk. `Ok(None)`: there is none.
    ///
    /// # Errors
    /// That it cannot be read. One that cannot be removed comes back worth nothing.
    pub(crate) fn take(&self) -> io::Result<Option<Taken>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(FOREIGN as usize));
        // What a daemon that was killed while it saved has left behind.
        let _ = fs::remove_file(self.dir.join("seed.new"));
        let file = match open_private(&self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let ours = is_ours(&file.metadata()?, 1) && is_ours(&fs::metadata(&self.dir)?, u64::MAX);
        file.take(FOREIGN).read_to_end(&mut bytes)?;
        let gone = fs::remove_file(self.path()).and_then(|()| self.sync());
        let (credit_bits, why) = match gone {
            Err(_) => (0, "it cannot be removed from the disk, so it would be used again"),
            Ok(()) if !ours => (0, "others could have written it, or have a copy of it"),
            Ok(()) => self.worth(&bytes),
        };
        if let Some(seed) = parse(&bytes).map(|file| Zeroizing::new(file.seed.to_vec())) {
            bytes = seed;
        }
        Ok(Some(Taken { bytes, credit_bits, why }))
    }

    /// What a file's content deserves.
    fn worth(&self, bytes: &[u8]) -> (u32, &'static str) {
        let Some(file) = parse(bytes) else { return (0, "it is damaged, or no seed file of weir-feed") };
        if !file.ready {
            return (0, "it was saved before the kernel was ready");
        }
        match self.machine {
            None => (0, "the firmware has no name for this machine, so it could come from an image"),
            Some(machine) if machine != file.machine => {
                (0, "it was saved on another machine: it came with an image")
            }
            Some(_) => (WORTH_BITS, "it was saved on this machine while the kernel was ready"),
        }
    }

    /// Saves a seed for the next boot, made of the old one, of that which it takes the place of, and of a fresh draw. `ready`: whether the kernel is, else there is no
    /// draw, and the seed will be credited with nothing.
    ///
    /// # Errors
    /// That it cannot be written; then the file is as it was before.
    pub(crate) fn save(&self, old: &[u8], ready: bool) -> io::Result<()> {
        let mut fresh = Zeroizing::new([0; SEED]);
        if ready {
            weir_kernel::fill(fresh.as_mut_slice()).map_err(io::Error::other)?;
        } else if old.is_empty() {
            return Ok(());
        }
        let mut hash = Sha512::new();
        hash.update(b"weir-feed seed file\0");
        hash.update((old.len() as u64).to_le_bytes());
        hash.update(old);
        hash.update(fresh.as_slice());
        let mut before = Zeroizing::new(Vec::with_capacity(FILE));
        if let Ok(file) = open_private(&self.path()) {
            file.take(FILE as u64).read_to_end(&mut before)?;
            hash.update(before.as_slice());
        }
        let seed: Zeroizing<[u8; SEED]> = Zeroizing::new(hash.finalize().into());
        let file = format(&seed, ready, self.machine);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let beside = self.dir.join("seed.new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        out.write_all(file.as_slice())?;
        out.sync_all()?;
        fs::rename(&beside, self.path())?;
        self.sync()
    }

    /// Makes the folder's entries durable.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Whether nobody but root (or whoever runs this) could have written it, or has it under another name.
fn is_ours(meta: &fs::Metadata, most_links: u64) -> bool {
    let owner = rustix::process::geteuid().as_raw();
    (meta.uid() == 0 || meta.uid() == owner) && meta.mode() & 0o022 == 0 && meta.nlink() <= most_links
}

fn open_private(path: &std::path::Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Whether these bytes are a seed file of this daemon's.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    parse(bytes).is_some()
}

struct Content<'a> {
    ready: bool,
    machine: [u8; 32],
    seed: &'a [u8; SEED],
}

fn parse(bytes: &[u8]) -> Option<Content<'_>> {
    let (said, sum) = bytes.split_last_chunk::<32>()?;
    let head = [MAGIC.as_slice(), &[VERSION]].concat();
    if bytes.len() != FILE || !said.starts_with(&head) || Sha256::digest(said).as_slice() != sum {
        return None;
    }
    let ready = *said.get(9)? == 1;
    Some(Content { ready, machine: *said.get(16..)?.first_chunk()?, seed: said.last_chunk()? })
}

fn format(seed: &[u8; SEED], ready: bool, machine: Option<[u8; 32]>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE));
    bytes.extend(MAGIC);
    bytes.extend([VERSION, u8::from(ready), 0, 0, 0, 0, 0, 0]);
    bytes.extend(machine.unwrap_or_default());
    bytes.extend(seed);
    let mut sum = Sha256::digest(&bytes);
    bytes.extend(sum.as_slice());
    sum.as_mut_slice().zeroize();
    bytes
}

/// Which machine this is, as its firmware, its disk and its cloud say; `None` where the firmware says nothing.
pub(crate) fn machine() -> Option<[u8; 32]> {
    let read = |path: &str| {
        fs::read(path).ok().map(|text| text.trim_ascii().to_vec()).filter(|text| !text.is_empty())
    };
    let firmware = read("/sys/class/dmi/id/product_uuid").filter(|uuid| says_something(uuid));
    let firmware = firmware.or_else(|| read("/sys/firmware/devicetree/base/serial-number"))?;
    let rest =
        ["/etc/machine-id", "/var/lib/cloud/data/instance-id"].map(|path| read(path).unwrap_or_default());
    let mut hash = Sha256::new();
    for part in std::iter::once(&firmware).chain(&rest) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Some(hash.finalize().into())
}

/// Firmware that was never told a UUID has all digits the same, or the example of the SMBIOS specification.
fn says_something(uuid: &[u8]) -> bool {
    let mut digits = uuid.iter().filter(|byte| **byte != b'-');
    let first = digits.next();
    digits.any(|digit| Some(digit) != first)
        && !uuid.eq_ignore_ascii_case(b"03000200-0400-0500-0006-000700080009")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const THIS: Option<[u8; 32]> = Some([1; 32]);

    #[test]
    fn a_seed_is_private_used_once_and_credited_on_its_own_machine_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = SeedFile::new(dir.path().to_owned(), THIS);
        assert!(file.take().unwrap().is_none());
        file.save(&[], true).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let saved = fs::read(file.path()).unwrap();
        let taken = file.take().unwrap().unwrap();
        assert_eq!((taken.bytes.len(), taken.credit_bits), (SEED, WORTH_BITS));
        assert!(file.take().unwrap().is_none(), "gone from the disk");

        for (machine, ready) in [(Some([2; 32]), true), (None, true)] {
            fs::write(file.path(), &saved).unwrap();
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
            let other = SeedFile::new(dir.path().to_owned(), machine);
            assert_eq!(other.take().unwrap().unwrap().credit_bits, 0, "{machine:?} {ready}");
        }
        file.save(&taken.bytes, false).unwrap();
        assert_eq!(file.take().unwrap().unwrap().credit_bits, 0, "not ready when it was saved");

        let worth = |file: &SeedFile| file.take().unwrap().unwrap().credit_bits;
        file.save(&[], true).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(worth(&file), 0, "others could have written it");
        file.save(&[], true).unwrap();
        fs::hard_link(file.path(), dir.path().join("copy")).unwrap();
        assert_eq!(worth(&file), 0, "it is still there under another name");
        file.save(&[], true).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(worth(&file), 0, "others could have put another in its place");
    }

    #[test]
    fn a_saved_seed_depends_on_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = SeedFile::new(dir.path().to_owned(), THIS);
        let mut saved = Vec::new();
        for old in [[1; SEED], [2; SEED]] {
            // Without a draw the old seed is all there is.
            file.save(&old, false).unwrap();
            saved.push(file.take().unwrap().unwrap().bytes);
        }
        assert_ne!(saved[0], saved[1]);
        assert_ne!(*saved[0], [1; SEED]);
        file.save(&[], false).unwrap();
        assert!(file.take().unwrap().is_none(), "nothing is made of nothing");
    }

    #[test]
    fn what_is_damaged_is_mixed_in_and_not_credited() {
        let dir = tempfile::tempdir().unwrap();
        let file = SeedFile::new(dir.path().to_owned(), THIS);
        file.save(&[], true).unwrap();
        let saved = fs::read(file.path()).unwrap();
        for at in 0..saved.len() {
            let mut bad = saved.clone();
            bad[at] ^= 1;
            assert!(parse(&bad).is_none(), "byte {at}");
        }
        for bad in [&saved[..100], &[0; 9000], b"text"] {
            fs::write(file.path(), bad).unwrap();
            let taken = file.take().unwrap().unwrap();
            assert_eq!((taken.credit_bits, taken.bytes.len()), (0, bad.len().min(4096)));
        }
        std::os::unix::fs::symlink("/etc/hostname", file.path()).unwrap();
        assert!(file.take().is_err(), "a link is not followed");
    }

    #[test]
    fn firmware_that_was_told_nothing_names_no_machine() {
        assert!(says_something(b"4c4c4544-0043-3510-8052-b4c04f4e4b31"));
        for nothing in ["00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"] {
            assert!(!says_something(nothing.as_bytes()));
        }
        assert!(!says_something(b"03000200-0400-0500-0006-000700080009"));
    }
}
