//! `weir manual`: manual pages, one for each command, made from the same list as the commands themselves.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap_mangen::Man;

const AFTER_HELP: &str = "\
Examples:
  weir manual /usr/local/share/man/man1     then: man weir-seed-push
  weir manual . && man ./weir-doctor.1      without installing them";

/// What the pages are of.
const SOURCE: &str = concat!("Weir ", env!("CARGO_PKG_VERSION"));

/// Write the manual pages, one for each command, into a folder
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The folder; it is made if it is not there
    folder: PathBuf,
}

pub(crate) fn run(args: &Args, command: clap::Command) -> Result<()> {
    fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    for (name, page) in &pages {
        let path = args.folder.join(format!("{name}.1"));
        fs::write(&path, page).with_context(|| path.display().to_string())?;
    }
    // Nobody is left to tell when standard output is closed.
    let _ = writeln!(io::stdout(), "{} pages in {}", pages.len(), args.folder.display());
    Ok(())
}

/// The pages of a command and of those below it. Names such as `weir-mint-token` are there since the command was built.
fn collect(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let man = Man::new(command.clone()).manual("Weir").section("1").source(SOURCE);
    let mut page = Vec::new();
    // To memory, which does not fail.
    if render(&man, command, &mut page).is_ok() {
        pages.push((name, page));
    }
    command.get_subcommands().filter(|below| !below.is_hide_set()).for_each(|below| collect(below, pages));
}

/// A page. The synopsis is the usage line as the command itself prints it, and what it says after its options keeps its lines.
fn render(man: &Man, command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    let usage = command.clone().render_usage().to_string();
    writeln!(page, ".SH SYNOPSIS\n{}", literal(usage.trim_start_matches("Usage:").trim()))?;
    man.render_description_section(page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    match command.get_after_long_help().or(command.get_after_help()) {
        Some(notes) => writeln!(page, ".SH NOTES\n.nf\n{}\n.fi", literal(&notes.to_string())),
        None => Ok(()),
    }
}

/// Text for roff, which takes nothing in it for a request or an escape.
fn literal(text: &str) -> String {
    let line = |line: &str| {
        let escaped = line.replace('\\', "\\e").replace('-', "\\-");
        if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
