//! Directories that vanish.
//!
//! Contract: a directory is new, empty, readable by its owner only, and removed with everything in it when its guard
//! is dropped. With `WEIR_TEST_KEEP` set it stays, for a look at what a failed test left behind.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory of the test's own, removed on drop.
///
/// ```
/// let dir = testkit::TempDir::new();
/// let path = dir.path().to_owned();
/// std::fs::write(dir.join("weir.conf"), "log_level = debug\n").unwrap();
/// drop(dir);
/// assert!(!path.exists());
/// ```
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Creates a directory under the system's folder for temporary files.
    ///
    /// # Panics
    /// When none can be created there.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("weir-test-{}-{number}", process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Self { path },
                // Left behind by a process that had our number once.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot create {}: {error}", path.display()),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something inside it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::env::var_os("WEIR_TEST_KEEP").is_none() {
            // A file that a dying process still writes may spoil this; the directory is then the system's to clean.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
