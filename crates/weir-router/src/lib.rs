//! Which route a request belongs to, and what its path becomes on the way to the upstream.
//!
//! Pure logic: no input or output, no clock, no randomness, no HTTP library. It answers as Kong 3.9's router for
//! `traditional_compatible` does, so that configurations written for that keep their meaning.
//!
//! # Use
//!
//! ```
//! use weir_router::{Criteria, Request, Router, Spec, path};
//!
//! let mut router = Router::default();
//! let users = Spec {
//!     hosts: &["*.example.com"],
//!     paths: &[r"~/users/(?<id>\d+)"],
//!     ..Spec::new([1; 16])
//! };
//! router.insert(Criteria::parse(&users)?, "users");
//!
//! let path = path::normalize(b"/users/%31%37/orders")?;
//! let request = Request { host: "api.example.com", path: &path, ..Request::default() };
//! let found = router.find(&request).expect("the route is there");
//! assert_eq!((*found.payload(), found.matched_path()), ("users", "/users/17"));
//! assert_eq!(found.captures().and_then(|captures| captures.name("id")), Some("17"));
//! assert_eq!(path::upstream_path(Some("/v2"), &path, found.path_end(), true), "/v2/orders");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Criteria::parse`] turns configuration into something valid, or says which value is wrong. A [`Router`] is a
//! value: a clone is a snapshot that costs next to nothing, and a change to one leaves all others as they are.
//! Readers keep the snapshot they have; whoever changes the configuration changes a clone and hands that out.
//!
//! # How a route is found
//!
//! Every path of a route, with every host of it, is a key of one radix tree (`trie`): the host backwards, a mark,
//! then what the path begins with, for regular expressions the literal at their front. A request's host and path
//! lead past all the keys that can concern it. Where many routes share a key, they are told apart by the value of a
//! header, the TLS server's name, or a literal inside their regular expressions (`slot`). Of what is found so, the
//! route with the highest precedence (`rank`) that admits the request is the answer.
//!
//! # What it costs
//!
//! A look-up takes time in proportion to the length of host and path, not to the number of routes. It takes no lock
//! and allocates nothing, with the exceptions that [`Router::find`] names. The tree is made of the configured bytes
//! themselves: there is no hash in it that a peer could make collide, and a peer adds nothing to it.
//!
//! These are bounded by the configuration and tried one after another, each at tens of nanoseconds:
//!
//! - regular expressions that share the literal at their front (for many that is `/`) and have no literal after a `/`
//!   further on: a hundred thousand of those are a scan of a millisecond or more;
//! - routes at one key that differ in nothing but methods, ports, or regular expressions for headers;
//! - where many routes share a key, each *name* of a header that tells them apart costs a look-up in the request's
//!   headers, and literals inside regular expressions are looked for behind every slash of the path.
//!
//! A change copies the nodes on the way to the route's keys: microseconds, times the number of the route's hosts
//! and paths. `examples/scale.rs` measures all of it.
//!
//! # What is deliberately absent
//!
//! Routes of streams (TCP, TLS, UDP) can be inserted, so that there is one set of routes, but no request of HTTP
//! finds them, and there is no search for them here. Protocols are told of a match ([`Match::admit`]), not matched.
//! The time of a route's creation plays no part: routes that rank alike are told apart by id.

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
mod steps;
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
