//! A configuration that was read again, put in force as far as a running gateway can. What it cannot change stays as it is
//! until the next start, and is named in the log at each reload.

use weir_plugins::auth::Attempts;

use super::log::Levels;
use super::node::Force;
use super::{Apis, CERTIFICATE, Prefix, identity};
use crate::config::Config;

/// Puts a configuration that was read again in force, as far as a running gateway can.
pub(super) fn apply(
    before: Config,
    mut next: Config,
    force: &Force,
    apis: &Apis,
    prefix: &Prefix,
    levels: &Levels,
    attempts: &Attempts,
) -> Config {
    for notice in &next.notices {
        tracing::warn!("{notice}");
    }
    keep_until_restart(&before, &mut next);
    match force.listen(&next.proxy_listen) {
        Ok(proxy) => {
            if let Err(error) = prefix.write_listeners(&apis.listening(proxy)) {
                tracing::error!("{error:#}");
            }
        }
        Err(error) => {
            tracing::error!("the configuration stays as it was: {:#}", anyhow::Error::from(error));
            return before;
        }
    }
    let renewed = identity(&next, prefix).and_then(|identity| Ok(apis.certificate.replace(&identity)?));
    if let Err(error) = renewed {
        tracing::error!("{CERTIFICATE} stays as it was: {error:#}");
    }
    if let Err(error) = apis.ask(&next, prefix) {
        tracing::error!("the Admin API asks for what it asked for: {error:#}");
    }
    if let Err(error) = levels.set(&next.log_level) {
        tracing::error!("log_level: {error}");
    }
    attempts.configure(next.lockout);
    force.settings(next.settings.clone());
    tracing::info!("the configuration was read again");
    next
}

/// What takes effect at the next start stays as it is until then, so that `next` is what is in force. It also keeps what
/// the Admin API asks for in step with where it listens.
fn keep_until_restart(before: &Config, next: &mut Config) {
    fn keep<T: Clone + PartialEq>(key: &str, before: &T, next: &mut T) {
        if before != next {
            tracing::warn!("{key} changed: it takes effect at the next start");
            next.clone_from(before);
        }
    }
    keep("prefix", &before.prefix, &mut next.prefix);
    keep("nginx_worker_processes", &before.workers, &mut next.workers);
    keep("secrets_at_rest", &before.secrets_at_rest, &mut next.secrets_at_rest);
    keep("api_key_kind", &before.api_key_kind, &mut next.api_key_kind);
    keep("plugins", &before.plugins, &mut next.plugins);
    keep("admin_listen", &before.admin_listen, &mut next.admin_listen);
    keep("admin_auth", &before.admin_auth, &mut next.admin_auth);
    keep("admin_client_ca", &before.admin_client_ca, &mut next.admin_client_ca);
    keep("status_listen", &before.status_listen, &mut next.status_listen);
}
