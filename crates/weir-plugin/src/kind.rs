//! Plugins: kinds of them, and configured instances.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use weir_mint::Uuid;
use weir_model::PluginSchema;

use crate::{Answer, Ctx, Finished, Headers, Records};

/// What a phase wants to happen next.
pub enum Flow {
    /// The next plugin's turn.
    Continue,
    /// This answer, instead of the upstream's. No later plugin's access phase runs.
    Respond(Box<Answer>),
    /// Wait for this, then go on with what it gives. For what cannot be known at once: a directory, an identity
    /// provider, a counter on another machine.
    Wait(Pin<Box<dyn Future<Output = Resume>>>),
}

/// How a phase goes on after it waited.
pub type Resume = Box<dyn for<'a> FnOnce(&mut Ctx<'a>) -> Flow>;

impl From<Answer> for Flow {
    fn from(answer: Answer) -> Self {
        Self::Respond(Box::new(answer))
    }
}

/// The phases that an instance takes part in. The engine skips the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// [`Plugin::access`].
    pub access: bool,
    /// [`Plugin::header_filter`].
    pub header_filter: bool,
    /// [`Plugin::log`].
    pub log: bool,
    /// The access phase reads the request's body, if [`Plugin::reads_body`] says so of the request: the engine has it in
    /// memory by then, if it fits.
    pub body: bool,
    /// Clients are to be asked for a certificate in the TLS handshake, long before it is known which request follows.
    pub client_certificate: bool,
}

/// A configured plugin.
pub trait Plugin: Send + Sync {
    /// Which phases it takes part in.
    fn phases(&self) -> Phases;

    /// Whether it reads the body of this request, where [`Phases::body`] is set. What it does not read goes on to the
    /// service as it comes in, however long it is.
    fn reads_body(&self, _ctx: &Ctx<'_>) -> bool {
        true
    }

    /// Before the request goes upstream.
    fn access(&self, _ctx: &mut Ctx<'_>) -> Flow {
        Flow::Continue
    }

    /// When the head of the answer is there: its fields may be changed.
    fn header_filter(&self, _ctx: &mut Ctx<'_>, _response: &mut Headers) {}

    /// When the answer is over.
    fn log(&self, _ctx: &Ctx<'_>, _finished: &Finished) {}
}

/// What an instance is built with, besides its configuration.
#[derive(Clone)]
pub struct Env {
    /// The plugin entity's id.
    pub id: Uuid,
    /// Where it may store what outlives a request.
    pub records: Arc<dyn Records>,
}

/// A configuration that fits the schema and still cannot be used. The operator's fault.
#[derive(Debug, thiserror::Error)]
#[error("plugin {plugin}: {why}")]
pub struct BuildError {
    /// The plugin's name.
    pub plugin: &'static str,
    /// What is wrong.
    pub why: String,
}

/// A kind of plugin.
pub trait Kind: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Plugins of higher priority run first.
    fn priority(&self) -> i32;

    /// What its configuration may be.
    fn schema(&self) -> PluginSchema;

    /// An instance with this configuration, which satisfies the schema.
    ///
    /// # Errors
    /// When the configuration cannot be used all the same.
    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError>;
}
