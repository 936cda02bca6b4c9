//! The gateway's entities: what a service, a route, a consumer, a plugin and a credential are.
//!
//! One definition per entity (`entities/`) gives its fields, types, defaults, constraints, unique and foreign keys,
//! what `/schemas/…` shows and every validation error. The engine that reads definitions is in `schema/`. A request
//! body goes through [`Schema::create`] or [`Schema::update`] and comes out as a [`Record`]: complete, typed by its
//! schema, ready to store. What the proxy needs of a record is then parsed once into a typed value ([`typed`]).
//!
//! Invariants: a record that left this crate satisfies its schema; processing has no side effects but reading the
//! clock and minting an id or a secret, both handed in through [`Source`].
//!
//! Deliberately absent: databases, HTTP, and any knowledge of a particular plugin. Plugins hand their schemas in
//! through a [`Catalog`].

mod entities;
mod errors;
pub mod lua;
mod query;
pub mod schema;
pub mod typed;
pub mod x509;

pub use entities::{Audit, ENTITIES, Entity, JWT_ALGORITHMS, Rotation, Unique, entity};
pub use errors::{Errors, Violations};
pub use query::{Page, PageError, Tags, encode_offset};
pub use schema::{Catalog, PluginSchema, Record, Schema, Source};
