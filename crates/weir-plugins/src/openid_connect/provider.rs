//! The identity provider: what it says of itself (OpenID Connect Discovery 1.0) and the keys that it signs with.
//!
//! Both are read when they are first needed and then from time to time, beside the requests that go on with what is there.
//! A token that names a key that is not there has them read at once, though not more often than every so often, whoever
//! asks. Of many who wait for the same one asks. While the provider is gone the old keys are good for a bounded time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::{Request, StatusCode, Uri};
use serde::Deserialize;

use crate::fetch::{Fetch, FetchError};
use crate::jws::{KeyError, KeySet};

/// What is asked again when there is nothing yet: a provider that has just started is found soon.
const FIRST_TRIES: Duration = Duration::from_secs(1);

/// When the provider is asked.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// What was read is good for so long before it is read again.
    pub(super) life: Duration,
    /// If it cannot be read again, it is good for so much longer.
    pub(super) stale: Duration,
    /// Because of an unknown key, and after a failure, it is asked this often.
    pub(super) interval: Duration,
    /// It may take so long.
    pub(super) patience: Duration,
}

/// What the provider says of itself, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) jwks_uri: String,
    pub(super) introspection_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) end_session_endpoint: Option<String>,
    /// RFC 9207, 3.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

/// What is known of the provider.
pub(super) struct Known {
    pub(super) metadata: Metadata,
    pub(super) keys: KeySet,
    read: Instant,
}

