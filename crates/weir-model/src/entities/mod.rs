//! The list of entities. Everything that has to know which there are (the store's tables, the Admin API's paths,
//! `/schemas`, the tags) reads it here.

mod acls;
mod basicauth_credentials;
mod ca_certificates;
mod consumers;
mod hmacauth_credentials;
mod jwt_secrets;
mod keyauth_credentials;
mod mtls_auth_credentials;
mod oauth2;
mod plugins;
mod routes;
mod services;
mod sessions;

use std::sync::LazyLock;

pub use jwt_secrets::ALGORITHMS as JWT_ALGORITHMS;

use crate::schema::{Field, Kind, Schema, string};

/// One kind of entity.
pub struct Entity {
    /// Its plural name: of its table, in `/schemas`, in errors.
    pub name: &'static str,
    /// Where its collection stands in the Admin API; `None` for what only the gateway itself makes and reads.
    pub path: Option<&'static str>,
    /// Its name as a member of another entity, and in paths that lead to the one it belongs to.
    pub singular: &'static str,
    /// Its collection's name below an entity that it belongs to, where it has one.
    pub nested: &'static [(&'static str, &'static str)],
    /// The unique field that stands for the id in paths.
    pub key: Option<&'static str>,
    /// Fields that are unique together.
    pub unique_together: &'static [&'static str],
    /// Whether entities may be given a time to live.
    pub ttl: bool,
    /// Whether it lets a client in, so that what happens to it goes to the audit log.
    pub audit: Audit,
    /// What a rotation mints anew.
    pub rotation: Rotation,
    /// The definition of its fields.
    pub schema: Schema,
}

impl std::fmt::Debug for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What of an entity's life goes to the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Nothing: it lets nobody in.
    Never,
    /// What an operator does. What the gateway does by itself it does all the time.
    Operators,
    /// Everything.
    Always,
}

/// What a rotation mints anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// There is nothing to rotate.
    None,
    /// Another entity like it, with another value of this field; the old one ends after a time of grace.
    Successor(&'static str),
    /// The value of this field; the old one is good for a time of grace.
    Secret(&'static str),
}

/// A field whose values are unique.
#[derive(Clone, Copy)]
pub struct Unique {
    /// Its name.
    pub name: &'static str,
    /// Whether its values are secrets, which are looked up by digest.
    pub secret: bool,
}

impl Entity {
    /// The unique fields, the id apart.
    pub fn unique(&self) -> impl Iterator<Item = Unique> {
        self.schema
            .fields
            .list
            .iter()
            .filter(|(_, field)| field.unique)
            .map(|(name, field)| Unique { name, secret: field.secret })
    }

    /// The references to other entities: field, entity, and whether this one goes with that one.
    pub fn references(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        self.schema.fields.list.iter().filter_map(|(name, field)| match &field.kind {
            Kind::Foreign(foreign) => Some((*name, foreign.to, foreign.cascade)),
            _ => None,
        })
    }

    /// The entities that refer to this kind: entity, field, and whether they go with it.
    pub fn referrers(&self) -> impl Iterator<Item = (&'static Entity, &'static str, bool)> {
        let name = self.name;
        ENTITIES.iter().flat_map(move |other| {
            other
                .references()
                .filter(move |(_, to, _)| *to == name)
                .map(move |(field, _, cascade)| (other, field, cascade))
        })
    }

    /// Whether entities of this kind carry tags.
    pub fn tagged(&self) -> bool {
        self.schema.fields.get("tags").is_some()
    }

    /// The top-level fields that hold secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &'static str> {
        self.schema.fields.list.iter().filter(|(_, field)| field.secret).map(|(name, _)| *name)
    }
}

/// The secret that a credential had before it was rotated, and until when it is still good: JSON of [`crate::typed::Previous`].
fn previous() -> (&'static str, Field) {
    ("previous", string().secret().hidden())
}

/// Every entity, in an order in which each comes after those that it refers to.
pub static ENTITIES: LazyLock<Vec<Entity>> = LazyLock::new(|| {
    vec![
        services::entity(),
        routes::entity(),
        consumers::entity(),
        plugins::entity(),
        keyauth_credentials::entity(),
        acls::entity(),
        basicauth_credentials::entity(),
        hmacauth_credentials::entity(),
        jwt_secrets::entity(),
        oauth2::credentials(),
        oauth2::authorization_codes(),
        oauth2::tokens(),
        sessions::entity(),
        ca_certificates::entity(),
        mtls_auth_credentials::entity(),
    ]
});

/// The entity of this plural name.
pub fn entity(name: &str) -> Option<&'static Entity> {
    ENTITIES.iter().find(|entity| entity.name == name)
}
