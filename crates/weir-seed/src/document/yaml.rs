//! A key of a YAML document's root mapping, added or replaced without touching anything else.
//!
//! The document is never written anew: events of a parser say where the root mapping begins and where the values of its keys
//! end, and text goes in there. What comes out is parsed again and held against what went in, event by event; a merge that
//! changed anything else (an anchor gone that was needed, a value that ran into the new lines) is no merge but an error.
//!
//! New lines go to the top: a value at the end of a document may end with it (a block scalar without a last line end), and
//! the end of a document is where whoever edits it by hand looks least.
//!
//! Stricter than cloud-init's parser in two things: a key that is there twice, of which that takes the last without a word,
//! and a second document, which it does not take at all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{MergeError, Place, Template};

/// Nested deeper than this, a document is no configuration.
const MAX_DEPTH: usize = 128;

/// What is to be in the root mapping: its key, and the text of key and value in both styles, cut where the seed goes.
pub(super) struct Pair {
    pub(super) key: &'static str,
    /// Whole lines from column 0, joined by `\n`, without a line end at the end.
    pub(super) block: (String, String),
    /// As JSON has it.
    pub(super) flow: (String, String),
}

/// A document as far as a merge needs it.
struct Document {
    root: Root,
    entries: Vec<Entry>,
    nodes: Vec<Node>,
}

enum Root {
    /// Nothing but comments and markers; new lines go here.
    Empty { at: usize },
    /// Keys below each other. Where the first of them begins.
    Block { first: usize },
    /// Braces. Where the inside begins.
    Flow { inside: usize },
}

/// A key of the root mapping, with its value.
struct Entry {
    /// `None` for what is no scalar.
    key: Option<String>,
    /// From the key's first byte to the value's last.
    text: Range<usize>,
    /// Of [`Document::nodes`].
    nodes: Range<usize>,
}

/// An event, without its style and place: what a document means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Scalar { value: String, plain: bool, tag: Option<String>, anchor: usize },
    Alias(usize),
    Sequence { tag: Option<String>, anchor: usize },
    Mapping { tag: Option<String>, anchor: usize },
    End,
}

/// Adds a pair to a document's root mapping. `floor`: where its head ends, above which nothing goes.
pub(super) fn add(text: &str, floor: usize, pair: &Pair, replace: bool) -> Result<Template, MergeError> {
    let before = Document::parse(text)?;
    let old = before.entries.iter().find(|entry| entry.key.as_deref() == Some(pair.key));
    if let (Some(entry), false) = (old, replace) {
        let place = Place::of(text.as_bytes(), entry.text.start);
        return Err(MergeError::Present { place, what: pair.key });
    }
    if old.is_none() && before.may_inherit(pair.key) {
        let why = format!("a merge key (<<) may bring a {} with it: write out what it brings", pair.key);
        return Err(MergeError::Unfit(why));
    }
    let template = before.edit(text, floor, pair, old)?;
    match Document::parse(&template.sample()) {
        Ok(after) if before.is_same_but_for(&after, pair) => Ok(template),
        _ => Err(MergeError::Unfit(format!(
            "{} cannot be put into it without changing what is around it{}",
            pair.key,
            if old.is_some() { "; take the old one out by hand" } else { "" }
        ))),
    }
}

/// Whether a text is a YAML document with a mapping for its root.
pub(super) fn check(text: &str) -> Result<(), MergeError> {
    Document::parse(text).map(drop)
}

