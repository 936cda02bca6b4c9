//! Tokens and codes: how they are made, stored and taken back.
//!
//! Access tokens, refresh tokens and codes have 32 letters and digits, 190.5 bits, and are minted by weir-mint. The store
//! keeps them sealed or as digests; none is ever read back from there.
//!
//! Invariants: a code or refresh token that is used up goes in the same transaction in which what it was exchanged for
//! comes. The primary key of a token follows from the code that it was issued for, and that of its successor
//! from its own, so that they are found when the code turns up again (RFC 6749, 4.1.2); it tells nothing about the code,
//! which nobody can guess.

use std::time::Duration;

use aws_lc_rs::digest;
use serde_json::{Value, json};
use weir_mint::{Secret, Uuid};
use weir_model::Record;
use weir_plugin::{RecordsError, Step};

use super::Shared;

pub(super) const TOKENS: &str = "oauth2_tokens";
pub(super) const CODES: &str = "oauth2_authorization_codes";
/// How long a code is good. RFC 6749, 4.1.2: ten minutes at most.
const CODE_LIFE: Duration = Duration::from_secs(300);
/// So many times the tokens of a code can have been refreshed before it turns up again and they are still found.
const GENERATIONS: usize = 16;

/// What a token is issued for.
pub(super) struct Grant {
    /// The service that it is good for; `None` for all that take global credentials.
    pub(super) service: Option<Uuid>,
    pub(super) client: Uuid,
    pub(super) userid: Option<String>,
    pub(super) scope: Option<String>,
    /// Whether a refresh token goes with it.
    pub(super) refreshable: bool,
    /// The token's primary key, where it follows from something.
    pub(super) id: Option<Uuid>,
}

/// What the client is given.
pub(super) struct Issued {
    pub(super) access_token: Secret,
    pub(super) refresh_token: Option<Secret>,
    /// Seconds; 0 for ever.
    pub(super) expires_in: i64,
}

impl Issued {
    /// RFC 6749, 5.1.
    pub(super) fn to_json(&self) -> Value {
        let mut body = json!({"token_type": "bearer", "access_token": self.access_token.expose()});
        if self.expires_in > 0 {
            body["expires_in"] = json!(self.expires_in);
        }
        if let Some(refresh) = &self.refresh_token {
            body["refresh_token"] = json!(refresh.expose());
        }
        body
    }
}

impl Shared {
    /// Issues a token. `before` goes with it: both happen, or neither.
    pub(super) async fn issue(&self, grant: Grant, before: Option<Step>) -> Result<Issued, RecordsError> {
        let expires_in = self.expires_in();
        let refresh_token = if grant.refreshable && expires_in > 0 { Some(mint()?) } else { None };
        let issued = Issued { access_token: mint()?, refresh_token, expires_in };
        let mut fields = Record::new();
        if let Some(id) = grant.id {
            fields.insert("id".to_owned(), json!(id.to_string()));
        }
        fields.insert("service".to_owned(), reference(grant.service));
        fields.insert("credential".to_owned(), reference(Some(grant.client)));
        fields.insert("expires_in".to_owned(), json!(expires_in));
        fields.insert("access_token".to_owned(), json!(issued.access_token.expose()));
        fields.insert("refresh_token".to_owned(), json!(issued.refresh_token.as_ref().map(Secret::expose)));
        fields.insert("authenticated_userid".to_owned(), json!(grant.userid));
        fields.insert("scope".to_owned(), json!(grant.scope));
        let insert = Step::Insert { entity: TOKENS, fields, life: self.token_life() };
        self.env.records.apply(before.into_iter().chain([insert]).collect()).await?;
        Ok(issued)
    }

