//! `POST …/rotate`: another secret in the place of a credential's, with a time of grace in which both are good.
//!
//! An API key gets a successor, a credential of its own, and ends when the time of grace does. Everything else keeps its
//! name (username, key, client_id) and its id, and the secret that it had is good beside the new one until then.

use serde_json::{Value, json};
use weir_model::typed::Previous;
use weir_model::{Record, Rotation, Source, Violations};
use weir_store::Stored;

use super::write::{self, Minted};
use super::{Place, now_ms, secrets, show};
use crate::Admin;
use crate::failure::Failure;
use crate::request::Request;
use crate::respond::{self, Answer};

/// How long the old secret is good when nobody says: a day.
const GRACE_S: i64 = 86_400;
/// The longest time of grace.
const MAX_GRACE_S: i64 = 100_000_000;
/// What is renewed of a credential whose tokens are signed by a key pair.
const PUBLIC_KEY: &str = "rsa_public_key";

/// What a request asks for.
struct Wish {
    grace_s: i64,
    /// The new secret, if the request brings one.
    secret: Option<String>,
    /// The new public key.
    public_key: Option<String>,
}

impl Wish {
    fn read(args: &mut Record, place: Place<'_>) -> Result<Self, Failure> {
        let field = match place.entity.rotation {
            Rotation::None => return Err(Failure::NotFound),
            Rotation::Successor(field) | Rotation::Secret(field) => field,
        };
        let grace_s = grace(args.shift_remove("grace"))?;
        let secret = text(args, field)?;
        let public_key = match place.entity.schema.fields.get(PUBLIC_KEY) {
            Some(_) => text(args, PUBLIC_KEY)?,
            None => None,
        };
        match args.keys().next() {
            Some(unknown) => Err(Failure::Schema(Violations::field(unknown, "unknown field"))),
            None => Ok(Self { grace_s, secret, public_key }),
        }
    }
}

/// Rotates a credential.
pub(super) async fn rotate(admin: &Admin, request: &Request, place: Place<'_>) -> Result<Answer, Failure> {
    let mut args = write::read_args(request)?.fields;
    let minted = Minted::for_request(admin, place.entity, &mut args)?;
    let wish = Wish::read(&mut args, place)?;
    match place.entity.rotation {
        Rotation::None => Err(Failure::NotFound),
        Rotation::Successor(field) => succeed(admin, request, place, field, wish, minted).await,
        Rotation::Secret(field) => renew(admin, request, place, field, wish, &minted).await,
    }
}

/// Adds a credential like this one with another secret, and lets this one end.
async fn succeed(
    admin: &Admin,
    request: &Request,
    place: Place<'_>,
    field: &'static str,
    wish: Wish,
    minted: Minted,
) -> Result<Answer, Failure> {
    let mut transaction = admin.store.begin(request.actor()).await?;
    let before = write::locate(&mut *transaction, place).await?.ok_or(Failure::NotFound)?;
    let mut fields = before.record.clone();
    for name in ["id", "created_at", field] {
        fields.shift_remove(name);
    }
    // A key that says what it opens has a successor that says the same.
    let minted = minted.like(before.record.get(field).and_then(Value::as_str));
    if let Some(secret) = wish.secret {
        fields.insert(field.to_owned(), json!(secret));
    }
    let record = place.entity.schema.create(fields, &admin.catalog, &minted)?;
    transaction.insert(place.entity, &record, before.expires_at_ms).await?;
    let mut ends_at_ms = now_ms() + wish.grace_s * 1000;
    if wish.grace_s == 0 {
        transaction.delete(place.entity, before.id).await?;
    } else {
        // It ends no later than it would have without this.
        ends_at_ms = before.expires_at_ms.map_or(ends_at_ms, |end| end.min(ends_at_ms));
        transaction.rotating();
        transaction.update(place.entity, &before.record, Some(ends_at_ms)).await?;
    }
    transaction.commit().await?;
    let successor = Stored { id: before.id, record, expires_at_ms: before.expires_at_ms, digest: None };
    let rotated = json!({"id": before.id.to_string(), "ends_at": ends_at_ms / 1000});
    Ok(answer(show(admin, place.entity, successor), [("rotated", rotated)]))
}

/// Gives this credential another secret, and lets the one that it had be good for a while.
async fn renew(
    admin: &Admin,
    request: &Request,
    place: Place<'_>,
    field: &'static str,
    wish: Wish,
    minted: &Minted,
) -> Result<Answer, Failure> {
    let secret = match wish.secret {
        Some(secret) => secret,
        None => minted.token().map_err(Failure::Source)?,
    };
    let mut changes = Record::from_iter([(field.to_owned(), json!(secret))]);
    secrets::hash_passwords(place.entity, &mut changes, false).await?;

    let mut transaction = admin.store.begin(request.actor()).await?;
    let before = write::locate(&mut *transaction, place).await?.ok_or(Failure::NotFound)?;
    let mut told = Some((field, json!(secret)));
    let mut field = field;
    if signs_by_key_pair(&before.record) {
        let missing = || Failure::Schema(Violations::field(PUBLIC_KEY, "required field missing"));
        let public_key = wish.public_key.ok_or_else(missing)?;
        changes = Record::from_iter([(PUBLIC_KEY.to_owned(), json!(public_key))]);
        (field, told) = (PUBLIC_KEY, None);
    }
    let ends_at_ms = now_ms() + wish.grace_s * 1000;
    let old = before.record.get(field).and_then(Value::as_str).filter(|_| wish.grace_s > 0);
    let previous = old.map(|old| Previous::to_text(old, ends_at_ms));
    let mut record = place.entity.schema.update(&before.record, changes, &admin.catalog, minted)?;
    record.insert("previous".to_owned(), json!(previous));
    secrets::hash_client_secret(place.entity, &mut record, true).await?;
    transaction.rotating();
    transaction.update(place.entity, &record, before.expires_at_ms).await?;
    transaction.commit().await?;
    let stored = Stored { id: before.id, record, expires_at_ms: before.expires_at_ms, digest: None };
    let rotated = ("rotated", json!({"ends_at": ends_at_ms / 1000}));
    // What only its hash is kept of is told this once.
    Ok(answer(show(admin, place.entity, stored), told.into_iter().chain([rotated])))
}

/// The credential, with more members.
fn answer(mut shown: Value, more: impl IntoIterator<Item = (&'static str, Value)>) -> Answer {
    if let Value::Object(map) = &mut shown {
        map.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    respond::json_with(http::StatusCode::CREATED, &shown)
}

fn signs_by_key_pair(record: &Record) -> bool {
    let algorithm = record.get("algorithm").and_then(Value::as_str);
    algorithm.is_some_and(|algorithm| !algorithm.starts_with("HS"))
}

/// A text that an argument holds, which is not empty.
fn text(args: &mut Record, name: &'static str) -> Result<Option<String>, Failure> {
    match args.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(Value::String(_)) => Err(Failure::Schema(Violations::field(name, "length must be at least 1"))),
        Some(_) => Err(Failure::Schema(Violations::field(name, "expected a string"))),
    }
}

/// The seconds in which both secrets are good.
fn grace(given: Option<Value>) -> Result<i64, Failure> {
    let number = match &given {
        None | Some(Value::Null) => return Ok(GRACE_S),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64(),
    };
    number.filter(|seconds| (0..=MAX_GRACE_S).contains(seconds)).ok_or_else(|| Failure::Option {
        name: "grace",
        why: format!("must be an integer between 0 and {MAX_GRACE_S}"),
    })
}
