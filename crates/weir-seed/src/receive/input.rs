//! A seed on its way in: read whole, bounded, with no copy left behind.
//!
//! Standard input is read by its descriptor, because the library's own buffer for it is never erased.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::{Seed, SeedError};

/// Why there is no seed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Nobody types a seed.
    #[error("a seed is never typed: it comes by a pipe, as from `weir seed push`")]
    Terminal,
    /// The file is no file.
    #[error("it is a folder, or a device that never ends")]
    NoFile,
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no seed.
    #[error(transparent)]
    Seed(#[from] SeedError),
}

/// Reads a seed from standard input, to its end.
///
/// # Errors
/// [`InputError`].
pub fn read_stdin() -> Result<Seed, InputError> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(InputError::Terminal);
    }
    read(File::from(stdin.as_fd().try_clone_to_owned()?))
}

/// Reads a seed from a file: one of the file system, or one that the kernel or the hypervisor shows as such.
///
/// # Errors
/// [`InputError`].
pub fn read_file(path: &Path) -> Result<Seed, InputError> {
    // Opening a pipe without a writer would wait for one.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(io::Error::from)?);
    if !file.metadata()?.is_file() {
        return Err(InputError::NoFile);
    }
    read(file)
}

/// Reads to the end, or one byte more than is allowed, into memory that does not move meanwhile.
fn read(mut from: impl Read) -> Result<Seed, InputError> {
    let mut bytes = Zeroizing::new(vec![0; Seed::MAX_BYTES + 1]);
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Seed::from_bytes(bytes.get(..length).unwrap_or_default().to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_whole_and_bounded() {
        let (first, second) = ([1; 20], [2; 20]);
        let both = read(first.chain(&second[..])).unwrap();
        assert_eq!(both.expose(), [first, second].concat());
        assert!(matches!(read(&[0; 31][..]), Err(InputError::Seed(SeedError::TooShort(31)))));
        assert_eq!(read(&[0; 4096][..]).unwrap().expose().len(), 4096);
        assert!(matches!(read(io::repeat(0)), Err(InputError::Seed(SeedError::TooLong(4097)))));
    }

    #[test]
    fn only_files_are_read_as_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        std::fs::write(&path, [7; 64]).unwrap();
        assert_eq!(read_file(&path).unwrap().expose(), [7; 64]);
        assert!(matches!(read_file(dir.path()), Err(InputError::NoFile)));
        assert!(matches!(read_file(Path::new("/dev/zero")), Err(InputError::NoFile)));
        assert!(matches!(read_file(&dir.path().join("none")), Err(InputError::Io(_))));
    }
}
