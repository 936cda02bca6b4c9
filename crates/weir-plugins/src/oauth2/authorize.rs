//! The authorization endpoint (RFC 6749, 3.1).
//!
//! It is not the browser that asks, as the gateway knows no users: the operator's page, which has authenticated the user and
//! asked for consent, asks with the provision key and in the user's name, and is told where to send the browser.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use weir_mint::Uuid;
use weir_model::Record;
use weir_plugin::{Answer, Ctx};

use super::answer::{self, Failure, Refused};
use super::client::Client;
use super::issue::{Grant, reference};
use super::params::Params;
use super::{Shared, pkce, scope};

/// What is asked for.
enum Wanted {
    Code { challenge: Option<String> },
    Token,
}

/// A request for a code or a token.
pub(super) struct Authorization {
    shared: Arc<Shared>,
    params: Params,
    client: Client,
    userid: String,
    /// Where the answer goes.
    redirect_uri: String,
    service: Option<Uuid>,
}

impl Authorization {
    pub(super) fn new(shared: &Arc<Shared>, ctx: &Ctx<'_>, params: Params) -> Result<Self, Failure> {
        if !shared.is_provision_key(&params) {
            return Err(super::wrong_provision_key().into());
        }
        let userid = params.get("authenticated_userid").ok_or_else(super::missing_userid)?.to_owned();
        let client = params.get("client_id").and_then(|id| ctx.directory.oauth2_client(id)).cloned();
        let invalid = || Refused::new("invalid_client", "Invalid client authentication");
        let client = client.ok_or_else(invalid)?;
        // What goes wrong is told to the client at its own address, whatever address the request names.
        let asked = params.get("redirect_uri");
        let known = client.redirect_uris.iter().find(|known| asked.is_none_or(|asked| asked == **known));
        let Some(redirect_uri) = known.or(client.redirect_uris.first()).cloned() else {
            return Err(Refused::new("invalid_request", "The client has no redirect_uri").into());
        };
        let service = shared.service(ctx);
        Ok(Self { shared: Arc::clone(shared), params, client, userid, redirect_uri, service })
    }

    pub(super) async fn run(self) -> Result<Answer, Failure> {
        match self.grant().await {
            Ok(told) => Ok(self.redirect(StatusCode::OK, told)),
            Err(Failure::Refused(refused)) => {
                let told =
                    vec![("error", refused.error.to_owned()), ("error_description", refused.description)];
                Ok(self.redirect(StatusCode::BAD_REQUEST, told))
            }
            Err(failure) => Err(failure),
        }
    }

    /// What the client is told if all is well.
    async fn grant(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let wanted = self.check()?;
        let scope = scope::granted(&self.shared.config, self.params.get("scope"))?;
        let challenge = match wanted {
            Wanted::Code { challenge } => challenge,
            Wanted::Token => {
                let grant = Grant {
                    service: self.service,
                    client: self.client.id,
                    userid: Some(self.userid.clone()),
                    scope,
                    // RFC 6749, 4.2.2: none is issued.
                    refreshable: false,
                    id: None,
                };
                let issued = self.shared.issue(grant, None).await?;
                let mut told = vec![
                    ("access_token", issued.access_token.expose().to_owned()),
                    ("token_type", "bearer".to_owned()),
                ];
                if issued.expires_in > 0 {
                    told.push(("expires_in", issued.expires_in.to_string()));
                }
                return Ok(told);
            }
        };
        let method = challenge.is_some().then_some("S256");
        let fields = Record::from_iter(
            [
                ("service", reference(self.service)),
                ("credential", reference(Some(self.client.id))),
                ("authenticated_userid", json!(self.userid)),
                ("scope", json!(scope)),
                ("challenge", json!(challenge)),
                ("challenge_method", json!(method)),
                // The exchange must name it again if it was named (RFC 6749, 4.1.3).
                ("redirect_uri", json!(self.params.get("redirect_uri"))),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let code = self.shared.issue_code(fields).await?;
        Ok(vec![("code", code.expose().to_owned())])
    }

    fn check(&self) -> Result<Wanted, Refused> {
        if self.params.get("redirect_uri").is_some_and(|asked| asked != self.redirect_uri) {
            return Err(Refused::new("invalid_request", super::UNKNOWN_REDIRECT_URI));
        }
        let config = &self.shared.config;
        match self.params.get("response_type") {
            Some("code") if config.enable_authorization_code => {
                let required = config.pkce.unwrap_or_default();
                let challenge = pkce::challenge(required, &self.client, &self.params)?;
                Ok(Wanted::Code { challenge: challenge.map(str::to_owned) })
            }
            Some("token") if config.enable_implicit_grant => Ok(Wanted::Token),
            _ => Err(Refused::new("unsupported_response_type", "Invalid response_type")),
        }
    }

    /// The address to send the browser to (RFC 6749, 4.1.2, 4.2.2).
    fn redirect(&self, status: StatusCode, mut told: Vec<(&'static str, String)>) -> Answer {
        if let Some(state) = self.params.get("state") {
            told.push(("state", state.to_owned()));
        }
        told.sort();
        let pairs: Vec<String> =
            told.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let implicit =
            self.shared.config.enable_implicit_grant && self.params.get("response_type") == Some("token");
        let separator = match implicit {
            true => '#',
            false if self.redirect_uri.contains('?') => '&',
            false => '?',
        };
        let address = format!("{}{separator}{}", self.redirect_uri, pairs.join("&"));
        answer::own(status, &json!({"redirect_uri": address}))
    }
}

/// Percent-encodes all but unreserved characters (RFC 3986, 2.3), in lower case as nginx does.
fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(HEX[usize::from(nibble)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_does_not_end_its_parameter() {
        assert_eq!(escape("s 1,\"&#=ü"), "s%201%2c%22%26%23%3d%c3%bc");
        assert_eq!(escape("aZ09-._~"), "aZ09-._~");
    }
}
