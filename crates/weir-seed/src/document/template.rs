//! A document with a gap where the seed goes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::Seed;

/// A document without its seed. Whatever is around the gap, the seed cannot change its meaning: as base64 it stands between
/// quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    head: Vec<u8>,
    gap: Gap,
    tail: Vec<u8>,
}

/// How the seed is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Gap {
    Raw,
    Hex,
    Base64,
    /// A document of its own, as base64 in lines: a part of a MIME message.
    Encoded(Box<Template>),
}

/// Lines of base64 in MIME (RFC 2045 6.8).
const LINE: usize = 76;

impl Template {
    /// The seed's bytes and nothing else.
    #[must_use]
    pub fn raw() -> Self {
        Self { head: Vec::new(), gap: Gap::Raw, tail: Vec::new() }
    }

    /// A line of lower-case hexadecimal digits.
    #[must_use]
    pub fn hex() -> Self {
        Self { head: Vec::new(), gap: Gap::Hex, tail: b"\n".to_vec() }
    }

    /// A line of standard base64.
    #[must_use]
    pub fn base64() -> Self {
        Self::quoted("", "\n")
    }

    /// Base64 between two texts.
    pub(super) fn quoted(head: impl Into<Vec<u8>>, tail: impl Into<Vec<u8>>) -> Self {
        Self { head: head.into(), gap: Gap::Base64, tail: tail.into() }
    }

    /// The same as a part of a longer document.
    pub(super) fn within(mut self, before: &str, after: &str) -> Self {
        self.head.splice(..0, before.bytes());
        self.tail.extend_from_slice(after.as_bytes());
        self
    }

    /// The same with other line ends.
    pub(super) fn with_newlines(mut self, newline: &str) -> Self {
        for side in [&mut self.head, &mut self.tail] {
            *side = String::from_utf8_lossy(side).replace('\n', newline).into_bytes();
        }
        self
    }

    /// A longer document, in which this one is encoded.
    pub(super) fn encoded_within(self, before: &str, after: &str) -> Self {
        Self { head: before.into(), gap: Gap::Encoded(Box::new(self)), tail: after.into() }
    }

    /// As it is with a seed of zeros: what a check may parse.
    pub(super) fn sample(&self) -> String {
        // Zeros are no secret; as a seed they are of the usual length.
        let zeros = Seed::from_bytes(vec![0; Seed::BYTES]);
        let bytes = zeros.map(|seed| self.fill(&seed).to_vec()).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// The document with this seed in it. Its memory is erased when it is dropped.
    #[must_use]
    pub fn fill(&self, seed: &Seed) -> Zeroizing<Vec<u8>> {
        match &self.gap {
            Gap::Raw => self.around(seed.expose()),
            Gap::Hex => self.around(seed.hex().as_bytes()),
            Gap::Base64 => self.around(seed.base64().as_bytes()),
            Gap::Encoded(inner) => self.around(&lines_of(&inner.fill(seed))),
        }
    }

    /// In memory of the right size from the start: growing would leave copies behind.
    fn around(&self, middle: &[u8]) -> Zeroizing<Vec<u8>> {
        let parts = [self.head.as_slice(), middle, self.tail.as_slice()];
        let mut all = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| all.extend_from_slice(part));
        all
    }
}

/// Base64 in lines, without a line's end after the last.
fn lines_of(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    STANDARD.encode_string(bytes, &mut text);
    let mut lines = Zeroizing::new(Vec::with_capacity(text.len() + text.len() / LINE));
    for line in text.as_bytes().chunks(LINE) {
        if !lines.is_empty() {
            lines.push(b'\n');
        }
        lines.extend_from_slice(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_goes_into_the_gap_in_its_form() {
        let seed = Seed::from_bytes(vec![0xff; 33]).unwrap();
        assert_eq!(Template::raw().fill(&seed).as_slice(), [0xff; 33]);
        assert_eq!(Template::hex().fill(&seed).as_slice(), format!("{}\n", "f".repeat(66)).as_bytes());
        assert_eq!(Template::base64().fill(&seed).as_slice(), format!("{}\n", "/".repeat(44)).as_bytes());
        let inner = Template::quoted("a: \"", "\"\n").within("#\n", "b: 1\n");
        let outer = inner.clone().encoded_within("<", ">").fill(&seed);
        let text = String::from_utf8(outer.to_vec()).unwrap();
        let encoded: String = text.trim_matches(['<', '>']).lines().collect();
        assert_eq!(STANDARD.decode(encoded).unwrap(), inner.fill(&seed).to_vec());
        assert!(text.lines().all(|line| line.len() <= LINE + 2));
    }
}
