//! The report for people, in the form of `weir doctor`'s.
//!
//! Names come from whoever made the image: control characters are replaced.

use std::fmt::Write;

use weir_doctor::{Style, Verdict};

use super::place::shown;
use super::report::{Done, Finding, FixedBy, Report};
use super::rules::RULES;

/// Lines are broken before this column, except commands, which are to be copied whole.
const WIDTH: usize = 100;
const INDENT: usize = 12;

/// The report as text, with a newline at its end.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    headline(&mut out, report, style);
    let mut before: Option<&Finding> = None;
    for finding in report.findings.iter().filter(|finding| !finding.allowed) {
        if before.is_none_or(|before| before.group() != finding.group()) {
            let _ = writeln!(out, "\n{}", bold(finding.group().heading(), style));
        }
        let what = format!("{}: {}", finding.path, finding.what);
        wrapped(&mut out, &marked(finding.verdict, style), &what);
        if before.is_none_or(|before| before.id != finding.id) {
            wrapped(&mut out, "", &finding.why);
        }
        if let Some(command) = &finding.command {
            let _ = writeln!(out, "{:INDENT$}$ {command}", "");
        }
        before = Some(finding);
    }
    if !report.unseen.is_empty() {
        let _ = writeln!(out, "\n{}", bold("Not seen", style));
        for unseen in &report.unseen {
            wrapped(&mut out, "", &format!("{}: {}", unseen.what, unseen.why));
        }
    }
    closing(&mut out, report);
    out
}

/// What was changed, one line each; `dry`: what would be.
#[must_use]
pub fn done_text(done: &[Done], dry: bool) -> String {
    done.iter().fold(String::new(), |mut out, done| {
        let _ = match dry {
            true => writeln!(out, "would {} {}", done.infinitive(), done.path),
            false => writeln!(out, "{} {}", done.change, done.path),
        };
        out
    })
}

/// The rules as a list.
#[must_use]
pub fn rules_text(style: Style) -> String {
    let mut out = String::new();
    let mut group = None;
    for rule in RULES {
        if group != Some(rule.group) {
            let gap = if group.is_some() { "\n" } else { "" };
            let _ = writeln!(out, "{gap}{}", bold(rule.group.heading(), style));
            group = Some(rule.group);
        }
        let about = format!("{}: {}. {} [{}]", rule.id, rule.what, rule.why, rule.fix());
        wrapped(&mut out, &marked(rule.verdict, style), &about);
        wrapped(&mut out, "", &rule.places.join(" "));
    }
    out
}

fn headline(out: &mut String, report: &Report, style: Style) {
    let _ = writeln!(out, "{}", shown(&report.image));
    let sum = match report.verdict {
        Verdict::Ok => "nothing here would be shared by its clones",
        Verdict::Note => "nothing grave here would be shared by its clones, and something is worth knowing",
        Verdict::Warning => "its clones would not be told apart, or begin alike",
        Verdict::Critical => "its clones would share secrets",
        Verdict::Unknown => "not all of it could be looked at",
    };
    let _ = writeln!(out, "{}: {sum}", marked(report.verdict, style).trim_end());
}

/// What the commands need, what `--fix` would do, and what was accepted.
fn closing(out: &mut String, report: &Report) {
    let open = || report.findings.iter().filter(|finding| !finding.allowed);
    let count = |by: FixedBy| open().filter(|finding| finding.fix == by).count();
    let (fix, keys) = (count(FixedBy::Fix), count(FixedBy::FixKeys));
    let mut lines = Vec::new();
    if report.kind != "folder" && open().any(|finding| finding.command.is_some()) {
        lines.push("$ROOT in the commands is the folder where the image is unpacked or mounted; $ESP, where its EFI system partition is.".to_owned());
    }
    match (fix, keys) {
        (0, 0) => {}
        (fix, 0) => {
            lines.push(format!("--fix would end {fix} of these findings; --fix --dry-run shows how."))
        }
        (0, keys) => lines.push(format!("--fix --fix-keys would end {keys} of these findings.")),
        (fix, keys) => lines.push(format!(
            "--fix would end {fix} of these findings, {keys} more with --fix-keys; --fix --dry-run shows how."
        )),
    }
    let mut allowed: Vec<_> =
        report.findings.iter().filter(|finding| finding.allowed).map(|finding| finding.id).collect();
    if !allowed.is_empty() {
        let number = allowed.len();
        allowed.dedup();
        lines.push(format!("Accepted and not listed: {number} ({}).", allowed.join(", ")));
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "\n{}", lines.join("\n"));
    }
}

/// A paragraph beside a mark that takes ten columns.
fn wrapped(out: &mut String, mark: &str, paragraph: &str) {
    let mut line = if mark.is_empty() { " ".repeat(INDENT) } else { format!("  {mark}") };
    let mut column = INDENT;
    for word in shown(paragraph).split(' ') {
        let width = word.chars().count();
        if column > INDENT && column + 1 + width > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(INDENT);
            column = INDENT;
        }
        if column > INDENT {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += width;
    }
    let _ = writeln!(out, "{line}");
}

/// The verdict's word, padded to ten columns.
fn marked(verdict: Verdict, style: Style) -> String {
    let (word, colour) = match verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Note => ("note", "36"),
        Verdict::Warning => ("warning", "33;1"),
        Verdict::Critical => ("critical", "31;1"),
        Verdict::Unknown => ("unknown", "35"),
    };
    match style {
        Style::Plain => format!("{word:10}"),
        Style::Colour => format!("\x1b[{colour}m{word}\x1b[0m{:1$}", "", 10 - word.len()),
    }
}

fn bold(text: &str, style: Style) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Colour => format!("\x1b[1m{text}\x1b[0m"),
    }
}
