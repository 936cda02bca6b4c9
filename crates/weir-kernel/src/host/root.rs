//! The one way to the files that facts come from.
//!
//! A [`Root`] is this host's `/`, or a folder that holds a copy of such files: a recorded tree of a test, or the mounted
//! image of another machine. Every read is bounded in length, never blocks, follows no link out of the root, and
//! says why when it gives nothing: absent is not the same as forbidden.
//!
//! What a folder cannot hold (owners, times, extended attributes, device files, "permission denied") a recorded
//! tree says in a file [`RECORD`] at its top: see [`Record`].

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::syscall::last_errno;

/// A fact, or why it is not known.
pub type Fact<T> = Result<T, Unknown>;

/// Why a fact is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// What would tell does not exist here.
    Absent,
    /// It exists or may exist, and this process is not allowed to look.
    Denied,
    /// It exists and does not say what it should; what was wrong with it.
    Malformed(&'static str),
    /// It was known once and is no longer kept: the kernel log has been overwritten since the boot.
    Lost,
    /// Any other error of the operating system.
    Os(i32),
}

impl Unknown {
    /// The reason behind an error of the operating system.
    pub(crate) fn from_errno(errno: i32) -> Self {
        match errno {
            // ENODEV and ENXIO: a device file with nothing behind it. ESRCH: a process that has ended.
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ENXIO | libc::ESRCH => Self::Absent,
            libc::EACCES | libc::EPERM => Self::Denied,
            other => Self::Os(other),
        }
    }