impl Document {
    /// The text with the pair in it.
    fn edit(
        &self,
        text: &str,
        floor: usize,
        pair: &Pair,
        old: Option<&Entry>,
    ) -> Result<Template, MergeError> {
        let newline = match text.split_once('\n') {
            Some((line, _)) if line.ends_with('\r') => "\r\n",
            _ => "\n",
        };
        let cut = |range: Range<usize>, gap: &(String, String), close: &str| {
            let before = text.get(..range.start).unwrap_or_default();
            let after = text.get(range.end..).unwrap_or_default();
            Template::quoted(gap.0.as_str(), gap.1.as_str()).within(before, &format!("{close}{after}"))
        };
        match (&self.root, old) {
            (Root::Flow { .. }, Some(entry)) => Ok(cut(entry.text.clone(), &pair.flow, "")),
            (Root::Flow { inside }, None) => {
                Ok(cut(*inside..*inside, &pair.flow, if self.entries.is_empty() { "" } else { ", " }))
            }
            (Root::Empty { at }, _) => {
                let at = (*at).max(floor);
                let open = text.get(..at).is_some_and(|before| !before.is_empty() && !before.ends_with('\n'));
                let mut block = lines(&pair.block, "", newline);
                if open {
                    block.0.insert_str(0, newline);
                }
                let close = if open { "" } else { newline };
                Ok(cut(at..at, &block, close))
            }
            (Root::Block { first }, old) => {
                let start = line_start(text, *first);
                let indent = text.get(start..*first).unwrap_or_default();
                if !indent.chars().all(|c| c == ' ') {
                    let why = "the first key should have nothing but spaces before it";
                    return Err(MergeError::malformed(text, *first, why));
                }
                let block = lines(&pair.block, indent, newline);
                Ok(match old {
                    Some(entry) => {
                        let range = line_start(text, entry.text.start)..line_end(text, entry.text.end);
                        cut(range, &block, "")
                    }
                    None => {
                        let at = above_comments(text, start, floor);
                        cut(at..at, &block, newline)
                    }
                })
            }
        }
    }

    /// Whether a key might come from elsewhere in the document.
    fn may_inherit(&self, key: &str) -> bool {
        let is_key = |node: &Node| matches!(node, Node::Scalar { value, .. } if value == key);
        self.entries.iter().any(|entry| entry.key.as_deref() == Some("<<")) && self.nodes.iter().any(is_key)
    }

    /// Whether the other has the pair, and otherwise the same keys with the same values in the same order.
    fn is_same_but_for(&self, after: &Self, pair: &Pair) -> bool {
        let others = |document: &Self| {
            let is_other = |entry: &&Entry| entry.key.as_deref() != Some(pair.key);
            document.entries.iter().filter(is_other).map(|entry| entry.nodes.clone()).collect::<Vec<_>>()
        };
        let alone = Template::quoted(pair.flow.0.as_str(), pair.flow.1.as_str()).within("{", "}");
        let wanted = Self::parse(&alone.sample());
        let has = |document: &Self| {
            let entry = document.entries.iter().find(|entry| entry.key.as_deref() == Some(pair.key))?;
            Some(document.meaning(std::slice::from_ref(&entry.nodes), true))
        };
        let wanted = wanted.ok().and_then(|document| has(&document));
        wanted.is_some()
            && wanted == has(after)
            && self.meaning(&others(self), false) == after.meaning(&others(after), false)
    }

    /// The nodes of these ranges, their anchors numbered by where they are first met. `values`: it does not matter how
    /// scalars are quoted.
    fn meaning(&self, ranges: &[Range<usize>], values: bool) -> Vec<Node> {
        let mut met = BTreeMap::from([(0, 0)]);
        let mut number = |anchor: usize| {
            let next = met.len();
            *met.entry(anchor).or_insert(next)
        };
        let nodes = ranges.iter().flat_map(|range| self.nodes.get(range.clone()).unwrap_or_default());
        nodes
            .map(|node| match node.clone() {
                Node::Scalar { value, plain, tag, anchor } => {
                    Node::Scalar { value, plain: plain && !values, tag, anchor: number(anchor) }
                }
                Node::Alias(anchor) => Node::Alias(number(anchor)),
                Node::Sequence { tag, anchor } => Node::Sequence { tag, anchor: number(anchor) },
                Node::Mapping { tag, anchor } => Node::Mapping { tag, anchor: number(anchor) },
                Node::End => Node::End,
            })
            .collect()
    }

    fn parse(text: &str) -> Result<Self, MergeError> {
        // The parser takes a zero for the end of the text.
        if let Some(at) = text.find('\0') {
            return Err(MergeError::malformed(text, at, "a zero byte has no place in text"));
        }
        Reader::new(text).read()
    }
}

/// What a collection that is still open knows.
struct Open {
    /// Where its keys were first met; `None` for a sequence.
    keys: Option<BTreeMap<(String, bool), usize>>,
    /// Whether the next node is a key.
    key_next: bool,
    flow: bool,
    /// 0 for none.
    anchor: usize,
}

