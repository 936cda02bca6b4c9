//! Sessions of browsers: what their cookies hold, how long that is good, and how it is renewed.
//!
//! A session is in its cookies, encrypted ([`super::seal`]), and nowhere else: any node with the same `session_secret` reads it.
//! What this process alone remembers: that a session was ended here, so that a copy of its cookies is no good any more; and
//! what a refresh token was turned into, as many providers take each only once (OAuth 2.1, 4.3.1) and a page's requests all
//! come with the same.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use oauth2::{AccessToken, RefreshToken, StandardRevocableToken};
use serde::{Deserialize, Serialize};
use weir_plugin::{Ctx, Headers};

use super::claims::{Claims, Rejected, Signed};
use super::requests::{Refused, Tokens, granted};
use super::seal::{self, Jar, Seal};
use super::{Inner, Trouble};
use crate::recent::{Key, Recent};

/// A session is renewed so many seconds before its tokens expire.
const MARGIN: u64 = 10;
/// For so long whoever comes with the old cookies is given the new session.
const GRACE: Duration = Duration::from_secs(120);
/// That a session was used is written down when it was written down longer ago than this, in seconds.
const TOUCH: u64 = 60;

/// Sessions that were ended here, until their own time is over: of the process, so that they stay ended whatever becomes of
/// the configuration. When it is full, what would be over first is forgotten first.
static ENDED: LazyLock<Recent<()>> = LazyLock::new(Recent::default);

/// What a session's cookies hold. Times are epoch seconds.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    /// When somebody logged in.
    pub(super) began: u64,
    /// When it was last written down that it is used.
    pub(super) used: u64,
    /// When its tokens expire.
    pub(super) expires: u64,
    /// Of the ID token, those that matter here.
    pub(super) claims: Claims,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) access: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) refresh: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) id_token: Option<String>,
}

/// How sessions are kept.
pub(super) struct Sessions {
    pub(super) seal: Seal,
    pub(super) jar: Jar,
    pub(super) name: String,
    /// Seconds from the login on; 0 for ever.
    pub(super) absolute: u64,
    /// Seconds without a request; 0 for ever.
    pub(super) idling: u64,
    /// What a cookie is for: whose sessions, and with which claims.
    pub(super) about: [u8; 32],
    /// The claims that are kept.
    pub(super) claims: Vec<String>,
    pub(super) keep_access: bool,
    pub(super) keep_refresh: bool,
    pub(super) keep_id: bool,
    renewed: Recent<Arc<Session>>,
    renewing: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

/// A session as a request shows it.
pub(super) enum Shown {
    /// It is good; so many cookies hold it.
    Good(Box<Session>, usize),
    /// It was good, and its tokens may be renewed.
    Renewable(Box<Session>, usize),
    /// There is none, or none that is any good; so many cookies are there all the same.
    None(usize),
}

impl Sessions {
    pub(super) fn new(
        seal: Seal,
        jar: Jar,
        name: String,
        (absolute, idling): (u64, u64),
        whose: [&str; 2],
        claims: Vec<String>,
        (keep_access, keep_refresh, keep_id): (bool, bool, bool),
    ) -> Self {
        let mut about = Context::new(&SHA256);
        for text in whose.into_iter().chain(claims.iter().map(String::as_str)) {
            about.update(&(text.len() as u64).to_le_bytes());
            about.update(text.as_bytes());
        }
        let about = <[u8; 32]>::try_from(about.finish().as_ref()).unwrap_or_default();
        let (renewed, renewing) = Default::default();
        Self {
            seal,
            jar,
            name,
            absolute,
            idling,
            about,
            claims,
            keep_access,
            keep_refresh,
            keep_id,
            renewed,
            renewing,
        }
    }

