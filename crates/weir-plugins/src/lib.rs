//! The bundled plugins, one file each. [`kinds`] is the one list of them.
//!
//! To add one: a file with its `Config`, its [`weir_plugin::Plugin`] and its [`weir_plugin::Kind`], and a line in the list.

mod acl;
pub mod auth;
mod authorization;
mod basic_auth;
mod config;
mod connect;
mod correlation_id;
mod cors;
mod fetch;
#[cfg(test)]
mod fixture;
mod hmac_auth;
pub mod jws;
mod jwt;
mod key_auth;
mod ldap_auth;
mod mtls_auth;
mod multipart;
mod oauth2;
mod openid_connect;
pub mod prometheus;
mod query;
mod queue;
pub mod rate_limiting;
mod recent;
mod request_termination;
pub mod session;

use std::sync::Arc;

use weir_plugin::Kind;

/// What plugins keep for as long as the process lives, whatever becomes of their configuration.
#[derive(Clone, Default)]
pub struct Shared {
    /// What the prometheus plugin counts.
    pub metrics: Arc<prometheus::Registry>,
    /// What the authentication plugins refuse.
    pub attempts: Arc<auth::Attempts>,
    /// What the rate-limiting plugin counts.
    pub limits: Arc<rate_limiting::Counters>,
    /// What the session plugin is about to store.
    pub sessions: Arc<session::Pending>,
}

/// Every bundled plugin.
pub fn kinds(shared: &Shared) -> Vec<Arc<dyn Kind>> {
    vec![
        Arc::new(acl::Acl),
        Arc::new(basic_auth::BasicAuth::new(Arc::clone(&shared.attempts))),
        Arc::new(correlation_id::CorrelationId::default()),
        Arc::new(cors::Cors),
        Arc::new(hmac_auth::HmacAuth(Arc::clone(&shared.attempts))),
        Arc::new(jwt::Jwt(Arc::clone(&shared.attempts))),
        Arc::new(key_auth::KeyAuth(Arc::clone(&shared.attempts))),
        Arc::new(ldap_auth::LdapAuth(Arc::clone(&shared.attempts))),
        Arc::new(mtls_auth::MtlsAuth(Arc::clone(&shared.attempts))),
        Arc::new(oauth2::OAuth2(Arc::clone(&shared.attempts))),
        Arc::new(openid_connect::OpenidConnect(Arc::clone(&shared.attempts))),
        Arc::new(prometheus::Prometheus::new(Arc::clone(&shared.metrics))),
        Arc::new(rate_limiting::RateLimiting::new(Arc::clone(&shared.limits))),
        Arc::new(request_termination::RequestTermination),
        Arc::new(session::Session(Arc::clone(&shared.sessions))),
    ]
}

/// Doors for fuzz targets to what reads a peer's bytes.
#[doc(hidden)]
pub mod fuzzing {
    /// What ldap-auth reads of clients and of directory servers.
    pub fn ldap_auth(input: &[u8]) {
        crate::ldap_auth::fuzz(input);
    }

    /// What openid-connect reads of clients and of identity providers.
    pub fn openid_connect(input: &[u8]) {
        crate::openid_connect::fuzz(input);
    }
}
