//! `openid-connect`: finds out by an OpenID Connect provider who sends a request.
//!
//! Phase: access. Fails closed: a token or session that is not good is answered 401, and 503 while the provider cannot be
//! asked about it. It waits for the provider no longer than `timeout`. Ways in, each if `auth_methods` names it:
//!
//! - `bearer`: a JSON Web Token in `Authorization`, verified by the provider's published keys ([`claims`], [`provider`]);
//! - `introspection`: any other token there, as the provider says of it ([`requests`]);
//! - `session`: an encrypted cookie ([`session`], [`seal`]), renewed by a refresh token if `refresh_token` is named too;
//! - `authorization_code`: a login at the provider that ends in a session ([`login`]).
//!
//! ```yaml
//! plugins:
//! - name: openid-connect
//!   config: {issuer: "https://idp.example.com", client_id: gateway, client_secret: "…",
//!            auth_methods: [authorization_code, session, refresh_token, bearer],
//!            redirect_uri: "https://api.example.com/callback", audience_required: [api]}
//! ```
//!
//! Absent on purpose: the implicit and hybrid flows and the password grant (RFC 9700, 2.1.2 and 2.4), HMAC signatures,
//! encrypted tokens, the user info endpoint.

mod admit;
mod claims;
mod config;
mod login;
mod provider;
mod requests;
mod seal;
mod session;
mod token;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use weir_kernel::clock;
use weir_model::PluginSchema;
use weir_plugin::{Answer, BuildError, Ctx, Env, Flow, Kind, Phases, Plugin, Resume};

use self::claims::{Claims, Expected, Rejected, Signed};
use self::config::ConsumerBy;
use self::login::Callback;
use self::provider::{Failure, Known, Provider};
use self::requests::Client;
use self::seal::Jar;
use self::session::{Session, Sessions, Shown};
use self::token::{bearer, is_jws, is_token};
use crate::auth::{Attempts, Gate, Refusal};
use crate::recent::Recent;

const NAME: &str = "openid-connect";
/// Answers of the provider are no longer.
const MAX_ANSWER: usize = 1 << 20;

struct Instance(Arc<Inner>);

/// A configured instance, as it is shared by requests that wait.
struct Inner {
    gate: Gate,
    provider: Arc<Provider>,
    client: Client,
    expected: Expected,
    sessions: Sessions,
    /// Where cookies of logins are kept: they have to come along when the provider posts a form.
    login_jar: Jar,
    methods: Methods,
    /// Tokens that were found good.
    accepted: Recent<Arc<Claims>>,
    life: Duration,
    timeout: Duration,
    challenge: String,
    redirect_path: Option<String>,
    origin: String,
    login_redirect: Option<String>,
    login_upstream: bool,
    logout_path: Option<String>,
    logout_methods: Vec<String>,
    logout_redirect: Option<String>,
    logout_revoke: bool,
    scopes_required: Vec<String>,
    scopes_claim: Vec<String>,
    consumer_claim: Vec<String>,
    consumer_by: Vec<ConsumerBy>,
    consumer_optional: bool,
    credential_claim: Vec<String>,
    groups_claim: Vec<String>,
    /// Claims that the service is told, each under a field's name.
    upstream: Vec<(String, String)>,
    upstream_access_token: Option<String>,
    hide: bool,
    has_anonymous: bool,
}

/// The ways in.
#[derive(Clone, Copy, Default)]
struct Methods {
    bearer: bool,
    introspection: bool,
    code: bool,
    session: bool,
    refresh: bool,
}

/// Why a request gets no further.
#[derive(Debug)]
enum Trouble {
    /// What it shows is no good.
    Rejected(Rejected),
    /// The provider cannot be asked.
    Failure(Failure),
    /// The kernel's generator is not ready.
    NotReady,
}

impl From<Rejected> for Trouble {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What a request shows.
enum Attempt {
    Callback(Callback),
    Logout,
    Bearer(String),
    /// A bearer token that is none, or two of them.
    Malformed,
    Session,
}

impl Plugin for Instance {
    fn phases(&self) -> Phases {
        Phases { access: true, body: self.0.client.form_post, ..Phases::default() }
    }