    /// The session that a request shows, at this time.
    pub(super) fn read(&self, headers: &Headers, now: u64) -> Shown {
        let Some((text, pieces)) = seal::value(headers, &self.name) else { return Shown::None(0) };
        let plain = self.seal.open(&self.aad("session"), &text);
        let session = plain.and_then(|plain| serde_json::from_slice::<Session>(&plain).ok());
        let Some(session) = session.filter(|session| self.lives(session, now)) else {
            return Shown::None(pieces);
        };
        match (session.expires > now + MARGIN, &session.refresh) {
            (true, _) => Shown::Good(Box::new(session), pieces),
            (false, Some(_)) => Shown::Renewable(Box::new(session), pieces),
            (false, None) if session.expires > now => Shown::Good(Box::new(session), pieces),
            (false, None) => Shown::None(pieces),
        }
    }

    fn lives(&self, session: &Session, now: u64) -> bool {
        let within = |since: u64, seconds: u64| seconds == 0 || now < since.saturating_add(seconds);
        let ended = || ENDED.key(&[session.id.as_bytes()]).is_none_or(|key| ENDED.get(&key).is_some());
        within(session.began, self.absolute) && within(session.used, self.idling) && !ended()
    }

    /// The session as cookies. `None` when it is too long, or no nonce can be drawn.
    pub(super) fn write(&self, session: &Session, before: usize) -> Option<Vec<String>> {
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(session).ok()?);
        self.jar.set(&self.name, &self.seal.close(&self.aad("session"), &plain)?, None, before)
    }

    /// Writes down that a session is used, when that is due.
    pub(super) fn touch(&self, ctx: &mut Ctx<'_>, mut session: Box<Session>, pieces: usize, now: u64) {
        if self.idling == 0 || now < session.used.saturating_add(TOUCH.min(self.idling / 4)) {
            return;
        }
        session.used = now;
        for field in self.write(&session, pieces).unwrap_or_default() {
            ctx.response.append("Set-Cookie", field);
        }
    }

    /// Ends a session: on this node its cookies are no good any more.
    pub(super) fn end(&self, session: &Session) {
        let life = if self.absolute == 0 { u64::from(u32::MAX) } else { self.absolute };
        if let Some(key) = ENDED.key(&[session.id.as_bytes()]) {
            ENDED.put(key, (), Duration::from_secs(life));
        }
    }

    /// What is authenticated along with a cookie.
    pub(super) fn aad(&self, purpose: &str) -> Vec<u8> {
        [purpose.as_bytes(), &[0], &self.about].concat()
    }

    /// The claims that matter, of all.
    fn keep(&self, all: &Claims) -> Claims {
        let kept = self.claims.iter().filter_map(|name| Some((name.clone(), all.get(name)?.clone())));
        kept.collect()
    }

    /// The lock of whoever turns this refresh token into another.
    fn lock(&self, key: Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = all.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        all.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        all.insert(key, Arc::downgrade(&lock));
        lock
    }
}

impl Inner {
    /// The session that begins with these tokens.
    pub(super) fn begin(&self, id: String, tokens: Tokens, signed: &Signed, now: u64) -> Session {
        let mut claims = self.sessions.keep(&signed.claims);
        if self.sessions.claims.iter().any(|name| name == "scope") {
            claims.insert("scope".to_owned(), granted(&tokens, &self.client.scopes).into());
        }
        let expires = self.expiry(&tokens, signed, now);
        let keep = &self.sessions;
        Session {
            id,
            began: now,
            used: now,
            expires,
            claims,
            access: Some(tokens.access).filter(|_| keep.keep_access),
            refresh: tokens.refresh.filter(|_| keep.keep_refresh),
            id_token: tokens.id.filter(|_| keep.keep_id),
        }
    }

    fn expiry(&self, tokens: &Tokens, signed: &Signed, now: u64) -> u64 {
        match tokens.life {
            Some(life) => now.saturating_add(life.as_secs()),
            None => {
                signed.claims.get("exp").and_then(serde_json::Value::as_f64).map_or(now, |exp| exp as u64)
            }
        }
    }

