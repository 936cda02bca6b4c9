//! `cargo xtask install`: builds weir and puts it where a shell looks for it.
//!
//! ```text
//! PREFIX/bin/weir
//! PREFIX/share/man/man1/weir*.1
//! PREFIX/share/bash-completion/completions/weir, zsh/site-functions/_weir, fish/vendor_completions.d/weir.fish
//! PREFIX/lib/systemd/system/weir-seed-*.service, weir-seed-*.socket
//! /etc/weir/seed.conf.example
//! ```
//!
//! Manual pages and completions are made by the program itself, so they are of the program that is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::install_feed::{as_root, is_root};
use crate::{install, process, workspace};

/// Where each shell looks for completions, below `share`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/weir"),
    ("zsh", "zsh/site-functions/_weir"),
    ("fish", "fish/vendor_completions.d/weir.fish"),
];

/// Build weir and install it with its manual pages, completions and the units of `weir seed`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it will be used
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,

    /// Put everything under this folder instead, for a package
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,

    /// Take this program instead of building one
    #[arg(long, value_name = "PROGRAM", conflicts_with = "profile")]
    from: Option<PathBuf>,

    /// Cargo's profile to build with
    #[arg(long, value_name = "PROFILE", default_value = "dist")]
    profile: String,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let program = match &args.from {
        Some(program) => std::path::absolute(program)?,
        None => build(&args.profile)?,
    };
    if args.destdir.is_none() && !is_root()? {
        return as_root("install", &args.prefix, &program);
    }
    let prefix = std::path::absolute(&args.prefix)?;
    let place = |folder: &Path| match &args.destdir {
        Some(destdir) => destdir.join(folder.strip_prefix("/").unwrap_or(folder)),
        None => folder.to_owned(),
    };
    let within = place(&prefix);
    let bin = folder(&within.join("bin"))?.join("weir");
    install::put(&program, &bin, 0o755)?;
    process::check(Command::new("strip").arg(&bin))?;
    process::check(Command::new(&program).arg("manual").arg(folder(&within.join("share/man/man1"))?))?;
    for (shell, path) in COMPLETIONS {
        let to = within.join("share").join(path);
        to.parent().map(folder).transpose()?;
        install::write(&to, &said(&program, &["completions", shell])?)?;
    }
    units(&within.join("lib/systemd/system"), &prefix.join("bin"))?;
    let example = folder(&place(Path::new("/etc/weir")))?.join("seed.conf.example");
    install::put(&workspace::root().join("packaging/weir-seed/seed.conf"), &example, 0o644)?;
    println!("installed {}", bin.display());
    Ok(ExitCode::SUCCESS)
}

fn build(profile: &str) -> Result<PathBuf> {
    let options = ["build", "--quiet", "--locked", "--package", "weir", "--profile", profile];
    process::check(&mut workspace::cargo(options))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(workspace::target()?.join(folder).join("weir"))
}

/// The units name the program by its whole path.
fn units(to: &Path, bin: &Path) -> Result<()> {
    let from = workspace::root().join("packaging/weir-seed/systemd");
    let to = folder(to)?;
    for entry in fs::read_dir(&from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        install::write(&to.join(entry.file_name()), &text.replace("@BINDIR@", &bin.display().to_string()))?;
    }
    Ok(())
}

fn said(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        bail!("{} {}: {}", program.display(), arguments.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn folder(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    Ok(folder.to_owned())
}
