//! The seed file of systemd-boot, on the EFI system partition.
//!
//! systemd-boot (`src/boot/efi/random-seed.c`) hashes `\loader\random-seed` with what the firmware gives, hands Linux 32
//! bytes, and puts 32 new ones into the file before it starts anything; a kernel credits them. It takes files of 32 bytes
//! to 32 KiB, and none at all unless the firmware has a generator or the variable LoaderSystemToken is set (`bootctl
//! install` or `bootctl random-seed` on the machine sets it); under Secure Boot, only with the firmware's generator.
//!
//! One seed, one machine: a partition that is copied afterwards carries the same seed to every copy.

use std::path::{Path, PathBuf};

/// What systemd-boot keeps in the file, and what it writes back.
pub const BYTES: usize = 32;

/// The file in a mounted EFI system partition, or why the folder is none.
///
/// # Errors
/// A sentence that says so.
pub fn seed_file(partition: &Path) -> Result<PathBuf, &'static str> {
    if !partition.is_dir() {
        return Err("not a folder: mount the EFI system partition and name where");
    }
    // FAT does not mind upper and lower case; another file system in its place might.
    let has = |name: &str| {
        let entries = std::fs::read_dir(partition).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name())
            .find(|found| found.eq_ignore_ascii_case(name))
    };
    if let Some(loader) = has("loader") {
        return Ok(partition.join(loader).join("random-seed"));
    }
    match has("EFI") {
        Some(_) => Ok(partition.join("loader").join("random-seed")),
        None => {
            Err("neither a folder EFI nor a folder loader in it: is the EFI system partition mounted there?")
        }
    }
}
