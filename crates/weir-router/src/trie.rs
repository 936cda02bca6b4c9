//! The index: a radix tree over bytes whose nodes are shared between snapshots.
//!
//! A change copies the nodes on the way to its key and no others; snapshots taken before keep theirs. Being a tree over
//! the bytes themselves, it has no hash that a peer could aim at: a look-up takes at most one step for each byte of what
//! is looked up, whatever was inserted.
//!
//! Every node knows the highest rank below it, so that a search turns back where nothing better can come.
//!
//! Invariants: no node but the root is without both a slot and two children; a node's label begins with the byte under
//! which its parent has it; `top` is the highest rank of the node's slot and of all below. Keys are short, which
//! bounds the depth of the recursions here.

use std::sync::Arc;

use crate::rank::Rank;
use crate::slot::Slot;

#[derive(Debug, Clone)]
pub(crate) struct Node<T> {
    label: Label,
    slot: Option<Slot<T>>,
    branch: Option<Arc<Branch<T>>>,
    top: Rank,
}

/// The children of a node, in the order of their first bytes.
#[derive(Debug, Clone)]
struct Branch<T> {
    /// A bit for each first byte there is.
    present: [u64; 4],
    /// How many bits are set in the words of `present` before each.
    before: [u8; 4],
    children: Vec<Node<T>>,
}

/// The bytes between a node's parent and the node.
#[derive(Debug, Clone)]
enum Label {
    Short { len: u8, bytes: [u8; 22] },
    Long(Arc<[u8]>),
}

impl<T> Node<T> {
    fn new(label: &[u8]) -> Self {
        Node { label: Label::new(label), slot: None, branch: None, top: Rank::LOWEST }
    }

    /// The highest rank in the tree.
    pub(crate) fn top(&self) -> Rank {
        self.top
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slot.is_none() && self.branch.is_none()
    }

    /// The place before the first byte of all keys.
    pub(crate) fn root(&self) -> Cursor<'_, T> {
        Cursor { node: self, at: 0 }
    }

    fn child(&self, byte: u8) -> Option<&Node<T>> {
        let branch = self.branch.as_deref()?;
        branch.children.get(branch.find(byte).ok()?)
    }
}

impl<T: Clone> Node<T> {
    /// Changes the slot at `key`, which `change` is given as it is, empty or not. Call it on a root.
    pub(crate) fn edit(&mut self, key: &[u8], change: impl FnOnce(&mut Option<Slot<T>>)) {
        if key.is_empty() {
            change(&mut self.slot);
        } else {
            let branch = Arc::make_mut(self.branch.get_or_insert_with(Arc::default));
            branch.edit(key, change);
            if branch.children.is_empty() {
                self.branch = None;
            }
        }
        self.restore_top();
    }

    fn restore_top(&mut self) {
        let below = self.branch.iter().flat_map(|branch| branch.children.iter().map(|child| child.top));
        self.top = below.chain(self.slot.iter().map(Slot::top)).max().unwrap_or(Rank::LOWEST);
    }

    /// Splits the node in two: one with the first bytes of the label, above one with all the rest.
    fn split(&mut self, at: usize) {
        let (upper, lower) = self.label.bytes().split_at(at);
        let (upper, lower) = (Node::new(upper), Label::new(lower));
        let mut below = std::mem::replace(self, upper);
        below.label = lower;
        let mut branch = Branch::default();
        branch.put(below);
        self.branch = Some(Arc::new(branch));
    }

    /// Joins the node with its only child, if it has one and no slot.
    fn join(&mut self) {
        let only = match &mut self.branch {
            Some(branch) if self.slot.is_none() && branch.children.len() == 1 => {
                Arc::make_mut(branch).children.pop()
            }
            _ => None,
        };
        if let Some(mut only) = only {
            only.label = Label::new(&[self.label.bytes(), only.label.bytes()].concat());
            *self = only;
        }
    }
}

impl<T> Branch<T> {
    /// Where the child is that begins with `byte`, or would be.
    fn find(&self, byte: u8) -> Result<usize, usize> {
        let (word, bit) = (usize::from(byte >> 6), 1 << (byte & 63));
        let present = self.present[word];
        let index = usize::from(self.before[word]) + (present & (bit - 1)).count_ones() as usize;
        if present & bit != 0 { Ok(index) } else { Err(index) }
    }