    /// Gives a token's record another access token; its refresh token stays.
    pub(super) async fn reissue(&self, id: Uuid, refresh_token: Secret) -> Result<Issued, RecordsError> {
        let issued = Issued {
            access_token: mint()?,
            refresh_token: Some(refresh_token),
            expires_in: self.expires_in(),
        };
        let mut fields = Record::new();
        fields.insert("access_token".to_owned(), json!(issued.access_token.expose()));
        fields.insert("expires_in".to_owned(), json!(issued.expires_in));
        fields.insert("created_at".to_owned(), json!(weir_kernel::clock::unix_seconds()));
        let update = Step::Update { entity: TOKENS, id, fields, only_if: None, life: self.token_life() };
        self.env.records.apply(vec![update]).await?;
        Ok(issued)
    }

    /// Issues a code.
    pub(super) async fn issue_code(&self, mut fields: Record) -> Result<Secret, RecordsError> {
        let code = mint()?;
        fields.insert("code".to_owned(), json!(code.expose()));
        fields.insert("plugin".to_owned(), reference(Some(self.env.id)));
        let insert = Step::Insert { entity: CODES, fields, life: Some(CODE_LIFE) };
        self.env.records.apply(vec![insert]).await?;
        Ok(code)
    }

    /// Takes back what was issued for a code that was used before.
    pub(super) async fn revoke_issued_for(&self, code: &str, client: Uuid) -> Result<(), RecordsError> {
        let mut id = token_of_code(code);
        for _ in 0..GENERATIONS {
            let found = self.env.records.get(TOKENS, id).await?;
            if found.is_some_and(|token| reference_of(&token, "credential") == Some(client)) {
                tracing::warn!(
                    plugin = super::NAME,
                    %client,
                    "an authorization code was used again: the token issued for it is revoked"
                );
                return match self.env.records.apply(vec![Step::Delete { entity: TOKENS, id }]).await {
                    Ok(_) | Err(RecordsError::Gone) => Ok(()),
                    Err(error) => Err(error),
                };
            }
            id = successor(id);
        }
        Ok(())
    }

    /// How long an access token is good, seconds; 0 for ever.
    fn expires_in(&self) -> i64 {
        self.config.token_expiration.ceil().max(0.0) as i64
    }

    /// How long a token is kept: as long as it can be refreshed, and at least as long as it is good.
    fn token_life(&self) -> Option<Duration> {
        let (good, refreshable) = (self.expires_in(), self.config.refresh_token_ttl.ceil() as i64);
        let seconds = u64::try_from(good.max(refreshable)).unwrap_or_default();
        (good > 0 && refreshable > 0).then(|| Duration::from_secs(seconds))
    }
}

/// The primary key of the token that is issued for a code.
pub(super) fn token_of_code(code: &str) -> Uuid {
    derived(b"weir oauth2 token of code\0", code.as_bytes())
}

/// The primary key of the token that comes after one when it is refreshed.
pub(super) fn successor(id: Uuid) -> Uuid {
    derived(b"weir oauth2 token after\0", id.as_bytes())
}

/// A UUID of version 8 (RFC 9562, 5.8): the beginning of a SHA-256 digest.
fn derived(label: &[u8], of: &[u8]) -> Uuid {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(label);
    context.update(of);
    let digest = context.finish();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

fn mint() -> Result<Secret, RecordsError> {
    if !weir_kernel::is_ready() {
        return Err(RecordsError::NotReady);
    }
    weir_mint::key().map_err(|_| RecordsError::NotReady)
}

/// A reference to an entity, as records hold it.
pub(super) fn reference(id: Option<Uuid>) -> Value {
    id.map_or(Value::Null, |id| json!({"id": id.to_string()}))
}

/// The primary key that a record refers to.
pub(super) fn reference_of(record: &Record, field: &str) -> Option<Uuid> {
    record.get(field)?.get("id")?.as_str()?.parse().ok()
}

/// A text in a record.
pub(super) fn text_of<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    record.get(field)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primary_keys_follow_from_what_was_before() {
        let first = token_of_code("code");
        assert_eq!((first, first.version()), (token_of_code("code"), 8));
        assert_ne!(first, token_of_code("codf"));
        assert_ne!(first, successor(first));
        assert_eq!(first.to_string().parse::<Uuid>().unwrap(), first);
    }
}
