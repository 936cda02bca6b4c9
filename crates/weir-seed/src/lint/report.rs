//! What a look at an image gives. The types serialize to the JSON form that docs/seeding/lint.md describes.

use serde::Serialize;
use weir_report::Verdict;

use super::place::{Place, word};
use super::rules::{Group, Rule, place_of};
use super::tree::Change;

/// The schema of the JSON form.
pub const SCHEMA: &str = "weir.seed.lint/1";

/// Something that clones would have from the image.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Which rule it is; stable.
    pub id: &'static str,
    /// How grave it is.
    pub verdict: Verdict,
    /// Where it is, as text: what is not UTF-8, and control characters, are replaced.
    pub path: String,
    /// What it is.
    pub what: &'static str,
    /// Why it matters to clones.
    pub why: String,
    /// What ends it, as a command for a shell.
    pub command: Option<String>,
    /// Whether `--fix` does that.
    pub fix: FixedBy,
    /// Whether it was accepted beforehand.
    pub allowed: bool,
    #[serde(skip)]
    pub(super) group: Group,
    #[serde(skip)]
    pub(super) place: Place,
    #[serde(skip)]
    pub(super) on_esp: Option<usize>,
    #[serde(skip)]
    pub(super) change: Option<Change>,
}

/// What it takes to have a finding fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FixedBy {
    /// `--fix`.
    #[serde(rename = "--fix")]
    Fix,
    /// `--fix --fix-keys`: nothing makes it again by itself.
    #[serde(rename = "--fix-keys")]
    FixKeys,
    /// A person.
    #[serde(rename = "person")]
    Person,
    /// Nothing is to be done.
    #[serde(rename = "nothing")]
    Nothing,
}

impl Finding {
    /// Where it belongs in the report.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    /// The path for people, with the partition where that is another one.
    pub(super) fn shown_path(place: &Place, on_esp: Option<usize>) -> String {
        match on_esp {
            Some(_) => format!("{place} of the EFI system partition"),
            None => place.to_string(),
        }
    }
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// A change that was made, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// `removed`, `emptied`, `linked`, `reset`.
    pub change: &'static str,
    /// Where.
    pub path: String,
}

impl Done {
    pub(super) fn new(place: &Place, on_esp: Option<usize>, change: Change) -> Self {
        let word = match change {
            Change::Remove => "removed",
            Change::Empty => "emptied",
            Change::Link(_) => "linked",
            Change::Content(_) => "reset",
        };
        Self { change: word, path: Finding::shown_path(place, on_esp) }
    }

    /// The infinitive, for what would be done.
    #[must_use]
    pub fn infinitive(&self) -> &'static str {
        match self.change {
            "removed" => "remove",
            "emptied" => "empty",
            "linked" => "link",
            _ => "reset",
        }
    }
}

/// The whole of a look.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What was looked at, as it was named.
    pub image: String,
    /// `folder`, `tar`, `disk`.
    pub kind: &'static str,
    /// The gravest of the findings that were not accepted; `unknown` if there is none to fear, and not all could be seen.
    pub verdict: Verdict,
    /// What the program's status is to be.
    pub exit: u8,
    /// What was found, in the order of the rules.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub unseen: Vec<Unseen>,
    /// What was changed before this look; with `dry_run`, what would be.
    pub done: Vec<Done>,
    /// Whether nothing was changed in truth.
    pub dry_run: bool,
}

/// How strict a report is judged.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Rules whose findings are accepted.
    pub allowed: Vec<&'static Rule>,
    /// Whether notes count as warnings.
    pub strict: bool,
}

impl Report {
    pub(super) fn new(
        image: String,
        kind: &'static str,
        mut findings: Vec<Finding>,
        unseen: Vec<Unseen>,
        terms: &Terms,
    ) -> Self {
        findings.sort_by_key(|finding| place_of(finding.id));
        for finding in &mut findings {
            finding.allowed = terms.allowed.iter().any(|rule| rule.id == finding.id);
        }
        let counted = findings.iter().filter(|finding| !finding.allowed).map(|finding| finding.verdict);
        let gravest = counted.max().unwrap_or(Verdict::Ok);
        let verdict = match gravest {
            Verdict::Note if terms.strict => Verdict::Warning,
            Verdict::Ok | Verdict::Note if !unseen.is_empty() => Verdict::Unknown,
            other => other,
        };
        let exit = match verdict {
            Verdict::Ok | Verdict::Note => 0,
            Verdict::Warning => 1,
            Verdict::Critical => 2,
            Verdict::Unknown => 3,
        };
        Self {
            schema: SCHEMA,
            image,
            kind,
            verdict,
            exit,
            findings,
            unseen,
            done: Vec::new(),
            dry_run: false,
        }
    }
}

/// The command that makes a change, for a shell. `root` is where the image is, or `None` for `$ROOT`.
pub(super) fn command(root: Option<&[u8]>, place: &Place, change: Change, folder: bool) -> String {
    let path = path_word(root, place);
    match change {
        Change::Remove if folder => format!("rm -rf -- {path}"),
        Change::Remove => format!("rm -f -- {path}"),
        Change::Empty => format!("truncate -s 0 -- {path}"),
        Change::Link(target) => format!("ln -sfn -- {target} {path}"),
        Change::Content(content) => format!("printf '{}' > {path}", content.replace('\n', r"\n")),
    }
}

/// A place as a word for a shell.
pub(super) fn path_word(root: Option<&[u8]>, place: &Place) -> String {
    match root {
        None => format!("\"$ROOT\"{}", word(place.as_bytes())),
        Some(root) => {
            let mut path = root.strip_suffix(b"/").unwrap_or(root).to_vec();
            path.extend_from_slice(place.as_bytes());
            word(&path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_what_they_change() {
        let place = Place::new(b"/etc/it's").unwrap();
        assert_eq!(command(Some(b"/mnt/"), &place, Change::Remove, true), r"rm -rf -- '/mnt/etc/it'\''s'");
        assert_eq!(command(None, &place, Change::Empty, false), r#"truncate -s 0 -- "$ROOT"'/etc/it'\''s'"#);
        let plain = Place::new(b"/a").unwrap();
        assert_eq!(command(Some(b"x"), &plain, Change::Link("/b"), false), "ln -sfn -- /b x/a");
        assert_eq!(command(Some(b"/"), &plain, Change::Content("a=b\n"), false), r"printf 'a=b\n' > /a");
    }
}
