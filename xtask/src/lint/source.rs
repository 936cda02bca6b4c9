//! Rust source, divided into code and text as far as lints need it.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::{process, workspace};

/// The files of the tree, as paths from its root: those that Git knows, and new ones that it does not ignore.
pub(super) fn files() -> Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(workspace::root());
    let listing = process::read(git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let present = |file: &&str| workspace::root().join(file).is_file();
    Ok(listing.split('\0').filter(|file| !file.is_empty()).filter(present).map(str::to_owned).collect())
}

/// The text of a file of the tree; `None` when it is not text.
pub(super) fn read(file: &str) -> Result<Option<String>> {
    Ok(String::from_utf8(fs::read(workspace::root().join(Path::new(file)))?).ok())
}

/// A file's code with comments and the insides of literals blanked out, and those literals. Lines keep their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// The code, byte for byte where it is code.
    pub(super) code: String,
    /// The string literals, each with the line on which it begins, counted from 1.
    pub(super) strings: Vec<(usize, String)>,
}

/// Divides a file. It reads literals and comments as the language's reference describes them (2.2 comments, 2.6 tokens),
/// and nothing beyond.
pub(super) fn divide(source: &str) -> Parts {
    let mut parts = Parts::default();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"'
            || (first == 'r' && !ends_in_name(&parts.code)) && raw_hashes(&rest[1..]).is_some()
        {
            let (length, text) = string(rest);
            parts.strings.push((parts.code.matches('\n').count() + 1, text.to_owned()));
            length
        } else if first == '\'' {
            character(rest)
        } else {
            parts.code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (blanked, after) = rest.split_at(length);
        parts.code.extend(blanked.chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = after;
    }
    parts
}

/// Whether what comes next would go on with a name. The `b` and `c` of byte and C strings do not count.
fn ends_in_name(code: &str) -> bool {
    let code = code.strip_suffix(['b', 'c']).unwrap_or(code);
    code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The number of `#` before the quote of a raw string.
fn raw_hashes(after_r: &str) -> Option<usize> {
    let hashes = after_r.find(|c| c != '#')?;
    after_r[hashes..].starts_with('"').then_some(hashes)
}

fn string(rest: &str) -> (usize, &str) {
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw_hashes(raw).unwrap_or(0);
        let begin = 1 + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = rest[begin..].find(&close).map_or(rest.len(), |at| begin + at);
        return ((end + close.len()).min(rest.len()), &rest[begin..end]);
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (at + 1, &rest[1..at]),
            _ => {}
        }
    }
    (rest.len(), &rest[1..])
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a character literal, or of the quote alone when it begins a lifetime.
fn character(rest: &str) -> usize {
    let inner = &rest[1..];
    if inner.starts_with('\\') {
        // Past the escaped character, which may be a quote itself.
        let end = inner.char_indices().skip(2).find(|(_, c)| *c == '\'');
        return end.map_or(rest.len(), |(at, _)| at + 2);
    }
    match inner.chars().next() {
        Some(c) if inner[c.len_utf8()..].starts_with('\'') => 1 + c.len_utf8() + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_text_and_comments_are_told_apart() {
        let parts = divide(
            "let a = \"x // \\\" y\"; // \"no\"\n/* a /* b */ \"c\" */ b('\"', '\\'', 'd'); fn f<'e>() {}",
        );
        let code: Vec<_> = parts.code.split_whitespace().collect();
        assert_eq!(code.join(" "), "let a = ; b( , , ); fn f< e>() {}");
        assert_eq!(parts.strings, [(1, "x // \\\" y".to_owned())]);
    }

    #[test]
    fn raw_and_byte_strings_are_text() {
        let parts = divide("f(r#\"a \"b\" \\\"#, br\"c\", b\"d\", bar\"e\");\n\n\"g");
        let texts: Vec<_> = parts.strings.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(texts, [(1, "a \"b\" \\"), (1, "c"), (1, "d"), (1, "e"), (3, "g")]);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "/* 1\n2 */ \"3\n\" x\ny";
        assert_eq!(divide(source).code.lines().count(), source.lines().count());
        assert!(divide(source).code.lines().nth(2).is_some_and(|line| line.contains('x')));
    }

    #[test]
    fn any_input_is_survived() {
        for source in ["'", "'\\", "\"", "r#", "r#\"", "/*", "/", "'é'", "é\"ü\\", "'\\u{e9}'x"] {
            let _ = divide(source);
        }
    }
}