    /// Notes that the child that begins with `byte` came or went.
    fn toggle(&mut self, byte: u8) {
        self.present[usize::from(byte >> 6)] ^= 1 << (byte & 63);
        let mut sum = 0;
        for (before, present) in self.before.iter_mut().zip(self.present) {
            *before = sum;
            // At most 192 before the last word; what comes after it is not kept.
            sum = sum.wrapping_add(present.count_ones() as u8);
        }
    }

    fn put(&mut self, child: Node<T>) {
        if let Some(byte) = child.label.bytes().first().copied()
            && let Err(index) = self.find(byte)
        {
            self.children.reserve_exact(1);
            self.children.insert(index, child);
            self.toggle(byte);
        }
    }
}

impl<T: Clone> Branch<T> {
    fn edit(&mut self, key: &[u8], change: impl FnOnce(&mut Option<Slot<T>>)) {
        let Some(byte) = key.first().copied() else { return };
        match self.find(byte) {
            Ok(index) => {
                let child = &mut self.children[index];
                let common = common_length(child.label.bytes(), key);
                if common < child.label.bytes().len() {
                    child.split(common);
                }
                child.edit(&key[common..], change);
                child.join();
                if child.is_empty() {
                    self.children.remove(index);
                    self.toggle(byte);
                }
            }
            Err(_) => {
                let mut child = Node::new(key);
                child.edit(&[], change);
                if !child.is_empty() {
                    self.put(child);
                }
            }
        }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node::new(&[])
    }
}

impl<T> Default for Branch<T> {
    fn default() -> Self {
        Branch { present: [0; 4], before: [0; 4], children: Vec::new() }
    }
}

impl Label {
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; 22];
        match bytes.get_mut(..from.len()) {
            Some(short) => {
                short.copy_from_slice(from);
                Label::Short { len: from.len() as u8, bytes }
            }
            None => Label::Long(from.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Label::Short { len, bytes } => &bytes[..usize::from(*len)],
            Label::Long(bytes) => bytes,
        }
    }
}

/// A place in the tree: in front of a node's label, within it, or at its end.
pub(crate) struct Cursor<'t, T> {
    node: &'t Node<T>,
    /// How many bytes of the node's label are behind.
    at: usize,
}

impl<'t, T> Cursor<'t, T> {
    /// The place `bytes` further on.
    pub(crate) fn advance(mut self, mut bytes: &[u8]) -> Option<Self> {
        loop {
            let label = &self.node.label.bytes()[self.at..];
            let common = label.len().min(bytes.len());
            if label[..common] != bytes[..common] {
                return None;
            }
            bytes = &bytes[common..];
            self.at += common;
            let Some(next) = bytes.first() else { return Some(self) };
            self = Cursor { node: self.node.child(*next)?, at: 0 };
        }
    }

    /// The place one byte further on.
    pub(crate) fn step(self, byte: u8) -> Option<Self> {
        match self.node.label.bytes().get(self.at) {
            Some(next) if *next == byte => Some(Cursor { at: self.at + 1, ..self }),
            Some(_) => None,
            None => Some(Cursor { node: self.node.child(byte)?, at: 1 }),
        }
    }

    /// The slot of the key that ends here.
    pub(crate) fn slot(self) -> Option<&'t Slot<T>> {
        self.node.slot.as_ref().filter(|_| self.at == self.node.label.bytes().len())
    }

    /// Calls `each` with the slot of every key that goes on from here with a beginning of `text`, shortest first, and with
    /// the length of that beginning. Turns back where no rank is as high as `least`.
    pub(crate) fn prefixes(self, text: &[u8], least: Rank, mut each: impl FnMut(&'t Slot<T>, usize)) {
        let (mut node, mut label, mut length) = (self.node, &self.node.label.bytes()[self.at..], 0);
        while node.top >= least && text[length..].starts_with(label) {
            length += label.len();
            if let Some(slot) = &node.slot {
                each(slot, length);
            }
            let Some(child) = text.get(length).and_then(|byte| node.child(*byte)) else { return };
            (node, label) = (child, child.label.bytes());
        }
    }
}

impl<T> Clone for Cursor<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cursor<'_, T> {}

fn common_length(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
