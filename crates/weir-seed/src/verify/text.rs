//! The report for people.
//!
//! Names and labels in it come from hosts, servers and files: control characters are replaced, so that none of them can
//! write to the terminal what it likes.

use std::fmt::Write;

use super::report::{Compared, Report, Verdict};

/// With or without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With the escape sequences of terminals.
    Colour,
}

/// Lines are broken before this column, except commands, which are to be copied whole.
const WIDTH: usize = 100;
const INDENT: usize = 12;

/// The report as text, with a newline at its end.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    headline(&mut out, report, style);
    for finding in &report.findings {
        out.push('\n');
        wrapped(&mut out, &marked(finding.verdict, style), &finding.what);
        wrapped(&mut out, "", &finding.why);
        for command in &finding.commands {
            let _ = writeln!(out, "{:INDENT$}$ {}", "", clean(command));
        }
    }
    if !report.unseen.is_empty() {
        let _ = writeln!(out, "\nNot compared");
        for unseen in &report.unseen {
            wrapped(&mut out, "", &format!("{}: {}: {}", unseen.of, unseen.what, unseen.why));
        }
    }
    out
}

fn headline(out: &mut String, report: &Report, style: Style) {
    let reached = report.machines.iter().filter(|machine| machine.reached).count();
    let machines = match (reached, report.machines.len()) {
        (_, 0) => String::new(),
        (1, 1) => "1 machine, ".to_owned(),
        (reached, all) if reached == all => format!("{all} machines, "),
        (reached, all) => format!("{reached} of {all} machines, "),
    };
    let sum = match report.verdict {
        Verdict::Ok | Verdict::Note if report.compared.is_empty() => "nothing to compare with each other",
        Verdict::Ok | Verdict::Note if report.compared.iter().any(|thing| !thing.distinct) => {
            "nothing is wrong"
        }
        Verdict::Ok | Verdict::Note => "all distinct",
        Verdict::Warning => "something needs attention",
        Verdict::Critical => "secrets are shared, or known to whoever looks",
        Verdict::Unknown => "nothing could be looked at",
    };
    let _ = writeln!(out, "{}: {machines}{sum}", marked(report.verdict, style).trim_end());
    for (word, distinct) in [("distinct in", true), ("not distinct in", false)] {
        let things: Vec<String> =
            report.compared.iter().filter(|thing| thing.distinct == distinct).map(counted).collect();
        if !things.is_empty() {
            wrapped(out, "", &format!("{word}: {}", things.join(", ")));
        }
    }
}

fn counted(thing: &Compared) -> String {
    if thing.unit == "keys" {
        return format!("{} ({} keys)", thing.what, thing.among);
    }
    let preposition = if thing.unit == "places" { "at" } else { "on" };
    format!("{} ({} {preposition} {} {})", thing.what, thing.values, thing.among, thing.unit)
}

/// A paragraph beside a mark that takes ten columns.
fn wrapped(out: &mut String, mark: &str, paragraph: &str) {
    let mut line = if mark.is_empty() { " ".repeat(INDENT) } else { format!("  {mark}") };
    let mut column = INDENT;
    for (at, word) in clean(paragraph).split(' ').enumerate() {
        let width = word.chars().count();
        if at > 0 && column + 1 + width > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(INDENT);
            column = INDENT;
        } else if at > 0 {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += width;
    }
    let _ = writeln!(out, "{line}");
}

/// Text without control characters, and without those that turn the direction of writing.
fn clean(text: &str) -> String {
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_odd(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
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
