//! Header criteria, and how the router asks for a request's headers.

use std::sync::Arc;

use crate::error::{Error, Field, Reason};
use crate::pattern::Pattern;
use crate::program::Program;

/// A request's headers, wherever they are kept.
pub trait Headers {
    /// Whether any value of the header satisfies `test`.
    ///
    /// `name` is in lower case; names are compared without regard to case. Repeated headers are several values; a
    /// value is not split at its commas.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter().any(|(own, value)| own.as_ref().eq_ignore_ascii_case(name) && test(value.as_ref()))
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.as_slice().any(name, test)
    }
}

/// No headers at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _name: &str, _test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

/// One header that a route asks for: any of these values will do.
#[derive(Debug, Clone)]
pub(crate) struct HeaderRule {
    /// In lower case.
    pub(crate) name: Box<str>,
    /// Whole values in lower case, each once.
    pub(crate) exact: Box<[Box<[u8]>]>,
    /// Patterns that match anywhere in a value, without regard to case.
    pub(crate) patterns: Box<[Pattern]>,
}

impl HeaderRule {
    /// Reads one header's name and values, as configuration has them: `~*` marks a regular expression.
    pub(crate) fn parse<S: AsRef<str>>(name: &str, values: &[S]) -> Result<HeaderRule, Error> {
        let invalid = |index, value: &str, reason| Error::Invalid {
            field: Field::Headers(name.to_owned()),
            index,
            value: value.to_owned(),
            reason,
        };
        if name.is_empty() || !name.bytes().all(is_token_byte) || name.eq_ignore_ascii_case("host") {
            return Err(invalid(None, name, Reason::HeaderName));
        }
        if values.is_empty() {
            return Err(invalid(None, name, Reason::Empty));
        }
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            let value = value.as_ref();
            match value.strip_prefix("~*") {
                _ if value.is_empty() => return Err(invalid(Some(index), value, Reason::Empty)),
                Some(pattern) => patterns
                    .push(Pattern::of_header(pattern).map_err(|reason| invalid(Some(index), value, reason))?),
                None => exact.push(value.as_bytes().to_ascii_lowercase().into_boxed_slice()),
            }
        }
        exact.sort();
        exact.dedup();
        Ok(HeaderRule {
            name: name.to_ascii_lowercase().into(),
            exact: exact.into(),
            patterns: patterns.into(),
        })
    }

    /// Whether one of the request's values will do. `programs` are those of [`HeaderRule::patterns`], in order.
    pub(crate) fn accepts(&self, headers: &dyn Headers, programs: &[Arc<Program>]) -> bool {
        headers.any(&self.name, &mut |value| {
            self.exact.iter().any(|exact| exact.eq_ignore_ascii_case(value))
                || programs.iter().any(|program| program.is_match(value))
        })
    }
}

/// Whether the byte may be in a token (RFC 9110 5.6.2): a header's or a method's name.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
