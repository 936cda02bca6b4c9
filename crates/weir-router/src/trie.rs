//! The index: a radix tree over bytes whose nodes are shared between snapshots.
//!
//! A change copies the nodes on the way to its key and no others; snapshots taken before keep theirs. Being a tree
//! over the bytes themselves, it has no hash that a peer could aim at: a look-up takes at most one step for each
//! byte of what is looked up, whatever was inserted.
//!
//! Every node knows the highest rank below it, so that a search turns back where nothing better can come.
//!
//! Invariants: no node but the root is without both a slot and two children; a node's label begins with the byte
//! under which its parent has it; `top` is the highest rank of the node's slot and of all below. Keys are short,
//! which bounds the depth of the recursions here.

use std::sync::Arc;

use crate::rank::Rank;
use crate::slot::Slot;

/// A node, laid out so that passing it takes a cache line or two next to each other, and finding a child no other.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Node<T> {
    label: Label,
    index: Index,
    /// Those with the greater first bytes first.
    children: Option<Arc<[Node<T>]>>,
    top: Rank,
    slot: Option<Slot<T>>,
}

/// The bytes between a node's parent and the node.
#[derive(Debug, Clone)]
enum Label {
    Short { len: u8, bytes: [u8; 22] },
    Long(Arc<[u8]>),
}

/// The first bytes of a node's children.
#[derive(Debug, Clone)]
enum Index {
    /// In descending order, then the first one again.
    Few([u8; 15]),
    Many(Arc<ByteSet>),
}

/// A set of bytes in which each knows how many are greater.
#[derive(Debug, Default)]
struct ByteSet {
    present: [u64; 4],
    /// How many bits are set in the words of `present` after each.
    greater: [u8; 4],
}

impl<T> Node<T> {
    fn new(label: Label) -> Self {
        Node { label, index: Index::of([].into_iter()), children: None, top: Rank::LOWEST, slot: None }
    }

    /// The highest rank in the tree.
    pub(crate) fn top(&self) -> Rank {
        self.top
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slot.is_none() && self.children.is_none()
    }

    /// The place before the first byte of all keys.
    pub(crate) fn root(&self) -> Cursor<'_, T> {
        Cursor { node: self, at: 0 }
    }

    fn child(&self, byte: u8) -> Option<&Node<T>> {
        let index = self.index.find(byte)?;
        self.children.as_ref()?.get(index)
    }

    fn first_byte(&self) -> u8 {
        self.label.bytes().first().copied().unwrap_or_default()
    }
}

impl<T: Clone> Node<T> {
    /// Changes the slot at `key`, which `change` is given as it is, empty or not. Call it on a root.
    pub(crate) fn edit(&mut self, key: &[u8], change: impl FnOnce(&mut Option<Slot<T>>)) {
        match key.first() {
            None => change(&mut self.slot),
            Some(byte) => self.edit_below(*byte, key, change),
        }
        let below = self.children.iter().flat_map(|children| children.iter().map(|child| child.top));
        self.top = below.chain(self.slot.iter().map(Slot::top)).max().unwrap_or(Rank::LOWEST);
    }

    fn edit_below(&mut self, byte: u8, key: &[u8], change: impl FnOnce(&mut Option<Slot<T>>)) {
        match (self.index.find(byte), &mut self.children) {
            (Some(place), Some(children)) => {
                let child = &mut Arc::make_mut(children)[place];
                let common = common_length(child.label.bytes(), key);
                if common < child.label.bytes().len() {
                    child.split(common);
                }
                child.edit(&key[common..], change);
                child.join();
                if child.is_empty() {
                    let mut children = self.take_children();
                    children.remove(place);
                    self.set_children(children);
                }
            }
            _ => {
                let mut child = Node::new(Label::new(key));
                child.edit(&[], change);
                if !child.is_empty() {
                    let mut children = self.take_children();
                    let place = children.partition_point(|other| other.first_byte() > byte);
                    children.insert(place, child);
                    self.set_children(children);
                }
            }
        }
    }

    /// The children, with room for one more: moved if they are this node's alone, else copied.
    fn take_children(&mut self) -> Vec<Node<T>> {
        let Some(mut children) = self.children.take() else { return Vec::with_capacity(1) };
        let mut taken = Vec::with_capacity(children.len() + 1);
        match Arc::get_mut(&mut children) {
            Some(children) => taken.extend(children.iter_mut().map(std::mem::take)),
            None => taken.extend_from_slice(&children),
        }
        taken
    }

    fn set_children(&mut self, children: Vec<Node<T>>) {
        self.index = Index::of(children.iter().map(Node::first_byte));
        self.children = (!children.is_empty()).then(|| children.into());
    }

    /// Splits the node in two: one with the first bytes of the label, above one with all the rest.
    fn split(&mut self, at: usize) {
        let (upper, lower) = self.label.bytes().split_at(at);
        let (upper, lower) = (Node::new(Label::new(upper)), Label::new(lower));
        let mut below = std::mem::replace(self, upper);
        below.label = lower;
        self.set_children(vec![below]);
    }

