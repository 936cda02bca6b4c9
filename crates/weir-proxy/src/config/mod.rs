//! The configuration as a value. A [`Snapshot`] is what a request sees from beginning to end; a [`Builder`] makes the
//! next one out of the last and what changed, at a cost that does not grow with the size of the configuration.

mod builder;
mod index;
mod plugins;
mod shared_map;
mod snapshot;
mod target;

pub use builder::{Builder, Problem, Update};
pub(crate) use plugins::Instance;
pub use snapshot::Snapshot;
pub(crate) use target::Target;
