//! `weir check`: whether a configuration can be used.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;

use crate::config::keys::KEYS;
use crate::config::{Config, Sources};

/// Check a configuration without starting anything
///
/// Exit status 1 when it cannot be used.
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
    let environment = std::env::vars().collect();
    let config = Config::load(&Sources { file: args.file.as_deref(), prefix: None, environment })?;
    for notice in &config.notices {
        writeln!(out, "note: {notice}")?;
    }
    writeln!(out, "the configuration is good")?;
    Ok(())
}
