//! Names of hosts and TLS servers: what configuration asks for, what a request carries, and the keys that bring both
//! together in the index.
//!
//! Names are compared without regard to case, as DNS does; a dot at the very end changes nothing. A wildcard stands for
//! any text with which its fixed part makes a name: `*.a.test` is every name that ends in `.a.test`, `a.*` every one that
//! begins with `a.`.
//!
//! A key is a name and a mark that says how the name is meant. Exact names and suffixes are written backwards, so that
//! all the suffixes of a request's name lie on the way to the name itself. Marks are bytes that UTF-8 never has: nothing
//! that a peer sends can be mistaken for one.

use crate::error::Reason;
use crate::trie::Cursor;

/// The longest name there is, in bytes. A request with a longer one belongs to no named route.
const LONGEST: usize = 255;

/// After an exact name, backwards.
const EXACT: u8 = 0xFF;
/// After a suffix, backwards.
const SUFFIX: u8 = 0xFE;
/// Before a prefix, forwards.
const PREFIX: u8 = 0xFD;
/// After a prefix.
const PREFIX_END: u8 = 0xFC;
/// Where a name would be, for what asks for none.
pub(crate) const UNNAMED: u8 = 0xFB;

/// A name that a route asks for. Its text is in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Exact(Box<str>),
    /// What `*.a.test` asks for, as `.a.test`.
    Suffix(Box<str>),
    /// What `a.*` asks for, as `a.`.
    Prefix(Box<str>),
}

/// A host that a route asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host {
    pub(crate) name: Name,
    /// The port that the request must be for; 0 for any.
    pub(crate) port: u16,
}

impl Host {
    /// Reads `name`, `name:port`, `*.name`, `name.*`, `[::1]`, `[::1]:port` or `::1`.
    pub(crate) fn parse(text: &str) -> Result<Host, Reason> {
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(Host {
                name: Name::Exact(format!("[{}]", text.to_ascii_lowercase()).into()),
                port: 0,
            });
        }
        let (name, port) = split_port(text).ok_or(Reason::Port)?;
        Ok(Host { name: Name::parse(name)?, port: port.unwrap_or(0) })
    }
}

impl Name {
    /// Reads the name of a TLS server (RFC 6066 3), which may have a wildcard.
    pub(crate) fn parse_sni(text: &str) -> Result<Name, Reason> {
        match text.contains(':') {
            true => Err(Reason::UnexpectedPort),
            false => Name::parse(text),
        }
    }

    fn parse(text: &str) -> Result<Name, Reason> {
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        let name = text.to_ascii_lowercase();
        let (fixed, named): (&str, fn(Box<str>) -> Name) =
            match name.bytes().filter(|byte| *byte == b'*').count() {
                0 => (without_final_dot(&name), Name::Exact),
                1 => match (name.strip_prefix('*'), name.strip_suffix('*')) {
                    (Some(suffix), _) if suffix.starts_with('.') => (without_final_dot(suffix), Name::Suffix),
                    (_, Some(prefix)) if prefix.ends_with('.') => (prefix, Name::Prefix),
                    _ => return Err(Reason::WildcardPlace),
                },
                _ => return Err(Reason::TwoWildcards),
            };
        let bracketed = fixed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_name = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !fixed.is_empty() && fixed.bytes().all(is_name_byte),
        };
        if !is_name || fixed.len() > LONGEST {
            return Err(Reason::Name);
        }
        Ok(named(fixed.into()))
    }

    /// Whether the name has a wildcard.
    pub(crate) fn is_wild(&self) -> bool {
        !matches!(self, Name::Exact(_))
    }

    /// Whether the name that a request carries is meant.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name = without_final_dot(name).as_bytes();
        match self {
            Name::Exact(own) => name.eq_ignore_ascii_case(own.as_bytes()),
            Name::Suffix(own) => {
                name.len() >= own.len() && name[name.len() - own.len()..].eq_ignore_ascii_case(own.as_bytes())
            }
            Name::Prefix(own) => {
                name.len() >= own.len() && name[..own.len()].eq_ignore_ascii_case(own.as_bytes())
            }
        }
    }

    /// Appends the name's key.
    pub(crate) fn append_key(&self, key: &mut Vec<u8>) {
        match self {
            Name::Exact(name) => {
                key.extend(name.bytes().rev());
                key.push(EXACT);
            }
            Name::Suffix(suffix) => {
                key.extend(suffix.bytes().rev());
                key.push(SUFFIX);
            }
            Name::Prefix(prefix) => {
                key.push(PREFIX);
                key.extend(prefix.bytes());
                key.push(PREFIX_END);
            }
        }
    }
}