    /// Joins the node with its only child, if it has one and no slot.
    fn join(&mut self) {
        let single = self.children.as_ref().is_some_and(|children| children.len() == 1);
        if single
            && self.slot.is_none()
            && let Some(mut only) = self.take_children().pop()
        {
            only.label = Label::new(&[self.label.bytes(), only.label.bytes()].concat());
            *self = only;
        }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node::new(Label::new(&[]))
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

impl Index {
    /// The index of these bytes, which come in descending order.
    fn of(first_bytes: impl ExactSizeIterator<Item = u8> + Clone) -> Self {
        let mut bytes = [first_bytes.clone().next().unwrap_or_default(); 15];
        match bytes.get_mut(..first_bytes.len()) {
            Some(few) => {
                few.iter_mut().zip(first_bytes).for_each(|(to, from)| *to = from);
                Index::Few(bytes)
            }
            None => Index::Many(Arc::new(ByteSet::of(first_bytes))),
        }
    }

    /// The place of a byte in their order. If there is no byte at all, the answer means nothing.
    fn find(&self, byte: u8) -> Option<usize> {
        match self {
            Index::Few(bytes) if bytes[0] < byte => None,
            Index::Few([first @ .., _, _, _, _, _, _, _])
                if let Some(place) = find_in_eight(*first, byte) =>
            {
                Some(place)
            }
            Index::Few([_, _, _, _, _, _, _, last @ ..]) => find_in_eight(*last, byte).map(|place| place + 7),
            Index::Many(set) => set.find(byte),
        }
    }
}

/// The first place of a byte among eight, all looked at at once.
fn find_in_eight(bytes: [u8; 8], byte: u8) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let differing = u64::from_le_bytes(bytes) ^ (ONES * u64::from(byte));
    // Subtracting one from a byte that is zero sets its top bit. It also borrows from the byte above, which may
    // deceive about that one, but never about the lowest.
    let equal = differing.wrapping_sub(ONES) & !differing & (ONES << 7);
    (equal != 0).then(|| equal.trailing_zeros() as usize / 8)
}

impl ByteSet {
    fn of(bytes: impl Iterator<Item = u8>) -> Self {
        let mut set = ByteSet::default();
        bytes.for_each(|byte| set.present[usize::from(byte >> 6)] |= 1 << (byte & 63));
        let mut sum = 0u8;
        for (greater, present) in set.greater.iter_mut().zip(set.present).rev() {
            *greater = sum;
            // At most 192 after the first word; what comes before it is not kept.
            sum = sum.wrapping_add(present.count_ones() as u8);
        }
        set
    }

    fn find(&self, byte: u8) -> Option<usize> {
        let word = usize::from(byte >> 6);
        let from_byte = self.present[word] >> (byte & 63);
        (from_byte & 1 != 0).then(|| usize::from(self.greater[word]) + (from_byte >> 1).count_ones() as usize)
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
    pub(crate) fn advance(self, bytes: &[u8]) -> Option<Self> {
        // No key has a byte 0xFF but at a mark, and nothing is done where one is found.
        self.walk(bytes, u8::MAX, |_| ())
    }

    /// The place `bytes` further on. On the way, calls `each` with the place behind every `mark` that a key has
    /// there.
    pub(crate) fn walk(self, bytes: &[u8], mark: u8, mut each: impl FnMut(Self)) -> Option<Self> {
        let Cursor { mut node, mut at } = self;
        let mut rest = bytes;
        loop {
            let label = &node.label.bytes()[at..];
            let common = common_length(label, rest);
            at += common;
            rest = &rest[common..];
            if let Some(next) = label.get(common) {
                if *next == mark {
                    each(Cursor { node, at: at + 1 });
                }
                return rest.is_empty().then_some(Cursor { node, at });
            }
            if let Some(marked) = node.child(mark) {
                each(Cursor { node: marked, at: 1 });
            }
            let Some(next) = rest.first() else { return Some(Cursor { node, at }) };
            (node, at) = (node.child(*next)?, 0);
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

    /// Calls `each` with the slot of every key that goes on from here with a beginning of `text`, shortest first,
    /// and with the length of that beginning. Turns back where no rank is as high as `least`.
    pub(crate) fn prefixes(self, text: &[u8], least: Rank, mut each: impl FnMut(&'t Slot<T>, usize)) {
        let (mut node, mut label, mut length) = (self.node, &self.node.label.bytes()[self.at..], 0);
        while node.top >= least && common_length(label, &text[length..]) == label.len() {
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

/// How many bytes both begin with.
fn common_length(a: &[u8], b: &[u8]) -> usize {
    let mut length = 0;
    while let (Some(a), Some(b)) = (a[length..].first_chunk(), b[length..].first_chunk()) {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return length + differing.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + a[length..].iter().zip(&b[length..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leaf is what most routes cost in the index. It should not grow by accident.
    #[test]
    fn nodes_are_small() {
        assert_eq!(size_of::<Node<Arc<()>>>(), 104);
    }

    #[test]
    fn children_are_found_among_few_and_many() {
        for step in [1, 3, 16, 40, 120] {
            let bytes: Vec<u8> = (0..=255u8).rev().step_by(step).collect();
            let index = Index::of(bytes.iter().copied());
            assert_eq!(matches!(index, Index::Few(_)), bytes.len() <= 15, "{step}");
            for byte in 0..=255 {
                assert_eq!(index.find(byte), bytes.iter().position(|own| *own == byte), "{step} {byte}");
            }
        }
    }

    #[test]
    fn common_beginnings_are_measured() {
        let text = b"0123456789abcdefghij";
        for length in 0..=text.len() {
            for differing in 0..=length {
                let mut other = text[..length].to_vec();
                other.iter_mut().skip(differing).take(1).for_each(|byte| *byte ^= 1);
                assert_eq!(common_length(text, &other), differing);
                assert_eq!(common_length(&other, text), differing);
            }
        }
    }
}
