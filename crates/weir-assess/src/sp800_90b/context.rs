//! Contexts, and how often each symbol followed them: the memory of the predictors 6.3.9 and 6.3.10.
//!
//! A context is a node of a tree; its child by a symbol is the context that has this symbol before it. Nodes and counts
//! lie in two open hash tables of 8 bytes an entry, because there may be millions of them.

/// A context that is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(u32);

/// The tree.
pub(super) struct Contexts {
    children: Table,
    counts: Table,
    /// By node: the symbol that followed most often, of equally frequent ones the highest, and how often.
    best: Vec<(u8, u32)>,
}

impl Default for Contexts {
    fn default() -> Self {
        Self { children: Table::new(), counts: Table::new(), best: vec![(0, 0)] }
    }
}

impl Contexts {
    /// The context of no symbols.
    pub(super) const ROOT: Node = Node(0);

    /// The context with `earlier` before this one.
    #[inline]
    pub(super) fn child(&self, node: Node, earlier: u8) -> Option<Node> {
        self.children.get(key(node, earlier)).map(Node)
    }

    pub(super) fn child_or_new(&mut self, node: Node, earlier: u8) -> Node {
        let next = self.best.len() as u32;
        let child = *self.children.get_or_insert(key(node, earlier), next);
        if child == next {
            self.best.push((0, 0));
        }
        Node(child)
    }

    /// Whether anything was counted after the context; otherwise it is there only for longer ones.
    #[inline]
    pub(super) fn is_known(&self, node: Node) -> bool {
        self.best[node.0 as usize].1 > 0
    }

    /// The symbol that followed most often, and how often.
    #[inline]
    pub(super) fn prediction(&self, node: Node) -> (u8, u32) {
        self.best[node.0 as usize]
    }

    /// Counts that `symbol` followed the context.
    pub(super) fn count(&mut self, node: Node, symbol: u8) {
        let count = self.counts.get_or_insert(key(node, symbol), 0);
        *count += 1;
        let count = *count;
        self.consider(node, symbol, count);
    }

    /// Counts that `symbol` followed the context, if it did before. Says whether it did.
    pub(super) fn count_known(&mut self, node: Node, symbol: u8) -> bool {
        let Some(count) = self.counts.get_mut(key(node, symbol)) else { return false };
        *count += 1;
        let count = *count;
        self.consider(node, symbol, count);
        true
    }

    fn consider(&mut self, node: Node, symbol: u8, count: u32) {
        let best = &mut self.best[node.0 as usize];
        if (count, symbol) > (best.1, best.0) {
            *best = (symbol, count);
        }
    }
}

/// Nodes stay below 2²³: 16 depths of 100,000 contexts.
fn key(node: Node, symbol: u8) -> u32 {
    node.0 << 8 | u32::from(symbol)
}

/// From 32 bits to 32 bits, with linear probing and at most three quarters full.
struct Table {
    /// Key and value; a key of `FREE` is none.
    slots: Vec<(u32, u32)>,
    used: usize,
}

const FREE: u32 = u32::MAX;

impl Table {
    fn new() -> Self {
        Self { slots: vec![(FREE, 0); 1024], used: 0 }
    }

    /// Where the key is, or where it would be.
    #[inline]
    fn find(&self, key: u32) -> usize {
        let mask = self.slots.len() - 1;
        // The high bits of a product with an odd constant depend on all bits of the key (Knuth's multiplicative hash).
        let hash = (u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mut slot = hash as usize & mask;
        while self.slots[slot].0 != key && self.slots[slot].0 != FREE {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[inline]
    fn get(&self, key: u32) -> Option<u32> {
        let (found, value) = self.slots[self.find(key)];
        (found == key).then_some(value)
    }

    #[inline]
    fn get_mut(&mut self, key: u32) -> Option<&mut u32> {
        let slot = self.find(key);
        let (found, value) = &mut self.slots[slot];
        (*found == key).then_some(value)
    }

    fn get_or_insert(&mut self, key: u32, value: u32) -> &mut u32 {
        let mut slot = self.find(key);
        if self.slots[slot].0 == FREE {
            if (self.used + 1) * 4 > self.slots.len() * 3 {
                self.grow();
                slot = self.find(key);
            }
            self.slots[slot] = (key, value);
            self.used += 1;
        }
        &mut self.slots[slot].1
    }

    fn grow(&mut self) {
        let doubled = vec![(FREE, 0); self.slots.len() * 2];
        for (key, value) in std::mem::replace(&mut self.slots, doubled) {
            if key != FREE {
                let slot = self.find(key);
                self.slots[slot] = (key, value);
            }
        }
    }
}
