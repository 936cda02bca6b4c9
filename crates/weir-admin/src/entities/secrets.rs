//! What becomes of secrets on their way into a record: passwords are hashed, and what only Weir writes is refused.

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use weir_mint::slow;
use weir_model::schema::SourceError;
use weir_model::{Entity, Record, Rotation, Violations};
use weir_store::seal;

use crate::failure::Failure;
use crate::request::Request;

/// Whether a request brings passwords that are hashed already: `_transform=false`, as in Kong's declarative files.
pub(super) fn as_is(request: &Request) -> bool {
    request.query("_transform").is_some_and(|value| value == "false")
}

/// Hashes the passwords among the fields that a client sent, off the thread that serves others.
pub(super) async fn hash_passwords(entity: &Entity, fields: &mut Record, as_is: bool) -> Result<(), Failure> {
    for (name, field) in &entity.schema.fields.list {
        let Some(Value::String(text)) = fields.get(*name) else { continue };
        if field.secret && (seal::is_sealed(text) || weir_mint::is_digest(text)) {
            return Err(refused(name, "must not begin as Weir's own values do"));
        }
        if !field.password || text.is_empty() {
            continue;
        }
        if as_is {
            if !slow::is_password_hash(text) {
                return Err(refused(
                    name,
                    "must be a hash: argon2id in PHC's form, or 40 hexadecimal digits of SHA-1",
                ));
            }
            continue;
        }
        let password = weir_mint::Secret::new(text.clone());
        let hash = blocking(move || slow::hash_password(password.expose().as_bytes())).await?;
        fields.insert((*name).to_owned(), json!(hash));
    }
    Ok(())
}

/// Whether a change is about what a credential is verified by, so that what was good before it is good no longer.
pub(super) fn renewed(entity: &Entity, changes: &Record) -> bool {
    let verified_by = ["algorithm", "rsa_public_key", "hash_secret"].into_iter().chain(entity.secrets());
    entity.rotation != Rotation::None && verified_by.into_iter().any(|field| changes.contains_key(field))
}

/// Refuses to change how the secret of a client of OAuth 2.0 is kept where the secret itself is not there to be kept so.
pub(super) fn check_hashing(entity: &Entity, before: &Record, changes: &Record) -> Result<(), Failure> {
    let Some(hash) = changes.get("hash_secret") else { return Ok(()) };
    if entity.name != "oauth2_credentials" || changes.contains_key("client_secret") {
        return Ok(());
    }
    let kept = before.get("client_secret").and_then(Value::as_str).unwrap_or_default();
    let lost = slow::is_client_secret_hash(kept) || weir_mint::is_digest(kept);
    if lost && before.get("hash_secret") != Some(hash) {
        return Err(refused(
            "hash_secret",
            "needs a new client_secret beside it: the one there is cannot be read",
        ));
    }
    Ok(())
}

/// Hashes the secret of a client of OAuth 2.0, where only the hash is to be kept. Gives the secret if it was not the request
/// that brought it: then this is the last moment at which anybody can be told.
pub(super) async fn hash_client_secret(
    entity: &Entity,
    record: &mut Record,
    brought: bool,
) -> Result<Option<Value>, Failure> {
    if entity.name != "oauth2_credentials" || record.get("hash_secret") != Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let Some(Value::String(text)) = record.get("client_secret") else { return Ok(None) };
    if slow::is_client_secret_hash(text) || weir_mint::is_digest(text) {
        return Ok(None);
    }
    let secret = weir_mint::Secret::new(text.clone());
    let hash = blocking(move || slow::hash_client_secret(secret.expose().as_bytes())).await?;
    let plain = record.insert("client_secret".to_owned(), json!(hash));
    Ok(plain.filter(|_| !brought))
}

/// Hashes at once: each takes 19 MiB and tens of milliseconds of a processor that requests want too.
static HASHING: Semaphore = Semaphore::const_new(2);

async fn blocking(
    hash: impl FnOnce() -> Result<String, weir_mint::Error> + Send + 'static,
) -> Result<String, Failure> {
    let nothing = |error: weir_mint::Error| Failure::Source(SourceError(error.into()));
    if !weir_kernel::is_ready() {
        weir_kernel::wait_ready(std::time::Duration::ZERO).map_err(nothing)?;
    }
    // It is never closed.
    let _turn = HASHING.acquire().await;
    let hashed = tokio::task::spawn_blocking(hash).await;
    let gone =
        |_| Failure::Plain(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred".to_owned());
    hashed.map_err(gone)?.map_err(nothing)
}

fn refused(field: &str, why: &str) -> Failure {
    Failure::Schema(Violations::field(field, why))
}
