//! Which areas of Kong's recorded behaviour Weir is held to.
//!
//! This table is the one place that says so. Every file of the corpus is in it. An area that is served names the cases
//! that are known to differ, with the reason; a case that differs and is not named fails the run, and a named one that
//! no longer differs is reported, so that it can be taken out. An area that is not served yet says why.
//!
//! `cargo xtask test --only recorded --all-areas` tells how the areas fare that are not served yet.

#![allow(dead_code, reason = "the table may come to hold no area of a kind, and no known difference")]

/// A file of the corpus.
pub(super) struct Area {
    /// Its path under `cases/`.
    pub(super) file: &'static str,
    pub(super) state: State,
}

/// What is expected of an area.
pub(super) enum State {
    /// Every case passes, but for these.
    Served(&'static [Known]),
    /// Nothing, for this reason.
    NotServed(&'static str),
}

/// A case that differs, and why that is left so.
pub(super) struct Known {
    pub(super) case: &'static str,
    pub(super) reason: &'static str,
}

const fn not_served(file: &'static str, reason: &'static str) -> Area {
    Area { file, state: State::NotServed(reason) }
}

const NO_ADMIN_API: &str = "there is no Admin API yet";
const NO_PROXY: &str = "there is no proxy yet";
const NO_PLUGIN: &str = "the plugin does not exist yet";

/// The table, in the order in which it is run.
pub(super) const AREAS: &[Area] = &[
    not_served("admin/ca_certificates.json", NO_ADMIN_API),
    not_served("admin/certificates.json", NO_ADMIN_API),
    not_served("admin/consumers.json", NO_ADMIN_API),
    not_served("admin/credentials.json", NO_ADMIN_API),
    not_served("admin/general.json", NO_ADMIN_API),
    not_served("admin/key-sets.json", NO_ADMIN_API),
    not_served("admin/keys.json", NO_ADMIN_API),
    not_served("admin/plugins.json", NO_ADMIN_API),
    not_served("admin/routes.json", NO_ADMIN_API),
    not_served("admin/services.json", NO_ADMIN_API),
    not_served("admin/snis.json", NO_ADMIN_API),
    not_served("admin/targets.json", NO_ADMIN_API),
    not_served("admin/upstreams.json", NO_ADMIN_API),
    not_served("admin/vaults.json", NO_ADMIN_API),
    not_served("proxy/balancer.json", NO_PROXY),
    not_served("proxy/bodies.json", NO_PROXY),
    not_served("proxy/errors.json", NO_PROXY),
    not_served("proxy/headers.json", NO_PROXY),
    not_served("proxy/no-route.json", NO_PROXY),
    not_served("proxy/paths.json", NO_PROXY),
    not_served("proxy/routing.json", NO_PROXY),
    not_served("proxy/tls.json", NO_PROXY),
    not_served("proxy/upgrades.json", NO_PROXY),
    not_served("plugins/acl.json", NO_PLUGIN),
    not_served("plugins/basic-auth.json", NO_PLUGIN),
    not_served("plugins/bot-detection.json", NO_PLUGIN),
    not_served("plugins/correlation-id.json", NO_PLUGIN),
    not_served("plugins/cors.json", NO_PLUGIN),
    not_served("plugins/hmac-auth.json", NO_PLUGIN),
    not_served("plugins/ip-restriction.json", NO_PLUGIN),
    not_served("plugins/jwt.json", NO_PLUGIN),
    not_served("plugins/key-auth.json", NO_PLUGIN),
    not_served("plugins/logs.json", NO_PLUGIN),
    not_served("plugins/multiple-auth.json", NO_PLUGIN),
    not_served("plugins/oauth2.json", NO_PLUGIN),
    not_served("plugins/proxy-cache.json", NO_PLUGIN),
    not_served("plugins/rate-limiting.json", NO_PLUGIN),
    not_served("plugins/redirect.json", NO_PLUGIN),
    not_served("plugins/request-size-limiting.json", NO_PLUGIN),
    not_served("plugins/request-termination.json", NO_PLUGIN),
    not_served("plugins/request-transformer.json", NO_PLUGIN),
    not_served("plugins/response-ratelimiting.json", NO_PLUGIN),
    not_served("plugins/response-transformer.json", NO_PLUGIN),
    not_served("plugins/scoping.json", NO_PLUGIN),
    not_served("plugins/session.json", NO_PLUGIN),
];
