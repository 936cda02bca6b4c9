//! `weir start`: the gateway, in the foreground.

use std::path::PathBuf;

use anyhow::Result;

use crate::config::{Config, Sources};
use crate::gateway;

/// Run the gateway in the foreground
///
/// It keeps its database, keys and certificate below the prefix, ./weir-data if none is given. SIGTERM and SIGINT end it
/// when the requests under way are done, SIGHUP makes it read its configuration again.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) where_: Where,
}

/// Which gateway is meant
#[derive(clap::Args)]
pub(crate) struct Where {
    /// The configuration, instead of ./weir.conf or /etc/weir/weir.conf
    #[arg(short, long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// The folder that the gateway keeps its things in
    #[arg(short, long, value_name = "DIR")]
    prefix: Option<PathBuf>,
}

impl Where {
    /// The configuration of the gateway that is meant.
    pub(crate) fn config(&self) -> Result<Config> {
        let environment = std::env::vars_os();
        let environment = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let sources = Sources {
            file: self.conf.as_deref(),
            prefix: self.prefix.as_deref(),
            environment: environment.collect(),
        };
        Ok(Config::load(&sources)?)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    gateway::run(args.where_.config()?, &|| args.where_.config())
}
