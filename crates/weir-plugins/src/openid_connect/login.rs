//! The authorization code flow (OpenID Connect Core, 3.1) with PKCE (RFC 7636): a browser is sent to the provider, comes back
//! with a code, and has a session from then on. And the way out (RP-Initiated Logout 1.0).
//!
//! What belongs to one login is drawn for it, and kept in a cookie of its own, encrypted: nobody can finish a login in a
//! browser that did not begin it (RFC 6749, 10.12). After it the browser goes where it wanted to, always on our own origin.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use weir_mint::{Secret, Token};
use weir_plugin::{Answer, Ctx, Flow};

use super::claims::Rejected;
use super::provider::{Failure, Known};
use super::requests::{Draws, Refused};
use super::seal;
use super::session::{Session, Shown};
use super::{Inner, Trouble};
use crate::auth::Refusal;
use crate::query;

/// Seconds that a login may take.
const LOGIN: u64 = 600;
/// So many may be under way in one browser; then it begins anew.
const MAX_LOGINS: usize = 4;
/// A longer address is forgotten, so that cookies stay small.
const MAX_TARGET: usize = 1024;
/// No code or state is longer.
const MAX_PARAMETER: usize = 4096;

/// What a login's cookie holds.
#[derive(Serialize, Deserialize)]
struct Login {
    state: String,
    nonce: String,
    verifier: String,
    /// Where the browser wanted to go: path and query.
    target: String,
    at: u64,
}

/// What the provider says through the browser.
pub(super) struct Callback {
    state: String,
    code: Option<String>,
    issuer: Option<String>,
}

/// A code that came back, and the login that it belongs to.
pub(super) struct Finishing {
    login: Login,
    code: String,
    issuer: Option<String>,
    /// The name of the login's cookie.
    cookie: String,
    /// How many cookies a session had before.
    pieces: usize,
}

impl Callback {
    /// Reads parameters in their urlencoded form. `None` when they are none of a callback.
    pub(super) fn parse(parameters: &str) -> Option<Self> {
        // One that is there twice is none (RFC 6749, 3.1).
        let one = |name| {
            let mut values = query::values(parameters, name);
            match (values.next(), values.next()) {
                (Some(value), None) => {
                    Some(value).filter(|value| value.len() <= MAX_PARAMETER).map(Cow::into_owned)
                }
                _ => None,
            }
        };
        let (state, code, error) = (one("state")?, one("code"), one("error"));
        if code.is_none() && error.is_none() {
            return None;
        }
        Some(Self { state, code: code.filter(|_| error.is_none()), issuer: one("iss") })
    }
}

impl Inner {
    /// The provider's answer, if the request brings one.
    pub(super) fn callback(&self, ctx: &Ctx<'_>) -> Option<Callback> {
        let path = self.redirect_path.as_deref()?;
        if ctx.path() != path {
            return None;
        }
        match (self.client.form_post, &ctx.method) {
            (false, &Method::GET) => Callback::parse(ctx.query()?),
            (true, &Method::POST) => Callback::parse(std::str::from_utf8(ctx.body.as_deref()?).ok()?),
            _ => None,
        }
    }

    /// Whether the request is one that a person waits for in a browser, and may be sent elsewhere.
    pub(super) fn is_navigation(ctx: &Ctx<'_>) -> bool {
        let mode = ctx.headers.get_str("Sec-Fetch-Mode");
        let accept = ctx.headers.get_str("Accept");
        matches!(ctx.method, Method::GET | Method::HEAD)
            && mode.is_none_or(|mode| mode == "navigate")
            && accept.is_none_or(|accept| accept.contains("text/html") || accept.contains("*/*"))
    }

