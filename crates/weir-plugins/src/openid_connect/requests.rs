//! What is asked of the provider's endpoints (RFC 6749, 7009, 7636, 7662; RP-Initiated Logout 1.0).
//!
//! The requests and the reading of answers are the crate `oauth2`'s; the transport is ours, and so is every random value.
//! `openidconnect`, which builds on it, was left: it verifies ID tokens by a second set of cryptography, with an
//! RSA that is known to leak its timing (RUSTSEC-2023-0071).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth2::basic::{
    BasicClient, BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointNotSet, EndpointSet, ErrorResponse, ExtraTokenFields, HttpRequest,
    IntrospectionUrl, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
    RevocationUrl, Scope, StandardRevocableToken, StandardTokenIntrospectionResponse, StandardTokenResponse,
    TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_mint::Secret;

use super::claims::{Claims, words};
use super::provider::{Failure, Known};
use crate::fetch::{Fetch, FetchError};

/// Who we are to the provider.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
    pub(super) auth: Auth,
    pub(super) redirect: Option<RedirectUrl>,
    pub(super) scopes: Vec<String>,
    /// Whether the provider is to answer by a form that the browser posts.
    pub(super) form_post: bool,
    pub(super) fetch: Fetch,
}

/// How we prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Auth {
    ClientSecretBasic,
    ClientSecretPost,
    None,
}

/// What the provider gave.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    pub(super) id: Option<String>,
    pub(super) life: Option<Duration>,
    pub(super) scopes: Option<Vec<String>>,
}

/// Why it gave nothing.
pub(super) enum Refused {
    /// The code or the refresh token is no good (any more).
    Grant,
    Failure(Failure),
}

/// What makes a login one of its own, drawn for it alone.
pub(super) struct Draws<'a> {
    pub(super) state: &'a str,
    pub(super) nonce: &'a str,
    pub(super) verifier: &'a str,
}

/// The field that OpenID Connect adds to the answer (Core, 3.1.3.3).
#[derive(Serialize, Deserialize)]
struct WithIdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl fmt::Debug for WithIdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WithIdToken(..)")
    }
}

impl ExtraTokenFields for WithIdToken {}

/// Whatever else an introspection says.
#[derive(Serialize, Deserialize)]
struct Others(Claims);

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Others(..)")
    }
}

impl ExtraTokenFields for Others {}

type TokenAnswer = StandardTokenResponse<WithIdToken, BasicTokenType>;
type TokenClient<HasTokenUrl = EndpointNotSet> = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    HasTokenUrl,
>;
type Introspection = StandardTokenIntrospectionResponse<Others, BasicTokenType>;
type IntrospectionClient = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<EmptyExtraTokenFields, BasicTokenType>,
    Introspection,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

