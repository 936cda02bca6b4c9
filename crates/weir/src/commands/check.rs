//! `weir check`: whether a configuration can be used.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::start;
use crate::config::Sources;
use crate::config::keys::KEYS;
use crate::gateway::check;

/// Check a configuration without starting anything
///
/// It looks at what a start looks at: values, certificates, names of plugins, the store's key. Exit status 1 when the
/// configuration cannot be used.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file, instead of ./weir.conf or /etc/weir/weir.conf
    file: Option<PathBuf>,
    /// List every key with its default and what it does
    #[arg(long)]
    keys: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut out = io::stdout().lock();
    if args.keys {
        for key in KEYS {
            writeln!(out, "{} = {}\n    {}", key.name, key.default, key.about)?;
        }
        return Ok(());
    }
    let environment = start::environment();
    let sources = Sources { file: args.file.as_deref(), prefix: None, environment };
    let (config, problems) = check::read(&sources);
    for notice in config.iter().flat_map(|config| &config.notices) {
        writeln!(out, "note: {notice}")?;
    }
    for problem in &problems {
        writeln!(out, "error: {problem}")?;
    }
    if !problems.is_empty() {
        bail!("the configuration cannot be used");
    }
    writeln!(out, "the configuration is good")?;
    Ok(())
}
