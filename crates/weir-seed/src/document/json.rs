//! Members of a JSON document added or replaced without touching anything else.
//!
//! serde_json says whether the text is JSON; only then is it walked here for the places of values. Edits are put in from
//! the top down, and one of them has the gap for the seed.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use super::{MergeError, Template};

/// JSON that has been parsed, as text.
pub(super) struct Json<'a> {
    text: &'a str,
    /// What it means.
    pub(super) value: Value,
}

/// A member of an object, or an element of an array, by where it is.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Empty in an array.
    pub(super) key: String,
    /// Where its key begins, or its value in an array.
    pub(super) start: usize,
    pub(super) value: Range<usize>,
}

/// What goes in the place of what.
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: String,
    /// What follows the seed, if it goes after `text`.
    pub(super) after_seed: Option<String>,
}

impl<'a> Json<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, MergeError> {
        let value = serde_json::from_str(text).map_err(|error| {
            let why = error.to_string();
            let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why).to_owned();
            // serde_json counts columns in bytes from 1, and 0 at a line's end.
            let start =
                text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
            let mut at = (start + error.column().saturating_sub(1)).min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            MergeError::malformed(text, at, why)
        })?;
        let json = Self { text, value };
        json.check_keys(json.root())?;
        Ok(json)
    }

    /// Where the root's value begins.
    pub(super) fn root(&self) -> usize {
        self.blank(0)
    }

    /// The items of the object or array that begins at a byte; nothing for another value.
    pub(super) fn items(&self, at: usize) -> Vec<Item> {
        let Some(open @ (b'{' | b'[')) = self.byte(at) else { return Vec::new() };
        let mut items = Vec::new();
        let mut at = self.blank(at + 1);
        while !matches!(self.byte(at), None | Some(b'}' | b']')) {
            let start = at;
            let mut key = String::new();
            if open == b'{' {
                let end = self.skip(at);
                key =
                    self.text.get(at..end).and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
                at = self.blank(self.blank(end) + 1);
            }
            let end = self.skip(at);
            items.push(Item { key, start, value: at..end });
            at = self.blank(end);
            if self.byte(at) == Some(b',') {
                at = self.blank(at + 1);
            }
        }
        items
    }

    /// A member by its name.
    pub(super) fn member(&self, at: usize, key: &str) -> Option<Item> {
        self.items(at).into_iter().find(|item| item.key == key)
    }

    /// An item put behind all others of an object or array, set apart as the first one is.
    pub(super) fn append(&self, at: usize, text: String, after_seed: Option<String>) -> Edit {
        let inside = at + 1;
        match self.items(at).last() {
            // Blanks in an empty one stay where they are.
            None => Edit { range: inside..inside, text, after_seed },
            Some(last) => {
                let gap = self.text.get(inside..self.blank(inside)).unwrap_or_default();
                let gap = if gap.is_empty() && self.text.contains(", ") { " " } else { gap };
                Edit { range: last.value.end..last.value.end, text: format!(",{gap}{text}"), after_seed }
            }
        }
    }

    /// The text with edits in it, of which one has the gap.
    pub(super) fn edited(&self, mut edits: Vec<Edit>) -> Template {
        edits.sort_by_key(|edit| edit.range.start);
        let (mut head, mut tail) = (String::new(), None::<String>);
        let mut at = 0;
        for edit in edits {
            let out = tail.as_mut().unwrap_or(&mut head);
            out.push_str(self.text.get(at..edit.range.start).unwrap_or_default());
            out.push_str(&edit.text);
            at = edit.range.end;
            if let Some(after) = edit.after_seed {
                tail = Some(after);
            }
        }
        let mut tail = tail.unwrap_or_default();
        tail.push_str(self.text.get(at..).unwrap_or_default());
        Template::quoted(head, tail)
    }

    /// A key that is there twice has two meanings.
    fn check_keys(&self, at: usize) -> Result<(), MergeError> {
        let mut keys = BTreeSet::new();
        for item in self.items(at) {
            if self.byte(at) == Some(b'{') && !keys.insert(item.key.clone()) {
                let name: String = item.key.chars().take(60).filter(|c| !c.is_control()).collect();
                let why = format!("{name} is here a second time; only one of them would count");
                return Err(MergeError::malformed(self.text, item.start, why));
            }
            self.check_keys(item.value.start)?;
        }
        Ok(())
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Over blanks.
    fn blank(&self, mut at: usize) -> usize {
        while self.byte(at).is_some_and(|byte| byte.is_ascii_whitespace()) {
            at += 1;
        }
        at
    }

    /// Over the value that begins here.
    fn skip(&self, start: usize) -> usize {
        let (mut at, mut depth, mut in_string) = (start, 0_usize, false);
        while let Some(byte) = self.byte(at) {
            match byte {
                b'\\' if in_string => at += 1,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => return at,
                b'}' | b']' => depth -= 1,
                b':' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
                _ => {}
            }
            at += 1;
            if depth == 0 && !in_string && matches!(byte, b'"' | b'}' | b']') {
                return at;
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_where_they_are() {
        let text = r#" { "a\"]" : [1, {"b": "}"} ,null], "c":-1.5e3 ,"d" : "x\\" } "#;
        let json = Json::parse(text).unwrap();
        let items = json.items(json.root());
        let values: Vec<_> =
            items.iter().map(|item| (item.key.as_str(), &text[item.value.clone()])).collect();
        assert_eq!(values, [("a\"]", r#"[1, {"b": "}"} ,null]"#), ("c", "-1.5e3"), ("d", r#""x\\""#)]);
        let inner: Vec<_> =
            json.items(items[0].value.start).into_iter().map(|item| &text[item.value]).collect();
        assert_eq!(inner, ["1", r#"{"b": "}"}"#, "null"]);
    }

    #[test]
    fn faults_have_a_place() {
        let place = |text| Json::parse(text).err().and_then(|error| error.place()).unwrap().to_string();
        assert_eq!(place("{\"a\": 1,\n  \"b\": }"), "2:8");
        assert_eq!(place("{\"a\": {\"x\": 1,\n\"x\": 2}}"), "2:1");
        assert_eq!(place("{\"é\": tru}"), "1:10");
    }
}
