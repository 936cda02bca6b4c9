//! Files with seeds in them: all of a run are written, or none.
//!
//! Each is written without a name, readable by nobody but its owner from the start, and brought to the disk; when all are,
//! each gets its name. What fails before that leaves nothing, and a program that is killed meanwhile leaves whole files or
//! none. Where files cannot be without a name (see `unnamed`), each has another name beside its place until then, and a
//! killed program leaves those behind. A file that is there already is an error unless it may be replaced, also when it
//! appears meanwhile. What is there and is no file (a pipe, a device) is written to as it is and never replaced.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::unnamed;

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl FileError {
    /// Whether it is that the file is there already.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.error.kind() == io::ErrorKind::AlreadyExists
    }
}

/// Files on their way. Dropped before [`Batch::finish`], it takes everything back.
#[derive(Debug)]
pub struct Batch {
    replace: bool,
    staged: Vec<Staged>,
    names: BTreeSet<PathBuf>,
    folders: Vec<PathBuf>,
    /// How many more may be without a name.
    unnamed: usize,
}

#[derive(Debug)]
struct Staged {
    content: Content,
    path: PathBuf,
}

/// Where a file is that has not got its name yet.
#[derive(Debug)]
enum Content {
    Unnamed(File),
    Beside(PathBuf),
}

impl Batch {
    /// None yet. `replace`: whether files may be replaced.
    #[must_use]
    pub fn new(replace: bool) -> Self {
        Self {
            replace,
            staged: Vec::new(),
            names: BTreeSet::new(),
            folders: Vec::new(),
            unnamed: unnamed::room(),
        }
    }

    /// Makes a folder and those above it, unless they are there. A new one is its owner's alone.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn folder(&mut self, path: &Path) -> Result<(), FileError> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.folder(above)?;
        }
        make_folder(path).map_err(|error| failed(path, error))?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    /// Whether a file can be there in the end, as far as one can say now.
    ///
    /// # Errors
    /// [`FileError`]: it is there already, or it is a folder.
    pub fn check(&self, path: &Path) -> Result<(), FileError> {
        let wrong = |why: &str| Err(failed(path, io::Error::other(why)));
        let there = || io::Error::new(io::ErrorKind::AlreadyExists, "this is there already");
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => wrong("this is a folder"),
            Ok(found) if found.is_file() && !self.replace => Err(failed(path, there())),
            // A link that leads nowhere.
            Err(_) if fs::symlink_metadata(path).is_ok() => wrong("this is a link that leads nowhere"),
            _ if self.names.contains(path) => wrong("two would have this name"),
            _ => Ok(()),
        }
    }

    /// Writes a file that gets its name with all others.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let asked = path;
        self.check(path)?;
        let at_path = |error| failed(path, error);
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let mut out = OpenOptions::new().write(true).open(path).map_err(at_path)?;
            return out.write_all(bytes).and_then(|()| out.flush()).map_err(at_path);
        }
        // The file that a link leads to is the one to replace.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.names.extend([asked.to_owned(), path.clone()]);
        if let Some(mut file) = self.unnamed(&path) {
            file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at_path)?;
            self.staged.push(Staged { content: Content::Unnamed(file), path });
            return Ok(());
        }
        let (beside, mut file) = beside(&path, self.staged.len(), create).map_err(at_path)?;
        self.staged.push(Staged { content: Content::Beside(beside), path });
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at_path)
    }

    fn unnamed(&mut self, path: &Path) -> Option<File> {
        self.unnamed = self.unnamed.checked_sub(1)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        unnamed::create(folder.unwrap_or(Path::new(".")))
    }

    /// Gives all files their names.
    ///
    /// # Errors
    /// [`FileError`], when another program was in the way: what is new is gone again, what was replaced is replaced.
    pub fn finish(mut self) -> Result<(), FileError> {
        let mut new = Vec::new();
        while let Some(staged) = self.staged.pop() {
            let is_new = fs::symlink_metadata(&staged.path).is_err();
            if let Err(error) = staged.publish(self.replace) {
                let failure = failed(&staged.path, error);
                self.staged.push(staged);
                new.iter().for_each(|path| drop(fs::remove_file(path)));
                return Err(failure);
            }
            if is_new {
                new.push(staged.path);
            }
        }
        self.folders.clear();
        Ok(())
    }
}