    /// Sends the browser to the provider.
    pub(super) fn send_to_login(
        &self,
        ctx: &Ctx<'_>,
        known: &Known,
        pieces: usize,
        now: u64,
    ) -> Result<Flow, Trouble> {
        let (state, nonce, verifier) = (draw()?, draw()?, draw()?);
        let draws = Draws { state: state.expose(), nonce: nonce.expose(), verifier: verifier.expose() };
        let url = self.client.login_url(known, &draws)?;
        let target = if ctx.target.len() <= MAX_TARGET && ctx.target.starts_with('/') {
            ctx.target.as_str()
        } else {
            "/"
        };
        let login = Login {
            state: state.expose().to_owned(),
            nonce: nonce.expose().to_owned(),
            verifier: verifier.expose().to_owned(),
            target: target.to_owned(),
            at: now,
        };
        let sessions = &self.sessions;
        let plain = serde_json::to_vec(&login).map_err(|_| Trouble::NotReady)?;
        let value = sessions.seal.close(&sessions.aad("login"), &plain).ok_or(Trouble::NotReady)?;
        let name = seal::login_name(&sessions.name, &login.state);
        let mut answer = redirect(StatusCode::FOUND, &url);
        let under_way: Vec<_> = seal::cookies(&ctx.headers)
            .map(|(name, _)| name)
            .filter(|name| seal::is_login(name, &sessions.name))
            .collect();
        if under_way.len() >= MAX_LOGINS {
            for name in under_way {
                answer = with_cookies(answer, self.login_jar.clear(name, 1));
            }
        }
        if pieces > 0 {
            answer = with_cookies(answer, sessions.jar.clear(&sessions.name, pieces));
        }
        let fields = self.login_jar.set(&name, &value, Some(LOGIN), 0).unwrap_or_default();
        Ok(with_cookies(answer, fields).into())
    }

    /// What the provider's answer is worth, as far as that can be told without asking it.
    pub(super) fn finishing(
        &self,
        ctx: &Ctx<'_>,
        callback: Callback,
        now: u64,
    ) -> Result<Finishing, Rejected> {
        let sessions = &self.sessions;
        let cookie = seal::login_name(&sessions.name, &callback.state);
        let (value, _) = seal::value(&ctx.headers, &cookie).ok_or(Rejected::Missing("state"))?;
        let plain = sessions.seal.open(&sessions.aad("login"), &value).ok_or(Rejected::Wrong("state"))?;
        let login: Login = serde_json::from_slice(&plain).map_err(|_| Rejected::Wrong("state"))?;
        if !Secret::new(login.state.clone()).matches(callback.state.as_bytes()) {
            return Err(Rejected::Wrong("state"));
        }
        if now >= login.at.saturating_add(LOGIN) {
            return Err(Rejected::Expired);
        }
        let code = callback.code.ok_or(Rejected::Inactive)?;
        let pieces = match sessions.read(&ctx.headers, now) {
            Shown::Good(_, pieces) | Shown::Renewable(_, pieces) | Shown::None(pieces) => pieces,
        };
        Ok(Finishing { login, code, issuer: callback.issuer, cookie, pieces })
    }

    /// Turns the code into a session.
    pub(super) async fn finish(
        self: &Arc<Self>,
        finishing: &Finishing,
        now: u64,
    ) -> Result<Session, Trouble> {
        let known = self.provider.get().await?;
        // RFC 9207, 2.4: that it is this provider's answer and not another's.
        match &finishing.issuer {
            Some(issuer) if *issuer != known.metadata.issuer => return Err(Rejected::Wrong("iss").into()),
            None if known.metadata.authorization_response_iss_parameter_supported => {
                return Err(Rejected::Missing("iss").into());
            }
            _ => {}
        }
        let tokens = match self.client.exchange(&known, &finishing.code, &finishing.login.verifier).await {
            Ok(tokens) => tokens,
            Err(Refused::Grant) => return Err(Rejected::Wrong("code").into()),
            Err(Refused::Failure(failure)) => return Err(failure.into()),
        };
        let id_token = tokens.id.as_deref().ok_or(Failure::Lacks("ID token in its answer"))?;
        let signed = self.verify_id(id_token, Some(&finishing.login.nonce), &known).await?;
        signed.check_hash("at_hash", &tokens.access)?;
        signed.check_hash("c_hash", &finishing.code)?;
        let id = draw()?.expose().to_owned();
        Ok(self.begin(id, tokens, &signed, now))
    }