    fn access(&self, ctx: &mut Ctx<'_>) -> Flow {
        let inner = &self.0;
        // Only we may tell the service what these fields say.
        for (_, field) in &inner.upstream {
            ctx.headers.remove(field);
        }
        let flow = match inner.gate.before(ctx) {
            Some(flow) => flow,
            None => inner.look(ctx),
        };
        seal::hide(ctx, &inner.sessions.name);
        flow
    }
}

impl Inner {
    fn look(self: &Arc<Self>, ctx: &mut Ctx<'_>) -> Flow {
        let now = now();
        match self.attempt(ctx) {
            Attempt::Malformed => self.refuse(ctx, Rejected::Form.into()),
            Attempt::Bearer(token) => self.bearer(ctx, token),
            Attempt::Logout => self.logout(ctx, now),
            Attempt::Callback(callback) => match self.finishing(ctx, callback, now) {
                // An old tab, or a click on Back: no attempt at anything.
                Err(rejected) => {
                    tracing::debug!(plugin = NAME, id = %self.gate.id(), %rejected, "a login is not finished");
                    self.gate.refuse(ctx, Refusal::Missing(self.unauthorized(None)))
                }
                Ok(finishing) => {
                    let inner = Arc::clone(self);
                    self.wait(
                        async move {
                            let session = inner.finish(&finishing, now).await?;
                            Ok((session, finishing))
                        },
                        |inner, ctx, (session, finishing)| inner.let_in(ctx, session, &finishing),
                    )
                }
            },
            Attempt::Session if self.methods.session => self.session(ctx, now),
            Attempt::Session => self.missing(ctx, 0, now),
        }
    }

    fn attempt(&self, ctx: &Ctx<'_>) -> Attempt {
        if self.methods.code
            && let Some(callback) = self.callback(ctx)
        {
            return Attempt::Callback(callback);
        }
        if self.is_logout(ctx) {
            return Attempt::Logout;
        }
        if !self.methods.bearer && !self.methods.introspection {
            return Attempt::Session;
        }
        let mut fields = ctx.headers.get_all("Authorization");
        let Some(token) = fields.next().and_then(bearer) else { return Attempt::Session };
        match std::str::from_utf8(token) {
            Ok(token) if fields.next().is_none() && is_token(token) => Attempt::Bearer(token.to_owned()),
            _ => Attempt::Malformed,
        }
    }

    /// Somebody with a token.
    fn bearer(self: &Arc<Self>, ctx: &mut Ctx<'_>, token: String) -> Flow {
        let known = self.accepted.key(&[token.as_bytes()]).and_then(|key| self.accepted.get(&key));
        if let Some(claims) = known {
            return self.admit(ctx, &claims, Some(&token));
        }
        // Mostly the keys are at hand, and nobody has to be asked.
        if self.methods.bearer
            && is_jws(&token)
            && let Some(known) = self.provider.at_hand()
        {
            match self.judge(&token, &known) {
                Ok(claims) => return self.admit(ctx, &claims, Some(&token)),
                Err(Rejected::UnknownKey) => {}
                Err(rejected) => return self.refuse(ctx, rejected.into()),
            }
        }
        let inner = Arc::clone(self);
        self.wait(
            async move {
                let claims = inner.ask(&token).await?;
                Ok((claims, token))
            },
            |inner, ctx, (claims, token)| inner.admit(ctx, &claims, Some(&token)),
        )
    }

    /// What a token is worth, by the keys that are there.
    fn judge(&self, token: &str, known: &Known) -> Result<Arc<Claims>, Rejected> {
        let signed = claims::verify(token, known, &self.expected)?;
        signed.check_is_access()?;
        self.expected.check_access(&signed.claims, clock::unix_seconds_f64())?;
        Ok(self.remember(token, signed.claims))
    }

    /// What a token is worth, by whatever the provider has to be asked.
    async fn ask(self: &Arc<Self>, token: &str) -> Result<Arc<Claims>, Trouble> {
        let known = self.provider.get().await?;
        if self.methods.bearer && is_jws(token) {
            return match self.judge(token, &known) {
                Err(Rejected::UnknownKey) => {
                    Ok(self.judge(token, &*self.provider.read_again(&known).await?)?)
                }
                other => Ok(other?),
            };
        }
        if !self.methods.introspection {
            return Err(Rejected::Form.into());
        }
        let claims = self.client.introspect(&known, token).await?;
        self.expected.check_introspected(&claims, clock::unix_seconds_f64())?;
        Ok(self.remember(token, claims))
    }

    fn remember(&self, token: &str, claims: Claims) -> Arc<Claims> {
        let claims = Arc::new(claims);
        let left =
            claims.get("exp").and_then(Value::as_f64).map(|expires| expires - clock::unix_seconds_f64());
        let left = left.map_or(self.life, |left| Duration::try_from_secs_f64(left).unwrap_or_default());
        if let Some(key) = self.accepted.key(&[token.as_bytes()]) {
            self.accepted.put(key, Arc::clone(&claims), self.life.min(left));
        }
        claims
    }

