//! From what is claimed of somebody to who they are here, and what the service is told.

use aws_lc_rs::digest::{Context, SHA256};
use http::StatusCode;
use serde_json::Value;
use weir_mint::Uuid;
use weir_model::typed::Consumer;
use weir_plugin::{Answer, Credential, Ctx, Flow};

use super::claims::{self, Claims};
use super::config::ConsumerBy;
use super::{Inner, NAME};
use crate::auth::Refusal;

impl Inner {
    /// Lets somebody through of whom this is claimed.
    pub(super) fn admit(&self, ctx: &mut Ctx<'_>, claims: &Claims, token: Option<&str>) -> Flow {
        let words = claims::words(claims::at(claims, &self.scopes_claim));
        if !self.scopes_required.is_empty() && !claims::satisfies(&self.scopes_required, &words) {
            let answer = Answer::message(StatusCode::FORBIDDEN, "Forbidden")
                .header("WWW-Authenticate", format!("{}error=\"insufficient_scope\"", self.challenge_list()));
            return self.gate.refuse(ctx, Refusal::Missing(answer));
        }
        let Some(subject) = claims::at(claims, &self.credential_claim).and_then(claims::plain) else {
            return self.forbid(ctx, "there is no credential_claim");
        };
        match self.consumer_of(ctx, claims) {
            Some(consumer) => {
                let credential = Credential { id: credential_id(claims, &subject), consumer: consumer.id };
                ctx.authenticate(consumer, Some(credential));
                ctx.headers.set("X-Credential-Identifier", &subject);
            }
            None if self.consumer_claim.is_empty() || self.consumer_optional => {
                ctx.authenticate_subject(subject)
            }
            None => return self.forbid(ctx, "there is no such consumer"),
        }
        if !self.groups_claim.is_empty() {
            let groups = claims::list(claims::at(claims, &self.groups_claim));
            ctx.groups = Some(groups.into_iter().map(str::to_owned).collect());
        }
        self.tell(ctx, claims, token);
        Flow::Continue
    }

    fn consumer_of<'a>(&self, ctx: &Ctx<'a>, claims: &Claims) -> Option<&'a Consumer> {
        let directory = ctx.directory;
        let name = claims::at(claims, &self.consumer_claim).and_then(claims::plain)?;
        self.consumer_by.iter().find_map(|by| match by {
            ConsumerBy::Username => {
                directory.consumer_named(&name).filter(|consumer| consumer.username.as_deref() == Some(&name))
            }
            ConsumerBy::CustomId => directory.consumer_by_custom_id(&name),
            ConsumerBy::Id => name.parse().ok().and_then(|id: Uuid| directory.consumer(&id)),
        })
    }

    /// Tells the service what it is to know.
    fn tell(&self, ctx: &mut Ctx<'_>, claims: &Claims, token: Option<&str>) {
        for (claim, field) in &self.upstream {
            let text = match claims.get(claim) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(_) | Value::Object(_)) => claims[claim].to_string(),
                Some(value) => match claims::plain(value) {
                    Some(text) => text,
                    None => continue,
                },
            };
            ctx.headers.append(field, text);
        }
        if self.hide {
            ctx.headers.remove("Authorization");
        }
        if let (Some(field), Some(token)) = (&self.upstream_access_token, token) {
            match field.eq_ignore_ascii_case("Authorization") {
                true => ctx.headers.set(field, format!("Bearer {token}")),
                false => ctx.headers.set(field, token),
            }
        }
    }

    /// Somebody who is who they say, and has no business here: no failed attempt at anything.
    fn forbid(&self, ctx: &mut Ctx<'_>, why: &str) -> Flow {
        tracing::debug!(plugin = NAME, id = %self.gate.id(), why, "a token is no good here");
        self.gate.refuse(ctx, Refusal::Missing(Answer::message(StatusCode::FORBIDDEN, "Forbidden")))
    }
}

/// By what limits and logs tell this person from others: always the same for the same issuer and subject (a UUID of
/// version 8, RFC 9562 5.8).
fn credential_id(claims: &Claims, subject: &str) -> Uuid {
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    let mut digest = Context::new(&SHA256);
    digest.update(&(issuer.len() as u64).to_le_bytes());
    digest.update(issuer.as_bytes());
    digest.update(subject.as_bytes());
    let digest = digest.finish();
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_ref()[..16]);
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    Uuid::from_bytes(id)
}