    /// Lets the browser in that has a session now.
    pub(super) fn let_in(&self, ctx: &mut Ctx<'_>, session: Session, finishing: &Finishing) -> Flow {
        let sessions = &self.sessions;
        let Some(mut fields) = sessions.write(&session, finishing.pieces) else {
            tracing::error!(plugin = super::NAME, id = %self.gate.id(), "a session is too long for cookies");
            return self.gate.refuse(ctx, Refusal::Unknown(super::unavailable()));
        };
        fields.extend(self.login_jar.clear(&finishing.cookie, 1));
        if self.login_upstream {
            for name in ["code", "state", "iss", "session_state"] {
                if let Some((path, query)) = ctx.upstream_target.split_once('?') {
                    let rest = query::without(query, name);
                    ctx.upstream_target =
                        if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
                }
            }
            for field in fields {
                ctx.response.append("Set-Cookie", field);
            }
            return self.admit(ctx, &session.claims, session.access.as_deref());
        }
        let url = match &self.login_redirect {
            Some(url) => url.clone(),
            None => format!("{}{}", self.origin, finishing.login.target),
        };
        // After a form the browser is to ask by GET.
        let status = if ctx.method == Method::POST { StatusCode::SEE_OTHER } else { StatusCode::FOUND };
        with_cookies(redirect(status, &url), fields).into()
    }

    /// Whether the request is to end the session.
    pub(super) fn is_logout(&self, ctx: &Ctx<'_>) -> bool {
        self.logout_path.as_deref() == Some(ctx.path())
            && self.logout_methods.iter().any(|method| method == ctx.method.as_str())
    }

    /// Takes the session away, and sends the browser on.
    pub(super) fn log_out(&self, known: Option<&Known>, session: Option<&Session>, pieces: usize) -> Flow {
        let back = self.logout_redirect.as_deref();
        let id_token = session.and_then(|session| session.id_token.as_deref());
        let url = known.and_then(|known| self.client.logout_url(known, id_token, back));
        let answer = match url.as_deref().or(back) {
            Some(url) => redirect(StatusCode::SEE_OTHER, url),
            None => Answer::message(StatusCode::OK, "Logged out").header("Cache-Control", "no-store"),
        };
        with_cookies(answer, self.sessions.jar.clear(&self.sessions.name, pieces)).into()
    }
}

/// A text of 285 bits that fits a URL, and is long enough for a verifier (RFC 7636, 4.1).
fn draw() -> Result<Secret, Trouble> {
    if !weir_kernel::is_ready() {
        return Err(Trouble::NotReady);
    }
    let token = Token::builder().length(48).build().map_err(|_| Trouble::NotReady)?;
    token.mint().map_err(|_| Trouble::NotReady)
}

fn redirect(status: StatusCode, url: &str) -> Answer {
    Answer::empty(status).header("Location", url).header("Cache-Control", "no-store")
}

fn with_cookies(answer: Answer, fields: Vec<String>) -> Answer {
    fields.into_iter().fold(answer, |answer, field| answer.header("Set-Cookie", field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_are_read_strictly() {
        let read = |text: &str| {
            Callback::parse(text).map(|callback| (callback.state, callback.code, callback.issuer))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("code=a%20b&state=s"), Some(("s".into(), some("a b"), None)));
        assert_eq!(
            read("code=a&state=s&iss=https%3A%2F%2Fi"),
            Some(("s".into(), some("a"), some("https://i")))
        );
        assert_eq!(read("error=access_denied&state=s"), Some(("s".into(), None, None)));
        assert_eq!(read("error=x&code=a&state=s"), Some(("s".into(), None, None)));
        for none in ["", "code=a", "state=s", "code=a&state=s&state=t", "code=a&code=b&state=s", "a=b"] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(read(&format!("state=s&code={}", "x".repeat(MAX_PARAMETER + 1))), None);
    }
}
