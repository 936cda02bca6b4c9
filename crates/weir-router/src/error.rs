//! What is wrong with a route's criteria, named so that whoever wrote the configuration finds the place.

use std::fmt;

/// Criteria that cannot be routed by. The configuration's author is at fault; retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A route for HTTP that asks for nothing would take every request that no other route wants.
    #[error("at least one of methods, hosts, paths, headers, snis must be set")]
    NoCriteria,
    /// One value of one field is unusable.
    #[error("{field}{}: `{value}`: {reason}", At(*index))]
    Invalid {
        /// The field that holds the value.
        field: Field,
        /// The value's place in the field's list, from 0; none when the name of a header is meant.
        index: Option<usize>,
        /// The value as it was written.
        value: String,
        /// What is wrong with it.
        reason: Reason,
    },
}

/// A field of a route's criteria.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `methods`
    Methods,
    /// `hosts`
    Hosts,
    /// `paths`
    Paths,
    /// `headers`, at the header of this name
    Headers(String),
    /// `snis`
    Snis,
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The value, or a header's list of values, is empty.
    #[error("must not be empty")]
    Empty,
    /// A method is not an HTTP token (RFC 9110 5.6.2).
    #[error("not a method name")]
    Method,
    /// More than one `*` in a name.
    #[error("at most one wildcard is allowed")]
    TwoWildcards,
    /// A `*` that is not the whole leftmost or rightmost label.
    #[error("a wildcard must stand for the leftmost or the rightmost label")]
    WildcardPlace,
    /// A host or server name with characters that no name has, or longer than 255 bytes.
    #[error("not a host name")]
    Name,
    /// A port that is not a number from 1 to 65535.
    #[error("not a port")]
    Port,
    /// A server name with a port.
    #[error("a server name has no port")]
    UnexpectedPort,
    /// A path that starts with neither `/` nor `~/`.
    #[error("must start with / (a prefix) or ~/ (a regular expression)")]
    PathStart,
    /// A path prefix that no request's path can have: a bad percent-escape, a NUL, or not UTF-8.
    #[error("no request has such a path: {0}")]
    Path(crate::path::PathError),
    /// A header name that is not a token, or is `host`, which `hosts` is for.
    #[error("not a header name to route by")]
    HeaderName,
    /// A regular expression that cannot be read.
    #[error("{message} (at byte {at} of the pattern)")]
    Pattern {
        /// What the pattern's parser says.
        message: String,
        /// The offset in the pattern, which begins after `~` (paths) or `~*` (headers).
        at: usize,
    },
    /// A regular expression that would take too much memory.
    #[error(
        "the pattern needs about {needed} bytes when compiled, more than {} allowed",
        crate::pattern::SIZE_LIMIT
    )]
    PatternTooLarge {
        /// About how much it needs.
        needed: usize,
    },
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Methods => f.write_str("methods"),
            Field::Hosts => f.write_str("hosts"),
            Field::Paths => f.write_str("paths"),
            Field::Headers(name) => write!(f, "headers.{name}"),
            Field::Snis => f.write_str("snis"),
        }
    }
}

/// A place in a list, or nothing.
struct At(Option<usize>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}
