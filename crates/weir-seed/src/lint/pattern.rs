//! Which places of an image a pattern of the rules means.
//!
//! A pattern is an absolute path. `*` stands for any characters within a part, a last part `**` for all files beneath; a
//! leading `~` for every home: /root, /home/* and what /etc/passwd names. Links on the way are followed inside the image,
//! the last part is not, so that a finding is about the link or the file itself, by its own name.

use std::collections::BTreeSet;
use std::io;

use super::place::Place;
use super::tree::{Kind, Tree, content, resolve};

/// The most places that a pattern may mean.
const MAX_PLACES: usize = 20_000;
/// The most homes of /etc/passwd.
const MAX_HOMES: usize = 1_000;
const MAX_PASSWD_BYTES: u64 = 1 << 20;
/// How deep beneath a folder `**` looks.
const MAX_DEPTH: usize = 32;

/// Expands patterns.
pub(super) struct Expander {
    homes: Vec<Place>,
}

/// What a pattern meant, and what could not be looked at.
#[derive(Default)]
pub(super) struct Expanded {
    pub(super) places: BTreeSet<Place>,
    pub(super) unseen: Vec<(Place, io::Error)>,
}

impl Expander {
    pub(super) fn new(tree: &mut dyn Tree) -> io::Result<Self> {
        let mut homes = BTreeSet::new();
        let mut expanded = Expanded::default();
        walk(tree, b"/home/*", Place::root(), &mut expanded);
        homes.extend(expanded.places);
        homes.extend(Place::new(b"/root"));
        if let Ok(Some(passwd)) = resolve(tree, &known("/etc/passwd"))
            && let Some(text) = content(tree, &passwd, MAX_PASSWD_BYTES)?
        {
            homes.extend(homes_of(&text).take(MAX_HOMES));
        }
        Ok(Self { homes: homes.into_iter().collect() })
    }

    pub(super) fn expand(&self, tree: &mut dyn Tree, pattern: &str) -> Expanded {
        let mut expanded = Expanded::default();
        match pattern.strip_prefix('~') {
            Some(rest) => {
                for home in &self.homes {
                    walk(tree, rest.as_bytes(), home.clone(), &mut expanded);
                }
            }
            None => walk(tree, pattern.as_bytes(), Place::root(), &mut expanded),
        }
        expanded
    }
}

/// A place that this program names itself.
pub(super) fn known(path: &str) -> Place {
    Place::new(path.as_bytes()).unwrap_or_else(Place::root)
}

fn homes_of(passwd: &[u8]) -> impl Iterator<Item = Place> {
    passwd.split(|byte| *byte == b'\n').filter_map(|line| {
        let home = line.split(|byte| *byte == b':').nth(5)?;
        Place::new(home).filter(|place| home.starts_with(b"/") && *place != Place::root())
    })
}

fn walk(tree: &mut dyn Tree, pattern: &[u8], from: Place, expanded: &mut Expanded) {
    let parts: Vec<&[u8]> = pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    let mut folders = vec![from];
    for (number, part) in parts.iter().enumerate() {
        let last = number + 1 == parts.len();
        let mut next = Vec::new();
        for folder in folders {
            if let Err(error) = step(tree, &folder, part, &mut next) {
                expanded.unseen.push((folder, error));
            }
            if next.len() > MAX_PLACES {
                let why = io::Error::other(format!("more than {MAX_PLACES} places"));
                expanded.unseen.push((known(&String::from_utf8_lossy(pattern)), why));
                break;
            }
        }
        if last {
            expanded.places.extend(next);
            return;
        }
        folders = next;
    }
}

/// What a part of a pattern means in a folder.
fn step(tree: &mut dyn Tree, folder: &Place, part: &[u8], next: &mut Vec<Place>) -> io::Result<()> {
    let Some(folder) = resolve(tree, folder)? else { return Ok(()) };
    if tree.entry(&folder)?.is_none_or(|entry| entry.kind != Kind::Folder) {
        return Ok(());
    }
    if part == b"**" {
        return beneath(tree, folder, next);
    }
    if !part.contains(&b'*') {
        let place = folder.join(part);
        if tree.entry(&place)?.is_some() {
            next.push(place);
        }
        return Ok(());
    }
    let names = tree.names(&folder)?;
    next.extend(names.iter().filter(|name| matches(part, name)).map(|name| folder.join(name)));
    Ok(())
}

/// All that is no folder, beneath one. Links are not followed.
fn beneath(tree: &mut dyn Tree, folder: Place, next: &mut Vec<Place>) -> io::Result<()> {
    let top = folder.parts().count();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for name in tree.names(&folder)? {
            let place = folder.join(&name);
            match tree.entry(&place)?.map(|entry| entry.kind) {
                None => {}
                Some(Kind::Folder) if place.parts().count() - top > MAX_DEPTH => {
                    return Err(io::Error::other(format!("folders in folders, more than {MAX_DEPTH}")));
                }
                Some(Kind::Folder) => folders.push(place),
                Some(_) => next.push(place),
            }
            if next.len() > MAX_PLACES || folders.len() > MAX_PLACES {
                return Err(io::Error::other(format!("more than {MAX_PLACES} places")));
            }
        }
    }
    Ok(())
}

/// Whether a name is of a part of a pattern: `*` is any characters. A name with a leading dot takes a pattern with one.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let hidden = |text: &[u8]| text.first() == Some(&b'.');
    if hidden(name) && !hidden(pattern) {
        return false;
    }
    let mut pieces = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.windows(piece.len().max(1)).position(|window| window.starts_with(piece)) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return piece.is_empty(),
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_any_characters_but_no_leading_dot() {
        for (pattern, name, expected) in [
            ("ssh_host_*_key", "ssh_host_rsa_key", true),
            ("ssh_host_*_key", "ssh_host_rsa_key.pub", false),
            ("ssh_host_*_key", "ssh_host_key", false),
            ("*", "anything", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("*.conf", "wg0.conf", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("id_*", "id_", true),
            ("x", "x", true),
            ("x", "xx", false),
            ("*a*", "bab", true),
            ("*a*", "b", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn homes_are_absolute_and_not_the_root() {
        let passwd =
            b"root:x:0:0:root:/root:/bin/sh\nbin:x:1:1::/:/x\nodd:::::home/odd:\nshort:x\nup:::::/a/../b:\n";
        assert_eq!(homes_of(passwd).collect::<Vec<_>>(), [known("/root")]);
    }
}