impl Client {
    /// Where a browser goes to log in.
    pub(super) fn login_url(&self, known: &Known, draws: &Draws<'_>) -> Result<String, Failure> {
        let url = endpoint(known.metadata.authorization_endpoint.as_ref(), "authorization_endpoint")?;
        let url = AuthUrl::new(url).map_err(|_| Failure::Endpoint("authorization_endpoint"))?;
        let client = BasicClient::new(ClientId::new(self.id.clone())).set_auth_uri(url);
        let verifier = PkceCodeVerifier::new(draws.verifier.to_owned());
        let mut request = client
            .authorize_url(|| CsrfToken::new(draws.state.to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_extra_param("nonce", draws.nonce)
            .add_scopes(self.scopes.iter().cloned().map(Scope::new));
        if let Some(redirect) = &self.redirect {
            request = request.set_redirect_uri(Cow::Borrowed(redirect));
        }
        if self.form_post {
            request = request.add_extra_param("response_mode", "form_post");
        }
        Ok(request.url().0.into())
    }

    /// Where a browser goes to log out, if the provider has such a place.
    pub(super) fn logout_url(
        &self,
        known: &Known,
        id_token: Option<&str>,
        back: Option<&str>,
    ) -> Option<String> {
        let mut url: oauth2::url::Url = known.metadata.end_session_endpoint.as_ref()?.parse().ok()?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("client_id", &self.id);
            if let Some(id_token) = id_token {
                query.append_pair("id_token_hint", id_token);
            }
            if let Some(back) = back {
                query.append_pair("post_logout_redirect_uri", back);
            }
        }
        Some(url.into())
    }

    /// Turns a code into tokens.
    pub(super) async fn exchange(
        &self,
        known: &Known,
        code: &str,
        verifier: &str,
    ) -> Result<Tokens, Refused> {
        let client = self.token_client(known)?;
        let mut request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        if let Some(redirect) = &self.redirect {
            request = request.set_redirect_uri(Cow::Borrowed(redirect));
        }
        tokens(request.request_async(&|request: HttpRequest| self.send(request)).await)
    }

    /// Turns a refresh token into new tokens.
    pub(super) async fn refresh(&self, known: &Known, token: &str) -> Result<Tokens, Refused> {
        let client = self.token_client(known)?;
        let token = RefreshToken::new(token.to_owned());
        let request = client.exchange_refresh_token(&token);
        tokens(request.request_async(&|request: HttpRequest| self.send(request)).await)
    }

    /// Asks what a token is worth.
    pub(super) async fn introspect(&self, known: &Known, token: &str) -> Result<Claims, Failure> {
        let url = endpoint(known.metadata.introspection_endpoint.as_ref(), "introspection_endpoint")?;
        let url = IntrospectionUrl::new(url).map_err(|_| Failure::Endpoint("introspection_endpoint"))?;
        let mut client = IntrospectionClient::new(ClientId::new(self.id.clone()))
            .set_auth_type(self.auth_type())
            .set_introspection_url(url);
        if let Some(secret) = self.secret() {
            client = client.set_client_secret(secret);
        }
        let token = AccessToken::new(token.to_owned());
        let request = client.introspect(&token).set_token_type_hint("access_token");
        let answer = request.request_async(&|request: HttpRequest| self.send(request)).await;
        match serde_json::to_value(answer.map_err(|error| failure("introspection", error))?) {
            // What the provider did not say is null in there.
            Ok(Value::Object(claims)) => {
                Ok(claims.into_iter().filter(|(_, value)| !value.is_null()).collect())
            }
            _ => Err(Failure::Answer("introspection".to_owned())),
        }
    }

    /// Tells the provider that a token is not needed any more. Nothing happens where it has no place for that.
    pub(super) async fn revoke(&self, known: &Known, token: StandardRevocableToken) -> Result<(), Failure> {
        let Some(url) = &known.metadata.revocation_endpoint else { return Ok(()) };
        // The standard, and the crate, know https alone (RFC 7009, 2).
        let url = RevocationUrl::new(url.clone()).map_err(|_| Failure::Endpoint("revocation_endpoint"))?;
        let mut client = BasicClient::new(ClientId::new(self.id.clone()))
            .set_auth_type(self.auth_type())
            .set_revocation_url(url);
        if let Some(secret) = self.secret() {
            client = client.set_client_secret(secret);
        }
        let Ok(request) = client.revoke_token(token) else { return Ok(()) };
        let answer = request.request_async(&|request: HttpRequest| self.send(request)).await;
        answer.map_err(|error| failure("revocation", error))
    }

    fn token_client(&self, known: &Known) -> Result<TokenClient<EndpointSet>, Refused> {
        let wrong = |_| Refused::Failure(Failure::Endpoint("token_endpoint"));
        let url =
            endpoint(known.metadata.token_endpoint.as_ref(), "token_endpoint").map_err(Refused::Failure)?;
        let client = <TokenClient>::new(ClientId::new(self.id.clone()))
            .set_auth_type(self.auth_type())
            .set_token_uri(TokenUrl::new(url).map_err(wrong)?);
        Ok(match self.secret() {
            Some(secret) => client.set_client_secret(secret),
            None => client,
        })
    }

    fn auth_type(&self) -> AuthType {
        match self.auth {
            Auth::ClientSecretBasic => AuthType::BasicAuth,
            Auth::ClientSecretPost | Auth::None => AuthType::RequestBody,
        }
    }

    fn secret(&self) -> Option<ClientSecret> {
        let secret = self.secret.as_ref().filter(|_| self.auth != Auth::None)?;
        Some(ClientSecret::new(secret.expose().to_owned()))
    }

    async fn send(&self, request: HttpRequest) -> Result<oauth2::HttpResponse, FetchError> {
        self.fetch.send(request).await
    }
}

fn endpoint(url: Option<&String>, name: &'static str) -> Result<String, Failure> {
    url.cloned().ok_or(Failure::Lacks(name))
}

fn tokens(
    answer: Result<TokenAnswer, RequestTokenError<FetchError, BasicErrorResponse>>,
) -> Result<Tokens, Refused> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(RequestTokenError::ServerResponse(error)) if error.error().as_ref() == "invalid_grant" => {
            return Err(Refused::Grant);
        }
        Err(error) => return Err(Refused::Failure(failure("token", error))),
    };
    if *answer.token_type() != BasicTokenType::Bearer {
        return Err(Refused::Failure(Failure::Answer("the token is no bearer token".to_owned())));
    }
    Ok(Tokens {
        access: answer.access_token().secret().clone(),
        refresh: answer.refresh_token().map(|token| token.secret().clone()),
        id: answer.extra_fields().id_token.clone(),
        life: answer.expires_in(),
        scopes: answer.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
    })
}

/// What went wrong, without what the provider sent: tokens may be in it.
fn failure<T: ErrorResponse + 'static>(
    what: &'static str,
    error: RequestTokenError<FetchError, T>,
) -> Failure {
    match error {
        RequestTokenError::Request(why) => Failure::Fetch { what, why: Arc::new(why) },
        RequestTokenError::Parse(error, _) => Failure::Answer(format!("{what}, at {}", error.path())),
        // The error's own text is the provider's.
        RequestTokenError::ServerResponse(error) => {
            Failure::Answer(format!("{what}: {}", shorten(&error.to_string())))
        }
        RequestTokenError::Other(why) => Failure::Answer(format!("{what}: {}", shorten(&why))),
    }
}

/// The beginning of a text of somebody else's, fit for a log.
fn shorten(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(200).collect()
}

/// The scopes that a session has: those that were given, else those that were asked for (RFC 6749, 5.1).
pub(super) fn granted(tokens: &Tokens, asked: &[String]) -> String {
    match &tokens.scopes {
        Some(scopes) => scopes.join(" "),
        None => words(Some(&Value::from(asked.to_vec()))).join(" "),
    }
}
