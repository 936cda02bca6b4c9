//! What plugins may look up in memory, at once.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use weir_mint::{Secret, Uuid};
use weir_model::typed::{
    BasicCredential, CaCertificate, Consumer, HmacCredential, JwtCredential, OAuth2Client, OAuth2Token,
    StoredSession,
};

use crate::Credential;

/// What plugins may look up. Everything is answered from memory, at once.
///
/// Whatever is looked up by something that a client sent is found by a keyed digest of it: how long that takes says nothing
/// about what it has in common with what is there, and of API keys next to nothing about whether it is there.
pub trait Directory {
    /// The API key with this text, unless its time is over.
    fn key(&self, key: &[u8]) -> Option<Credential>;

    /// A consumer by its primary key.
    fn consumer(&self, id: &Uuid) -> Option<&Consumer>;

    /// A consumer by its primary key or its username, as configurations name one.
    fn consumer_named(&self, name: &str) -> Option<&Consumer>;

    /// A consumer by what another system calls it.
    fn consumer_by_custom_id(&self, custom_id: &str) -> Option<&Consumer>;

    /// The groups that a consumer is in, in order of their names.
    fn groups(&self, consumer: &Uuid) -> &[Box<str>];

    /// A password by its username.
    fn basic(&self, username: &str) -> Option<&Arc<Kept<BasicCredential>>>;

    /// A signing secret by its username.
    fn hmac(&self, username: &str) -> Option<&Arc<Kept<HmacCredential>>>;

    /// What tokens are signed with, by the key that they name.
    fn jwt(&self, key: &str) -> Option<&Arc<Kept<JwtCredential>>>;

    /// A client of OAuth 2.0 by its client_id.
    fn oauth2_client(&self, client_id: &str) -> Option<&Arc<Kept<OAuth2Client>>>;

    /// A client of OAuth 2.0 by its primary key.
    fn oauth2_client_by_id(&self, id: &Uuid) -> Option<&Arc<Kept<OAuth2Client>>>;

    /// A token of OAuth 2.0 by the text of the access token. Whether its time is over is the caller's to see.
    fn oauth2_token(&self, access_token: &str) -> Option<&Arc<Kept<OAuth2Token>>>;

    /// A session that is kept here, by the id in its cookie. Whether its time is over is the caller's to see.
    fn session(&self, session_id: &str) -> Option<&Arc<Kept<StoredSession>>>;

    /// An authority that vouches for clients, by its primary key.
    fn ca_certificate(&self, id: &Uuid) -> Option<&Arc<Kept<CaCertificate>>>;

    /// The consumer who is known by a name in certificates of this authority, or of any if that is `None`.
    fn mtls(&self, subject_name: &str, ca_certificate: Option<&Uuid>) -> Option<Credential>;

    /// Whether what somebody shows is this secret, of which perhaps only a digest is kept. In constant time.
    fn is_secret(&self, kept: &Secret, shown: &[u8]) -> bool;
}

/// Something that is kept in memory, with what a plugin made of it once so as not to make it for every request: a parsed
/// key, say.
pub struct Kept<T> {
    value: T,
    prepared: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl<T> Kept<T> {
    /// Keeps a value.
    pub fn new(value: T) -> Self {
        Self { value, prepared: OnceLock::new() }
    }

    /// What was made of it, made now if it is asked for the first time. `None` when it was made into another type before:
    /// one plugin prepares one kind of value.
    pub fn prepared<P: Send + Sync + 'static>(&self, prepare: impl FnOnce(&T) -> P) -> Option<&P> {
        self.prepared.get_or_init(|| Box::new(prepare(&self.value))).downcast_ref()
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
