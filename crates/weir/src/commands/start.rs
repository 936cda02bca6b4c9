//! `weir start`: the gateway, in the foreground.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::config::{Config, Sources};
use crate::gateway::{self, check};

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
    /// The configuration, if a gateway could be started with it.
    pub(crate) fn checked(&self) -> Result<Config> {
        match check::read(&self.sources()) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => bail!("{}", problems.join("\n")),
        }
    }

    /// The same, as far as it can be read: a gateway that runs can be stopped whatever became of its file since.
    pub(crate) fn readable(&self) -> Result<Config> {
        match Config::examine(&self.sources()) {
            (Some(config), _) => Ok(config),
            (None, problems) => {
                bail!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    fn sources(&self) -> Sources<'_> {
        let (file, prefix) = (self.conf.as_deref(), self.prefix.as_deref());
        Sources { file, prefix, environment: environment() }
    }
}

/// The variables that are text.
pub(super) fn environment() -> Vec<(String, String)> {
    let all = std::env::vars_os();
    all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

pub(crate) fn run(args: &Args) -> Result<()> {
    gateway::run(args.where_.checked()?, &|| args.where_.checked())
}
