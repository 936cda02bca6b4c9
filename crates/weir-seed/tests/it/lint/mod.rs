//! `weir_seed::lint`: each rule on a tree of its own, in a folder and in an archive; hostile images; what `--fix` leaves as
//! it is.

mod archives;
mod hostile;
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use weir_seed::lint::{Access, Consent, Done, Image, Report, Terms};

/// A seed that is a secret: if it is ever printed, a test finds it.
pub(crate) const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";
pub(crate) const ID: &str = "0123456789abcdef0123456789abcdef\n";

pub(crate) fn pem() -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n")
}

/// An image of an empty system.
pub(crate) fn bare() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc", "usr/bin", "var/log", "root"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    put(root.path(), "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:9:9::/srv/app:/bin/sh\n");
    put(root.path(), "/etc/machine-id", "");
    root
}

pub(crate) fn put(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(crate) fn open(path: &Path) -> Image {
    Image::open(path, Access { change: true, ..Access::default() }).unwrap()
}

pub(crate) fn look(path: &Path) -> Report {
    open(path).look(&Terms::default()).unwrap()
}

pub(crate) fn ids(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.id).collect()
}

/// Ends all that was found, and tells what was done.
pub(crate) fn fix(path: &Path, consent: Consent) -> Vec<Done> {
    let mut image = open(path);
    let report = image.look(&Terms::default()).unwrap();
    let plan = image.plan(&report, consent);
    let mut done = Vec::new();
    image.fix(&report, consent, &mut |one| done.push(one)).unwrap();
    assert_eq!(done, plan, "what is done is what was planned");
    image.close().unwrap();
    done
}

/// Everything in a folder: kind, mode, length and time of the last change of each.
pub(crate) fn state(root: &Path) -> BTreeMap<String, (u32, u64, i64, i64, u64)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let (mode, name) = (about.permissions().mode(), path.to_string_lossy().into_owned());
            all.insert(name, (mode, about.len(), about.ctime(), about.ctime_nsec(), about.ino()));
            if about.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}
