//! The token endpoint (RFC 6749, 3.2): gives tokens to clients for what they show.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use weir_mint::{Secret, Uuid};
use weir_plugin::{Answer, Ctx, RecordsError, Step};

use super::answer::{self, Failure, Refused};
use super::client::{Claim, Client};
use super::issue::{self, CODES, Grant, Issued, TOKENS, reference_of, text_of};
use super::params::Params;
use super::{Shared, pkce, scope};

/// A request for a token.
pub(super) struct Exchange {
    shared: Arc<Shared>,
    params: Params,
    claim: Claim,
    service: Option<Uuid>,
    from: IpAddr,
}

impl Exchange {
    pub(super) fn new(shared: &Arc<Shared>, ctx: &Ctx<'_>, params: Params) -> Result<Self, Failure> {
        let claim = Claim::read(ctx, &params, shared.config.realm.as_deref())?;
        let (service, from) = (shared.service(ctx), ctx.client.ip);
        Ok(Self { shared: Arc::clone(shared), params, claim, service, from })
    }

    pub(super) async fn run(self) -> Result<Answer, Failure> {
        let Self { shared, params, claim, service, from } = self;
        let client = claim.prove().await;
        // Of many guesses at once, some have failed while this one waited: whom they locked out is not told the rest.
        if let Some(answer) = shared.gate.locked_out_from(from) {
            return Ok(answer);
        }
        let client = client?;
        let asked = Asked { shared: &shared, params: &params, client, service };
        let config = &shared.config;
        let issued = match params.get("grant_type") {
            Some("authorization_code") if config.enable_authorization_code => asked.by_code().await?,
            Some("client_credentials") if config.enable_client_credentials => asked.by_itself().await?,
            Some("password") if config.enable_password_grant => asked.by_password().await?,
            Some("refresh_token") => asked.by_refresh_token().await?,
            _ => return Err(Refused::new("unsupported_grant_type", "Invalid grant_type").into()),
        };
        Ok(answer::own(StatusCode::OK, &issued.to_json()))
    }
}

/// A request for a token of a client that is who it says it is.
struct Asked<'a> {
    shared: &'a Shared,
    params: &'a Params,
    client: Client,
    service: Option<Uuid>,
}

