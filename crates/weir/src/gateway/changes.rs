//! From what the store says to what the proxy does: records become entities with types.

use serde_json::Value;
use weir_model::typed::{
    Acl, BasicCredential, CaCertificate, Consumer, HmacCredential, JwtCredential, KeyCredential, Mismatch,
    MtlsCredential, OAuth2Client, OAuth2Token, Plugin, Route, Service, StoredSession,
};
use weir_model::{Entity, Record};
use weir_proxy::{Builder, Update};
use weir_store::{Change, Loaded, Stored};

/// Applies an entity that was there at the start.
pub(super) fn load(builder: &mut Builder, loaded: Loaded) {
    let update = match loaded {
        Loaded::Consumer(consumer) => Ok(Some(Update::Consumer(consumer))),
        Loaded::Key { credential, digest, expires_at_ms } => {
            Ok(Some(Update::Key { credential, digest, before: None, expires_at_ms }))
        }
        Loaded::Other(entity, stored) => update(entity, &stored, None),
    };
    put(builder, update);
}

/// Applies a change.
pub(super) fn apply(builder: &mut Builder, change: &Change) {
    let update = match &change.now {
        Some(stored) => update(change.entity, stored, change.before),
        None => Ok(Some(match change.entity.name {
            "services" => Update::NoService(change.id),
            "routes" => Update::NoRoute(change.id),
            "consumers" => Update::NoConsumer(change.id),
            "plugins" => Update::NoPlugin(change.id),
            "acls" => Update::NoAcl(change.id),
            "basicauth_credentials" => Update::NoBasic(change.id),
            "hmacauth_credentials" => Update::NoHmac(change.id),
            "jwt_secrets" => Update::NoJwt(change.id),
            "oauth2_credentials" => Update::NoOAuth2Client(change.id),
            "oauth2_tokens" => Update::NoOAuth2Token(change.id),
            "sessions" => Update::NoSession(change.id),
            "ca_certificates" => Update::NoCaCertificate(change.id),
            "mtls_auth_credentials" => Update::NoMtls(change.id),
            "keyauth_credentials" => match change.before {
                Some(digest) => Update::NoKey { digest },
                None => return,
            },
            _ => return,
        })),
    };
    put(builder, update);
}

fn put(builder: &mut Builder, update: Result<Option<Update>, Mismatch>) {
    let applied = match update {
        Ok(Some(update)) => builder.apply(update).map_err(|problem| problem.to_string()),
        Ok(None) => return,
        Err(mismatch) => Err(mismatch.to_string()),
    };
    if let Err(problem) = applied {
        tracing::error!("{problem}");
    }
}

fn update(
    entity: &'static Entity,
    stored: &Stored,
    before: Option<[u8; 32]>,
) -> Result<Option<Update>, Mismatch> {
    let record = &stored.record;
    Ok(Some(match entity.name {
        "services" => {
            warn_of_authorities(record);
            Update::Service(Service::parse(record)?)
        }
        "routes" => Update::Route(Route::parse(record)?),
        "consumers" => Update::Consumer(Consumer::parse(record)?),
        "plugins" => Update::Plugin(Plugin::parse(record)?),
        "acls" => Update::Acl(Acl::parse(record)?),
        "basicauth_credentials" => Update::Basic(BasicCredential::parse(record)?),
        "hmacauth_credentials" => Update::Hmac(HmacCredential::parse(record)?),
        // A key set to null is named by no token.
        "jwt_secrets" if record.get("key").is_none_or(Value::is_null) => Update::NoJwt(stored.id),
        "jwt_secrets" => Update::Jwt(JwtCredential::parse(record)?),
        "oauth2_credentials" if record.get("client_id").is_none_or(Value::is_null) => {
            Update::NoOAuth2Client(stored.id)
        }
        "oauth2_credentials" => Update::OAuth2Client(OAuth2Client::parse(record)?),
        "oauth2_tokens" => Update::OAuth2Token(OAuth2Token::parse(record)?, stored.digest),
        "sessions" => Update::Session(StoredSession::parse(record)?, stored.digest),
        "ca_certificates" => Update::CaCertificate(CaCertificate::parse(record)?),
        "mtls_auth_credentials" => Update::Mtls(MtlsCredential::parse(record)?),
        "keyauth_credentials" => {
            // A key set to null cannot be shown by anybody.
            let Some(digest) = stored.digest else {
                return Ok(before.map(|digest| Update::NoKey { digest }));
            };
            let credential = KeyCredential::parse(record)?;
            Update::Key { credential, digest, before, expires_at_ms: stored.expires_at_ms }
        }
        _ => return Ok(None),
    }))
}

/// A service may name authorities of its own, as Kong's does; there are none here that it could mean.
fn warn_of_authorities(service: &Record) {
    let named = service.get("ca_certificates").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if named && service.get("tls_verify") == Some(&Value::Bool(true)) {
        let id = service.get("id").and_then(Value::as_str).unwrap_or_default();
        tracing::warn!(
            service = id,
            "its certificate is verified against this machine's authorities, not against its ca_certificates"
        );
    }
}
