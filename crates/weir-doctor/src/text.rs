//! The report for people.

use weir_report::{Layout, Style, Verdict};

use crate::remedy::two_units;
use crate::report::{Report, Unseen};

/// The report as text, with a newline at its end.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut out = Layout::new(style);
    let mut commands = Commands::default();
    headline(&mut out, report);
    for section in report.sections.iter().filter(|section| !section.findings.is_empty()) {
        out.heading(section.name.heading());
        for finding in &section.findings {
            out.marked(finding.verdict, &finding.what);
            out.beside(&finding.why);
            commands.write(&mut out, finding.command.as_deref());
        }
    }
    if !report.unseen.is_empty() {
        out.heading("Not seen");
        for unseen in &report.unseen {
            out.beside(&format!("{}: {}", unseen.what, unseen.why));
        }
        for unseen in &report.unseen {
            commands.write_once(&mut out, unseen.command.as_deref());
        }
    }
    out.finish()
}

/// The commands that were written already: the same remedy often helps against several things.
#[derive(Default)]
struct Commands<'a> {
    written: Vec<&'a str>,
}

impl<'a> Commands<'a> {
    fn write(&mut self, out: &mut Layout, command: Option<&'a str>) {
        if command.is_some_and(|command| self.written.contains(&command)) {
            out.unbroken("(the same remedy as above)");
        } else {
            self.write_once(out, command);
        }
    }

    fn write_once(&mut self, out: &mut Layout, command: Option<&'a str>) {
        let Some(command) = command.filter(|command| !self.written.contains(command)) else { return };
        out.command(command);
        self.written.push(command);
    }
}

fn headline(out: &mut Layout, report: &Report) {
    let host = &report.host;
    let name = host.hostname.as_deref().unwrap_or("this host");
    let kernel = host.kernel.as_ref().map(|release| format!(", Linux {release}")).unwrap_or_default();
    let uptime =
        host.uptime_seconds.map(|seconds| format!(", up {}", two_units(seconds))).unwrap_or_default();
    out.line(&format!("{name}{kernel}{uptime}"));
    let sum = match report.verdict {
        Verdict::Ok => "its randomness is good",
        Verdict::Note => "its randomness is good, and something is worth knowing",
        Verdict::Warning => "something needs attention",
        Verdict::Critical => "secrets are at risk",
        Verdict::Unknown => "whether its randomness is good could not be seen",
    };
    let partly = report.unseen.iter().any(Unseen::is_kept_from_this_user);
    let limit = if partly && report.verdict <= Verdict::Note { ", as far as this user may look" } else { "" };
    out.headline(report.verdict, &format!("{sum}{limit}"));
}