/// Makes something under a name that nothing has, beside a place. `number`: where to begin to look for one.
fn beside<T>(
    path: &Path,
    mut number: usize,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    let name = path.file_name().ok_or_else(|| io::Error::other("this is no name of a file"))?;
    loop {
        let beside = path.with_file_name(format!(
            ".{}.{}-{number}",
            name.to_string_lossy().chars().take(100).collect::<String>(),
            std::process::id()
        ));
        match make(&beside) {
            Ok(made) => return Ok((beside, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // What cannot be removed now could not be written either; there is nobody to tell twice.
        for staged in &self.staged {
            if let Content::Beside(beside) = &staged.content {
                let _ = fs::remove_file(beside);
            }
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn failed(path: &Path, error: io::Error) -> FileError {
    FileError { path: path.to_owned(), error }
}

impl Staged {
    /// Gives it its name.
    fn publish(&self, replace: bool) -> io::Result<()> {
        let file = match &self.content {
            Content::Beside(beside) => return publish(beside, &self.path, replace),
            Content::Unnamed(file) => file,
        };
        match unnamed::link(file, &self.path) {
            // Only a name can take the place of a name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && replace => {
                let (beside, ()) = beside(&self.path, 0, |beside| unnamed::link(file, beside))?;
                fs::rename(&beside, &self.path).inspect_err(|_| drop(fs::remove_file(&beside)))
            }
            linked => linked,
        }
    }
}

fn publish(beside: &Path, path: &Path, replace: bool) -> io::Result<()> {
    if !replace {
        // A second name fails where a first one is; FAT and some others have none, and there one has to look.
        match fs::hard_link(beside, path) {
            Ok(()) => return fs::remove_file(beside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if fs::symlink_metadata(path).is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
    }
    fs::rename(beside, path)
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_are_written_or_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b"), "old").unwrap();
        let mut batch = Batch::new(false);
        batch.folder(&dir.path().join("x/y")).unwrap();
        batch.add(&dir.path().join("a"), b"1").unwrap();
        batch.add(&dir.path().join("x/y/a"), b"1").unwrap();
        assert!(batch.add(&dir.path().join("b"), b"2").is_err());
        drop(batch);
        assert_eq!(names(dir.path()), ["b"]);
        let mut batch = Batch::new(true);
        batch.add(&dir.path().join("a"), b"1").unwrap();
        batch.add(&dir.path().join("b"), b"2").unwrap();
        assert!(batch.add(&dir.path().join("b"), b"3").is_err(), "twice");
        assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"old");
        batch.finish().unwrap();
        assert_eq!(names(dir.path()), ["a", "b"]);
        assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"2");
    }

    #[test]
    fn a_file_that_appears_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut batch = Batch::new(false);
        batch.add(&path, b"ours").unwrap();
        batch.add(&dir.path().join("b"), b"ours").unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(batch.finish().is_err());
        assert_eq!((names(dir.path()), fs::read(&path).unwrap()), (vec!["a".to_owned()], b"theirs".to_vec()));
    }

    /// What has no name goes with the program, however that ends.
    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_to_be_seen_before_all_are_written() {
        let dir = tempfile::tempdir().unwrap();
        if unnamed::create(dir.path()).is_none() {
            testkit::skip!("no O_TMPFILE on this file system");
        }
        fs::write(dir.path().join("a"), "old").unwrap();
        let mut batch = Batch::new(true);
        // More than a process may have open by default.
        let all: Vec<String> = (1000..2200).map(|number| number.to_string()).collect();
        batch.unnamed = batch.unnamed.min(1500);
        for name in all.iter().map(String::as_str).chain(["a"]) {
            batch.add(&dir.path().join(name), b"new").unwrap();
        }
        if batch.unnamed == 1500 - 1201 {
            assert_eq!(names(dir.path()), ["a"]);
        }
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
        batch.finish().unwrap();
        assert_eq!(names(dir.path()), [all.as_slice(), &["a".to_owned()]].concat());
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"new");
        // Beyond the limit of open files.
        let mut batch = Batch::new(false);
        batch.unnamed = 1;
        batch.add(&dir.path().join("x"), b"1").unwrap();
        batch.add(&dir.path().join("y"), b"2").unwrap();
        batch.finish().unwrap();
        assert_eq!(names(dir.path())[1201..], ["x", "y"]);
    }

    /// Runs itself once more, as the program to kill.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_that_is_killed_leaves_nothing() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        const FOLDER: &str = "WEIR_TEST_BATCH_FOLDER";
        if let Some(folder) = std::env::var_os(FOLDER) {
            let mut batch = Batch::new(false);
            for number in 0..20 {
                batch.add(&Path::new(&folder).join(number.to_string()), b"seed").unwrap();
            }
            println!("staged");
            // The end of this never comes.
            let _ = io::stdin().read_line(&mut String::new());
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        if unnamed::create(dir.path()).is_none() {
            testkit::skip!("no O_TMPFILE on this file system");
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "document::files::tests::a_program_that_is_killed_leaves_nothing",
                "--nocapture",
            ])
            .env(FOLDER, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("staged")));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_written_is_its_owners_alone_and_devices_stay_devices() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("f"), dir.path().join("link"));
        let mut batch = Batch::new(false);
        batch.folder(&folder).unwrap();
        batch.add(&folder.join("a"), b"1").unwrap();
        let error = batch.add(Path::new("/dev/full"), b"1").unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::StorageFull);
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        assert!(batch.add(&link, b"1").is_err());
        batch.finish().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("a"))), (0o700, 0o600));
    }
}
