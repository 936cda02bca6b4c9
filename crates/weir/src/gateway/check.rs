//! What a start needs of the host, looked at without making, binding or changing anything: `weir check` and a reload look
//! at the same.
//!
//! Deliberately absent: whether ports are free and what is in the database, which only a start finds out.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use weir_plugins::Shared;
use weir_proxy::{Certificate, Identity};

use super::{Prefix, authorities, closed, kinds, sealer};
use crate::config::{Config, Sources};

/// Reads a configuration, and says everything for which a start with it would be refused, a sentence each. It is good
/// when nothing is said.
pub(crate) fn read(sources: &Sources<'_>) -> (Option<Config>, Vec<String>) {
    let (config, wrong) = Config::examine(sources);
    let mut problems: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    if let Some(config) = &config {
        let prefix = Prefix::at(&config.prefix);
        let plugins = kinds(&config.plugins, &Shared::default()).map(drop);
        let authorities = authorities(config).map(drop);
        let all = [
            folder(&config.prefix),
            plugins,
            closed(config),
            authorities,
            certificate(config, &prefix),
            key(&prefix),
        ];
        problems.extend(all.iter().filter_map(|one| one.as_ref().err()).map(|error| format!("{error:#}")));
    }
    (config, problems)
}

/// Whether the prefix is a folder, or can become one.
fn folder(prefix: &Path) -> Result<()> {
    if prefix.exists() && !prefix.is_dir() {
        bail!("the prefix: {}: it is no folder", prefix.display());
    }
    Ok(())
}

/// Whether the certificate can be read and belongs to its key. A first start makes one where none is named.
fn certificate(config: &Config, prefix: &Prefix) -> Result<()> {
    let (chain, key) = (prefix.certificate(), prefix.certificate_key());
    let identity = match &config.certificate {
        Some((chain, key)) => Identity::read(chain, key),
        None if !chain.exists() && !key.exists() => return Ok(()),
        None => Identity::read(&chain, &key),
    };
    let identity = identity.context(super::CERTIFICATE)?;
    Certificate::new(&identity).map(drop).context(super::CERTIFICATE)
}

/// Whether the store's key can be used. A first start makes one.
fn key(prefix: &Prefix) -> Result<()> {
    if prefix.store_key().exists() || prefix.database().exists() {
        sealer(prefix)?;
    }
    Ok(())
}
