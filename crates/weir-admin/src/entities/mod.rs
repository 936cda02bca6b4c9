//! Entities over HTTP: the same for every kind.

mod read;
mod rotate;
mod secrets;
mod write;

pub(crate) use read::{page, paged};
pub(crate) use write::Minted;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use weir_mint::Uuid;
use weir_model::schema::is_uuid;
use weir_model::{Entity, Record};
use weir_store::{Store, Stored};

use crate::Admin;
use crate::failure::Failure;
use crate::path::{Aspect, Target};
use crate::request::Request;
use crate::respond::{self, Answer};

/// Answers a request for a path of entities.
pub(crate) async fn handle(admin: &Admin, request: &Request, target: Target<'_>) -> Result<Answer, Failure> {
    let answered = dispatch(admin, request, target).await;
    if answered.is_err() && !request.method.is_safe() {
        // What it failed for may be what another is still waiting to be told of.
        admin.store.settle().await;
    }
    answered
}

async fn dispatch(admin: &Admin, request: &Request, target: Target<'_>) -> Result<Answer, Failure> {
    let method = if request.method == Method::HEAD { &Method::GET } else { &request.method };
    match (target, method.as_str()) {
        (target, "OPTIONS") => {
            let asked = request.headers.get(http::header::ACCESS_CONTROL_REQUEST_HEADERS);
            Ok(respond::options(target.methods(), asked))
        }
        (Target::Collection(entity), "GET") => read::list(admin, request, entity, None).await,
        (Target::Collection(entity), "POST") => write::create(admin, request, entity, None).await,
        (Target::Member(entity, key), "GET") => read::get(admin, Place::top(entity, key)).await,
        (Target::Member(entity, key), "PUT") => write::put(admin, request, Place::top(entity, key)).await,
        (Target::Member(entity, key), "PATCH") => write::patch(admin, request, Place::top(entity, key)).await,
        (Target::Member(entity, key), "DELETE") => {
            write::delete(admin, request, Place::top(entity, key)).await
        }
        (Target::Nested(parent, key, entity, field), "GET") => {
            let of = Parent::find(admin, parent, key, field).await?;
            read::list(admin, request, entity, Some(of)).await
        }
        (Target::Nested(parent, key, entity, field), "POST") => {
            let of = Parent::find(admin, parent, key, field).await?;
            write::create(admin, request, entity, Some(of)).await
        }
        (
            Target::NestedMember(parent, key, entity, field, child),
            method @ ("GET" | "PUT" | "PATCH" | "DELETE"),
        ) => {
            let of = Parent::find(admin, parent, key, field).await?;
            let place = Place { entity, key: child, of: Some(of) };
            match method {
                "GET" => read::get(admin, place).await,
                "PUT" => write::put(admin, request, place).await,
                "PATCH" => write::patch(admin, request, place).await,
                _ => write::delete(admin, request, place).await,
            }
        }
        (Target::Credential(entity, key, Aspect::Rotate), "POST") => {
            rotate::rotate(admin, request, Place::top(entity, key)).await
        }
        (Target::Credential(entity, key, Aspect::Usage), "GET") => {
            read::usage(admin, Place::top(entity, key)).await
        }
        (Target::NestedCredential(parent, key, entity, field, child, aspect), method @ ("GET" | "POST")) => {
            let of = Parent::find(admin, parent, key, field).await?;
            let place = Place { entity, key: child, of: Some(of) };
            match (aspect, method) {
                (Aspect::Rotate, "POST") => rotate::rotate(admin, request, place).await,
                (Aspect::Usage, "GET") => read::usage(admin, place).await,
                _ => Err(Failure::Method),
            }
        }
        (Target::Reference(entity, key, to, field), method @ ("GET" | "PUT" | "PATCH")) => {
            let from = locate(&*admin.store, Place::top(entity, key)).await?.ok_or(Failure::NotFound)?;
            let id = reference(&from.record, field).ok_or(Failure::NotFound)?.to_owned();
            let place = Place::top(to, &id);
            match method {
                "GET" => read::get(admin, place).await,
                "PUT" => write::put(admin, request, place).await,
                _ => write::patch(admin, request, place).await,
            }
        }
        _ => Err(Failure::Method),
    }
}

/// Where a member is looked for.
#[derive(Clone, Copy)]
struct Place<'a> {
    entity: &'static Entity,
    /// Its id, or what stands for it.
    key: &'a str,
    /// What it must belong to.
    of: Option<Parent>,
}

impl<'a> Place<'a> {
    fn top(entity: &'static Entity, key: &'a str) -> Self {
        Self { entity, key, of: None }
    }

    /// The field that the key is a value of.
    fn field(&self) -> Option<&'static str> {
        if is_uuid(self.key) {
            return Some("id");
        }
        // Below the entity that it belongs to, what tells it apart from the others there is enough.
        let apart =
            |parent: Parent| self.entity.unique_together.iter().copied().find(|field| *field != parent.field);
        self.entity.key.or_else(|| self.of.and_then(apart))
    }
}

/// An entity that others belong to, and by which field.
#[derive(Clone, Copy)]
struct Parent {
    field: &'static str,
    id: Uuid,
}

impl Parent {
    async fn find(
        admin: &Admin,
        entity: &'static Entity,
        key: &str,
        field: &'static str,
    ) -> Result<Self, Failure> {
        let stored = locate(&*admin.store, Place::top(entity, key)).await?.ok_or(Failure::NotFound)?;
        Ok(Self { field, id: stored.id })
    }

    fn reference(self) -> Value {
        json!({"id": self.id.to_string()})
    }
}

/// Finds a member, if it is there and belongs where it is looked for.
async fn locate(store: &dyn Store, place: Place<'_>) -> Result<Option<Stored>, Failure> {
    let found = match place.field() {
        Some("id") => store.get(place.entity, parse_id(place.key)?).await?,
        Some(field) if place.entity.key == Some(field) => store.find(place.entity, field, place.key).await?,
        Some(_) => store.find_together(place.entity, &together(place)).await?,
        None => return Err(Failure::NoId),
    };
    Ok(found.filter(|stored| belongs(stored, place.of)))
}

/// The fields that are unique together, as the place gives them.
fn together(place: Place<'_>) -> Record {
    let mut fields = Record::new();
    if let (Some(parent), Some(field)) = (place.of, place.field()) {
        fields.insert(parent.field.to_owned(), parent.reference());
        fields.insert(field.to_owned(), json!(place.key));
    }
    fields
}

fn belongs(stored: &Stored, of: Option<Parent>) -> bool {
    of.is_none_or(|parent| reference(&stored.record, parent.field) == Some(parent.id.to_string().as_str()))
}

fn reference<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    record.get(field)?.get("id")?.as_str()
}

fn parse_id(text: &str) -> Result<Uuid, Failure> {
    text.parse().map_err(|_| Failure::NotFound)
}

/// An entity as answers show it.
fn show(admin: &Admin, entity: &'static Entity, stored: Stored) -> Value {
    let mut record = entity.schema.show(stored.record, &admin.catalog);
    if entity.ttl {
        // Whole seconds that are still ahead: the one under way is not.
        let left = stored.expires_at_ms.map(|end| (end - now_ms() - 1).max(0) / 1000);
        record.insert("ttl".to_owned(), json!(left));
    }
    Value::Object(record)
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(weir_kernel::clock::unix_ms()).unwrap_or(i64::MAX)
}

/// An entity, with this status.
fn shown(admin: &Admin, status: StatusCode, entity: &'static Entity, stored: Stored) -> Answer {
    respond::json_with(status, &show(admin, entity, stored))
}
