//! The interface between the gateway and its plugins.
//!
//! A plugin is a [`Kind`]: a name, a priority, a schema, and a way to build an instance of it from a configuration.
//! An instance is a [`Plugin`]: functions that the gateway calls at fixed points of a request's life, in order of
//! priority, with that request's [`Ctx`].
//!
//! - `access`, before the request goes upstream: look, change, or answer in the upstream's place;
//! - `header_filter`, when the answer's head is there, whoever made it, before it goes to the client;
//! - `log`, when the answer is over.
//!
//! A phase is a plain function. Most answer [`Flow::Continue`] at once and allocate nothing; one that must wait for
//! somebody else hands back a future and goes on when that is done. A worker runs many requests on one thread: a phase
//! that blocks stops them all.
//!
//! Deliberately absent: any plugin, the store, the engine. Whatever a plugin may ask of the outside comes through its
//! context.

mod answer;
mod ctx;
mod directory;
mod headers;
mod kind;
mod records;

pub use answer::{Answer, Content};
pub use ctx::{Client, Credential, Ctx, Finished, Identity, Outcome, RequestId, Scheme};
pub use directory::{Directory, Kept};
pub use headers::Headers;
pub use kind::{BuildError, Env, Flow, Kind, Phases, Plugin, Resume};
pub use records::{NoRecords, Records, RecordsError, Step, Stored};
