//! The generation number: a small file that other programs map, or watch.
//!
//! Which life of the machine this is, counted by the daemon from 1 on at each boot, one more for each clone or restore that
//! it learned of. Written in place, so that a mapping of the file shows each change and inotify tells of it.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0–7 | `WEIRGEN1` |
//! | 8–15 | the generation, little-endian, changed with one aligned store |
//! | 16–63 | zero |

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use weir_kernel::host::published;

/// The published number.
#[derive(Debug)]
pub(crate) struct Published {
    file: File,
    generation: u64,
}

impl Published {
    /// Goes on from the number in the file, or begins with 1.
    ///
    /// # Errors
    /// That the file cannot be made or written.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        let mut bytes = [0; published::BYTES];
        let known = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| published::parse(&bytes));
        if known.is_none() {
            // Never shorter than it will be: whoever has mapped it must not fall off its end.
            file.set_len(published::BYTES as u64)?;
            file.write_all_at(&published::format(1), 0)?;
        }
        Ok(Self { file, generation: known.unwrap_or(1) })
    }

    /// The number in force.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The next one is in force from now on.
    ///
    /// # Errors
    /// That the file cannot be written; the number counts on all the same.
    pub(crate) fn advance(&mut self) -> io::Result<u64> {
        self.generation += 1;
        self.say_again()?;
        Ok(self.generation)
    }

    /// Writes the number once more, for those who watch the file and were busy.
    ///
    /// # Errors
    /// That the file cannot be written.
    pub(crate) fn say_again(&self) -> io::Result<()> {
        self.file.write_all_at(&self.generation.to_le_bytes(), published::AT as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_goes_on_where_it_was_and_is_written_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("generation");
        let mut first = Published::open(&path).unwrap();
        let watched = File::open(&path).unwrap();
        assert_eq!((first.generation(), first.advance().unwrap()), (1, 2));
        let mut bytes = [0; published::BYTES];
        watched.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(published::parse(&bytes), Some(2), "the file that was opened before shows the change");
        assert_eq!(Published::open(&path).unwrap().generation(), 2);
    }

    #[test]
    fn a_file_that_is_none_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("generation");
        std::fs::write(&path, [7; 200]).unwrap();
        assert_eq!(Published::open(&path).unwrap().generation(), 1);
        assert_eq!(std::fs::read(&path).unwrap().len(), published::BYTES);
    }
}