    /// An ID token, verified.
    async fn verify_id(
        self: &Arc<Self>,
        token: &str,
        nonce: Option<&str>,
        known: &Arc<Known>,
    ) -> Result<Signed, Trouble> {
        let signed = match claims::verify(token, known, &self.expected) {
            Err(Rejected::UnknownKey) => {
                claims::verify(token, &*self.provider.read_again(known).await?, &self.expected)?
            }
            other => other?,
        };
        self.expected.check_id(&signed, nonce, clock::unix_seconds_f64())?;
        Ok(signed)
    }

    /// Somebody with a session, or with nothing.
    fn session(self: &Arc<Self>, ctx: &mut Ctx<'_>, now: u64) -> Flow {
        match self.sessions.read(&ctx.headers, now) {
            Shown::None(pieces) => self.missing(ctx, pieces, now),
            Shown::Good(session, pieces) => self.enter(ctx, session, pieces, now),
            Shown::Renewable(session, pieces) => {
                let inner = Arc::clone(self);
                let renewing = async move {
                    let renewed = tokio::time::timeout(inner.timeout, inner.renew(&session, now)).await;
                    let renewed = renewed.unwrap_or(Err(Failure::Slow.into()));
                    Box::new(move |ctx: &mut Ctx<'_>| inner.renewed(ctx, *session, renewed, pieces, now))
                        as Resume
                };
                Flow::Wait(Box::pin(renewing))
            }
        }
    }

    fn renewed(
        self: &Arc<Self>,
        ctx: &mut Ctx<'_>,
        old: Session,
        renewed: Result<Arc<Session>, Trouble>,
        pieces: usize,
        now: u64,
    ) -> Flow {
        match renewed {
            Ok(session) => {
                for field in self.sessions.write(&session, pieces).unwrap_or_default() {
                    ctx.response.append("Set-Cookie", field);
                }
                self.admit(ctx, &session.claims, session.access.as_deref())
            }
            // It was to be renewed a little early, and is still good.
            Err(Trouble::Failure(_)) if old.expires > now => self.enter(ctx, Box::new(old), pieces, now),
            Err(Trouble::Rejected(rejected)) => {
                tracing::debug!(plugin = NAME, %rejected, "a session cannot be renewed");
                self.missing(ctx, pieces, now)
            }
            Err(trouble) => self.refuse(ctx, trouble),
        }
    }

    fn enter(&self, ctx: &mut Ctx<'_>, session: Box<Session>, pieces: usize, now: u64) -> Flow {
        let flow = self.admit(ctx, &session.claims, session.access.as_deref());
        self.sessions.touch(ctx, session, pieces, now);
        flow
    }

    /// Somebody who shows nothing, or nothing that is good any more: sent to the provider if that is possible.
    fn missing(self: &Arc<Self>, ctx: &mut Ctx<'_>, pieces: usize, now: u64) -> Flow {
        if !self.methods.code || self.has_anonymous || !Self::is_navigation(ctx) {
            return self.gate.refuse(ctx, Refusal::Missing(self.unauthorized(None)));
        }
        if let Some(known) = self.provider.at_hand() {
            return self.send(ctx, &known, pieces, now);
        }
        let inner = Arc::clone(self);
        self.wait(async move { Ok(inner.provider.get().await?) }, move |inner, ctx, known| {
            inner.send(ctx, &known, pieces, now)
        })
    }

    fn send(&self, ctx: &mut Ctx<'_>, known: &Known, pieces: usize, now: u64) -> Flow {
        match self.send_to_login(ctx, known, pieces, now) {
            Ok(flow) => flow,
            Err(trouble) => self.refuse(ctx, trouble),
        }
    }

    fn logout(self: &Arc<Self>, ctx: &mut Ctx<'_>, now: u64) -> Flow {
        let (session, pieces) = match self.sessions.read(&ctx.headers, now) {
            Shown::Good(session, pieces) | Shown::Renewable(session, pieces) => (Some(session), pieces),
            Shown::None(pieces) => (None, pieces),
        };
        if let Some(session) = &session {
            self.sessions.end(session);
        }
        let inner = Arc::clone(self);
        self.wait(async move {
            // The session is over here, whatever becomes of the tokens.
            let leaving = async {
                if let Some(session) = session.as_deref().filter(|_| inner.logout_revoke) {
                    inner.revoke(session).await?;
                }
                Ok::<_, Trouble>(inner.provider.get().await?)
            };
            let known = match tokio::time::timeout(inner.timeout / 2, leaving).await {
                Ok(Ok(known)) => Some(known),
                Ok(Err(trouble)) => {
                    tracing::warn!(plugin = NAME, id = %inner.gate.id(), ?trouble, "cannot tell the identity provider of a logout");
                    inner.provider.at_hand()
                }
                Err(_) => inner.provider.at_hand(),
            };
            Ok((known, session))
        }, move |inner, _, (known, session)| inner.log_out(known.as_deref(), session.as_deref(), pieces))
    }

    /// Waits for something, for so long, and goes on with it.
    fn wait<T: 'static>(
        self: &Arc<Self>,
        what: impl Future<Output = Result<T, Trouble>> + 'static,
        then: impl FnOnce(&Self, &mut Ctx<'_>, T) -> Flow + 'static,
    ) -> Flow {
        let inner = Arc::clone(self);
        Flow::Wait(Box::pin(async move {
            let result = tokio::time::timeout(inner.timeout, what).await.unwrap_or(Err(Failure::Slow.into()));
            Box::new(move |ctx: &mut Ctx<'_>| match result {
                Ok(value) => then(&inner, ctx, value),
                Err(trouble) => inner.refuse(ctx, trouble),
            }) as Resume
        }))
    }