    /// Renews a session by its refresh token, once for all who come with it.
    pub(super) async fn renew(
        self: &Arc<Self>,
        session: &Session,
        now: u64,
    ) -> Result<Arc<Session>, Trouble> {
        let token = session.refresh.as_deref().unwrap_or_default();
        let sessions = &self.sessions;
        let key = sessions.renewed.key(&[token.as_bytes()]).ok_or(Trouble::NotReady)?;
        let lock = sessions.lock(key);
        let _one = lock.lock().await;
        if let Some(renewed) = sessions.renewed.get(&key) {
            return Ok(renewed);
        }
        let known = self.provider.get().await?;
        let tokens = match self.client.refresh(&known, token).await {
            Ok(tokens) => tokens,
            Err(Refused::Grant) => return Err(Trouble::Rejected(Rejected::Inactive)),
            Err(Refused::Failure(failure)) => return Err(failure.into()),
        };
        let mut next = Session { used: now, ..session.clone() };
        if let Some(id_token) = &tokens.id {
            let signed = self.verify_id(id_token, None, &known).await?;
            // Core, 12.2: of the same issuer, about the same person.
            if signed.claims.get("sub") != session.claims.get("sub") {
                return Err(Trouble::Rejected(Rejected::Wrong("sub")));
            }
            signed.check_hash("at_hash", &tokens.access)?;
            let scope = next.claims.get("scope").cloned();
            next.claims = sessions.keep(&signed.claims);
            next.claims.extend(scope.map(|scope| ("scope".to_owned(), scope)));
            next.expires = self.expiry(&tokens, &signed, now);
        } else {
            let life =
                tokens.life.map_or(session.expires.saturating_sub(session.used), |life| life.as_secs());
            next.expires = now.saturating_add(life);
        }
        if let (Some(scopes), true) = (&tokens.scopes, next.claims.contains_key("scope")) {
            next.claims.insert("scope".to_owned(), scopes.join(" ").into());
        }
        next.access = Some(tokens.access).filter(|_| sessions.keep_access);
        next.refresh = tokens.refresh.or(next.refresh);
        next.id_token = tokens.id.filter(|_| sessions.keep_id).or(next.id_token);
        let next = Arc::new(next);
        sessions.renewed.put(key, Arc::clone(&next), GRACE);
        Ok(next)
    }

    /// Tells the provider that a session's tokens are not needed any more.
    pub(super) async fn revoke(self: &Arc<Self>, session: &Session) -> Result<(), Trouble> {
        let token = match (&session.refresh, &session.access) {
            (Some(refresh), _) => StandardRevocableToken::RefreshToken(RefreshToken::new(refresh.clone())),
            (None, Some(access)) => StandardRevocableToken::AccessToken(AccessToken::new(access.clone())),
            (None, None) => return Ok(()),
        };
        let known = self.provider.get().await?;
        Ok(self.client.revoke(&known, token).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        let jar = Jar { path: "/".into(), domain: None, same_site: "Lax", secure: true };
        let seal = Seal::new(b"secret").unwrap();
        let whose = ["https://idp.test", "weir"];
        Sessions::new(seal, jar, "session".into(), (3600, 0), whose, Vec::new(), (false, false, false))
    }

    fn session(id: &str) -> Session {
        let (began, used, expires) = (1000, 1000, 2000);
        let (id, claims) = (id.to_owned(), Claims::new());
        Session { id, began, used, expires, claims, access: None, refresh: None, id_token: None }
    }

    #[test]
    fn an_ended_session_stays_ended_when_the_configuration_is_read_again() {
        let before = sessions();
        let read = |sessions: &Sessions, session: &Session| {
            let fields = sessions.write(session, 0).unwrap();
            let cookie = fields[0].split(';').next().unwrap();
            let headers: Headers = [("Cookie", cookie)].into_iter().collect();
            matches!(sessions.read(&headers, 1001), Shown::Good(..))
        };
        let (ended, other) = (session("one that was ended"), session("another"));
        assert!(read(&before, &ended));
        before.end(&ended);
        let after = sessions();
        assert!(!read(&before, &ended) && !read(&after, &ended));
        assert!(read(&after, &other));
    }
}
