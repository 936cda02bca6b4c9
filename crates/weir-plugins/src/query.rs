//! Query strings and form bodies: finding an argument, taking one out.

use std::borrow::Cow;

/// The values of an argument, decoded. An argument without `=` has no value and is left out.
pub(crate) fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    pairs(query).filter_map(move |(key, value)| if decode(key) == name { value.map(decode) } else { None })
}

/// Whether the argument is there, with a value or without.
pub(crate) fn contains(query: &str, name: &str) -> bool {
    pairs(query).any(|(key, _)| decode(key) == name)
}

/// The query without an argument; the rest as it was written.
pub(crate) fn without(query: &str, name: &str) -> String {
    let kept: Vec<&str> =
        query.split('&').filter(|pair| decode(pair.split('=').next().unwrap_or_default()) != name).collect();
    kept.join("&")
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    })
}

/// Decodes `+` and `%XX`. What is no escape stands for itself; what is no text is replaced.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (other, _) => bytes.push(*other),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A') + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_and_taken_out() {
        let query = "a=1&k%65y=x%2By&b&key=2&c=%zz";
        assert_eq!(values(query, "key").collect::<Vec<_>>(), ["x+y", "2"]);
        assert_eq!(values(query, "b").count(), 0);
        assert!(contains(query, "b") && !contains(query, "d"));
        assert_eq!(without(query, "key"), "a=1&b&c=%zz");
        assert_eq!(without("key=1", "key"), "");
        assert_eq!(decode("a+b%"), "a b%");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }
}
