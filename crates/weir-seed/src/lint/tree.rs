//! What the rules see of an image: files by their places, without knowing whether they are in a folder, an archive or a
//! disk.
//!
//! Contract: no operation follows a symbolic link, in no part of a path, nor leaves the image; [`resolve`] follows links
//! by itself, step by step, with the image's top as `/`. Nothing blocks on what a file is. Whoever made the image
//! may be hostile: what is listed and read is bounded.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

use super::place::{MAX_PATH_BYTES, Place};

/// The most names of a folder that are looked at.
pub(super) const MAX_NAMES: usize = 65_536;
/// Links that are followed one after another, as in Linux.
const MAX_LINKS: u32 = 40;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    Link,
    /// A device, a FIFO, a socket: never opened.
    Other,
}

/// What is known of something without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    /// Length of a file's content.
    pub(super) bytes: u64,
}

/// What is done to something so that a clone does not have it from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It goes away; a folder with all that is in it.
    Remove,
    /// A file stays, without its content.
    Empty,
    /// A symbolic link takes its place.
    Link(&'static str),
    /// A file's content is replaced.
    Content(&'static str),
}

/// Takes what is read: the place, and its content up to the length that was asked for, or why there is none.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&Place, io::Result<&mut dyn Read>);
/// Is told of each change that was made.
pub(super) type Told<'a> = &'a mut dyn FnMut(&Place, Change);

/// An image.
pub(super) trait Tree {
    /// What is at a place; `None` if nothing is.
    fn entry(&mut self, place: &Place) -> io::Result<Option<Entry>>;

    /// The names in a folder, sorted. More than [`MAX_NAMES`] are an error.
    fn names(&mut self, folder: &Place) -> io::Result<Vec<Vec<u8>>>;

    /// What a symbolic link says.
    fn link(&mut self, place: &Place) -> io::Result<Vec<u8>>;

    /// Whether a file has an extended attribute.
    fn has_attribute(&mut self, place: &Place, name: &str) -> bool;

    /// Reads regular files, each up to a length, in the order that suits the image.
    fn read(&mut self, wanted: &BTreeMap<Place, u64>, sink: Sink<'_>) -> io::Result<()>;

    /// The changes that there is something to do for, with those that follow from them.
    fn whole(&self, changes: BTreeMap<Place, Change>) -> BTreeMap<Place, Change> {
        changes
    }

    /// Makes changes, and tells of each that is made. What is not there any more needs none. After an error, what was told
    /// of is done and the rest is as it was.
    fn change(&mut self, changes: &BTreeMap<Place, Change>, told: Told<'_>) -> io::Result<()>;
}

/// Where a path leads, its links followed as they would be with the image's top as `/`; `None` if nowhere.
pub(super) fn resolve(tree: &mut dyn Tree, path: &Place) -> io::Result<Option<Place>> {
    let mut rest: VecDeque<Vec<u8>> = path.parts().map(<[u8]>::to_vec).collect();
    let mut here = Place::root();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                here = here.parent();
                continue;
            }
            _ => {}
        }
        let next = here.join(&part);
        match tree.entry(&next)?.map(|entry| entry.kind) {
            None => return Ok(None),
            Some(Kind::Link) => {
                links += 1;
                let target = tree.link(&next)?;
                if links > MAX_LINKS || target.len() + next.as_bytes().len() > MAX_PATH_BYTES {
                    return Ok(None);
                }
                if target.starts_with(b"/") {
                    here = Place::root();
                }
                for part in target.split(|byte| *byte == b'/').rev() {
                    rest.push_front(part.to_vec());
                }
            }
            Some(_) => here = next,
        }
    }
    Ok(Some(here))
}

/// The one content of a file, up to a length; `None` if there is no such file.
pub(super) fn content(tree: &mut dyn Tree, place: &Place, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut found = None;
    tree.read(&BTreeMap::from([(place.clone(), most)]), &mut |_, file| {
        let mut bytes = Vec::new();
        if file.and_then(|file| file.read_to_end(&mut bytes)).is_ok() {
            found = Some(bytes);
        }
    })?;
    Ok(found)
}

/// A tree that remembers what it was asked, for the length of one look: in a disk each answer is a long way off.
pub(super) struct Remembering<'a> {
    tree: &'a mut dyn Tree,
    entries: BTreeMap<Place, Option<Entry>>,
    names: BTreeMap<Place, Vec<Vec<u8>>>,
}

impl<'a> Remembering<'a> {
    pub(super) fn new(tree: &'a mut dyn Tree) -> Self {
        Self { tree, entries: BTreeMap::new(), names: BTreeMap::new() }
    }
}

impl Tree for Remembering<'_> {
    fn entry(&mut self, place: &Place) -> io::Result<Option<Entry>> {
        if let Some(entry) = self.entries.get(place) {
            return Ok(*entry);
        }
        // What is in no folder is not there.
        let root = *place == Place::root();
        let entry =
            match root || self.entry(&place.parent())?.is_some_and(|parent| parent.kind == Kind::Folder) {
                true => self.tree.entry(place)?,
                false => None,
            };
        self.entries.insert(place.clone(), entry);
        Ok(entry)
    }

    fn names(&mut self, folder: &Place) -> io::Result<Vec<Vec<u8>>> {
        if let Some(names) = self.names.get(folder) {
            return Ok(names.clone());
        }
        let names = self.tree.names(folder)?;
        self.names.insert(folder.clone(), names.clone());
        Ok(names)
    }

    fn link(&mut self, place: &Place) -> io::Result<Vec<u8>> {
        self.tree.link(place)
    }

    fn has_attribute(&mut self, place: &Place, name: &str) -> bool {
        self.tree.has_attribute(place, name)
    }

    fn read(&mut self, wanted: &BTreeMap<Place, u64>, sink: Sink<'_>) -> io::Result<()> {
        self.tree.read(wanted, sink)
    }

    fn change(&mut self, changes: &BTreeMap<Place, Change>, told: Told<'_>) -> io::Result<()> {
        self.entries.clear();
        self.names.clear();
        self.tree.change(changes, told)
    }
}
