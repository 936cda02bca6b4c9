//! An image of one kind or another: what it is is told from its content, never from its name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::archive::Archive;
#[cfg(unix)]
use super::disk::{Disk, Format};
#[cfg(unix)]
use super::examine::examine_esp;
use super::examine::{Found, examine};
#[cfg(unix)]
use super::folder::Folder;
use super::pack::Packing;
use super::pattern::known;
use super::place::Place;
use super::report::{Done, FixedBy, Report, Terms, Unseen};
use super::tree::{Change, Kind, Tree};

/// Why an image cannot be looked at, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// The operating system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else; what, and what to do.
    #[error("{0}")]
    NotAnImage(String),
    /// It is the system that runs, which is no image.
    #[error("this is the system that runs; --fix is for images (with --running-system it does this one)")]
    RunningSystem,
}

/// What may be changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Consent {
    /// Also keys that nothing makes again.
    pub keys: bool,
}

/// How an image is opened.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// To be changed, too.
    pub change: bool,
    /// Although it is the root of the system that runs.
    pub running_system: bool,
    /// How long a disk may take to open.
    pub open_within: Duration,
}

impl Default for Access {
    /// To be looked at, with five minutes for a disk.
    fn default() -> Self {
        Self { change: false, running_system: false, open_within: Duration::from_secs(300) }
    }
}

/// An image.
pub struct Image {
    name: String,
    /// What commands name it by; `None` for an image that has to be unpacked or mounted first.
    root: Option<Vec<u8>>,
    body: Body,
}

enum Body {
    #[cfg(unix)]
    Folder(Folder),
    Archive(Box<Archive>),
    #[cfg(unix)]
    Disk(Disk),
}

/// A place that is changed: on which partition, and where. `None` is the image's own tree.
type Changes = BTreeMap<Option<usize>, BTreeMap<Place, Change>>;

impl Image {
    /// Opens an image.
    ///
    /// # Errors
    /// [`LintError`] when it is none, or cannot be read, or is not to be changed.
    pub fn open(path: &Path, access: Access) -> Result<Self, LintError> {
        let about = fs::metadata(path)?;
        let body = if about.is_dir() {
            folder(path, access)?
        } else if about.is_file() || is_block_device(&about) {
            file(path, access)?
        } else {
            return Err(LintError::NotAnImage("neither a folder nor a file".to_owned()));
        };
        #[cfg(unix)]
        let root = matches!(body, Body::Folder(_))
            .then(|| std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec());
        #[cfg(not(unix))]
        let root = None;
        let mut image = Self { name: path.to_string_lossy().into_owned(), root, body };
        image.must_be_a_root()?;
        Ok(image)
    }