/// Goes through a parser's events.
struct Reader<'a> {
    text: &'a str,
    /// The byte of each character: the parser counts characters.
    bytes: Vec<usize>,
    open: Vec<Open>,
    /// Anchors of what is no scalar.
    collections: BTreeSet<usize>,
    document: Document,
    documents: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let bytes = text.char_indices().map(|(at, _)| at).collect();
        let document =
            Document { root: Root::Empty { at: text.len() }, entries: Vec::new(), nodes: Vec::new() };
        Self { text, bytes, open: Vec::new(), collections: BTreeSet::new(), document, documents: 0 }
    }

    fn read(mut self) -> Result<Document, MergeError> {
        for item in Parser::new_from_str(self.text) {
            let (event, span) = item.map_err(|error| MergeError::Malformed {
                place: Place { line: error.marker().line(), column: error.marker().col() + 1 },
                why: error.info().to_owned(),
            })?;
            self.take(event, span)?;
        }
        Ok(self.document)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), MergeError> {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        let tag = |tag: Option<std::borrow::Cow<'_, saphyr_parser::Tag>>| tag.map(|tag| tag.to_string());
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let why = "a second document begins here, and only the first would count";
                    return Err(MergeError::malformed(self.text, start, why));
                }
                Ok(())
            }
            Event::Scalar(value, style, anchor, t) => {
                let plain = style == ScalarStyle::Plain;
                let is_nothing = plain && value.is_empty();
                let node = Node::Scalar { value: value.into_owned(), plain, tag: tag(t), anchor };
                let text = self.text.get(start..end).unwrap_or_default();
                // A block scalar's span reaches over the blank lines after it.
                let end = if is_nothing { start } else { start + text.trim_end().len() };
                self.node(node, start, end)
            }
            Event::Alias(anchor) => {
                let length = self.text.get(start..end).unwrap_or_default().trim_end().len();
                self.node(Node::Alias(anchor), start, start + length)
            }
            Event::SequenceStart(anchor, t) => {
                self.node(Node::Sequence { tag: tag(t), anchor }, start, start)?;
                self.begin(None, anchor, start..end)
            }
            Event::MappingStart(anchor, t) => {
                self.node(Node::Mapping { tag: tag(t), anchor }, start, start)?;
                self.begin(Some(BTreeMap::new()), anchor, start..end)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end(start);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).copied().unwrap_or(self.text.len())
    }

    fn node(&mut self, node: Node, start: usize, end: usize) -> Result<(), MergeError> {
        if self.open.is_empty() {
            self.root(&node, start)?;
        }
        let at_root = self.open.len() == 1;
        let is_key = self.open.last().is_some_and(|open| open.keys.is_some() && open.key_next);
        match node {
            Node::Alias(anchor) if self.open.iter().any(|open| open.anchor == anchor) => {
                let why = "this stands for what it is in, which has no end and which cloud-init cannot load";
                return Err(MergeError::malformed(self.text, start, why));
            }
            Node::Sequence { anchor, .. } | Node::Mapping { anchor, .. } => {
                self.collections.insert(anchor);
            }
            _ => {}
        }
        if is_key {
            self.check_key(&node, start)?;
        }
        if at_root && is_key {
            let key = match &node {
                Node::Scalar { value, .. } => Some(value.clone()),
                _ => None,
            };
            let nodes = self.document.nodes.len();
            self.document.entries.push(Entry { key, text: start..end, nodes: nodes..nodes });
        }
        self.reach(end);
        self.document.nodes.push(node);
        self.count();
        if let Some(open) = self.open.last_mut() {
            open.key_next = !open.key_next;
        }
        Ok(())
    }

    /// The root of the document has to be a mapping, or nothing.
    fn root(&mut self, node: &Node, start: usize) -> Result<(), MergeError> {
        let why = match node {
            Node::Mapping { .. } => return Ok(()),
            Node::Scalar { value, plain: true, tag: None, anchor: 0 } if value.is_empty() => {
                let at = if start < self.text.len() { line_start(self.text, start) } else { start };
                self.document.root = Root::Empty { at };
                return Ok(());
            }
            Node::Sequence { .. } => "a list begins here, where keys with values should be",
            _ => "a value stands here, where keys with values should be",
        };
        Err(MergeError::malformed(self.text, start, why))
    }

    fn check_key(&mut self, node: &Node, start: usize) -> Result<(), MergeError> {
        let why = match node {
            Node::Sequence { .. } => "a list is no key that cloud-init can load",
            Node::Mapping { .. } => "keys with values are no key that cloud-init can load",
            Node::Alias(anchor) if self.collections.contains(anchor) => {
                "this stands for more than a word, which is no key that cloud-init can load"
            }
            _ => "",
        };
        if !why.is_empty() {
            return Err(MergeError::malformed(self.text, start, why));
        }
        let Node::Scalar { value, plain, .. } = node else { return Ok(()) };
        // A number is another key without quotes than with them; a word is the same.
        let is_word = value.starts_with(|c: char| c.is_ascii_alphabetic());
        let keys = self.open.last_mut().and_then(|open| open.keys.as_mut());
        let Some(first) = keys.and_then(|keys| keys.insert((value.clone(), *plain || is_word), start)) else {
            return Ok(());
        };
        if value == "<<" {
            return Ok(());
        }
        let name: String = value.chars().take(60).filter(|c| !c.is_control()).collect();
        let line = Place::of(self.text.as_bytes(), first).line;
        let why = format!("{name} is here a second time, first on line {line}; only one of them would count");
        Err(MergeError::malformed(self.text, start, why))
    }

    fn begin(
        &mut self,
        keys: Option<BTreeMap<(String, bool), usize>>,
        anchor: usize,
        Range { start, end }: Range<usize>,
    ) -> Result<(), MergeError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(MergeError::malformed(self.text, start, "this is nested too deeply"));
        }
        let brace = brace(self.text, start..end);
        if self.open.is_empty() {
            let inside = brace.map(|at| Root::Flow { inside: at + 1 });
            self.document.root = inside.unwrap_or(Root::Block { first: end });
        }
        self.open.push(Open { key_next: keys.is_some(), keys, flow: brace.is_some(), anchor });
        Ok(())
    }

    fn end(&mut self, start: usize) {
        let flow = self.open.pop().is_some_and(|open| open.flow);
        if self.open.is_empty() {
            return;
        }
        if flow {
            self.reach(after_bracket(self.text, start));
        }
        self.document.nodes.push(Node::End);
        self.count();
    }

    /// The last entry's text goes at least to here.
    fn reach(&mut self, end: usize) {
        if let (Some(entry), false) = (self.document.entries.last_mut(), self.open.is_empty()) {
            entry.text.end = entry.text.end.max(end);
        }
    }

    /// The last entry has all nodes so far.
    fn count(&mut self) {
        let nodes = self.document.nodes.len();
        if let Some(entry) = self.document.entries.last_mut() {
            entry.nodes.end = nodes;
        }
    }
}

