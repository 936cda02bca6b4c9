//! Changing entities. Each change is one transaction; it is answered when it is durable and in force.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use weir_mint::scannable;
use weir_model::schema::{SourceError, Variant};
use weir_model::{Entity, Page, Record, Source, Violations, entity};
use weir_store::{Filter, Stored, Transaction};

use super::{Parent, Place, belongs, now_ms, parse_id, reference, secrets, shown, together};
use crate::Admin;
use crate::args::{self, Args, BadBody};
use crate::failure::Failure;
use crate::request::Request;
use crate::respond::{self, Answer};

/// The longest time to live, seconds: about three years, as Kong has it.
const MAX_TTL: i64 = 100_000_000;

/// Adds an entity.
pub(super) async fn create(
    admin: &Admin,
    request: &Request,
    entity: &'static Entity,
    of: Option<Parent>,
) -> Result<Answer, Failure> {
    let args = read_args(request)?;
    let mut fields = typed(admin, entity, args, None);
    secrets::hash_passwords(entity, &mut fields, secrets::as_is(request)).await?;
    let mut transaction = admin.store.begin(request.actor()).await?;
    let life = take_ttl(entity, &mut fields)?;
    let minted = Minted::for_request(admin, entity, &mut fields)?;
    if let Some(parent) = of {
        fields.insert(parent.field.to_owned(), parent.reference());
    }
    resolve(&mut *transaction, entity, &mut fields).await?;
    let brought = fields.contains_key("client_secret");
    let mut record = entity.schema.create(fields, &admin.catalog, &minted)?;
    let untold = secrets::hash_client_secret(entity, &mut record, brought).await?;
    check_protocols(&mut *transaction, entity, &record).await?;
    transaction.insert(entity, &record, life.unwrap_or_default().end()).await?;
    let mut stored = finish(transaction, entity).await?;
    if let Some(untold) = untold {
        stored.record.insert("client_secret".to_owned(), untold);
    }
    Ok(shown(admin, StatusCode::CREATED, entity, stored))
}

/// Adds or replaces an entity.
pub(super) async fn put(admin: &Admin, request: &Request, place: Place<'_>) -> Result<Answer, Failure> {
    let entity = place.entity;
    let args = read_args(request)?;
    let mut fields = typed(admin, entity, args, None);
    secrets::hash_passwords(entity, &mut fields, secrets::as_is(request)).await?;
    let mut transaction = admin.store.begin(request.actor()).await?;
    let before = locate(&mut *transaction, place).await?;
    let life = take_ttl(entity, &mut fields)?;
    let minted = Minted::for_request(admin, entity, &mut fields)?;
    fields.shift_remove("id");
    match place.field() {
        Some(field) => drop(fields.insert(field.to_owned(), json!(place.key))),
        None => return Err(Failure::NotFound),
    }
    if let Some(parent) = place.of {
        fields.insert(parent.field.to_owned(), parent.reference());
    }
    if let Some(before) = &before {
        fields.insert("id".to_owned(), json!(before.id.to_string()));
        if let Some(created) = before.record.get("created_at") {
            fields.entry("created_at").or_insert_with(|| created.clone());
        }
    }
    resolve(&mut *transaction, entity, &mut fields).await?;
    let brought = fields.contains_key("client_secret");
    let mut record = entity.schema.create(fields, &admin.catalog, &minted)?;
    let untold = secrets::hash_client_secret(entity, &mut record, brought).await?;
    check_protocols(&mut *transaction, entity, &record).await?;
    let end = life.unwrap_or_default().end();
    match before {
        Some(_) => transaction.update(entity, &record, end).await?,
        None => transaction.insert(entity, &record, end).await?,
    }
    let mut stored = finish(transaction, entity).await?;
    if let Some(untold) = untold {
        stored.record.insert("client_secret".to_owned(), untold);
    }
    Ok(shown(admin, StatusCode::OK, entity, stored))
}

/// Changes an entity.
pub(super) async fn patch(admin: &Admin, request: &Request, place: Place<'_>) -> Result<Answer, Failure> {
    let entity = place.entity;
    let mut args = read_args(request)?;
    secrets::hash_passwords(entity, &mut args.fields, secrets::as_is(request)).await?;
    let mut transaction = admin.store.begin(request.actor()).await?;
    let Some(before) = locate(&mut *transaction, place).await? else {
        let plain = place.of.is_some() || matches!(entity.schema.variant, Variant::Plugin);
        return Err(match place.field() {
            Some(field) if !plain => Failure::NoEntity { field, value: place.key.to_owned() },
            _ => Failure::NotFound,
        });
    };
    let mut fields = typed(admin, entity, args, Some(&before.record));
    let life = take_ttl(entity, &mut fields)?;
    let minted = Minted::for_request(admin, entity, &mut fields)?;
    resolve(&mut *transaction, entity, &mut fields).await?;
    let renewed = secrets::renewed(entity, &fields);
    secrets::check_hashing(entity, &before.record, &fields)?;
    let mut record = entity.schema.update(&before.record, fields, &admin.catalog, &minted)?;
    if renewed && record.contains_key("previous") {
        // Whoever sets a secret means that one alone; a time of grace is asked for by rotation.
        record.insert("previous".to_owned(), Value::Null);
    }
    secrets::hash_client_secret(entity, &mut record, true).await?;
    check_protocols(&mut *transaction, entity, &record).await?;
    let end = life.map_or(before.expires_at_ms, Life::end);
    transaction.update(entity, &record, end).await?;
    let stored = finish(transaction, entity).await?;
    Ok(shown(admin, StatusCode::OK, entity, stored))
}

