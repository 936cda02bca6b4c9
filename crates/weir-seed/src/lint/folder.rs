//! An image that is a folder: unpacked, or mounted.
//!
//! Every part of a path is opened for itself, beneath the one before, and never through a link, so that nothing leaves the
//! folder whatever is changed in it meanwhile. Only regular files are opened, and those without waiting.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::place::Place;
use super::tree::{Change, Entry, Kind, MAX_NAMES, Sink, Told, Tree};

/// Folders in folders that are removed; each holds a descriptor meanwhile.
const MAX_DEPTH: usize = 200;
/// What is to take a file's place, until it does. Left behind only by a run that was killed; the next one takes it over.
const BESIDE: &[u8] = b".weir-seed-lint.new";

/// A folder that holds an image.
pub(super) struct Folder {
    top: OwnedFd,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { top: fs::open(path, flags, Mode::empty())? })
    }

    /// Whether this is the root of the system that runs.
    pub(super) fn is_running_system(&self) -> io::Result<bool> {
        let (here, running) = (fs::fstat(&self.top)?, fs::stat("/")?);
        Ok((here.st_dev, here.st_ino) == (running.st_dev, running.st_ino))
    }

    /// A folder of the image; `None` if there is none.
    fn folder(&self, place: &Place) -> io::Result<Option<OwnedFd>> {
        let mut folder = self.top.try_clone()?;
        for part in place.parts() {
            match beneath(&folder, part)? {
                Some(next) => folder = next,
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    /// A regular file, open for reading.
    fn file(&self, place: &Place) -> io::Result<File> {
        let folder = self.folder(&place.parent())?.ok_or(io::ErrorKind::NotFound)?;
        open_file(&folder, place.name(), OFlags::RDONLY)
    }

    fn make(&self, place: &Place, change: Change) -> io::Result<bool> {
        let Some(folder) = self.folder(&place.parent())? else { return Ok(false) };
        let name = place.name();
        let Some(before) = stat(&folder, name)? else { return Ok(false) };
        match change {
            Change::Remove => remove(&folder, name, before.kind, MAX_DEPTH)?,
            Change::Empty => empty(&folder, name)?,
            Change::Content(content) => replace(&folder, name, content.as_bytes())?,
            Change::Link(target) => {
                clear_beside(&folder)?;
                fs::symlinkat(target, &folder, BESIDE)?;
                fs::renameat(&folder, BESIDE, &folder, name)?;
            }
        }
        Ok(true)
    }
}

impl Tree for Folder {
    fn entry(&mut self, place: &Place) -> io::Result<Option<Entry>> {
        if *place == Place::root() {
            return Ok(Some(Entry { kind: Kind::Folder, mode: 0o755, bytes: 0 }));
        }
        match self.folder(&place.parent())? {
            Some(folder) => stat(&folder, place.name()),
            None => Ok(None),
        }
    }

    fn names(&mut self, place: &Place) -> io::Result<Vec<Vec<u8>>> {
        let folder = self.folder(place)?.ok_or(io::ErrorKind::NotFound)?;
        let mut names = names(&folder)?;
        names.sort_unstable();
        Ok(names)
    }

    fn link(&mut self, place: &Place) -> io::Result<Vec<u8>> {
        let folder = self.folder(&place.parent())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(fs::readlinkat(&folder, place.name(), Vec::new())?.into_bytes())
    }

    fn has_attribute(&mut self, place: &Place, name: &str) -> bool {
        let mut value = [0u8; 16];
        let got = self.file(place).is_ok_and(|file| fs::fgetxattr(&file, name, &mut value[..]).is_ok());
        got && value.first() != Some(&b'0')
    }

    fn read(&mut self, wanted: &BTreeMap<Place, u64>, sink: Sink<'_>) -> io::Result<()> {
        for (place, most) in wanted {
            match self.file(place) {
                Ok(file) => sink(place, Ok(&mut file.take(*most))),
                Err(error) => sink(place, Err(error)),
            }
        }
        Ok(())
    }

    fn change(&mut self, changes: &BTreeMap<Place, Change>, told: Told<'_>) -> io::Result<()> {
        let mut failed = None;
        for (place, change) in changes {
            match self.make(place, *change) {
                Ok(true) => told(place, *change),
                Ok(false) => {}
                Err(error) => {
                    let why = io::Error::new(error.kind(), format!("{place}: {error}"));
                    failed = failed.or(Some(why));
                }
            }
        }
        #[cfg(target_os = "linux")]
        fs::syncfs(&self.top)?;
        failed.map_or(Ok(()), Err)
    }
}

/// A folder in a folder; `None` if there is none of that name.
fn beneath(folder: &OwnedFd, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // To pass through a folder takes less of a right than to list it.
    #[cfg(target_os = "linux")]
    let flags = flags | OFlags::PATH;
    absent(fs::openat(folder, name, flags, Mode::empty()))
}

/// Not to be there is no error; a link or a file where a folder should be is not to be there.
fn absent<T>(result: Result<T, Errno>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

fn stat(folder: &OwnedFd, name: &[u8]) -> io::Result<Option<Entry>> {
    let stat = absent(fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))?;
    Ok(stat.map(|stat| Entry {
        kind: match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Folder,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        },
        mode: Mode::from_raw_mode(stat.st_mode).as_raw_mode(),
        bytes: u64::try_from(stat.st_size).unwrap_or_default(),
    }))
}

/// Opens a file if it is a regular one: looked at before, because to open a device may do something, and after.
fn open_file(folder: &OwnedFd, name: &[u8], access: OFlags) -> io::Result<File> {
    let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    if stat(folder, name)?.ok_or(io::ErrorKind::NotFound)?.kind != Kind::File {
        return Err(irregular());
    }
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(fs::openat(folder, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(irregular()) }
}

fn names(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::new(fs::openat(folder, ".", flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
        if names.len() > MAX_NAMES {
            return Err(io::Error::other(format!("more than {MAX_NAMES} names in a folder")));
        }
    }
    Ok(names)
}

fn remove(folder: &OwnedFd, name: &[u8], kind: Kind, depth: usize) -> io::Result<()> {
    if kind != Kind::Folder {
        return absent(fs::unlinkat(folder, name, AtFlags::empty())).map(|_| ());
    }
    if depth == 0 {
        return Err(io::Error::other(format!("folders in folders, more than {MAX_DEPTH}")));
    }
    let Some(inner) = beneath(folder, name)? else { return Ok(()) };
    for name in names(&inner)? {
        if let Some(entry) = stat(&inner, &name)? {
            remove(&inner, &name, entry.kind, depth - 1)?;
        }
    }
    Ok(fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// In place where that is safe, so that mode, owner and labels stay. A file with a second name, which may be outside of the
/// image, is replaced.
fn empty(folder: &OwnedFd, name: &[u8]) -> io::Result<()> {
    match open_file(folder, name, OFlags::WRONLY) {
        Ok(file) if fs::fstat(&file)?.st_nlink == 1 => Ok(file.set_len(0)?),
        Ok(_) => replace(folder, name, b""),
        // Of its owner, who may not write to it: machine-id's mode is 0444.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => replace(folder, name, b""),
        Err(error) => Err(error),
    }
}

/// Written beside and renamed, with mode, owner and label of the file that was.
fn replace(folder: &OwnedFd, name: &[u8], content: &[u8]) -> io::Result<()> {
    let old = open_file(folder, name, OFlags::RDONLY)?;
    let about = fs::fstat(&old)?;
    clear_beside(folder)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut new = File::from(fs::openat(folder, BESIDE, flags, Mode::RUSR | Mode::WUSR)?);
    new.write_all(content)?;
    let (owner, group) = (fs::Uid::from_raw(about.st_uid), fs::Gid::from_raw(about.st_gid));
    // Only root may give a file away, and for anybody else the owner is right as it is.
    let _ = fs::fchown(new.as_fd(), Some(owner), Some(group));
    copy_label(&old, &new);
    fs::fchmod(&new, Mode::from_raw_mode(about.st_mode & 0o777))?;
    new.sync_all()?;
    Ok(fs::renameat(folder, BESIDE, folder, name)?)
}

/// SELinux's label. Where there is none, or it may not be set, the image is labelled at its first boot.
fn copy_label(old: &File, new: &File) {
    const LABEL: &str = "security.selinux";
    let mut value = [0u8; 256];
    if let Ok(length) = fs::fgetxattr(old, LABEL, &mut value[..]) {
        let _ = fs::fsetxattr(new, LABEL, value.get(..length).unwrap_or_default(), fs::XattrFlags::empty());
    }
}

fn clear_beside(folder: &OwnedFd) -> io::Result<()> {
    absent(fs::unlinkat(folder, BESIDE, AtFlags::empty())).map(|_| ())
}