/// Calls `visit` with the place after each key under `root` that means `name`: the exact one first, then suffixes from
/// the longest, then prefixes. Each dot of the name costs a step, whatever the number of keys.
pub(crate) fn visit<'t, T>(root: Cursor<'t, T>, name: &str, mut visit: impl FnMut(Cursor<'t, T>)) {
    let name = without_final_dot(name);
    let mut buffer = [0; LONGEST];
    let Some(folded) = buffer.get_mut(..name.len()).filter(|folded| !folded.is_empty()) else { return };
    for (to, from) in folded.iter_mut().zip(name.bytes().rev()) {
        *to = from.to_ascii_lowercase();
    }

    /// How many suffixes wait for the exact name. It matters to the order alone, which saves work, not to the result.
    const WAITING: usize = 8;
    let mut suffixes = [None; WAITING];
    let mut count = 0;
    let whole = walk(root, folded, SUFFIX, |place| match suffixes.get_mut(count) {
        Some(free) => {
            *free = Some(place);
            count += 1;
        }
        None => visit(place),
    });
    if let Some(exact) = whole.and_then(|place| place.step(EXACT)) {
        visit(exact);
    }
    suffixes.into_iter().rev().flatten().for_each(&mut visit);

    if let Some(start) = root.step(PREFIX) {
        folded.reverse();
        walk(start, folded, PREFIX_END, visit);
    }
}

/// Goes along `name` and answers the place after it, if there is one. Calls `each` with the place after `mark`, wherever
/// that stands behind a dot on the way.
fn walk<'t, T>(
    root: Cursor<'t, T>,
    name: &[u8],
    mark: u8,
    mut each: impl FnMut(Cursor<'t, T>),
) -> Option<Cursor<'t, T>> {
    let mut place = root;
    for label in name.split_inclusive(|byte| *byte == b'.') {
        place = place.advance(label)?;
        if label.ends_with(b".")
            && let Some(marked) = place.step(mark)
        {
            each(marked);
        }
    }
    Some(place)
}

/// Takes the value of a Host header, or an authority, apart: the name, brackets kept, and the port if there is one.
///
/// None if what follows the name is not a port. The name is not checked.
pub fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let name_end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, rest) = authority.split_at(name_end);
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((name, None)),
        // RFC 3986 3.2.3: the port may be empty, which is as if it were not there.
        Some("") => Some((name, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse() {
            Ok(0) | Err(_) => None,
            Ok(port) => Some((name, Some(port))),
        },
        _ => None,
    }
}

fn without_final_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// RFC 3986 3.2.2, reg-name, without escapes.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        let exact = |name: &str, port| Host { name: Name::Exact(name.into()), port };
        let suffix = |name: &str, port| Host { name: Name::Suffix(name.into()), port };
        let prefix = |name: &str, port| Host { name: Name::Prefix(name.into()), port };
        for (text, host) in [
            ("a.test", exact("a.test", 0)),
            ("A.Test.", exact("a.test", 0)),
            ("a_b.test:8080", exact("a_b.test", 8080)),
            ("127.0.0.1", exact("127.0.0.1", 0)),
            ("*.a.test", suffix(".a.test", 0)),
            ("*.a.test:8080", suffix(".a.test", 8080)),
            ("a.*", prefix("a.", 0)),
            ("a.*:80", prefix("a.", 80)),
            ("[::1]", exact("[::1]", 0)),
            ("[::1]:443", exact("[::1]", 443)),
            ("::1", exact("[::1]", 0)),
        ] {
            assert_eq!(Host::parse(text), Ok(host), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (text, reason) in [
            ("", Reason::Empty),
            (":80", Reason::Empty),
            ("a b", Reason::Name),
            ("a/b", Reason::Name),
            ("é.test", Reason::Name),
            (".", Reason::Name),
            ("[a]", Reason::Name),
            ("a.test:x", Reason::Port),
            ("a.test:0", Reason::Port),
            ("a.test:65536", Reason::Port),
            ("a.test:+80", Reason::Port),
            ("[::1", Reason::Port),
            ("*.a.*", Reason::TwoWildcards),
            ("*a.test", Reason::WildcardPlace),
            ("a.*.b", Reason::WildcardPlace),
            ("*", Reason::WildcardPlace),
        ] {
            assert_eq!(Host::parse(text), Err(reason), "{text}");
        }
        assert_eq!(Host::parse(&"a".repeat(256)), Err(Reason::Name));
        assert_eq!(Name::parse_sni("a.test:443"), Err(Reason::UnexpectedPort));
    }

    #[test]
    fn names_match_in_any_case() {
        let name = |text| Name::parse_sni(text).unwrap();
        for (own, given, expected) in [
            ("a.test", "A.TEST", true),
            ("a.test", "a.test.", true),
            ("a.test", "xa.test", false),
            ("*.a.test", "x.y.A.test", true),
            ("*.a.test", "a.test", false),
            ("*.a.test", "xa.test", false),
            ("a.*", "A.b.c", true),
            ("a.*", "a", false),
            ("a.*", "ab.c", false),
        ] {
            assert_eq!(name(own).matches(given), expected, "{own} {given}");
        }
    }

    #[test]
    fn authorities_are_split() {
        for (authority, parts) in [
            ("a.test", Some(("a.test", None))),
            ("a.test:80", Some(("a.test", Some(80)))),
            ("a.test:", Some(("a.test", None))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("", Some(("", None))),
            ("a.test:80:90", None),
            ("a.test:-1", None),
            ("a.test:99999", None),
            ("[::1]x", None),
        ] {
            assert_eq!(split_port(authority), parts, "{authority}");
        }
    }
}
