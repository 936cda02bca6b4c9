//! Header fields as they are on the wire: in order, in the sender's case, all bytes in one buffer.
//!
//! A gateway reads a handful of fields of each message and passes the rest on. Scanning a dozen short entries beats
//! hashing every name into a map, keeps what the sender wrote, and costs no allocation once the buffers have grown:
//! a connection clears and fills the same `Headers` for each message.
//!
//! Invariant: what is stored never holds CR, LF or NUL, so no value can start a field of its own. Values that a plugin
//! hands in are escaped where they must be.

use std::ops::Range;

/// The header fields of one message.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Headers {
    /// No fields.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), entries: Vec::new() }
    }

    /// Removes all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// How many fields there are. A name that occurs twice counts twice.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.position(name.as_bytes()).map(|at| self.value_at(at))
    }

    /// The first value of a field, if it is text.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of a field.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let wanted = name.as_bytes();
        let same =
            move |(name, _): &(&[u8], &[u8])| name.len() == wanted.len() && name.eq_ignore_ascii_case(wanted);
        self.iter().filter(same).map(|(_, value)| value)
    }

    /// Whether the field is there.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name.as_bytes()).is_some()
    }

    /// All fields in order, names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|e| (&self.bytes[e.name.range()], &self.bytes[e.value.range()]))
    }

    /// Writes the fields that `keep` lets through as lines of a head. Lines that stand together in the head that the
    /// fields were parsed from are copied together.
    pub fn write(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let mut run: Option<Range<usize>> = None;
        for entry in &self.entries {
            let (name, value) = (entry.name.range(), entry.value.range());
            if !keep(&self.bytes[name.clone()], &self.bytes[value.clone()]) {
                continue;
            }
            let whole_line = self.bytes[name.end..].starts_with(b": ") && value.start == name.end + 2;
            match &mut run {
                Some(run)
                    if whole_line
                        && name.start == run.end + 2
                        && self.bytes[run.end..].starts_with(b"\r\n") =>
                {
                    run.end = value.end;
                    continue;
                }
                _ => {}
            }
            if let Some(run) = run.take() {
                out.extend_from_slice(&self.bytes[run]);
                out.extend_from_slice(b"\r\n");
            }
            if whole_line {
                run = Some(name.start..value.end);
            } else {
                out.extend_from_slice(&self.bytes[name]);
                out.extend_from_slice(b": ");
                out.extend_from_slice(&self.bytes[value]);
                out.extend_from_slice(b"\r\n");
            }
        }
        if let Some(run) = run {
            out.extend_from_slice(&self.bytes[run]);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Adds a field at the end. Bytes of the value that would end it are percent-encoded.
    pub fn append(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let name = self.store(name.as_ref());
        let value =
            if value.iter().any(|b| forbidden(*b)) { self.store_escaped(value) } else { self.store(value) };
        self.entries.push(Entry { name, value });
    }

    /// Makes a field have this value and no other. It takes the place of the first it had.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let Some(at) = self.position(name) else { return self.append(name, value) };
        self.append(name, value);
        if let Some(new) = self.entries.pop() {
            self.entries[at] = new;
        }
        let mut index = at + 1;
        while index < self.entries.len() {
            if self.bytes[self.entries[index].name.range()].eq_ignore_ascii_case(name) {
                self.entries.remove(index);
            } else {
                index += 1;
            }
        }
    }

    /// Removes a field. Says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.entries.len();
        let bytes = &self.bytes;
        self.entries.retain(|e| !bytes[e.name.range()].eq_ignore_ascii_case(name.as_bytes()));
        self.entries.len() != before
    }

    /// Removes every field that `keep` refuses, by its name and value.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.entries.retain(|e| keep(&bytes[e.name.range()], &bytes[e.value.range()]));
    }

    /// Takes over the fields of a parsed head: `head` is its bytes, `fields` are the places of names and values in it.
    /// Names must be ASCII tokens, values must hold no CR, LF or NUL, as a parser of HTTP guarantees.
    pub fn fill(&mut self, head: &[u8], fields: impl Iterator<Item = (Range<usize>, Range<usize>)>) {
        self.clear();
        self.bytes.extend_from_slice(head);
        let span = |range: Range<usize>| Span { start: range.start as u32, end: range.end as u32 };
        self.entries.extend(fields.map(|(name, value)| Entry { name: span(name), value: span(value) }));
    }

    fn value_at(&self, at: usize) -> &[u8] {
        &self.bytes[self.entries[at].value.range()]
    }

    fn position(&self, wanted: &[u8]) -> Option<usize> {
        self.entries.iter().position(|e| {
            let range = e.name.range();
            range.len() == wanted.len() && self.bytes[range].eq_ignore_ascii_case(wanted)
        })
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { start, end: self.bytes.len() as u32 }
    }

    #[cold]
    fn store_escaped(&mut self, value: &[u8]) -> Span {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let start = self.bytes.len() as u32;
        for byte in value {
            if forbidden(*byte) {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                self.bytes.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
            } else {
                self.bytes.push(*byte);
            }
        }
        Span { start, end: self.bytes.len() as u32 }
    }
}

