//! An image that is a tar archive, compressed or not.
//!
//! It is read from its beginning, once for each thing that has to be known, and never unpacked. What it holds last under
//! a name counts, as when it is unpacked. A change is made to a copy beside it, which then takes its place: all other members
//! are copied byte for byte, in their order, with their headers.

mod members;
mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use tar::EntryType;

use self::members::{Member, Members};
use super::pack::{Packing, unpacked};
use super::place::Place;
use super::tree::{Change, Entry, Kind, MAX_NAMES, Sink, Told, Tree};

/// Archives of more members are not looked at; what is known of them is held in memory.
const MAX_MEMBERS: usize = 2_000_000;
/// Of names that could not be taken in, so many are told.
const MAX_ODD: usize = 100;

/// A tar archive.
pub(super) struct Archive {
    path: PathBuf,
    packing: Packing,
    index: Index,
}

/// What an archive holds.
#[derive(Default)]
pub(super) struct Index {
    nodes: BTreeMap<Place, Node>,
    /// Names that could not be taken in, and why.
    pub(super) odd: BTreeSet<(String, &'static str)>,
}

struct Node {
    entry: Entry,
    /// What a symbolic link says.
    link: Vec<u8>,
    /// The member that holds the data, for a hard link that of its target.
    data: usize,
    /// Whether it is another name of a file.
    is_hard_link: bool,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Archive {
    pub(super) fn open(path: &Path, packing: Packing) -> io::Result<Self> {
        let index = Index::of(unpacked(File::open(path)?, packing)?)?;
        Ok(Self { path: path.to_owned(), packing, index })
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    fn members(&self) -> io::Result<Members<Box<dyn Read>>> {
        Ok(Members::new(unpacked(File::open(&self.path)?, self.packing)?))
    }

    /// Reads these members' data, and says which it was given more than once and not read again.
    fn read_once(
        &self,
        wanted: BTreeMap<usize, Vec<(Place, u64)>>,
        sink: Sink<'_>,
    ) -> io::Result<Vec<(Place, u64)>> {
        let (mut members, mut again) = (self.members()?, Vec::new());
        let mut wanted = wanted.into_iter();
        let mut next = wanted.next();
        let mut number = 0;
        while let Some((at, places)) = &next {
            if members.next()?.is_none() {
                return Err(io::Error::other("it was changed meanwhile"));
            }
            if number == *at {
                if let Some((place, most)) = places.first() {
                    sink(place, Ok(&mut members.data().take(*most)));
                }
                again.extend(places.iter().skip(1).cloned());
                next = wanted.next();
            }
            number += 1;
        }
        Ok(again)
    }
}

impl Index {
    fn of(reader: impl Read) -> io::Result<Self> {
        let mut members = Members::new(reader);
        let mut index = Self::default();
        let mut number = 0;
        while let Some(member) = members.next()? {
            if number == MAX_MEMBERS {
                return Err(io::Error::other(format!("more than {MAX_MEMBERS} members")));
            }
            if !member.is_global() {
                index.add(number, member);
            }
            number += 1;
        }
        Ok(index)
    }

    fn add(&mut self, number: usize, member: Member) {
        let Some(place) = Place::new(&member.path) else {
            self.note(&member.path, wrong_name(&member.path));
            return;
        };
        if self.nodes.get(&place.parent()).is_some_and(|node| node.entry.kind == Kind::Link) {
            self.note(&member.path, "it is put into a folder through a link");
        }
        let kind = match member.header.entry_type() {
            EntryType::Regular if member.path.ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Link => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        let mode = member.header.mode().unwrap_or(0o644) & 0o7777;
        let mut node = Node {
            entry: Entry { kind, mode, bytes: member.stored },
            link: member.link,
            data: number,
            is_hard_link: false,
            attributes: member.attributes,
        };
        if member.header.entry_type() == EntryType::Link {
            match Place::new(&node.link).and_then(|target| self.nodes.get(&target)) {
                Some(target) => {
                    node.entry = target.entry;
                    node.data = target.data;
                    node.link = target.link.clone();
                    node.attributes = target.attributes.clone();
                    node.is_hard_link = true;
                }
                None => return self.note(&member.path, "it is another name of a file that is not here"),
            }
        }
        self.nodes.insert(place, node);
    }

    fn note(&mut self, path: &[u8], why: &'static str) {
        if self.odd.len() < MAX_ODD {
            self.odd.insert((String::from_utf8_lossy(path).chars().take(200).collect(), why));
        }
    }

    /// Names at the top.
    pub(super) fn top(&self) -> Vec<Vec<u8>> {
        self.names(&Place::root()).unwrap_or_default()
    }

    fn entry(&self, place: &Place) -> Option<Entry> {
        let implied = || {
            let beneath = place.join(b"");
            let next = self.nodes.range((Bound::Excluded(beneath), Bound::Unbounded)).next();
            next.is_some_and(|(next, _)| next.is_in(place)) || *place == Place::root()
        };
        match self.nodes.get(place) {
            Some(node) => Some(node.entry),
            None => implied().then_some(Entry { kind: Kind::Folder, mode: 0o755, bytes: 0 }),
        }
    }

    /// From name to name, past all that is beneath each.
    fn names(&self, folder: &Place) -> io::Result<Vec<Vec<u8>>> {
        let depth = folder.parts().count();
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut from = Bound::Excluded(folder.join(b""));
        while let Some((place, _)) = self.nodes.range((from.as_ref(), Bound::Unbounded)).next() {
            let Some(name) = place.parts().nth(depth).filter(|_| place.is_in(folder)) else { break };
            if names.last().is_none_or(|last| last != name) {
                names.push(name.to_vec());
            }
            if names.len() > MAX_NAMES {
                return Err(io::Error::other(format!("more than {MAX_NAMES} names in a folder")));
            }
            from = match place.parts().count() > depth + 1 {
                // `0` is the byte after the slash: behind everything in this folder.
                true => Bound::Included(folder.join(&[name, b"0"].concat())),
                false => Bound::Excluded(place.clone()),
            };
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

/// What is wrong with a name that is no place.
fn wrong_name(path: &[u8]) -> &'static str {
    let mut depth = 0_usize;
    let mut goes_up = false;
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return "its name leads out of the image",
            b".." => {
                goes_up = true;
                depth -= 1;
            }
            part if part.contains(&0) => return "its name has a zero byte in it",
            _ => depth += 1,
        }
    }
    match goes_up {
        true => "its name goes up by .., which no program that makes archives writes",
        false => "its name is longer than 4096 bytes",
    }
}

impl Tree for Archive {
    fn entry(&mut self, place: &Place) -> io::Result<Option<Entry>> {
        Ok(self.index.entry(place))
    }

    fn names(&mut self, folder: &Place) -> io::Result<Vec<Vec<u8>>> {
        self.index.names(folder)
    }

    fn link(&mut self, place: &Place) -> io::Result<Vec<u8>> {
        Ok(self.index.nodes.get(place).ok_or(io::ErrorKind::NotFound)?.link.clone())
    }

    fn has_attribute(&mut self, place: &Place, name: &str) -> bool {
        let attributes =
            self.index.nodes.get(place).map(|node| node.attributes.as_slice()).unwrap_or_default();
        attributes.iter().any(|(is, value)| is == name.as_bytes() && value.first() != Some(&b'0'))
    }

    fn read(&mut self, wanted: &BTreeMap<Place, u64>, sink: Sink<'_>) -> io::Result<()> {
        let mut left: Vec<_> = wanted.iter().map(|(place, most)| (place.clone(), *most)).collect();
        while !left.is_empty() {
            let mut by_member: BTreeMap<usize, Vec<_>> = BTreeMap::new();
            for (place, most) in left {
                match self.index.nodes.get(&place).filter(|node| node.entry.kind == Kind::File) {
                    Some(node) => by_member.entry(node.data).or_default().push((place, most)),
                    None => sink(&place, Err(io::ErrorKind::NotFound.into())),
                }
            }
            left = self.read_once(by_member, sink)?;
        }
        Ok(())
    }

    fn whole(&self, changes: BTreeMap<Place, Change>) -> BTreeMap<Place, Change> {
        self.index.with_hard_links(&changes)
    }

    fn change(&mut self, changes: &BTreeMap<Place, Change>, told: Told<'_>) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        rewrite::rewrite(&self.path, self.packing, changes)?;
        self.index = Index::of(unpacked(File::open(&self.path)?, self.packing)?)?;
        changes.iter().for_each(|(place, change)| told(place, *change));
        Ok(())
    }
}

impl Index {
    /// The changes that there is something to do for. Where a file's data goes, its other names go with it: they would be left
    /// without.
    fn with_hard_links(&self, changes: &BTreeMap<Place, Change>) -> BTreeMap<Place, Change> {
        let there = changes.iter().filter(|(place, _)| self.entry(place).is_some());
        let mut all: BTreeMap<Place, Change> =
            there.map(|(place, change)| (place.clone(), *change)).collect();
        let gone =
            |place: &Place| rewrite::change_of(&all, place).is_some_and(|change| change != Change::Empty);
        let owners = self.nodes.iter().filter(|(place, node)| !node.is_hard_link && gone(place));
        let owners: BTreeSet<usize> = owners.map(|(_, node)| node.data).collect();
        let orphans = self.nodes.iter().filter(|(_, node)| node.is_hard_link && owners.contains(&node.data));
        let orphans: Vec<Place> = orphans.map(|(place, _)| place.clone()).collect();
        for place in orphans {
            if rewrite::change_of(&all, &place).is_none() {
                all.insert(place, Change::Remove);
            }
        }
        all
    }
}

/// Reads an archive's headers and all of its data, as a look does. For tests of hostile archives.
///
/// # Errors
/// What is wrong with it.
pub fn check(bytes: &[u8]) -> io::Result<usize> {
    let index = Index::of(bytes)?;
    let top = index.names(&Place::root())?;
    let mut members = Members::new(bytes);
    let mut copy = Vec::new();
    while let Some(member) = members.next()? {
        rewrite::write_member(&member, &mut copy)?;
        members.copy_rest(&mut copy)?;
    }
    members.copy_trailer(&mut copy)?;
    if copy != bytes {
        return Err(io::Error::other("a copy is not the same"));
    }
    Ok(top.len())
}

/// Whether a block is the header of a member.
pub(super) fn check_header(block: &[u8]) -> bool {
    matches!(Members::new(block).next(), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_name_is_said() {
        for (name, part) in [
            (b"etc/../etc/machine-id".to_vec(), "goes up"),
            (b"a/../../etc/passwd".to_vec(), "leads out"),
            (b"../x".to_vec(), "leads out"),
            (b"a\0b".to_vec(), "zero byte"),
            (vec![b'a'; 5000], "longer"),
        ] {
            assert!(Place::new(&name).is_none() && wrong_name(&name).contains(part), "{part}");
        }
    }
}
