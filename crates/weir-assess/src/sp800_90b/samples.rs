//! Samples as the standard sees them: symbols of 1 to 8 bits, and the string of their bits.
//!
//! A file's samples become [`Samples`] once, checked; every estimator then takes a [`Sequence`] of them, which cannot hold
//! a symbol outside its alphabet. As NIST's tool does, the literal sequence is renumbered densely (symbols that never
//! occur take no number), and the bit string is made of the symbols as they were, most significant bit first.

use std::borrow::Cow;

use serde::Serialize;

/// Fewest samples that can be assessed at all: below it no predictor has anything to predict.
///
/// SP 800-90B 3.1.1 asks for [`ADVISED_SAMPLES`]; what is said of fewer has wide bounds, which the estimates include.
pub const MIN_SAMPLES: usize = 32;

/// How many samples SP 800-90B 3.1.1 wants.
pub const ADVISED_SAMPLES: usize = 1_000_000;

/// Most samples that one assessment takes, so that a position in the bit string fits in 31 bits.
pub const MAX_SAMPLES: usize = 1 << 28;

/// Why bytes are not samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplesError {
    /// There is nothing.
    #[error("there are no samples")]
    Empty,
    /// Too little for any estimator.
    #[error(
        "{samples} samples are too few: at least {MIN_SAMPLES} are needed, and SP 800-90B asks for {ADVISED_SAMPLES}"
    )]
    TooShort {
        /// How many there are.
        samples: usize,
    },
    /// More than positions can be counted for.
    #[error("{samples} samples are too many: at most {MAX_SAMPLES} are assessed at once")]
    TooLong {
        /// How many there are.
        samples: usize,
    },
    /// A symbol has 1 to 8 bits.
    #[error("a symbol has 1 to 8 bits, not {bits}")]
    Width {
        /// What was asked for.
        bits: u32,
    },
    /// A byte has bits above the width that was given.
    #[error("sample {index} is {value}, which does not fit in {bits} bits")]
    Symbol {
        /// Where, counted from 0.
        index: usize,
        /// What stands there.
        value: u8,
        /// The width that was given.
        bits: u32,
    },
}

/// Samples, one symbol a byte, checked against their width.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    raw: &'a [u8],
    dense: Cow<'a, [u8]>,
    bits: u32,
    distinct: usize,
}

impl<'a> Samples<'a> {
    /// Takes one symbol of `bits` bits from each byte; without `bits`, the width is that of the highest symbol.
    ///
    /// # Errors
    /// [`SamplesError`] says which bound was broken, and where.
    pub fn new(bytes: &'a [u8], bits: Option<u32>) -> Result<Self, SamplesError> {
        if bytes.is_empty() {
            return Err(SamplesError::Empty);
        }
        let samples = bytes.len();
        if samples < MIN_SAMPLES {
            return Err(SamplesError::TooShort { samples });
        }
        if samples > MAX_SAMPLES {
            return Err(SamplesError::TooLong { samples });
        }
        let used = bytes.iter().fold(0, |all, &byte| all | byte);
        let needed = (u8::BITS - used.leading_zeros()).max(1);
        let bits = bits.unwrap_or(needed);
        if !(1..=8).contains(&bits) {
            return Err(SamplesError::Width { bits });
        }
        if needed > bits {
            let (index, value) = first_beyond(bytes, bits);
            return Err(SamplesError::Symbol { index, value, bits });
        }
        let (dense, distinct) = renumber(bytes);
        Ok(Self { raw: bytes, dense, bits, distinct })
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Always false: nothing is not samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Bits of a symbol, 1 to 8.
    #[must_use]
    pub fn bits_per_symbol(&self) -> u32 {
        self.bits
    }

    /// How many different symbols occur.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// The samples as they were given.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The same samples in another order.
    pub(super) fn reordered<'b>(&self, raw: &'b [u8]) -> Samples<'b> {
        let (dense, distinct) = renumber(raw);
        Samples { raw, dense, bits: self.bits, distinct }
    }

    /// The symbols, renumbered densely.
    #[must_use]
    pub fn literal(&self) -> Sequence<'_> {
        Sequence { symbols: Cow::Borrowed(&self.dense), alphabet: self.distinct, stream: Stream::Literal }
    }

    /// The bits of the symbols, most significant first: eight times the memory of 8-bit samples.
    #[must_use]
    pub fn bitstring(&self) -> Sequence<'static> {
        let mut symbols = Vec::with_capacity(self.raw.len() * self.bits as usize);
        for &symbol in self.raw {
            symbols.extend((0..self.bits).rev().map(|bit| symbol >> bit & 1));
        }
        Sequence { symbols: Cow::Owned(symbols), alphabet: 2, stream: Stream::Bitstring }
    }
}

