//! An archive with some of its members changed, written beside it and renamed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::members::{BLOCK, Member, Members, records};
use crate::lint::pack::{Packer, Packing, unpacked};
use crate::lint::place::Place;
use crate::lint::tree::Change;

/// What is done to a place: its own change, or a folder's above it that goes away.
pub(super) fn change_of(changes: &BTreeMap<Place, Change>, place: &Place) -> Option<Change> {
    if let Some(change) = changes.get(place) {
        return Some(*change);
    }
    let mut above = place.clone();
    while above != Place::root() {
        above = above.parent();
        if changes.get(&above) == Some(&Change::Remove) {
            return Some(Change::Remove);
        }
    }
    None
}

pub(super) fn rewrite(path: &Path, packing: Packing, changes: &BTreeMap<Place, Change>) -> io::Result<()> {
    // A link to the archive stays one.
    let path = fs::canonicalize(path)?;
    let old = File::open(&path)?;
    let about = old.metadata()?;
    let beside = Beside::new(&path)?;
    let mut members = Members::new(unpacked(old, packing)?);
    let mut packer = Packer::new(beside.file.try_clone()?, packing)?;
    while let Some(member) = members.next()? {
        let place = Place::new(&member.path).filter(|_| !member.is_global());
        match place.and_then(|place| change_of(changes, &place)) {
            None => {
                write_member(&member, &mut packer)?;
                members.copy_rest(&mut packer)?;
            }
            Some(Change::Remove) => {}
            Some(change) => write_changed(&member, change, &mut packer)?,
        }
    }
    members.copy_trailer(&mut packer)?;
    packer.finish()?;
    beside.take_the_place_of(&path, &about)
}

/// The headers of a member, as they were.
pub(super) fn write_member(member: &Member, out: &mut dyn Write) -> io::Result<()> {
    member.extensions.iter().try_for_each(|extension| out.write_all(&extension.blocks))?;
    out.write_all(member.header.as_bytes())?;
    out.write_all(&member.holes)
}

/// A member with other content: name, owner, mode, times and attributes stay.
fn write_changed(member: &Member, change: Change, out: &mut dyn Write) -> io::Result<()> {
    let (kind, link, content) = match change {
        Change::Link(target) => (EntryType::Symlink, target, ""),
        Change::Content(content) => (EntryType::Regular, "", content),
        Change::Empty | Change::Remove => (EntryType::Regular, "", ""),
    };
    for extension in &member.extensions {
        match extension.kind {
            b'L' => out.write_all(&extension.blocks)?,
            b'K' => {}
            _ => out.write_all(&without_content(&extension.blocks, extension.data())?)?,
        }
    }
    let mut header = member.header.clone();
    if header.entry_type() == EntryType::GNUSparse {
        // The map of holes, up to the real size.
        header.as_mut_bytes().get_mut(386..495).unwrap_or_default().fill(0);
    }
    header.set_entry_type(kind);
    header.as_mut_bytes().get_mut(157..257).unwrap_or_default().fill(0);
    header.set_link_name_literal(link)?;
    header.set_size(content.len() as u64);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    let mut data = content.as_bytes().to_vec();
    data.resize(data.len().next_multiple_of(BLOCK), 0);
    out.write_all(&data)
}

/// A pax header without what it says of the content that was.
fn without_content(blocks: &[u8], data: &[u8]) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    for (key, value) in records(data)? {
        match key {
            b"GNU.sparse.name" => kept.extend(record(b"path", value)),
            b"size" | b"linkpath" => {}
            _ if key.starts_with(b"GNU.sparse.") => {}
            _ => kept.extend(record(key, value)),
        }
    }
    if kept.is_empty() {
        return Ok(kept);
    }
    let mut header = Header::from_byte_slice(blocks.get(..BLOCK).unwrap_or_default()).clone();
    header.set_size(kept.len() as u64);
    header.set_cksum();
    kept.resize(kept.len().next_multiple_of(BLOCK), 0);
    Ok([header.as_bytes().as_slice(), &kept].concat())
}

/// `<length> <key>=<value>\n`; the length counts itself.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// A file beside another, which is gone again if it does not take that one's place.
struct Beside {
    path: PathBuf,
    file: File,
    done: bool,
}

impl Beside {
    fn new(path: &Path) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.new", std::process::id()));
        let path = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Self { path, file, done: false })
    }

    fn take_the_place_of(mut self, path: &Path, about: &fs::Metadata) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            // Only root may give a file away.
            let _ = std::os::unix::fs::fchown(&self.file, Some(about.uid()), Some(about.gid()));
        }
        self.file.set_permissions(about.permissions())?;
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        assert_eq!(record(b"path", b"x"), b"9 path=x\n");
        assert_eq!(record(b"a", b"123"), b"8 a=123\n");
        for length in 80..130 {
            let record = record(b"k", &vec![b'v'; length]);
            assert_eq!(records(&record).unwrap(), [(b"k".as_slice(), vec![b'v'; length].as_slice())]);
        }
    }
}
