//! Verdicts, and how reports full of them are laid out for people: the one form of `weir doctor`, `weir seed lint` and
//! `weir seed verify`.
//!
//! A report is written into a `String` with [`Layout`]. Names of hosts, files and programs in it come from what was looked at,
//! which may be anybody's: characters that steer a terminal are replaced, so that none of them can write to it what it likes.
//!
//! Absent on purpose: findings and their order, which are each report's own, and any output.

use std::fmt::Write;

use serde::Serialize;

/// How a finding is to be taken, from harmless to grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something is wrong, or will be.
    Warning,
    /// Secrets are at risk.
    Critical,
    /// The question could not be answered. Only of a whole report.
    Unknown,
}

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
/// Where paragraphs and commands begin, beside their mark.
const INDENT: usize = 12;

/// A report that is being written.
#[derive(Debug)]
pub struct Layout {
    out: String,
    style: Style,
}

impl Layout {
    /// An empty one.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self { out: String::new(), style }
    }

    /// A line as it is, from the first column.
    pub fn line(&mut self, text: &str) {
        self.out.push_str(&shown(text));
        self.out.push('\n');
    }

    /// The verdict over all, and what it means here.
    pub fn headline(&mut self, verdict: Verdict, text: &str) {
        let _ = writeln!(self.out, "{}: {}", marked(verdict, self.style).trim_end(), shown(text));
    }

    /// A heading, with an empty line above it unless it is the first.
    pub fn heading(&mut self, text: &str) {
        let gap = if self.out.is_empty() { "" } else { "\n" };
        let _ = match self.style {
            Style::Plain => writeln!(self.out, "{gap}{}", shown(text)),
            Style::Colour => writeln!(self.out, "{gap}\x1b[1m{}\x1b[0m", shown(text)),
        };
    }

    /// A paragraph beside a verdict.
    pub fn marked(&mut self, verdict: Verdict, paragraph: &str) {
        let mark = format!("  {}", marked(verdict, self.style));
        self.wrapped(mark, paragraph);
    }

    /// A paragraph beside nothing.
    pub fn beside(&mut self, paragraph: &str) {
        self.wrapped(" ".repeat(INDENT), paragraph);
    }

    /// A line beside nothing, not broken.
    pub fn unbroken(&mut self, text: &str) {
        let _ = writeln!(self.out, "{:INDENT$}{}", "", shown(text));
    }

    /// A command to be copied, or several, a line each.
    pub fn command(&mut self, command: &str) {
        self.unbroken(&format!("$ {command}"));
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.out.push('\n');
    }

    /// The text, with a newline at its end.
    #[must_use]
    pub fn finish(self) -> String {
        self.out
    }

    fn wrapped(&mut self, mut line: String, paragraph: &str) {
        let mut column = INDENT;
        for (at, word) in shown(paragraph).split(' ').enumerate() {
            let width = word.chars().count();
            if at > 0 && column + 1 + width > WIDTH {
                self.out.push_str(&line);
                self.out.push('\n');
                line = " ".repeat(INDENT);
                column = INDENT;
            } else if at > 0 {
                line.push(' ');
                column += 1;
            }
            line.push_str(word);
            column += width;
        }
        self.out.push_str(&line);
        self.out.push('\n');
    }
}

/// Text without control characters, and without those that turn the direction of writing.
#[must_use]
pub fn shown(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_one_form() {
        let mut layout = Layout::new(Style::Plain);
        layout.line("web1");
        layout.headline(Verdict::Note, "all is well");
        layout.heading("Keys");
        layout.marked(Verdict::Warning, "word ".repeat(30).trim_end());
        layout.beside("why");
        layout.command("rm x");
        let expected = format!(
            "web1\nnote: all is well\n\nKeys\n  warning   {}\n            {}\n            why\n            $ rm x\n",
            ["word"; 17].join(" "),
            ["word"; 13].join(" ")
        );
        assert_eq!(layout.finish(), expected);
    }

    #[test]
    fn nothing_that_is_shown_steers_the_terminal() {
        for style in [Style::Plain, Style::Colour] {
            let mut layout = Layout::new(style);
            let hostile = "a\x1b]0;title\x07\r\nb\u{202e}c\u{9b}2J";
            layout.line(hostile);
            layout.heading(hostile);
            layout.headline(Verdict::Ok, hostile);
            layout.marked(Verdict::Critical, hostile);
            layout.command(hostile);
            let text = layout.finish();
            assert_eq!(text.lines().count(), 6);
            assert!(!text.contains(['\x07', '\r', '\u{202e}', '\u{9b}']));
            assert!(text.matches('\x1b').count().is_multiple_of(2) && !text.contains("\x1b]"));
        }
    }
}
