//! The report for people.

use std::fmt::Write;

use weir_report::{Layout, Style, Verdict};

use super::report::{Done, Finding, FixedBy, Report};
use super::rules::RULES;

/// The report as text, with a newline at its end.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut out = Layout::new(style);
    headline(&mut out, report);
    let mut before: Option<&Finding> = None;
    for finding in report.findings.iter().filter(|finding| !finding.allowed) {
        if before.is_none_or(|before| before.group() != finding.group()) {
            out.heading(finding.group().heading());
        }
        out.marked(finding.verdict, &format!("{}: {}", finding.path, finding.what));
        if before.is_none_or(|before| before.id != finding.id) {
            out.beside(&finding.why);
        }
        if let Some(command) = &finding.command {
            out.command(command);
        }
        before = Some(finding);
    }
    if !report.unseen.is_empty() {
        out.heading("Not seen");
        for unseen in &report.unseen {
            out.beside(&format!("{}: {}", unseen.what, unseen.why));
        }
    }
    closing(&mut out, report);
    out.finish()
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
    let mut out = Layout::new(style);
    let mut group = None;
    for rule in RULES {
        if group != Some(rule.group) {
            out.heading(rule.group.heading());
            group = Some(rule.group);
        }
        out.marked(rule.verdict, &format!("{}: {}. {} [{}]", rule.id, rule.what, rule.why, rule.fix()));
        out.beside(&rule.places.join(" "));
    }
    out.finish()
}

fn headline(out: &mut Layout, report: &Report) {
    out.line(&report.image);
    let sum = match report.verdict {
        Verdict::Ok => "nothing here would be shared by its clones",
        Verdict::Note => "nothing grave here would be shared by its clones, and something is worth knowing",
        Verdict::Warning => "its clones would not be told apart, or begin alike",
        Verdict::Critical => "its clones would share secrets",
        Verdict::Unknown => "not all of it could be looked at",
    };
    out.headline(report.verdict, sum);
}

/// What the commands need, what `--fix` would do, and what was accepted.
fn closing(out: &mut Layout, report: &Report) {
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
        out.gap();
        lines.iter().for_each(|line| out.line(line));
    }
}