    /// Looks at it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(&mut self, terms: &Terms) -> Result<Report, LintError> {
        let root = self.root.clone();
        let Found { mut findings, mut unseen } = examine(self.tree(), root.as_deref())?;
        match &mut self.body {
            #[cfg(unix)]
            Body::Disk(disk) => {
                for (number, esp) in disk.esps.iter_mut().enumerate() {
                    findings.extend(examine_esp(esp, number)?.findings);
                }
                unseen.extend(disk.unseen.iter().cloned());
            }
            Body::Archive(archive) => unseen.extend(
                archive
                    .index()
                    .odd
                    .iter()
                    .map(|(what, why)| Unseen { what: what.clone(), why: (*why).to_owned() }),
            ),
            #[cfg(unix)]
            Body::Folder(_) => {}
        }
        Ok(Report::new(self.name.clone(), self.kind(), findings, unseen.into_iter().collect(), terms))
    }

    /// What [`Image::fix`] would do.
    pub fn plan(&mut self, report: &Report, consent: Consent) -> Vec<Done> {
        let mut plan = Vec::new();
        for (esp, changes) in changes(report, consent) {
            if let Some(tree) = self.part(esp) {
                let changes = tree.whole(changes);
                plan.extend(changes.into_iter().map(|(place, change)| Done::new(&place, esp, change)));
            }
        }
        plan
    }

    /// Ends what a look found, except what was accepted and what there is no consent for, and tells of each change as it is
    /// made.
    ///
    /// # Errors
    /// When something could not be changed. What was told of is done all the same.
    pub fn fix(
        &mut self,
        report: &Report,
        consent: Consent,
        told: &mut dyn FnMut(Done),
    ) -> Result<(), LintError> {
        let mut result = Ok(());
        for (esp, changes) in changes(report, consent) {
            if let Some(tree) = self.part(esp) {
                let changes = tree.whole(changes);
                let made = tree.change(&changes, &mut |place, change| told(Done::new(place, esp, change)));
                result = result.and(made);
            }
        }
        Ok(result?)
    }

    /// Ends the work: a disk's changes are in its file only after this.
    ///
    /// # Errors
    /// When they could not be written.
    pub fn close(self) -> Result<(), LintError> {
        match self.body {
            #[cfg(unix)]
            Body::Disk(disk) => Ok(disk.close()?),
            _ => Ok(()),
        }
    }

    fn kind(&self) -> &'static str {
        match self.body {
            #[cfg(unix)]
            Body::Folder(_) => "folder",
            Body::Archive(_) => "tar",
            #[cfg(unix)]
            Body::Disk(_) => "disk",
        }
    }

    fn tree(&mut self) -> &mut dyn Tree {
        match &mut self.body {
            #[cfg(unix)]
            Body::Folder(folder) => folder,
            Body::Archive(archive) => archive.as_mut(),
            #[cfg(unix)]
            Body::Disk(disk) => &mut disk.root,
        }
    }

    /// The image's own tree, or one of its EFI system partitions.
    fn part(&mut self, esp: Option<usize>) -> Option<&mut dyn Tree> {
        let Some(number) = esp else { return Some(self.tree()) };
        match &mut self.body {
            #[cfg(unix)]
            Body::Disk(disk) => disk.esps.get_mut(number).map(|esp| -> &mut dyn Tree { esp }),
            _ => {
                let _ = number;
                None
            }
        }
    }

    fn must_be_a_root(&mut self) -> Result<(), LintError> {
        for name in ["/etc", "/usr"] {
            if self.tree().entry(&known(name))?.is_some_and(|entry| entry.kind == Kind::Folder) {
                return Ok(());
            }
        }
        let top = match &self.body {
            Body::Archive(archive) => archive.index().top(),
            #[cfg(unix)]
            _ => Vec::new(),
        };
        let has = |name: &str| top.iter().any(|is| is == name.as_bytes());
        Err(LintError::NotAnImage(if has("oci-layout") || has("manifest.json") || has("repositories") {
            "the layers of a container; make one tree of them: podman create, then podman export (or docker export)"
                .to_owned()
        } else if let [only] = top.as_slice() {
            let only = weir_report::shown(&String::from_utf8_lossy(only));
            format!("neither etc nor usr at its top, only {only}: unpack it and look at what is in there")
        } else {
            "not the root of a system: it has neither etc nor usr".to_owned()
        }))
    }
}

/// What is to be changed: what is removed with its folder needs no change of its own.
fn changes(report: &Report, consent: Consent) -> Changes {
    let mut all = Changes::new();
    for finding in report.findings.iter().filter(|finding| !finding.allowed) {
        let may = finding.fix == FixedBy::Fix || finding.fix == FixedBy::FixKeys && consent.keys;
        let Some(change) = finding.change.filter(|_| may) else { continue };
        let of = all.entry(finding.on_esp).or_default();
        // Two rules may mean the same file: what goes away need not be emptied before.
        let before = of.entry(finding.place.clone()).or_insert(change);
        if change == Change::Remove {
            *before = change;
        }
    }
    for of in all.values_mut() {
        let removed: Vec<Place> = of
            .iter()
            .filter(|(_, change)| **change == Change::Remove)
            .map(|(place, _)| place.clone())
            .collect();
        of.retain(|place, _| !removed.iter().any(|above| above != place && place.is_in(above)));
    }
    all
}

