//! What a round of gathering brought.

use std::fmt;

use crate::condition::Mixed;

/// Blocks for the kernel's pool. Erased when dropped.
pub struct Batch {
    blocks: Vec<(Mixed, u32)>,
    parts: Vec<Part>,
}

impl Batch {
    pub(super) fn new(blocks: Vec<(Mixed, u32)>, parts: Vec<Part>) -> Self {
        Self { blocks, parts }
    }

    /// The blocks, each of 64 bytes, with what each may be credited with. Some may be worth nothing: those are to
    /// be mixed in all the same.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.blocks
            .iter()
            .map(|(mixed, credit_bits)| Block { bytes: mixed.bytes(), credit_bits: *credit_bits })
    }

    /// The credit of all blocks together, in bits.
    #[must_use]
    pub fn credit_bits(&self) -> u32 {
        self.blocks.iter().map(|(_, credit_bits)| credit_bits).sum()
    }

    /// What each source that gave anything had in it, in the order of the configuration.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl fmt::Debug for Batch {
    /// The bytes stay unsaid: they may become the kernel's seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} blocks, {} bits, {:?})", self.blocks.len(), self.credit_bits(), self.parts)
    }
}

/// Conditioned bytes, and what they may be credited with: never above eight bits a byte.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    bytes: &'a [u8],
    credit_bits: u32,
}

impl<'a> Block<'a> {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The credit, in bits.
    #[must_use]
    pub fn credit_bits(&self) -> u32 {
        self.credit_bits
    }
}

impl fmt::Debug for Block<'_> {
    /// The bytes stay unsaid.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} bytes, {} bits)", self.bytes.len(), self.credit_bits)
    }
}

/// What a source had in a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The source's name.
    pub source: String,
    /// Samples that it gave; all of them were mixed in.
    pub samples: u64,
    /// Min-entropy assessed in them: by the source's claim, as far as its tests allow.
    pub claimed_bits: f64,
    /// Its share in the credit of the blocks, which is never above the former.
    pub credited_bits: f64,
}

impl Part {
    pub(super) fn of(source: &str, samples: u64) -> Self {
        Self { source: source.to_owned(), samples, claimed_bits: 0.0, credited_bits: 0.0 }
    }
}

/// Shares a block's credit among the sources by what was assessed of each.
pub(super) fn share(parts: &mut [Part], assessed: &[f64], credit_bits: u32) {
    let all: f64 = assessed.iter().sum();
    for (part, &bits) in parts.iter_mut().zip(assessed).filter(|(_, bits)| **bits > 0.0) {
        part.claimed_bits += bits;
        part.credited_bits += bits / all * f64::from(credit_bits);
    }
}