/// Which sequence of the samples an estimate speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The symbols themselves; figures are bits a symbol.
    Literal,
    /// The bits of the symbols; figures are bits a bit.
    Bitstring,
}

/// Symbols, each below the size of their alphabet.
#[derive(Clone, Debug)]
pub struct Sequence<'a> {
    symbols: Cow<'a, [u8]>,
    alphabet: usize,
    stream: Stream,
}

impl Sequence<'_> {
    /// The symbols, each below [`Self::alphabet`].
    #[must_use]
    pub fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// How many different symbols there are: 1 to 256 of the literal stream, 2 of a bit string.
    #[must_use]
    pub fn alphabet(&self) -> usize {
        self.alphabet
    }

    /// Which stream of the samples this is.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.stream
    }
}

fn first_beyond(bytes: &[u8], bits: u32) -> (usize, u8) {
    let beyond = bytes.iter().enumerate().find(|(_, byte)| **byte >> bits != 0);
    beyond.map_or((0, 0), |(index, &byte)| (index, byte))
}

fn renumber(bytes: &[u8]) -> (Cow<'_, [u8]>, usize) {
    let mut seen = [false; 256];
    for &byte in bytes {
        seen[usize::from(byte)] = true;
    }
    let mut number = [0; 256];
    let mut distinct = 0;
    for (symbol, _) in seen.iter().enumerate().filter(|(_, seen)| **seen) {
        number[symbol] = distinct as u8;
        distinct += 1;
    }
    let already_dense = seen[..distinct].iter().all(|seen| *seen);
    let dense = if already_dense {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(bytes.iter().map(|&byte| number[usize::from(byte)]).collect())
    };
    (dense, distinct)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_is_that_of_the_highest_symbol() {
        let mut bytes = [0; 40];
        assert_eq!(Samples::new(&bytes, None).unwrap().bits_per_symbol(), 1);
        bytes[7] = 5;
        assert_eq!(Samples::new(&bytes, None).unwrap().bits_per_symbol(), 3);
        bytes[8] = 255;
        assert_eq!(Samples::new(&bytes, None).unwrap().bits_per_symbol(), 8);
    }

    #[test]
    fn refusals_say_what_and_where() {
        assert_eq!(Samples::new(&[], None).unwrap_err(), SamplesError::Empty);
        assert_eq!(Samples::new(&[1; 31], None).unwrap_err(), SamplesError::TooShort { samples: 31 });
        assert_eq!(Samples::new(&[1; 32], Some(0)).unwrap_err(), SamplesError::Width { bits: 0 });
        assert_eq!(Samples::new(&[1; 32], Some(9)).unwrap_err(), SamplesError::Width { bits: 9 });
        let mut bytes = [1; 32];
        bytes[9] = 4;
        let refused = Samples::new(&bytes, Some(2)).unwrap_err();
        assert_eq!(refused, SamplesError::Symbol { index: 9, value: 4, bits: 2 });
        assert_eq!(refused.to_string(), "sample 9 is 4, which does not fit in 2 bits");
    }

    #[test]
    fn literal_symbols_are_dense_and_bits_are_not() {
        let bytes: Vec<u8> = [9, 2, 9, 4].repeat(8);
        let samples = Samples::new(&bytes, None).unwrap();
        assert_eq!(samples.literal().symbols()[..4], [2, 0, 2, 1]);
        assert_eq!(samples.literal().alphabet(), 3);
        assert_eq!(samples.bitstring().symbols()[..8], [1, 0, 0, 1, 0, 0, 1, 0]);
    }
}