/// Deletes an entity, and those that go with it.
pub(super) async fn delete(admin: &Admin, request: &Request, place: Place<'_>) -> Result<Answer, Failure> {
    let mut transaction = admin.store.begin(request.actor()).await?;
    let Some(stored) = locate(&mut *transaction, place).await? else {
        // What is to be gone is gone; only below another entity Kong looks first.
        return if place.of.is_some() { Err(Failure::NotFound) } else { Ok(respond::no_content()) };
    };
    transaction.delete(place.entity, stored.id).await?;
    transaction.commit().await?;
    Ok(respond::no_content())
}

/// Commits, and gives the entity that the changes are about.
async fn finish(transaction: Box<dyn Transaction>, entity: &'static Entity) -> Result<Stored, Failure> {
    let changes = transaction.commit().await?;
    let stored = changes
        .iter()
        .rev()
        .find(|change| change.entity.name == entity.name)
        .and_then(|change| change.now.clone());
    stored.map(|stored| Stored::clone(&stored)).ok_or(Failure::NotFound)
}

pub(super) async fn locate(
    transaction: &mut dyn Transaction,
    place: Place<'_>,
) -> Result<Option<Stored>, Failure> {
    let found = match place.field() {
        Some("id") => transaction.get(place.entity, parse_id(place.key)?).await?,
        Some(field) if place.entity.key == Some(field) => {
            transaction.find(place.entity, field, place.key).await?
        }
        Some(_) => transaction.find_together(place.entity, &together(place)).await?,
        None => return Err(Failure::NoId),
    };
    Ok(found.filter(|stored| belongs(stored, place.of)))
}

pub(super) fn read_args(request: &Request) -> Result<Args, Failure> {
    let bad = |text: &str| Failure::Plain(StatusCode::BAD_REQUEST, text.to_owned());
    args::read(request.header("content-type"), &request.body).map_err(|error| match error {
        BadBody::Json => bad("Cannot parse JSON body"),
        BadBody::Form => bad("Cannot parse form body"),
        BadBody::Type => Failure::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, String::new()),
    })
}

/// The arguments with the types that the schema asks for, if they came as text.
fn typed(admin: &Admin, entity: &Entity, args: Args, stored: Option<&Record>) -> Record {
    match (args.untyped, stored) {
        (false, _) => args.fields,
        (true, None) => entity.schema.infer(args.fields, &admin.catalog),
        (true, Some(stored)) => entity.schema.infer_changes(args.fields, stored, &admin.catalog),
    }
}

/// How long an entity is to live.
#[derive(Clone, Copy, Default)]
struct Life {
    seconds: Option<i64>,
}

impl Life {
    /// When it ends, epoch milliseconds.
    fn end(self) -> Option<i64> {
        self.seconds.map(|seconds| now_ms() + seconds * 1000)
    }
}

