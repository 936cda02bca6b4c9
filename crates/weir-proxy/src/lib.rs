//! The proxy: listeners, workers, the life of a request, connections to services.
//!
//! [`Gateway::start`] binds the listeners and starts the workers. Each worker is a thread with its own event loop,
//! listeners of its own on the same addresses (SO_REUSEPORT), its own connections to services. They share the
//! [`Snapshot`] of the configuration, which nobody writes: [`Gateway::publish`] puts the next one in its place, and
//! every request that begins afterwards sees it.
//!
//! HTTP/1.1 is our own on both sides (`http1/`, `server/http1.rs`, `upstream/`), over httparse; HTTP/2 is hyper's.
//!
//! Deliberately absent: the store and the Admin API. Whoever starts a gateway hands in entities ([`Update`]) and reads
//! counters ([`Stats`]).

mod answer;
mod body;
mod clock;
mod config;
mod forward;
mod gateway;
mod http1;
mod io;
mod listener;
mod pipeline;
mod request_id;
mod server;
mod settings;
mod stats;
mod timer;
mod tls;
mod tunnel;
mod upstream;
mod usage;
mod worker;

pub use config::{Builder, Problem, Snapshot, Update};
pub use gateway::{Error, Gateway, Listeners};
pub use settings::{HeaderSettings, Keepalive, Listen, Settings, Templates, Timeouts};
pub use stats::Stats;
pub use tls::{Certificate, CertificateError, Identity, private_server_config, provider as cryptography};
pub use usage::Usage;