/// Where the bracket is, if a collection begins with one: after its anchor and tag, before a comment.
fn brace(text: &str, span: Range<usize>) -> Option<usize> {
    let mut rest = text.get(span.clone())?;
    while rest.starts_with(['&', '!']) {
        let property = rest.find([' ', '\t', '\r', '\n', '{', '[']).unwrap_or(rest.len());
        rest = rest.get(property..)?.trim_start();
    }
    rest.starts_with(['{', '[']).then_some(span.end - rest.len())
}

/// Behind the bracket that closes a collection. After a last comma the parser says that it is at that comma.
fn after_bracket(text: &str, mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += match rest.chars().next() {
            Some('#') => rest.find('\n').unwrap_or(rest.len()),
            Some(',' | ' ' | '\t' | '\r' | '\n') => 1,
            _ => return (at + 1).min(text.len()),
        };
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

/// Where the line ends that a byte is in, before what ends it.
fn line_end(text: &str, at: usize) -> usize {
    at + text.get(at..).and_then(|rest| rest.find(['\r', '\n'])).unwrap_or(text.len().saturating_sub(at))
}

/// Up over the comments right above the first key, which are about it. Above an empty line they are about something else.
fn above_comments(text: &str, start: usize, floor: usize) -> usize {
    let mut at = start;
    while at > floor {
        let above = line_start(text, at - 1);
        let line = text.get(above..at).unwrap_or_default().trim();
        if above < floor || !line.starts_with('#') {
            break;
        }
        at = above;
    }
    at
}

/// Indented, and with the document's own line ends.
fn lines(block: &(String, String), indent: &str, newline: &str) -> (String, String) {
    let between = format!("{newline}{indent}");
    (format!("{indent}{}", block.0.replace('\n', &between)), block.1.replace('\n', &between))
}