    fn refuse(&self, ctx: &mut Ctx<'_>, trouble: Trouble) -> Flow {
        let request_id = ctx.id;
        let request_id = request_id.as_str();
        let refusal = match trouble {
            Trouble::Rejected(rejected) => {
                tracing::debug!(plugin = NAME, id = %self.gate.id(), request_id, %rejected, "a token is refused");
                Refusal::Wrong(self.unauthorized(Some("invalid_token")))
            }
            Trouble::Failure(error) => {
                tracing::error!(plugin = NAME, id = %self.gate.id(), request_id, %error, "cannot ask the identity provider");
                Refusal::Unknown(unavailable())
            }
            Trouble::NotReady => Refusal::Unknown(
                Answer::message(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The kernel's random number generator is not ready",
                )
                .header("Retry-After", "5"),
            ),
        };
        self.gate.refuse(ctx, refusal)
    }

    fn unauthorized(&self, error: Option<&str>) -> Answer {
        let challenge = match error {
            Some(error) => format!("{}error=\"{error}\"", self.challenge_list()),
            None => self.challenge.clone(),
        };
        Answer::message(StatusCode::UNAUTHORIZED, "Unauthorized").header("WWW-Authenticate", challenge)
    }

    /// The challenge, with room for another parameter (RFC 6750, 3).
    fn challenge_list(&self) -> String {
        if self.challenge.contains(' ') {
            format!("{}, ", self.challenge)
        } else {
            format!("{} ", self.challenge)
        }
    }
}

/// What clients hear while the provider cannot be asked.
fn unavailable() -> Answer {
    Answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable").header("Retry-After", "5")
}

/// Epoch seconds.
fn now() -> u64 {
    clock::since_unix_epoch().as_secs()
}

/// The kind of plugin.
pub(crate) struct OpenidConnect(pub(crate) Arc<Attempts>);

impl Kind for OpenidConnect {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        1050
    }

    fn schema(&self) -> PluginSchema {
        config::schema()
    }

    fn build(&self, config: &Value, env: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        Ok(Arc::new(Instance(Arc::new(config::build(config, env, &self.0)?))))
    }
}

/// What the fuzz target calls: whatever a client sends is read or refused, and what was refused once is again.
pub(crate) fn fuzz(input: &[u8]) {
    let Some(seal) = seal::Seal::new(b"fuzz") else { return };
    if let Some(token) = bearer(input).and_then(|token| std::str::from_utf8(token).ok()) {
        assert!(token.len() <= input.len());
        let _ = is_token(token) && is_jws(token);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Callback::parse(text);
    assert!(seal.open(b"fuzz", text).is_none(), "nobody but us closes a seal");
    let headers: weir_plugin::Headers = [("Cookie", text)].into_iter().collect();
    if let Some((value, pieces)) = seal::value(&headers, "session") {
        assert!(value.len() <= text.len() && pieces > 0);
    }
    let _ = serde_json::from_str::<Session>(text);
    let _ = serde_json::from_str::<provider::Metadata>(text);
    let _ = provider::is_safe(text, true);
}