#[cfg(unix)]
fn folder(path: &Path, access: Access) -> Result<Body, LintError> {
    let folder = Folder::open(path)?;
    if access.change && !access.running_system && folder.is_running_system()? {
        return Err(LintError::RunningSystem);
    }
    Ok(Body::Folder(folder))
}

#[cfg(not(unix))]
fn folder(_: &Path, _: Access) -> Result<Body, LintError> {
    Err(LintError::NotAnImage(
        "a folder, which this system cannot hold a Linux root in; make a tar of it".to_owned(),
    ))
}

#[cfg(unix)]
fn is_block_device(about: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&about.file_type())
}

#[cfg(not(unix))]
fn is_block_device(_: &fs::Metadata) -> bool {
    false
}

/// Whether this is a disk, which takes a while to open.
///
/// # Errors
/// When it cannot be read.
pub fn is_disk(path: &Path) -> io::Result<bool> {
    let about = fs::metadata(path)?;
    if !about.is_file() && !is_block_device(&about) {
        return Ok(false);
    }
    #[cfg(unix)]
    return Ok(matches!(Content::of(&head(path)?), Content::Disk(_)));
    #[cfg(not(unix))]
    return Ok(false);
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

fn file(path: &Path, access: Access) -> Result<Body, LintError> {
    match Content::of(&head(path)?) {
        Content::Archive(packing) => match Archive::open(path, packing) {
            Ok(archive) => Ok(Body::Archive(Box::new(archive))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(LintError::NotAnImage(
                "it ends in the middle: the archive was cut off, or is still being written".to_owned(),
            )),
            Err(error) if packing == Packing::Gzip && error.kind() == io::ErrorKind::InvalidInput => {
                Err(LintError::NotAnImage("what is compressed in it is damaged".to_owned()))
            }
            Err(error) if packing != Packing::Plain && error.kind() == io::ErrorKind::InvalidData => {
                let why = format!("compressed, and no tar in it ({error}); unpack it, if it is a disk");
                Err(LintError::NotAnImage(why))
            }
            Err(error) => Err(error.into()),
        },
        #[cfg(unix)]
        Content::Disk(format) => Ok(Body::Disk(Disk::open(path, format, access)?)),
        #[cfg(not(unix))]
        Content::Disk => {
            let _ = access;
            Err(LintError::NotAnImage(
                "a disk, which cannot be opened on this system; make a tar of it".to_owned(),
            ))
        }
        Content::Other(what) => Err(LintError::NotAnImage(what.to_owned())),
    }
}

/// As much as is needed to see the magic numbers of file systems.
const HEAD_BYTES: u64 = 68 << 10;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Archive(Packing),
    #[cfg(unix)]
    Disk(Format),
    #[cfg(not(unix))]
    Disk,
    Other(&'static str),
}

impl Content {
    fn of(head: &[u8]) -> Self {
        let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        const CONVERT: &str =
            "a disk of a kind that is not read here; qemu-img convert -O qcow2 makes one that is";
        if head.is_empty() {
            return Self::Other("an empty file");
        }
        for (magic, found) in [
            (b"\x1f\x8b".as_slice(), Self::Archive(Packing::Gzip)),
            (b"\xfd7zXZ\0", Self::Archive(Packing::By("xz"))),
            (b"\x28\xb5\x2f\xfd", Self::Archive(Packing::By("zstd"))),
            (b"BZh", Self::Other("compressed with bzip2; unpack it first")),
            (b"LZIP", Self::Other("compressed with lzip; unpack it first")),
            (b"\x04\x22\x4d\x18", Self::Other("compressed with LZ4; unpack it first")),
            (b"PK\x03\x04", Self::Other("a ZIP archive; unpack it first")),
            (b"hsqs", Self::Other("a SquashFS; unpack it with unsquashfs, or mount it")),
            (b"070701", Self::Other("a cpio archive; unpack it first")),
            (b"KDMV", Self::Other(CONVERT)),
            (b"# Disk DescriptorFile", Self::Other(CONVERT)),
            (b"vhdxfile", Self::Other(CONVERT)),
            (b"conectix", Self::Other(CONVERT)),
            (b"<<< ", Self::Other(CONVERT)),
        ] {
            if at(0, magic) {
                return found;
            }
        }
        if at(257, b"ustar") || is_old_tar(head) {
            return Self::Archive(Packing::Plain);
        }
        if at(0, b"QFI\xfb") {
            return qcow2(head);
        }
        let raw = [
            (510, b"\x55\xaa".as_slice()), // a partition table
            (0x438, b"\x53\xef"),          // ext2 to ext4
            (0, b"XFSB"),                  // XFS
            (0x10040, b"_BHRfS_M"),        // Btrfs
            (1024, b"\x10\x20\xf5\xf2"),   // F2FS
            (1024, b"\xe2\xe1\xf5\xe0"),   // EROFS
            (0x8001, b"CD001"),            // ISO 9660
            (0x200, b"EFI PART"),          // a GPT without the other table
            (0x218, b"LVM2 001"),          // LVM
        ];
        match raw.iter().any(|(offset, magic)| at(*offset, magic)) {
            #[cfg(unix)]
            true => Self::Disk(Format::Raw),
            #[cfg(not(unix))]
            true => Self::Disk,
            false => Self::Other("not an image: no folder, no tar archive and no disk"),
        }
    }
}

/// A qcow2 file may name others, which whoever opens it would read, or write: none of those is opened.
fn qcow2(head: &[u8]) -> Content {
    let number = |at: usize| head.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    let features = if head.get(4..8) == Some(&[0, 0, 0, 3]) { number(72) } else { Some(0) };
    let (Some(backing), Some(features)) = (number(8), features) else {
        return Content::Other("a qcow2 disk that ends in its header: it was cut off");
    };
    if backing != 0 || features & 4 != 0 {
        return Content::Other(
            "it is not whole: it names another file for its data; qemu-img convert -O qcow2 makes one that is",
        );
    }
    #[cfg(unix)]
    return Content::Disk(Format::Qcow2);
    #[cfg(not(unix))]
    return Content::Disk;
}

/// Before POSIX, archives had no magic number; their first header's sum still fits.
fn is_old_tar(head: &[u8]) -> bool {
    head.first().is_some_and(|byte| *byte != 0) && head.get(..512).is_some_and(super::archive::check_header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2_head(version: u8, backing: u64, features: u64) -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..8].copy_from_slice(&[b'Q', b'F', b'I', 0xfb, 0, 0, 0, version]);
        head[8..16].copy_from_slice(&backing.to_be_bytes());
        head[72..80].copy_from_slice(&features.to_be_bytes());
        head
    }

    #[test]
    fn a_file_is_known_by_its_content() {
        let mut partitioned = vec![0; 1024];
        partitioned[510..512].copy_from_slice(b"\x55\xaa");
        assert_eq!(Content::of(&partitioned), Content::Disk(Format::Raw));
        assert_eq!(Content::of(b"\x1f\x8b..."), Content::Archive(Packing::Gzip));
        for other in [b"".as_slice(), b"hello", &[0; 70_000], b"PK\x03\x04", b"KDMV"] {
            assert!(matches!(Content::of(other), Content::Other(_)));
        }
    }

    #[test]
    fn disks_that_name_other_files_are_not_opened() {
        assert_eq!(Content::of(&qcow2_head(3, 0, 0)), Content::Disk(Format::Qcow2));
        assert_eq!(Content::of(&qcow2_head(2, 0, 0xff)), Content::Disk(Format::Qcow2));
        for head in [qcow2_head(3, 0x200, 0), qcow2_head(2, 1, 0), qcow2_head(3, 0, 4), b"QFI\xfb".to_vec()] {
            assert!(matches!(Content::of(&head), Content::Other(_)));
        }
    }
}