/// Why the provider cannot be asked. Nothing of it is for clients.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{what}: {why}")]
    Fetch { what: &'static str, why: Arc<FetchError> },
    #[error("{what}: the answer has status {status}")]
    Status { what: &'static str, status: StatusCode },
    #[error("the discovery document cannot be read: {0}")]
    Document(String),
    #[error("the discovery document is of another issuer")]
    Issuer,
    #[error("{0} in the discovery document is no https URL")]
    Endpoint(&'static str),
    #[error("the keys cannot be read: {0}")]
    Keys(#[from] KeyError),
    #[error("there is no key that can be used")]
    NoKeys,
    #[error("the provider has no {0}")]
    Lacks(&'static str),
    #[error("the provider takes too long")]
    Slow,
    #[error("the provider's answer makes no sense: {0}")]
    Answer(String),
}

/// The provider of one instance.
pub(super) struct Provider {
    issuer: String,
    /// Where the issuer is on loopback and in plain, its endpoints may be as well.
    is_plain: bool,
    pub(super) fetch: Fetch,
    rules: Rules,
    known: ArcSwapOption<Known>,
    /// Held by whoever asks.
    asking: tokio::sync::Mutex<()>,
    last: Mutex<Option<Try>>,
}

struct Try {
    at: Instant,
    failure: Option<Failure>,
}

impl Provider {
    pub(super) fn new(issuer: String, fetch: Fetch, rules: Rules) -> Self {
        let is_plain = issuer.starts_with("http://");
        let (known, asking, last) = Default::default();
        Self { issuer, is_plain, fetch, rules, known, asking, last }
    }

    /// What is known, if it is still good. Has it read again in the background when that is due.
    pub(super) fn at_hand(self: &Arc<Self>) -> Option<Arc<Known>> {
        let known = self.known.load_full()?;
        let age = known.read.elapsed();
        if age <= self.rules.life {
            return Some(known);
        }
        if age > self.rules.life.saturating_add(self.rules.stale) {
            return None;
        }
        if self.asking.try_lock().is_ok() && self.recent(self.rules.interval).is_none() {
            let (provider, seen) = (Arc::clone(self), Arc::clone(&known));
            tokio::task::spawn_local(async move {
                if let Err(error) = provider.read_again(&seen).await {
                    let issuer = &provider.issuer;
                    tracing::warn!(issuer, %error, "cannot read the identity provider's keys again; the old ones are used");
                }
            });
        }
        Some(known)
    }

    /// What is known, read now if there is nothing good.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Arc<Known>, Failure> {
        match self.at_hand() {
            Some(known) => Ok(known),
            None => self.ask(None, FIRST_TRIES.min(self.rules.interval)).await,
        }
    }

    /// What is known after it was read again, since what was `seen` lacks something. The same when that was tried just now.
    pub(super) async fn read_again(self: &Arc<Self>, seen: &Arc<Known>) -> Result<Arc<Known>, Failure> {
        self.ask(Some(seen), self.rules.interval).await
    }

    async fn ask(&self, seen: Option<&Arc<Known>>, interval: Duration) -> Result<Arc<Known>, Failure> {
        let asking = tokio::time::timeout(self.rules.patience, self.asking.lock());
        let _asking = asking.await.map_err(|_| Failure::Slow)?;
        // Somebody else may have asked in the meantime.
        match (self.known.load_full(), seen) {
            (Some(known), Some(seen)) if !Arc::ptr_eq(&known, seen) => return Ok(known),
            (Some(known), None) if known.read.elapsed() <= self.rules.life => return Ok(known),
            _ => {}
        }
        match (self.recent(interval), seen) {
            // The provider said just now what there is.
            (Some(_), Some(seen)) => return Ok(Arc::clone(seen)),
            (Some(Some(failure)), None) => return Err(failure),
            _ => {}
        }
        let read = tokio::time::timeout(self.rules.patience, self.read()).await.unwrap_or(Err(Failure::Slow));
        let failure = read.as_ref().err().cloned();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Try { at: Instant::now(), failure });
        let known = Arc::new(read?);
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }

    /// How the last try went, if there was one within this time.
    fn recent(&self, interval: Duration) -> Option<Option<Failure>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|last| last.at.elapsed() < interval).map(|last| last.failure.clone())
    }

    async fn read(&self) -> Result<Known, Failure> {
        let base = self.issuer.trim_end_matches('/');
        // Discovery, 4.
        let document =
            self.get_json("discovery", &format!("{base}/.well-known/openid-configuration")).await?;
        let metadata = self.metadata(&document)?;
        let keys = KeySet::parse(&self.get_json("keys", &metadata.jwks_uri).await?)?;
        if keys.is_empty() {
            return Err(Failure::NoKeys);
        }
        Ok(Known { metadata, keys, read: Instant::now() })
    }

    async fn get_json(&self, what: &'static str, url: &str) -> Result<Vec<u8>, Failure> {
        let request = Request::get(url).header("Accept", "application/json").body(Vec::new());
        let request = request.map_err(|error| Failure::Document(error.to_string()))?;
        let answer = self.fetch.send(request).await;
        let answer = answer.map_err(|why| Failure::Fetch { what, why: Arc::new(why) })?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(Failure::Status { what, status }),
        }
    }

    fn metadata(&self, document: &[u8]) -> Result<Metadata, Failure> {
        let metadata: Metadata =
            serde_json::from_slice(document).map_err(|error| Failure::Document(error.to_string()))?;
        // Discovery, 4.3: exactly.
        if metadata.issuer != self.issuer {
            return Err(Failure::Issuer);
        }
        let endpoints = [
            ("jwks_uri", Some(&metadata.jwks_uri)),
            ("authorization_endpoint", metadata.authorization_endpoint.as_ref()),
            ("token_endpoint", metadata.token_endpoint.as_ref()),
            ("introspection_endpoint", metadata.introspection_endpoint.as_ref()),
            ("revocation_endpoint", metadata.revocation_endpoint.as_ref()),
            ("end_session_endpoint", metadata.end_session_endpoint.as_ref()),
        ];
        for (name, url) in endpoints {
            if url.is_some_and(|url| !is_safe(url, self.is_plain)) {
                return Err(Failure::Endpoint(name));
            }
        }
        Ok(metadata)
    }
}

/// Whether it is an https URL, or, where that is enough, an http URL on loopback.
pub(super) fn is_safe(url: &str, plain_on_loopback: bool) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return false;
    }
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => plain_on_loopback && is_loopback(host),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_alone() {
        assert!(is_safe("https://idp.test/a", false));
        for url in ["http://127.0.0.1:1/", "http://localhost/", "http://[::1]:80/a"] {
            assert!(is_safe(url, true), "{url}");
            assert!(!is_safe(url, false), "{url}");
        }
        for url in [
            "http://idp.test/",
            "ftp://idp.test/",
            "idp.test",
            "/a",
            "",
            "https://",
            "http://127.0.0.1.evil.test/",
            "https://user@idp.test/",
        ] {
            assert!(!is_safe(url, true), "{url}");
        }
    }
}
