//! Files without a name until they are given one (`O_TMPFILE`, open(2)): whatever ends the program before that, the kernel
//! takes them away with it.
//!
//! Not every file system has them, and each is an open file: beyond the limit of those, and elsewhere than on Linux, there is
//! `None`, and the caller has to do with names.

use std::fs::File;
use std::path::Path;

/// So many open files are left to everything else.
#[cfg(target_os = "linux")]
const SPARE: u64 = 128;

/// How many may be open at a time, once the limit is as high as this process may set it.
#[cfg(target_os = "linux")]
pub(super) fn room() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit.saturating_sub(SPARE)).unwrap_or(usize::MAX))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn room() -> usize {
    0
}

/// A new one, its owner's alone, on the file system of this folder, where it can be had and can be given a name.
#[cfg(target_os = "linux")]
pub(super) fn create(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(open(folder, flags, Mode::RUSR | Mode::WUSR).ok()?);
    // Without /proc it could have no name.
    std::fs::symlink_metadata(by_number(&file)).is_ok().then_some(file)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn create(_: &Path) -> Option<File> {
    None
}

/// Gives it this name, unless something has it.
#[cfg(target_os = "linux")]
pub(super) fn link(file: &File, path: &Path) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    Ok(linkat(CWD, by_number(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn link(_: &File, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn by_number(file: &File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
