//! The report for people.

use weir_report::{Layout, Style, Verdict};

use super::report::{Compared, Report};

/// Of a list so many are shown; the JSON form has all of them.
const MOST_ITEMS: usize = 12;

/// The report as text, with a newline at its end.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut out = Layout::new(style);
    headline(&mut out, report);
    for finding in &report.findings {
        out.gap();
        match &finding.list {
            Some((beginning, items)) => {
                out.marked(finding.verdict, &format!("{beginning}:"));
                items.iter().take(MOST_ITEMS).for_each(|item| out.beside(item));
                if let Some(more @ 1..) = items.len().checked_sub(MOST_ITEMS) {
                    out.beside(&format!("and {more} more"));
                }
            }
            None => out.marked(finding.verdict, &finding.what),
        }
        out.beside(&finding.why);
        finding.commands.iter().for_each(|command| out.command(command));
    }
    if !report.unseen.is_empty() {
        out.heading("Not compared");
        for unseen in &report.unseen {
            out.beside(&format!("{}: {}: {}", unseen.of, unseen.what, unseen.why));
        }
    }
    out.finish()
}

fn headline(out: &mut Layout, report: &Report) {
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
    out.headline(report.verdict, &format!("{machines}{sum}"));
    for (word, distinct) in [("distinct in", true), ("not distinct in", false)] {
        let things: Vec<String> =
            report.compared.iter().filter(|thing| thing.distinct == distinct).map(counted).collect();
        if !things.is_empty() {
            out.beside(&format!("{word}: {}", things.join(", ")));
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
