//! Connections to services: made, kept for the next request, and the exchange of one request for one response.

pub(crate) mod connect;
pub(crate) mod exchange;
pub(crate) mod pool;
pub(crate) mod resolve;

/// Why a service gave no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Its name has no address.
    #[error("name resolution failed: {0}")]
    Resolve(String),
    /// No connection came about.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The connection failed before the response began.
    #[error("connection lost: {0}")]
    Lost(#[source] std::io::Error),
    /// It did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// What it sent is no response.
    #[error("invalid response: {0}")]
    Invalid(&'static str),
}