/// Bytes that a field's value cannot hold (RFC 9110, 5.5): controls other than the tab.
fn forbidden(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(fields: T) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(headers: &Headers) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        headers.iter().map(|(n, v)| (text(n), text(v))).collect()
    }

    #[test]
    fn names_have_no_case_and_keep_theirs() {
        let headers: Headers = [("X-One", "1"), ("x-two", "2"), ("X-ONE", "3")].into_iter().collect();
        assert_eq!(headers.get_str("x-one"), Some("1"));
        assert_eq!(headers.get_all("x-One").count(), 2);
        assert_eq!(list(&headers)[2], ("X-ONE", "3"));
        assert_eq!(headers.get("x-on"), None);
    }

    #[test]
    fn set_replaces_all_in_the_first_ones_place() {
        let mut headers: Headers = [("a", "1"), ("b", "2"), ("A", "3"), ("c", "4")].into_iter().collect();
        headers.set("A", "9");
        assert_eq!(list(&headers), [("A", "9"), ("b", "2"), ("c", "4")]);
        headers.set("d", "5");
        assert!(headers.remove("B"));
        assert!(!headers.remove("b"));
        assert_eq!(list(&headers), [("A", "9"), ("c", "4"), ("d", "5")]);
    }

    #[test]
    fn a_value_cannot_start_a_field() {
        let mut headers = Headers::new();
        headers.append("X-Consumer-Custom-ID", "a\r\nX-Admin: 1\0");
        assert_eq!(headers.get_str("x-consumer-custom-id"), Some("a%0D%0AX-Admin: 1%00"));
    }

    #[test]
    fn a_parsed_head_is_taken_over_in_place() {
        let mut headers = Headers::new();
        let head = b"Host: a\r\nX: yy\r\n\r\n";
        headers.fill(head, [(0..4, 6..7), (9..10, 12..14)].into_iter());
        headers.append("Z", "1");
        assert_eq!(list(&headers), [("Host", "a"), ("X", "yy"), ("Z", "1")]);
    }

    #[test]
    fn lines_are_written_as_they_are_and_together_where_they_stand_together() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nB:  spaced \r\nC: 3\r\nD: 4\nE: \r\n\r\n";
        let at = |text: &[u8]| head.windows(text.len()).position(|w| w == text).unwrap();
        let field = |name: &[u8], value: &[u8], gap: usize| {
            let start = at(name);
            (
                start..start + 1.max(name.len() - 1),
                start + name.len() + gap..start + name.len() + gap + value.len(),
            )
        };
        let mut headers = Headers::new();
        let fields = [
            field(b"Host:", b"a", 1),
            field(b"B:", b"spaced", 2),
            field(b"C:", b"3", 1),
            field(b"D:", b"4", 1),
            field(b"E:", b"", 1),
        ];
        headers.fill(head, fields.into_iter());
        headers.append("F", "6");
        let mut out = Vec::new();
        headers.write(&mut out, |_, _| true);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Host: a\r\nB: spaced\r\nC: 3\r\nD: 4\r\nE: \r\nF: 6\r\n"
        );
        let mut out = Vec::new();
        headers.write(&mut out, |name, _| name != b"C" && name != b"Host");
        assert_eq!(String::from_utf8(out).unwrap(), "B: spaced\r\nD: 4\r\nE: \r\nF: 6\r\n");
    }
}
