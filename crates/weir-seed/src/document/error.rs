//! Why nothing was merged, and where.

use std::fmt;

/// A place in a text: line and column, both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte; of the end, if there are fewer. Bytes that are no UTF-8 count as a character each.
    pub(super) fn of(text: &[u8], at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = 1 + String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count();
        Self { line, column }
    }

    /// The same place of a text that begins `lines` lines further down in another.
    pub(super) fn down(self, lines: usize) -> Self {
        Self { line: self.line + lines, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why nothing was merged. The document is at fault; trying again as it is will not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// It is not what it should be.
    #[error("{why}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong.
        why: String,
    },
    /// It has a seed already, and nobody said that it may be replaced.
    #[error("{what} is there already")]
    Present {
        /// Where.
        place: Place,
        /// What it is called.
        what: &'static str,
    },
    /// It is of a kind that nothing can be added to, or nothing safely.
    #[error("{0}")]
    Unfit(String),
    /// It is longer than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("it is {0} bytes long, more than any provider takes")]
    TooLong(usize),
}

impl MergeError {
    /// Where the fault is, if it is in one place.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Malformed { place, .. } | Self::Present { place, .. } => Some(*place),
            _ => None,
        }
    }

    /// The same for a document that begins `lines` lines further down in another.
    pub(super) fn down(mut self, lines: usize) -> Self {
        if let Self::Malformed { place, .. } | Self::Present { place, .. } = &mut self {
            *place = place.down(lines);
        }
        self
    }

    pub(super) fn malformed(text: &str, at: usize, why: impl Into<String>) -> Self {
        Self::Malformed { place: Place::of(text.as_bytes(), at), why: why.into() }
    }
}

/// The document as text, or where it is none.
pub(super) fn text_of(document: &[u8]) -> Result<&str, MergeError> {
    if document.len() > super::MAX_BYTES {
        return Err(MergeError::TooLong(document.len()));
    }
    if document.starts_with(&[0x1f, 0x8b]) {
        return Err(MergeError::Unfit(
            "it is compressed: unpack it (gzip -dc), merge, and pack the result again (gzip -9n)".into(),
        ));
    }
    let text = std::str::from_utf8(document).map_err(|error| MergeError::Malformed {
        place: Place::of(document, error.valid_up_to()),
        why: "this is not UTF-8".into(),
    })?;
    match text.starts_with('\u{feff}') {
        true => Err(MergeError::malformed(
            text,
            0,
            "it begins with a byte order mark, for which the guest would not recognise it; take it out",
        )),
        false => Ok(text),
    }
}