impl Asked<'_> {
    /// Authorization code (RFC 6749, 4.1.3).
    async fn by_code(&self) -> Result<Issued, Failure> {
        let redirect_uri = self.params.get("redirect_uri");
        if redirect_uri.is_some_and(|asked| !self.client.redirect_uris.iter().any(|known| known == asked)) {
            return Err(Refused::new("invalid_request", super::UNKNOWN_REDIRECT_URI).into());
        }
        let invalid = || Refused::new("invalid_request", "Invalid code");
        let Some(code) = self.params.secret("code") else { return Err(invalid().into()) };
        let found = self.shared.env.records.find(CODES, "code", code.expose().to_owned()).await?;
        let Some(record) = found else {
            self.shared.revoke_issued_for(code.expose(), self.client.id).await?;
            return Err(invalid().guess().into());
        };
        let bound = [
            ("credential", Some(self.client.id)),
            ("service", self.service),
            ("plugin", Some(self.shared.env.id)),
        ];
        if bound.iter().any(|(field, to)| reference_of(&record, field) != *to) {
            return Err(invalid().guess().into());
        }
        if text_of(&record, "redirect_uri").is_some_and(|asked| redirect_uri != Some(asked)) {
            let description = "redirect_uri is not the one that the code was asked for with";
            return Err(Refused::new("invalid_grant", description).into());
        }
        let verifier = self.params.secret("code_verifier");
        let required = self.shared.config.pkce.unwrap_or_default();
        pkce::verify(required, &self.client, text_of(&record, "challenge"), verifier)?;
        let Some(id) = text_of(&record, "id").and_then(|id| id.parse().ok()) else {
            return Err(invalid().into());
        };
        let grant = Grant {
            userid: text_of(&record, "authenticated_userid").map(str::to_owned),
            scope: text_of(&record, "scope").map(str::to_owned),
            id: Some(issue::token_of_code(code.expose())),
            ..self.grant()
        };
        match self.shared.issue(grant, Some(Step::Delete { entity: CODES, id })).await {
            // Somebody else was faster: of two who show one code, one is an impostor, and nobody can tell which.
            Err(RecordsError::Gone) => {
                self.shared.revoke_issued_for(code.expose(), self.client.id).await?;
                Err(invalid().guess().into())
            }
            issued => self.stored(issued),
        }
    }

    /// Client credentials (RFC 6749, 4.4).
    async fn by_itself(&self) -> Result<Issued, Failure> {
        if self.client.public {
            let description = "A public client cannot act on its own behalf";
            return Err(Refused::new("unauthorized_client", description).into());
        }
        // In a user's name only with the word of whoever provisions users.
        let userid = self.params.get("authenticated_userid");
        if userid.is_some() {
            self.check_provision_key()?;
        }
        let scope = scope::granted(&self.shared.config, self.params.get("scope"))?;
        let userid = userid.map(str::to_owned);
        let grant = Grant { userid, scope, refreshable: false, ..self.grant() };
        self.stored(self.shared.issue(grant, None).await)
    }

    /// Password (RFC 6749, 4.3): whoever has the provision key has verified the user's.
    async fn by_password(&self) -> Result<Issued, Failure> {
        self.check_provision_key()?;
        let Some(userid) = self.params.get("authenticated_userid") else {
            return Err(super::missing_userid().into());
        };
        let scope = scope::granted(&self.shared.config, self.params.get("scope"))?;
        let grant = Grant { userid: Some(userid.to_owned()), scope, ..self.grant() };
        self.stored(self.shared.issue(grant, None).await)
    }

    /// Refresh (RFC 6749, 6): the old token goes as the new one comes, unless it is to be used again.
    async fn by_refresh_token(&self) -> Result<Issued, Failure> {
        let Some(shown) = self.params.secret("refresh_token") else {
            return Err(Refused::new("invalid_request", "refresh_token is missing").into());
        };
        let invalid = || Failure::from(Refused::new("invalid_grant", "Invalid refresh_token").guess());
        let records = &self.shared.env.records;
        let found = records.find(TOKENS, "refresh_token", shown.expose().to_owned()).await?;
        let record = found.ok_or_else(invalid)?;
        let bound = [("credential", Some(self.client.id)), ("service", self.service)];
        if bound.iter().any(|(field, to)| reference_of(&record, field) != *to) {
            return Err(invalid());
        }
        let id: Uuid = text_of(&record, "id").and_then(|id| id.parse().ok()).ok_or_else(invalid)?;
        let scope = scope::narrowed(text_of(&record, "scope"), self.params.get("scope"))?;
        let outcome = if self.shared.config.reuse_refresh_token {
            self.shared.reissue(id, Secret::clone(shown)).await
        } else {
            let grant = Grant {
                userid: text_of(&record, "authenticated_userid").map(str::to_owned),
                scope,
                id: Some(issue::successor(id)),
                ..self.grant()
            };
            self.shared.issue(grant, Some(Step::Delete { entity: TOKENS, id })).await
        };
        match outcome {
            // Somebody else was faster.
            Err(RecordsError::Gone) => Err(invalid()),
            issued => self.stored(issued),
        }
    }

    fn grant(&self) -> Grant {
        Grant {
            service: self.service,
            client: self.client.id,
            userid: None,
            scope: None,
            refreshable: true,
            id: None,
        }
    }

    fn check_provision_key(&self) -> Result<(), Refused> {
        if self.shared.is_provision_key(self.params) { Ok(()) } else { Err(super::wrong_provision_key()) }
    }

    /// What does not fit any more has lost what it refers to: the client, or the service.
    fn stored(&self, issued: Result<Issued, RecordsError>) -> Result<Issued, Failure> {
        issued.map_err(|error| match error {
            RecordsError::Refused(_) => {
                Refused::new("invalid_client", "The client or the service is not there any more").into()
            }
            error => error.into(),
        })
    }
}
