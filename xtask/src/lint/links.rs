//! Every relative link in a Markdown file of the tree leads to a file, and to a heading where it names one.
//!
//! Links are those of the form `[text](target)` outside of code. Headings have the anchors that GitHub gives them. Links
//! to other hosts are not followed.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::source;
use crate::workspace;

/// Every link that leads nowhere.
pub(super) fn faults() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in source::files()?.iter().filter(|file| file.ends_with(".md")) {
        let Some(text) = source::read(file)? else { continue };
        for (line, target) in links(&text) {
            if !leads_somewhere(file, target)? {
                faults.push(format!("{file}:{line}: {target} leads nowhere"));
            }
        }
    }
    Ok(faults)
}

fn leads_somewhere(file: &str, target: &str) -> Result<bool> {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let Some(path) = (if path.is_empty() { Some(PathBuf::from(file)) } else { within(&folder.join(path)) })
    else {
        return Ok(false);
    };
    if heading.is_empty() || !workspace::root().join(&path).is_file() {
        return Ok(heading.is_empty() && workspace::root().join(&path).exists());
    }
    let text = source::read(&path.to_string_lossy())?.unwrap_or_default();
    Ok(anchors(&text).iter().any(|anchor| anchor == heading))
}

/// A path without `..`, if it stays in the tree.
fn within(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir => out.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// The lines outside of fenced code, with their numbers, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// The relative links of a text, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // Every second piece between backticks is code; the target of a link whose text is code follows it.
        for piece in line.split('`').step_by(2) {
            let targets = piece.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
            found.extend(targets.map(|target| (number, target)));
        }
    }
    found.retain(|(_, target)| !target.contains("://") && !target.starts_with("mailto:"));
    found
}

/// The anchors of a text's headings: letters, digits, hyphens and underscores, in lower case, with hyphens for spaces;
/// a number after those that were there before.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = |c: char| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        };
        let plain: String = title.trim().to_lowercase().chars().filter_map(kept).collect();
        let again = (1..).map(|number| format!("{plain}-{number}"));
        let free = std::iter::once(plain.clone()).chain(again).find(|anchor| !found.contains(anchor));
        found.extend(free);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_prose_are_found() {
        let text = "[a](b.md) and [`c`](d.md#e), [x](https://x.test/)\n`[n](o)`\n```sh\n[p](q)\n```\n[r](#s)";
        assert_eq!(links(text), [(1, "b.md"), (1, "d.md#e"), (6, "#s")]);
    }

    #[test]
    fn headings_have_anchors() {
        let text = "# A b\n## `--root`: c, d\n#no\n```\n# e\n```\n# A b";
        assert_eq!(anchors(text), ["a-b", "--root-c-d", "a-b-1"]);
    }

    #[test]
    fn paths_stay_in_the_tree() {
        assert_eq!(within(Path::new("docs/../README.md")), Some(PathBuf::from("README.md")));
        assert_eq!(within(Path::new("../x")), None);
        assert_eq!(within(Path::new("/etc/passwd")), None);
    }
}
