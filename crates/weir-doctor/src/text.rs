//! The report for people.
//!
//! Names of hosts, files and programs in it come from the host that is looked at, and what a server said from the server:
//! control characters are replaced, so that none of them can write to the terminal what it likes.

use std::fmt::Write;

use crate::report::{Report, Unseen, Verdict};

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
    let mut commands = Commands::default();
    headline(&mut out, report, style);
    for section in report.sections.iter().filter(|section| !section.findings.is_empty()) {
        let _ = writeln!(out, "\n{}", bold(section.name.heading(), style));
        for finding in &section.findings {
            wrapped(&mut out, &marked(finding.verdict, style), &finding.what);
            wrapped(&mut out, "", &finding.why);
            commands.write(&mut out, finding.command.as_deref());
        }
    }
    if !report.unseen.is_empty() {
        let _ = writeln!(out, "\n{}", bold("Not seen", style));
        for unseen in &report.unseen {
            wrapped(&mut out, "", &format!("{}: {}", unseen.what, unseen.why));
        }
        for unseen in &report.unseen {
            commands.write_once(&mut out, unseen.command.as_deref());
        }
    }
    out
}

/// The commands that were written already: the same remedy often helps against several things.
#[derive(Default)]
struct Commands<'a> {
    written: Vec<&'a str>,
}

impl<'a> Commands<'a> {
    fn write(&mut self, out: &mut String, command: Option<&'a str>) {
        if command.is_some_and(|command| self.written.contains(&command)) {
            let _ = writeln!(out, "{:INDENT$}(the same remedy as above)", "");
        } else {
            self.write_once(out, command);
        }
    }

    fn write_once(&mut self, out: &mut String, command: Option<&'a str>) {
        let Some(command) = command.filter(|command| !self.written.contains(command)) else { return };
        let _ = writeln!(out, "{:INDENT$}$ {}", "", clean(command));
        self.written.push(command);
    }
}

fn headline(out: &mut String, report: &Report, style: Style) {
    let host = &report.host;
    let name = host.hostname.as_deref().unwrap_or("this host");
    let kernel = host.kernel.as_ref().map(|release| format!(", Linux {release}")).unwrap_or_default();
    let uptime = host.uptime_seconds.map(|seconds| format!(", up {}", uptime(seconds))).unwrap_or_default();
    let _ = writeln!(out, "{}", clean(&format!("{name}{kernel}{uptime}")));
    let sum = match report.verdict {
        Verdict::Ok => "its randomness is good",
        Verdict::Note => "its randomness is good, and something is worth knowing",
        Verdict::Warning => "something needs attention",
        Verdict::Critical => "secrets are at risk",
        Verdict::Unknown => "whether its randomness is good could not be seen",
    };
    let partly = report.unseen.iter().any(Unseen::is_kept_from_this_user);
    let limit = if partly && report.verdict <= Verdict::Note { ", as far as this user may look" } else { "" };
    let _ = writeln!(out, "{}: {sum}{limit}", marked(report.verdict, style).trim_end());
}

/// A paragraph beside a mark that takes ten columns.
fn wrapped(out: &mut String, mark: &str, paragraph: &str) {
    let mut line = if mark.is_empty() { " ".repeat(INDENT) } else { format!("  {mark}") };
    let mut column = INDENT;
    let mut first = true;
    for word in clean(paragraph).split(' ') {
        let width = word.chars().count();
        if !first && column + 1 + width > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(INDENT);
            column = INDENT;
            first = true;
        }
        if !first {
            line.push(' ');
            column += 1;
        }
        line.push_str(word);
        column += width;
        first = false;
    }
    let _ = writeln!(out, "{line}");
}

/// Text without control characters.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
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

/// The two largest units of a time.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
