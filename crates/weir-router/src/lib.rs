//! Which route a request belongs to, and what its path becomes on the way to the upstream.
mod criteria;
mod entry;
mod error;
mod header;
mod matched;
mod method;
mod name;
pub mod path;
mod pattern;
mod program;
mod protocol;
mod rank;
mod request;
mod router;
mod search;
mod slot;
mod sorted;
mod trie;

pub use criteria::{Criteria, RouteId, Spec};
pub use error::{Error, Field, Reason};
pub use header::{Headers, NoHeaders};
pub use matched::{Captures, Match};
pub use name::split_port;
pub use pattern::SIZE_LIMIT as PATTERN_SIZE_LIMIT;
pub use protocol::{Arrival, Protocol, Protocols, Refusal};
pub use request::Request;
pub use router::Router;
