//! The commands of `weir` as a user runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this crate is a test"
)]

mod admin;
mod assess;
mod authentication;
mod clones;
mod command;
mod control;
mod credentials;
mod doctor;
mod durability;
mod http1;
mod http2;
mod in_force;
mod ldap_auth;
mod leaving;
mod mint;
mod mtls_auth;
mod oauth2;
mod openid_connect;
mod operation;
mod seed_ansible;
mod seed_fetch;
mod seed_guests;
mod seed_lint;
mod seed_new;
mod seed_push;
mod seed_serve;
mod seed_verify;
mod session;
mod streaming;
mod support;
mod upstream;
