//! The store, as plugins see it.

use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};

use tokio::runtime::Handle;
use weir_admin::Admin;
use weir_mint::Uuid;
use weir_model::Record;
use weir_plugin::{Records, RecordsError, Step, Stored};

/// Hands what plugins ask for to the Admin API's writer, on the thread that serves it. A request that is given up while it
/// waits does not cut a change off.
pub(super) struct StoreRecords {
    runtime: Handle,
    admin: OnceLock<Weak<Admin>>,
}

impl StoreRecords {
    /// To be called on the runtime that serves the Admin API.
    pub(super) fn new() -> Self {
        Self { runtime: Handle::current(), admin: OnceLock::new() }
    }

    /// Where things are stored. Before this is known, nothing is.
    pub(super) fn open(&self, admin: &Arc<Admin>) {
        let _ = self.admin.set(Arc::downgrade(admin));
    }

    fn ask<T, F>(&self, ask: impl FnOnce(Arc<Admin>) -> F + Send + 'static) -> Stored<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RecordsError>> + Send,
    {
        let gone = || RecordsError::Unavailable("the gateway is starting or stopping".to_owned());
        let Some(admin) = self.admin.get().and_then(Weak::upgrade) else {
            return Box::pin(std::future::ready(Err(gone())));
        };
        let task = self.runtime.spawn(async move { ask(admin).await });
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(gone())) })
    }
}

impl Records for StoreRecords {
    fn get(&self, entity: &'static str, id: Uuid) -> Stored<Option<Record>> {
        self.ask(move |admin| async move { admin.record(entity, id).await })
    }

    fn find(&self, entity: &'static str, field: &'static str, value: String) -> Stored<Option<Record>> {
        self.ask(move |admin| async move { admin.record_by(entity, field, &value).await })
    }

    fn apply(&self, steps: Vec<Step>) -> Stored<Vec<Record>> {
        self.ask(move |admin| async move { admin.apply_steps(steps).await })
    }
}
