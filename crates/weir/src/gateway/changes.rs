//! From what the store says to what the proxy does: records become entities with types.

use serde_json::Value;
use weir_model::typed::{Acl, Consumer, KeyCredential, Mismatch, Plugin, Route, Service};
use weir_model::{Entity, Record};
use weir_proxy::{Builder, Update};
use weir_store::{Change, Stored};

/// Applies an entity that was there at the start.
pub(super) fn load(builder: &mut Builder, entity: &'static Entity, stored: &Stored) {
    put(builder, update(entity, stored, None));
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