/// Takes the time to live out of the arguments; `None` if there is none.
fn take_ttl(entity: &Entity, fields: &mut Record) -> Result<Option<Life>, Failure> {
    if !entity.ttl {
        return Ok(None);
    }
    let Some(given) = fields.shift_remove("ttl") else { return Ok(None) };
    let number = match &given {
        Value::Null => return Ok(Some(Life::default())),
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    match number.filter(|seconds| (0..=MAX_TTL).contains(seconds)) {
        Some(0) => Ok(Some(Life::default())),
        Some(seconds) => Ok(Some(Life { seconds: Some(seconds) })),
        None => {
            let why = format!("must be an integer between 0 and {MAX_TTL}");
            Err(Failure::Option { name: "ttl", why })
        }
    }
}

/// Puts ids in the place of other unique fields, where a reference is made by them: `{"name": …}`.
async fn resolve(
    transaction: &mut dyn Transaction,
    entity: &'static Entity,
    fields: &mut Record,
) -> Result<(), Failure> {
    for (field, to, _) in entity.references() {
        let Some(Value::Object(given)) = fields.get(field) else { continue };
        let (Some(target), false) = (weir_model::entity(to), given.contains_key("id")) else { continue };
        let key = target.unique().find_map(|unique| {
            let value = given.get(unique.name)?.as_str()?;
            Some((unique.name, value.to_owned()))
        });
        let Some((key, value)) = key else { continue };
        let found = transaction.find(target, key, &value).await?.ok_or_else(|| Failure::Unresolved {
            field,
            key,
            value: value.clone(),
            entity: target.name,
        })?;
        fields.insert(field.to_owned(), json!({"id": found.id.to_string()}));
    }
    Ok(())
}

/// A plugin that speaks none of the protocols of the routes that it is for would never run.
async fn check_protocols(
    transaction: &mut dyn Transaction,
    kind: &'static Entity,
    record: &Record,
) -> Result<(), Failure> {
    let Variant::Plugin = kind.schema.variant else { return Ok(()) };
    let own = protocols(record);
    let common = |route: &Stored| protocols(&route.record).iter().any(|protocol| own.contains(protocol));
    let refuse = |say: &str| Err(Failure::Schema(Violations::field("protocols", say)));
    // Kong lets an empty list pass, and runs the plugin nowhere.
    if own.is_empty() {
        return Ok(());
    }
    let Some(routes) = entity("routes") else { return Ok(()) };
    if let Some(id) = reference(record, "route") {
        return match transaction.get(routes, parse_id(id)?).await? {
            Some(route) if !common(&route) => refuse("must match the associated route's protocols"),
            _ => Ok(()),
        };
    }
    let Some(id) = reference(record, "service") else { return Ok(()) };
    let filter = Filter { belonging_to: Some(("service", parse_id(id)?)), ..Filter::default() };
    let mut page = Page { size: 1000, after: None };
    let mut any = false;
    loop {
        let listing = transaction.list(routes, &filter, &page).await?;
        any |= !listing.members.is_empty();
        if listing.members.iter().any(common) {
            return Ok(());
        }
        match listing.next {
            Some(next) => page.after = Some(next),
            None if any => {
                return refuse(
                    "must match the protocols of at least one route pointing to this Plugin's service",
                );
            }
            None => return Ok(()),
        }
    }
}

fn protocols(record: &Record) -> Vec<&str> {
    let list = record.get("protocols").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

/// Ids, secrets and times for new entities.
#[derive(Default)]
pub(crate) struct Minted {
    /// API keys are to say what they open, so that scanners recognise them.
    kind: Option<scannable::Kind>,
    /// The request says so itself.
    asked: bool,
}

impl Minted {
    /// What an entity of this kind is minted with. `kind` is taken out of the arguments; without it the gateway's default
    /// holds.
    pub(super) fn for_request(admin: &Admin, entity: &Entity, args: &mut Record) -> Result<Self, Failure> {
        if entity.name != "keyauth_credentials" {
            return Ok(Self::default());
        }
        let bad = |why: String| Failure::Option { name: "kind", why };
        let asked = args.contains_key("kind");
        let kind = match args.shift_remove("kind") {
            None => admin.key_kind.clone(),
            Some(Value::Null) => None,
            Some(Value::String(kind)) => {
                Some(scannable::Kind::new(&kind).map_err(|error| bad(error.to_string()))?)
            }
            Some(_) => return Err(bad("must be a string".to_owned())),
        };
        Ok(Self { kind, asked })
    }

    /// The same, but keys are minted as this one is, if it can be read and the request does not say otherwise.
    pub(super) fn like(self, key: Option<&str>) -> Self {
        match key {
            Some(key) if !self.asked && !weir_mint::is_digest(key) => {
                Self { kind: scannable::recognise(key), asked: false }
            }
            _ => self,
        }
    }
}

impl Source for Minted {
    fn now(&self) -> i64 {
        weir_kernel::clock::unix_seconds()
    }

    fn uuid(&self) -> Result<String, SourceError> {
        drawn(weir_mint::Uuid::v4).map(|id| id.to_string())
    }

    /// The text goes into the record, which is there to be shown: the answer holds it in full. What it was copied from is
    /// erased.
    fn token(&self) -> Result<String, SourceError> {
        let mint = || match &self.kind {
            Some(kind) => kind.mint(),
            None => weir_mint::key(),
        };
        drawn(mint).map(|key| key.expose().to_owned())
    }
}

/// Draws, or says at once that nothing can be drawn: a wait here would hold up whoever else this thread serves.
fn drawn<T>(mint: impl FnOnce() -> Result<T, weir_mint::Error>) -> Result<T, SourceError> {
    let ready = match weir_kernel::is_ready() {
        true => Ok(()),
        false => weir_kernel::wait_ready(Duration::ZERO),
    };
    ready.and_then(|()| mint()).map_err(|error| SourceError(error.into()))
}
