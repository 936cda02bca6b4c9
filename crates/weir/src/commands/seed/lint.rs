//! `weir seed lint`: what machines cloned from an image would share.
//!
//! Looks and judges; changes something only with `--fix`, and then tells each change as it is made.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use weir_seed::lint::{
    Access, Consent, Done, FixedBy, Image, LintError, RULES, Report, Rule, Style, Terms, done_text, is_disk,
    rule, rules_text, text,
};

const AFTER_HELP: &str = "\
Exit status: 0 nothing grave, 1 a warning, 2 something critical, 3 could not look at all of it. With --fix, that of what is
left. Wrong options give 2, and nothing on standard output.

Disks (raw, qcow2) take guestfish, archives in .xz or .zst the programs xz and zstd. Private keys that nothing makes again
are removed only with --fix-keys. Every rule and the JSON form are described in docs/seeding/lint.md.

Examples:
  weir seed lint /mnt/image                          look at a mounted image, or at an unpacked one
  weir seed lint rootfs.tar.gz --json | jq .verdict  for a machine
  weir seed lint disk.qcow2 --fix --dry-run          what would be removed or reset?
  weir seed lint disk.qcow2 --fix                    do it
  weir seed lint rootfs.tar --allow key.authorized   accept what is meant to be there
  weir seed lint --rules                             what is looked for";

/// What would machines cloned from this image share? Seeds, identities, keys, logs
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A folder that holds the root of a system, a tar archive of one, or a disk (raw or qcow2)
    #[arg(value_name = "ROOT|IMAGE", required_unless_present = "rules")]
    image: Option<PathBuf>,
    /// For machines: one JSON document
    #[arg(long)]
    json: bool,
    /// Remove or reset what was found, and look again
    #[arg(long)]
    fix: bool,
    /// With --fix: also remove keys that nothing makes again, people's among them
    #[arg(long, requires = "fix")]
    fix_keys: bool,
    /// With --fix: change nothing, say what would be changed
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// Accept findings of a rule; may be given several times
    #[arg(long, value_name = "ID", value_delimiter = ',', value_parser = known_rule)]
    allow: Vec<&'static Rule>,
    /// Take notes for warnings
    #[arg(long)]
    strict: bool,
    /// With --fix: do it even if this is the root of the system that runs
    #[arg(long, requires = "fix")]
    running_system: bool,
    /// How long a disk may take to open
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// List what is looked for
    #[arg(long, exclusive = true)]
    rules: bool,
}

const COULD_NOT_LOOK: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    let Some(image) = &args.image else { return list_rules() };
    match lint(args, image) {
        Ok(status) => ExitCode::from(status),
        Err(Failure::Image(error)) => failed(&format!("{}: {error}", image.display())),
        Err(Failure::Output(error)) => failed(&format!("standard output: {error}")),
    }
}

/// Why there is no report.
enum Failure {
    Image(LintError),
    Output(io::Error),
}

impl From<LintError> for Failure {
    fn from(error: LintError) -> Self {
        Self::Image(error)
    }
}

fn failed(why: &str) -> ExitCode {
    complain(why);
    ExitCode::from(COULD_NOT_LOOK)
}

fn known_rule(id: &str) -> Result<&'static Rule, String> {
    rule(id).ok_or_else(|| {
        let group = id.split('.').next().unwrap_or_default();
        let near: Vec<_> =
            RULES.iter().map(|rule| rule.id).filter(|id| id.split('.').next() == Some(group)).collect();
        match near.is_empty() {
            true => "no such rule; --rules lists them".to_owned(),
            false => format!("no such rule; there are {}", near.join(", ")),
        }
    })
}

fn lint(args: &Args, path: &std::path::Path) -> Result<u8, Failure> {
    let terms = Terms { allowed: args.allow.clone(), strict: args.strict };
    let change = args.fix && !args.dry_run;
    let open_within = Duration::from_secs(args.timeout.into());
    let access = Access { change, running_system: args.running_system, open_within };
    if is_disk(path).unwrap_or_default() {
        complain(&format!(
            "{}: opening the disk through guestfish, which takes a minute or two without KVM",
            path.display()
        ));
    }
    let mut image = Image::open(path, access)?;
    let mut report = image.look(&terms)?;
    let consent = Consent { keys: args.fix_keys };
    let mut done = Vec::new();
    let mut failed = None;
    if args.dry_run {
        done = image.plan(&report, consent);
    } else if args.fix {
        let mut told = |one: Done| {
            // Nobody is left to tell when standard output is closed; the work goes on.
            let _ = say_done(args, std::slice::from_ref(&one));
            done.push(one);
        };
        failed = image.fix(&report, consent, &mut told).err();
        report = image.look(&terms)?;
    }
    // Only then are a disk's changes in its file.
    image.close()?;
    report.done = done;
    report.dry_run = args.dry_run;
    show(args, &report).map_err(Failure::Output)?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(report.exit),
    }
}

/// What was changed, at once: whoever interrupts this knows what is done.
fn say_done(args: &Args, done: &[Done]) -> io::Result<()> {
    if args.json {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(done_text(done, false).as_bytes())?;
    out.flush()
}

fn show(args: &Args, report: &Report) -> io::Result<()> {
    let shown = print(args, report);
    // Whoever closed the pipe has read enough; the status still says what was found.
    shown.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

fn print(args: &Args, report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
        return out.flush();
    }
    let changes = if report.done.is_empty() { nothing_to_change(args, report) } else { String::new() };
    if args.dry_run {
        // What would be done is read last, beneath what it would be done about.
        let plan = done_text(&report.done, true);
        write!(out, "{}\n{changes}{plan}", text(report, style()))?;
    } else if args.fix {
        write!(out, "{changes}\n{}", text(report, style()))?;
    } else {
        out.write_all(text(report, style()).as_bytes())?;
    }
    out.flush()
}

fn nothing_to_change(args: &Args, report: &Report) -> String {
    let keys = report.findings.iter().any(|finding| !finding.allowed && finding.fix == FixedBy::FixKeys);
    let more = if keys && !args.fix_keys { "; keys take --fix-keys" } else { "" };
    format!("nothing to change{more}\n")
}

fn list_rules() -> ExitCode {
    match io::stdout().write_all(rules_text(style()).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(&format!("standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn style() -> Style {
    let colour =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colour { Style::Colour } else { Style::Plain }
}

fn complain(message: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "weir: {}", message.replace(char::is_control, "\u{fffd}"));
}
