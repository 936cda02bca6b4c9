//! One gateway for each prefix: the first takes a lock, and others find its process by it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;

/// The lock of a running gateway. The kernel drops it with the process, however it ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and writes this process's id.
    ///
    /// # Errors
    /// When another gateway has it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let mut file = open(path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = read_pid(&mut file)
                .map_or_else(String::new, |pid| format!(", process {}", pid.as_raw_nonzero()));
            bail!("a gateway is running with this prefix already{pid}: {}", path.display());
        }
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// The process that has the lock, if any has.
pub(crate) fn holder(path: &Path) -> Result<Option<Pid>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut file = open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return Ok(None);
    }
    read_pid(&mut file).map(Some).with_context(|| format!("{} holds no process id", path.display()))
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path);
    file.with_context(|| path.display().to_string())
}

fn read_pid(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weir.lock");
        assert_eq!(holder(&path).unwrap(), None);
        let lock = Lock::take(&path).unwrap();
        assert_eq!(holder(&path).unwrap(), Some(rustix::process::getpid()));
        let second = Lock::take(&path).err().unwrap().to_string();
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        drop(lock);
        assert_eq!(holder(&path).unwrap(), None);
    }
}
