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
    let mut page = Vec::new();
    // To memory, which does not fail.
    if Man::new(command.clone()).manual("Weir").section("1").render(&mut page).is_ok() {
        pages.push((name, page));
    }
    command.get_subcommands().filter(|below| !below.is_hide_set()).for_each(|below| collect(below, pages));
}
