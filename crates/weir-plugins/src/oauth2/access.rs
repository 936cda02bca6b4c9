//! Access tokens of requests (RFC 6750): found, looked up in memory, checked, hidden.

use bytes::Bytes;
use http::StatusCode;
use weir_mint::Secret;
use weir_plugin::{Credential, Ctx};

use super::answer::{Refused, challenge};
use super::params;
use super::{FORM, Shared};
use crate::auth::Refusal;
use crate::query;

const PARAMETER: &str = "access_token";
const SCOPE: &str = "X-Authenticated-Scope";
const USER: &str = "X-Authenticated-UserId";
const IDENTIFIER: &str = "X-Credential-Identifier";

/// What an access token that is not good is answered, whatever is wrong with it.
const NOT_GOOD: &str = "The access token is invalid or has expired";

impl Shared {
    /// Takes away what a client says that only this plugin may say.
    pub(super) fn disown(ctx: &mut Ctx<'_>) {
        ctx.headers.remove(SCOPE);
        ctx.headers.remove(USER);
    }

    /// Finds out by its access token who a request is from.
    pub(super) fn authenticate(&self, ctx: &mut Ctx<'_>) -> Result<(), Refusal> {
        let token = self.find(ctx)?;
        // A token that nobody has is hidden as well: it may be another service's.
        if self.config.hide_credentials {
            self.hide(ctx);
        }
        self.check(ctx, &token)
    }

    /// The one access token that a request shows (RFC 6750, 2).
    fn find(&self, ctx: &Ctx<'_>) -> Result<Secret, Refusal> {
        let mut found: Option<Secret> = None;
        let mut several = false;
        let mut add = |token: Secret| several |= found.replace(token).is_some();
        params::values(ctx.query().unwrap_or_default(), PARAMETER).for_each(&mut add);
        if is_form(ctx)
            && let Some(form) = ctx.body.as_deref().and_then(|body| std::str::from_utf8(body).ok())
        {
            params::values(form, PARAMETER).for_each(&mut add);
        }
        if let Some(name) = &self.config.auth_header_name {
            let fields = ctx.headers.get_all(name).filter_map(params::bearer);
            fields.map(|token| Secret::new(token.to_owned())).for_each(&mut add);
        }
        if several {
            let refused =
                self.refused("invalid_request", "More than one access token").status(StatusCode::BAD_REQUEST);
            return Err(Refusal::Wrong(refused.answer()));
        }
        found.ok_or_else(|| {
            let refused = Refused::new("invalid_request", "The access token is missing");
            let challenge = challenge("Bearer", self.config.realm.as_deref(), &[]);
            Refusal::Missing(refused.status(StatusCode::UNAUTHORIZED).challenge(challenge).answer())
        })
    }

    fn check(&self, ctx: &mut Ctx<'_>, token: &Secret) -> Result<(), Refusal> {
        let wrong = || Refusal::Wrong(self.refused("invalid_token", NOT_GOOD).answer());
        let directory = ctx.directory;
        let token = directory.oauth2_token(token.expose()).ok_or_else(wrong)?;
        // A clock that was set back makes a token last longer, and never shorter.
        let now = i64::try_from(ctx.started_ms / 1000).unwrap_or(i64::MAX);
        let expired = token.expires_in > 0 && now.saturating_sub(token.created_at) > token.expires_in;
        let here = token.service == ctx.service.map(|service| service.id);
        let elsewhere = match token.service {
            None => !self.config.global_credentials,
            Some(_) => !here,
        };
        if expired || elsewhere {
            return Err(wrong());
        }
        // Without its client or consumer a token can only be seen while all are being deleted.
        let client = directory.oauth2_client_by_id(&token.credential).ok_or_else(wrong)?;
        let consumer = directory.consumer(&client.consumer).ok_or_else(wrong)?;
        ctx.authenticate(consumer, Some(Credential { id: client.id, consumer: consumer.id }));
        ctx.headers.set(IDENTIFIER, &*client.client_id);
        if let Some(scope) = &token.scope {
            ctx.headers.append(SCOPE, &**scope);
        }
        if let Some(userid) = &token.authenticated_userid {
            ctx.headers.append(USER, &**userid);
        }
        Ok(())
    }

    /// Takes the access token out of what goes on to the service.
    fn hide(&self, ctx: &mut Ctx<'_>) {
        if let Some(name) = &self.config.auth_header_name
            && ctx.headers.get_all(name).any(|field| params::bearer(field).is_some())
        {
            ctx.headers.remove(name);
        }
        if let Some((path, query)) = ctx.upstream_target.split_once('?')
            && query::contains(query, PARAMETER)
        {
            let rest = query::without(query, PARAMETER);
            ctx.upstream_target = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
        }
        if is_form(ctx)
            && let Some(form) = ctx.body.as_deref().and_then(|body| std::str::from_utf8(body).ok())
            && query::contains(form, PARAMETER)
        {
            ctx.body = Some(Bytes::from(query::without(form, PARAMETER)));
        }
    }

    fn refused(&self, error: &'static str, description: &'static str) -> Refused {
        let attributes = [("error", error), ("error_description", description)];
        let challenge = challenge("Bearer", self.config.realm.as_deref(), &attributes);
        Refused::new(error, description).status(StatusCode::UNAUTHORIZED).challenge(challenge)
    }
}

/// Whether the body is one that may hold an access token (RFC 6750, 2.2).
pub(super) fn is_form(ctx: &Ctx<'_>) -> bool {
    ctx.headers.get_str("Content-Type").is_some_and(|kind| params::media_type(kind) == FORM)
}
