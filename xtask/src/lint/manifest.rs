//! Every dependency has the reason why it is here and not our own code, in one place: the root `Cargo.toml`.
//!
//! Under `[workspace.dependencies]` each line that brings somebody else's crate ends in a comment. Our crates take their
//! dependencies from there (`workspace = true`), so that there is no other place.

use anyhow::Result;

use super::source;

/// Every dependency without its reason, or declared elsewhere.
pub(super) fn faults() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in source::files()? {
        let is_member =
            (file.starts_with("crates/") || file.starts_with("xtask/")) && file.ends_with("/Cargo.toml");
        let Some(text) = (if is_member || file == "Cargo.toml" { source::read(&file)? } else { None }) else {
            continue;
        };
        let found = if is_member { declared_elsewhere(&text) } else { without_reason(&text) };
        faults.extend(found.into_iter().map(|fault| format!("{file}:{fault}")));
    }
    Ok(faults)
}

fn without_reason(text: &str) -> Vec<String> {
    entries(text, |section| section == "workspace.dependencies")
        .filter(|entry| !entry.value.contains("path =") && entry.comment.is_none_or(str::is_empty))
        .map(|entry| {
            format!("{}: {} lacks its reason in a comment at the end of the line", entry.line, entry.name)
        })
        .collect()
}

fn declared_elsewhere(text: &str) -> Vec<String> {
    let is_dependencies = |section: &str| section.ends_with("dependencies");
    entries(text, is_dependencies)
        .filter(|entry| !entry.name.ends_with(".workspace") && !entry.value.contains("workspace = true"))
        .map(|entry| {
            format!(
                "{}: {} belongs into the root's [workspace.dependencies], with its reason",
                entry.line, entry.name
            )
        })
        .collect()
}

/// A line `name = value # comment` of a section.
struct Entry<'a> {
    line: usize,
    name: &'a str,
    value: &'a str,
    comment: Option<&'a str>,
}

/// The entries of the sections that are wanted. An entry that goes on over lines is judged by its first.
fn entries<'a>(text: &'a str, wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Entry<'a>> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if let Some(section) = line.trim().strip_prefix('[') {
            inside = wanted(section.trim_end_matches(']'));
            return None;
        }
        let (name, rest) = line.split_once('=')?;
        let is_entry = inside && !name.trim_start().starts_with('#') && !name.starts_with([' ', '\t']);
        let (value, comment) = match comment_begins(rest) {
            Some(at) => (&rest[..at], Some(rest[at + 1..].trim())),
            None => (rest, None),
        };
        is_entry.then_some(Entry { line: index + 1, name: name.trim(), value, comment })
    })
}

/// Where the comment of a line begins: at the first `#` outside of quotes.
fn comment_begins(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (c == '#' && !quoted).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_reasons_are_found() {
        let text = "[workspace.dependencies]\n# ours\nweir = { path = \"x\" }\na = \"1\" # why\nb = \"1#2\"\n\
                    c = { version = \"1\" } #\n[profile.dev]\nd = 1";
        let faults = without_reason(text);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("5: b ") && faults[1].starts_with("6: c "), "{faults:?}");
    }

    #[test]
    fn versions_outside_of_the_root_are_found() {
        let text = "[dependencies]\na.workspace = true\nb = { workspace = true, optional = true }\nc = \"1\"\n\
                    [features]\nd = []\n[dev-dependencies]\ne = { version = \"1\" }";
        let faults = declared_elsewhere(text);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("4: c ") && faults[1].starts_with("8: e "), "{faults:?}");
    }
}
