//! The Admin API and the status API.
//!
//! What an operator's tools know of Kong's Admin API holds here: paths, verbs, bodies, errors (`docs/admin-api.md` says
//! where Weir differs). All paths of entities follow from the list of entities in weir-model; a new entity needs nothing
//! here.
//!
//! A write that was answered 2xx is durable and in force on this node: it was committed by the store, then put in force
//! through [`Node::apply`], in the order of commits, then answered.
//!
//! Deliberately absent: the proxy. What of it the API shows or changes goes through [`Node`].

mod access;
mod args;
mod entities;
mod failure;
mod node;
mod path;
mod records;
mod request;
mod respond;
mod server;
mod status;

use std::sync::Arc;

use serde_json::Value;
use weir_mint::{Uuid, scannable};
use weir_model::Catalog;
use weir_store::{Change, Store};

pub use access::{Access, Token};
pub use args::form;
pub use server::{Endpoint, Kind, serve};

/// The rest of the gateway, as the Admin API sees it.
pub trait Node: Send + Sync {
    /// Puts committed changes in force, in their order. They are in force when this returns.
    fn apply(&self, changes: Vec<Change>);

    /// What `/` says of the node beside its plugins: an object.
    fn describe(&self) -> Value;

    /// What `/status` says of connections and requests: an object.
    fn server_status(&self) -> Value;

    /// What `/randomness` says: an object.
    fn randomness(&self) -> Value;

    /// Whether the gateway can take requests; if not, why.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn ready(&self) -> Result<(), String>;

    /// When a credential was last good for something, epoch milliseconds, as far as this node remembers.
    fn last_used(&self, credential: Uuid) -> Option<i64>;

    /// Adds what `/metrics` shows, in Prometheus' text format.
    fn metrics(&self, out: &mut String);

    /// The priority of each plugin that entities may name.
    fn plugin_priorities(&self) -> Vec<(&'static str, i32)>;

    /// How many workers there are.
    fn workers(&self) -> usize;

    /// What is logged: one of `debug`, `info`, `notice`, `warn`, `error`, `crit`.
    fn log_level(&self) -> String;

    /// Changes what is logged.
    ///
    /// # Errors
    /// When there is no such level.
    fn set_log_level(&self, level: &str) -> Result<(), String>;
}

/// The Admin API of one node.
pub struct Admin {
    store: Arc<dyn Store>,
    catalog: Arc<Catalog>,
    node: Arc<dyn Node>,
    /// What API keys are minted as where nobody says; `None` for letters and digits alone.
    key_kind: Option<scannable::Kind>,
}

impl Admin {
    /// The Admin API over a store. API keys are minted as this kind of scannable keys, if one is given.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Arc<Catalog>,
        node: Arc<dyn Node>,
        key_kind: Option<scannable::Kind>,
    ) -> Self {
        let follower = Arc::clone(&node);
        store.follow(Arc::new(move |changes| follower.apply(changes)));
        Self { store, catalog, node, key_kind }
    }

    /// Writes down when credentials were last good for something, epoch milliseconds.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_last_used(&self, used: &[(Uuid, i64)]) -> Result<(), weir_store::Error> {
        if used.is_empty() { Ok(()) } else { self.store.put_last_used(used).await }
    }

    /// Deletes entities whose time is over, a limited number at a time, and says how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reap(&self) -> Result<usize, weir_store::Error> {
        Ok(self.store.reap(1000).await?.len())
    }
}
