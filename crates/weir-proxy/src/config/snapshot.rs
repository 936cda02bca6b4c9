//! What a request sees of the configuration.

use std::sync::Arc;

use weir_mint::{Digester, Secret, Uuid};
use weir_model::typed::{
    BasicCredential, CaCertificate, Consumer, HmacCredential, JwtCredential, MtlsCredential, OAuth2Client,
    OAuth2Token, Protocol, Route, StoredSession,
};
use weir_plugin::{Credential, Directory, Kept};
use weir_router::{Match, Request, Router};

use super::index::Index;
use super::plugins::{Id, Instance, Order, Plugins};
use super::shared_map::SharedMap;
use super::target::Target;
use crate::{Settings, clock};

/// The first half of a digest: 128 bits, which nobody finds two secrets for.
pub(super) type ShortDigest = [u8; 16];

/// An API key, as look-ups find it.
#[derive(Clone, Copy)]
pub(super) struct KeyEntry {
    pub(super) credential: Credential,
    /// When it ends, epoch milliseconds; `i64::MAX` for never.
    pub(super) expires_at_ms: i64,
}

/// A name as 128 bits of a hash with keys that differ from process to process: names are an operator's choice, and no two
/// of them are found that agree in all of it.
pub(super) type Name = [u8; 16];

/// One version of the configuration. Immutable; cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) settings: Arc<Settings>,
    pub(super) router: Router<Arc<Route>>,
    pub(super) services: SharedMap<Id, Arc<Target>>,
    pub(super) plugins: Plugins,
    pub(super) consumers: SharedMap<Id, Arc<Consumer>>,
    pub(super) usernames: SharedMap<Name, Id>,
    pub(super) custom_ids: SharedMap<Name, Id>,
    pub(super) keys: SharedMap<ShortDigest, KeyEntry>,
    pub(super) basic: Index<BasicCredential>,
    pub(super) hmac: Index<HmacCredential>,
    pub(super) jwt: Index<JwtCredential>,
    pub(super) clients: Index<OAuth2Client>,
    pub(super) tokens: Index<OAuth2Token>,
    pub(super) sessions: Index<StoredSession>,
    pub(super) authorities: SharedMap<Id, Arc<Kept<CaCertificate>>>,
    pub(super) mtls: Index<MtlsCredential>,
    /// How many instances want clients to be asked for a certificate.
    pub(super) want_certificates: usize,
    pub(super) groups: SharedMap<Id, Arc<[Box<str>]>>,
    pub(super) digester: Digester,
    pub(super) names: [std::hash::RandomState; 2],
}

impl Snapshot {
    /// The route that a request belongs to.
    pub(crate) fn route<'s, 'p>(&'s self, request: &Request<'p>) -> Option<Match<'s, 'p, Arc<Route>>> {
        self.router.find(request)
    }

    /// A service by its primary key.
    pub(crate) fn service(&self, id: &Uuid) -> Option<&Target> {
        self.services.get(id.as_bytes()).map(|target| &**target)
    }

    /// The plugins that a request of this route goes through.
    pub(crate) fn plugins(&self, protocol: Protocol, route: &Route) -> Order<'_> {
        self.plugins.order(protocol, *route.id.as_bytes(), route.service.map(|id| *id.as_bytes()))
    }

    /// The plugins that see every request.
    pub(crate) fn global_plugins(&self) -> &[Instance] {
        self.plugins.global()
    }

    /// Whether clients are asked for a certificate when they connect.
    pub(crate) fn wants_certificates(&self) -> bool {
        self.want_certificates > 0
    }

    /// Where the name is found that a certificate of this authority holds.
    pub(super) fn subject_place(&self, name: &str, authority: Option<&Uuid>) -> ShortDigest {
        let authority = authority.map_or(&[][..], |id| id.as_bytes());
        short(&self.digester.digest(&[name.as_bytes(), &[0], authority].concat()))
    }

    /// Where something is found that a client shows.
    pub(super) fn place(&self, text: &str) -> ShortDigest {
        short(&self.digester.digest(text.as_bytes()))
    }

    pub(super) fn name(&self, name: &str) -> Name {
        use std::hash::BuildHasher;
        let [low, high] = self.names.each_ref().map(|state| u128::from(state.hash_one(name)));
        (high << 64 | low).to_le_bytes()
    }
}

impl Directory for Snapshot {
    fn key(&self, key: &[u8]) -> Option<Credential> {
        let digest = short(&self.digester.digest(key));
        let (entry, is) = self.keys.get_evenly(&digest)?;
        let good = is & (entry.expires_at_ms > clock::unix_ms() as i64);
        Some(entry.credential).filter(|_| good)
    }

    fn consumer(&self, id: &Uuid) -> Option<&Consumer> {
        self.consumers.get(id.as_bytes()).map(|consumer| &**consumer)
    }

    fn consumer_named(&self, name: &str) -> Option<&Consumer> {
        let by_id = name.parse::<Uuid>().ok().and_then(|id| self.consumer(&id));
        by_id.or_else(|| {
            let id = self.usernames.get(&self.name(name))?;
            self.consumers.get(id).map(|consumer| &**consumer)
        })
    }

    fn consumer_by_custom_id(&self, custom_id: &str) -> Option<&Consumer> {
        let id = self.custom_ids.get(&self.name(custom_id))?;
        self.consumers.get(id).map(|consumer| &**consumer)
    }

    fn groups(&self, consumer: &Uuid) -> &[Box<str>] {
        self.groups.get(consumer.as_bytes()).map_or(&[], |groups| groups)
    }

    fn basic(&self, username: &str) -> Option<&Arc<Kept<BasicCredential>>> {
        self.basic.get(&self.place(username))
    }

    fn hmac(&self, username: &str) -> Option<&Arc<Kept<HmacCredential>>> {
        self.hmac.get(&self.place(username))
    }

    fn jwt(&self, key: &str) -> Option<&Arc<Kept<JwtCredential>>> {
        self.jwt.get(&self.place(key))
    }

    fn oauth2_client(&self, client_id: &str) -> Option<&Arc<Kept<OAuth2Client>>> {
        self.clients.get(&self.place(client_id))
    }

    fn oauth2_client_by_id(&self, id: &Uuid) -> Option<&Arc<Kept<OAuth2Client>>> {
        self.clients.get_by_id(id)
    }

    fn oauth2_token(&self, access_token: &str) -> Option<&Arc<Kept<OAuth2Token>>> {
        self.tokens.get(&self.place(access_token))
    }

    fn session(&self, session_id: &str) -> Option<&Arc<Kept<StoredSession>>> {
        self.sessions.get(&self.place(session_id))
    }

    fn ca_certificate(&self, id: &Uuid) -> Option<&Arc<Kept<CaCertificate>>> {
        self.authorities.get(id.as_bytes())
    }

    fn mtls(&self, subject_name: &str, ca_certificate: Option<&Uuid>) -> Option<Credential> {
        let found = self.mtls.get(&self.subject_place(subject_name, ca_certificate))?;
        Some(Credential { id: found.id, consumer: found.consumer })
    }

    fn is_secret(&self, kept: &Secret, shown: &[u8]) -> bool {
        self.digester.is_kept(kept, shown)
    }
}

/// What of a digest keys are placed by.
pub(super) fn short(digest: &[u8; 32]) -> ShortDigest {
    std::array::from_fn(|i| digest[i])
}