    fn from_io(error: &io::Error) -> Self {
        Self::from_errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not present"),
            Self::Denied => f.write_str("permission denied"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::Lost => f.write_str("no longer kept"),
            Self::Os(errno) => write!(f, "{}", io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// What the file system says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, such as 0o600.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Length in bytes.
    pub bytes: u64,
    /// Last change of the content, in seconds since 1970.
    pub modified: i64,
}

/// The longest text file that facts are read from; what is longer is cut there.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 10;
/// The most entries of a folder that are looked at.
pub(super) const MAX_ENTRIES: usize = 65_536;

/// Where facts are read from.
#[derive(Debug)]
pub struct Root {
    /// `None` for this host.
    dir: Option<PathBuf>,
    record: Record,
}

impl Root {
    /// This host.
    #[must_use]
    pub fn live() -> Self {
        Self { dir: None, record: Record::default() }
    }

    /// The files under `dir`: a recorded tree, or the mounted image of another machine.
    ///
    /// # Errors
    /// Why the folder cannot be opened, or what is wrong with its [`RECORD`].
    pub fn at(dir: &Path) -> Fact<Self> {
        let mut root = Self { dir: Some(dir.to_owned()), record: Record::default() };
        root.list("/")?;
        match root.text(RECORD) {
            Ok(text) => root.record = Record::parse(&text)?,
            Err(Unknown::Absent) => {}
            Err(other) => return Err(other),
        }
        Ok(root)
    }

    /// Whether this is the running host, so that the kernel may be asked directly as well.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.dir.is_none()
    }

    /// The start of a file, at most `most` bytes.
    pub(super) fn bytes(&self, path: &str, most: usize) -> Fact<Vec<u8>> {
        if let Some(recorded) = self.record.text(path)? {
            return Ok(recorded.bytes().take(most).collect());
        }
        let file = self.open(path, libc::O_RDONLY)?;
        let kind = file.metadata().map_err(|error| Unknown::from_io(&error))?;
        if kind.is_dir() {
            return Err(Unknown::Malformed("a folder where a file should be"));
        }
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes).map_err(|error| Unknown::from_io(&error))?;
        Ok(bytes)
    }

    /// The start of a text file. What is not UTF-8 is replaced, because nothing here depends on it.
    pub(super) fn text(&self, path: &str) -> Fact<String> {
        let bytes = self.bytes(path, MAX_TEXT_BYTES)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The one line of a file, without space around it.
    pub(super) fn line(&self, path: &str) -> Fact<String> {
        Ok(self.text(path)?.trim_matches(['\0', '\n', ' ', '\t']).to_owned())
    }

    /// The number that a file holds.
    pub(super) fn number(&self, path: &str) -> Fact<u64> {
        self.line(path)?.parse().map_err(|_| Unknown::Malformed("not a number"))
    }

    /// The names in a folder, sorted.
    pub(super) fn list(&self, path: &str) -> Fact<Vec<String>> {
        self.record.text(path)?;
        let mut names: Vec<String> = self.record.names_in(path).map(str::to_owned).collect();
        match self.list_folder(path) {
            Ok(found) => names.extend(found),
            Err(Unknown::Absent) if !names.is_empty() => {}
            Err(other) => return Err(other),
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn list_folder(&self, path: &str) -> Fact<Vec<String>> {
        let folder = self.open(path, libc::O_RDONLY | libc::O_DIRECTORY)?;
        let entries = match self.dir {
            None => std::fs::read_dir(path),
            Some(_) => std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd())),
        };
        let entries = entries.map_err(|error| Unknown::from_io(&error))?;
        Ok(entries.take(MAX_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    /// What a symbolic link says.
    pub(super) fn link(&self, path: &str) -> Fact<String> {
        if let Some(recorded) = self.record.text(path)? {
            return Ok(recorded.to_owned());
        }
        let link = self.open(path, libc::O_PATH | libc::O_NOFOLLOW)?;
        let mut target = [0u8; 256];
        // SAFETY: an empty path means the link that the descriptor is of; the buffer has the length that is given.
        let length = unsafe {
            libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), target.as_mut_ptr().cast(), target.len())
        };
        match usize::try_from(length) {
            Ok(length) => Ok(String::from_utf8_lossy(target.get(..length).unwrap_or_default()).into_owned()),
            Err(_) => Err(Unknown::from_errno(last_errno())),
        }
    }

    /// Whether something is at `path`.
    pub(super) fn exists(&self, path: &str) -> Fact<bool> {
        match self.meta(path) {
            Ok(_) => Ok(true),
            Err(Unknown::Absent) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// What the file system says about a file.
    pub(super) fn meta(&self, path: &str) -> Fact<Meta> {
        if let Some(recorded) = self.record.meta(path)? {
            return Ok(recorded);
        }
        let file = self.open(path, libc::O_PATH)?;
        let meta = file.metadata().map_err(|error| Unknown::from_io(&error))?;
        Ok(Meta { mode: meta.mode() & 0o7777, uid: meta.uid(), bytes: meta.size(), modified: meta.mtime() })
    }

    /// The value of an extended attribute, at most 256 bytes of it.
    pub(super) fn attribute(&self, path: &str, name: &str) -> Fact<String> {
        if let Some(recorded) = self.record.attribute(path, name)? {
            return Ok(recorded.to_owned());
        }
        let file = self.open(path, libc::O_PATH)?;
        // An O_PATH descriptor names the file; fgetxattr does not take one, its place in /proc does.
        let through = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let (Ok(through), Ok(name)) = (through, CString::new(name)) else { return Err(Unknown::Absent) };
        let mut value = [0u8; 256];
        // SAFETY: two strings with their terminators, and a writable buffer of the length that is given.
        let length = unsafe {
            libc::getxattr(through.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
        };
        match usize::try_from(length) {
            Ok(length) => {
                Ok(String::from_utf8_lossy(value.get(..length).unwrap_or_default()).trim().to_owned())
            }
            Err(_) => Err(match last_errno() {
                libc::ENODATA | libc::ENOTSUP => Unknown::Absent,
                errno => Unknown::from_errno(errno),
            }),
        }
    }

    /// Opens a file without blocking on it, and without leaving the root by a link.
    pub(crate) fn open(&self, path: &str, flags: i32) -> Fact<File> {
        // openat2 refuses these two beside O_PATH, where they would mean nothing.
        let careful = if flags & libc::O_PATH == 0 { libc::O_NONBLOCK | libc::O_NOCTTY } else { 0 };
        let flags = flags | libc::O_CLOEXEC | careful;
        match &self.dir {
            None => open_at(libc::AT_FDCWD, Path::new(path), flags, 0),
            Some(dir) => {
                let top =
                    open_at(libc::AT_FDCWD, dir, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
                let beneath = Path::new(path.trim_start_matches('/'));
                let beneath = if beneath.as_os_str().is_empty() { Path::new(".") } else { beneath };
                let inside = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
                match open_at(top.as_raw_fd(), beneath, flags, inside) {
                    // Before Linux 5.6, or under a filter: no link at the end, and no `..` is ever asked for.
                    Err(Unknown::Os(libc::ENOSYS)) => {
                        open_at(top.as_raw_fd(), beneath, flags | libc::O_NOFOLLOW, 0)
                    }
                    other => other,
                }
            }
        }
    }
}

/// openat2(2) under rules of resolution, plain openat(2) without.
fn open_at(dir: i32, path: &Path, flags: i32, resolve: u64) -> Fact<File> {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return Err(Unknown::Absent) };
    let descriptor = if resolve == 0 {
        // SAFETY: a string with its terminator and plain numbers.
        i64::from(unsafe { libc::openat(dir, path.as_ptr(), flags) })
    } else {
        // SAFETY: the structure is plain numbers, for which zeros are valid.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = u64::try_from(flags).unwrap_or_default();
        how.resolve = resolve;
        // SAFETY: a string with its terminator, and a structure of the length that is given.
        unsafe { libc::syscall(libc::SYS_openat2, dir, path.as_ptr(), &raw const how, size_of_val(&how)) }
    };
    match i32::try_from(descriptor) {
        // SAFETY: the descriptor was just opened and has no other owner.
        Ok(descriptor @ 0..) => Ok(unsafe { File::from_raw_fd(descriptor) }),
        _ => Err(Unknown::from_errno(last_errno())),
    }
}

/// Where a recorded tree keeps its [`Record`].
pub const RECORD: &str = "/RECORDED";

/// What a recorded tree says beyond what a folder can hold. One file a line:
///
/// ```text
/// # comment
/// /etc/ssh/ssh_host_ed25519_key mode=0600 uid=0 bytes=411 modified=1714557600
/// /var/lib/systemd/random-seed  mode=0600 modified=1714557600 user.random-seed-creditable=1
/// /proc/sys/kernel/random/poolsize text=256
/// /proc/self/ns/pid             text=pid:[4026531836]
/// /dev/kmsg                     denied
/// ```
///
/// Such a file need not exist in the folder.
/// - `mode`, `uid`, `bytes` and `modified` are its metadata; what is left out of them is 0644, 0, 0 and the year 1970.
/// - A name with a dot is an extended attribute.
/// - `text`, which takes the rest of the line, is its content, or what a symbolic link says. A short file is easier
///   to read here than in a folder of its own.
/// - `denied`: this process may not even see it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Record {
    files: BTreeMap<String, RecordedFile>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct RecordedFile {
    denied: bool,
    meta: Option<Meta>,
    attributes: BTreeMap<String, String>,
    text: Option<String>,
}

const NO_META: Meta = Meta { mode: 0o644, uid: 0, bytes: 0, modified: 0 };

impl Record {
    /// Reads the lines of a [`RECORD`].
    ///
    /// # Errors
    /// [`Unknown::Malformed`] with what was wrong.
    pub fn parse(text: &str) -> Fact<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut record = Self::default();
        for line in lines {
            record.add(line)?;
        }
        Ok(record)
    }

    /// Takes a line into account; a file may have several.
    fn add(&mut self, line: &str) -> Fact<()> {
        let (line, text) = match line.split_once(" text=") {
            Some((before, text)) => (before, Some(text.to_owned())),
            None => (line, None),
        };
        let mut words = line.split_ascii_whitespace();
        let path = words.next().filter(|path| path.starts_with('/'));
        let path = path.ok_or(Unknown::Malformed("a line must begin with an absolute path"))?;
        let file = self.files.entry(path.to_owned()).or_default();
        file.text = text.or(file.text.take());
        words.try_for_each(|word| file.add(word))
    }

    /// A file that was recorded, if this process may see it.
    fn file(&self, path: &str) -> Fact<Option<&RecordedFile>> {
        match self.files.get(path) {
            Some(file) if file.denied => Err(Unknown::Denied),
            file => Ok(file),
        }
    }

    fn text(&self, path: &str) -> Fact<Option<&str>> {
        Ok(self.file(path)?.and_then(|file| file.text.as_deref()))
    }

    fn meta(&self, path: &str) -> Fact<Option<Meta>> {
        let file = self.file(path)?;
        let is_folder = || self.names_in(path).next().is_some();
        Ok(match file {
            Some(file) => Some(file.meta.clone().unwrap_or(NO_META)),
            None => is_folder().then_some(NO_META),
        })
    }

    fn attribute(&self, path: &str, name: &str) -> Fact<Option<&str>> {
        match self.file(path)? {
            Some(file) => file.attributes.get(name).map(|value| Some(value.as_str())).ok_or(Unknown::Absent),
            None => Ok(None),
        }
    }

    /// The names directly in a folder that recorded files have or lie under.
    fn names_in(&self, folder: &str) -> impl Iterator<Item = &str> {
        let folder = folder.trim_end_matches('/');
        let beneath = move |path: &'_ str| -> Option<usize> {
            path.strip_prefix(folder)?.starts_with('/').then_some(folder.len() + 1)
        };
        self.files.keys().filter_map(move |path| path.get(beneath(path)?..)?.split('/').next())
    }
}

impl RecordedFile {
    fn add(&mut self, word: &str) -> Fact<()> {
        match word.split_once('=') {
            None if word == "denied" => self.denied = true,
            None => return Err(Unknown::Malformed("a word that is neither denied nor key=value")),
            Some((name, value)) if name.contains('.') => {
                self.attributes.insert(name.to_owned(), value.to_owned());
            }
            Some((name, value)) => {
                let meta = self.meta.get_or_insert(NO_META);
                set(meta, name, value)
                    .ok_or(Unknown::Malformed("a key that is not known, or a bad number"))?;
            }
        }
        Ok(())
    }
}

fn set(meta: &mut Meta, name: &str, value: &str) -> Option<()> {
    match name {
        "mode" => meta.mode = u32::from_str_radix(value, 8).ok()?,
        "uid" => meta.uid = value.parse().ok()?,
        "bytes" => meta.bytes = value.parse().ok()?,
        "modified" => meta.modified = value.parse().ok()?,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_its_lines_say() {
        let record = Record::parse(
            "# a comment\n\n/a/key mode=0600 modified=7\n/a/key text=x = y text=z\n/a/b/c user.x=1\n/d denied\n",
        );
        let record = record.expect("well-formed");
        assert_eq!(record.meta("/a/key"), Ok(Some(Meta { mode: 0o600, modified: 7, ..NO_META })));
        assert_eq!(record.text("/a/key"), Ok(Some("x = y text=z")));
        assert_eq!(record.attribute("/a/b/c", "user.x"), Ok(Some("1")));
        assert_eq!(record.attribute("/a/b/c", "user.y"), Err(Unknown::Absent));
        assert_eq!(record.attribute("/elsewhere", "user.y"), Ok(None));
        assert_eq!(record.text("/d"), Err(Unknown::Denied));
        assert_eq!(record.meta("/d"), Err(Unknown::Denied));
        assert_eq!(record.names_in("/a").collect::<Vec<_>>(), ["b", "key"]);
        assert_eq!(record.names_in("/").collect::<Vec<_>>(), ["a", "a", "d"]);
        assert_eq!(record.meta("/a/b"), Ok(Some(NO_META)), "a folder");
        assert_eq!(record.meta("/a/x"), Ok(None));
    }

    #[test]
    fn a_bad_line_is_an_error() {
        for bad in ["relative mode=0600", "/x wrong", "/x mode=9", "/x bytes=-1", "/x size=1"] {
            assert!(Record::parse(bad).is_err(), "{bad}");
        }
    }
}
