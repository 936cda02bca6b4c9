//! Makes the next snapshot out of the last one and what changed.

use std::collections::HashMap;
use std::sync::Arc;

use weir_mint::{Digester, Uuid};
use weir_model::typed::{
    Acl, BasicCredential, CaCertificate, Consumer, HmacCredential, JwtCredential, KeyCredential,
    MtlsCredential, OAuth2Client, OAuth2Token, Plugin, Protocol, Route, Service, StoredSession,
};
use weir_plugin::{Credential, Env, Kept, Kind, Records};
use weir_router::{Criteria, Protocols, Router, Spec};

use super::index::Index;
use super::plugins::{Id, Instance, Plugins, Rank, Scope};
use super::shared_map::SharedMap;
use super::snapshot::{KeyEntry, Snapshot, short};
use super::target::Target;
use crate::Settings;

/// A change to the configuration.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants name the entities that they change")]
pub enum Update {
    Service(Service),
    Route(Route),
    Consumer(Consumer),
    Plugin(Plugin),
    /// An API key: its credential, the digest that it is looked up by, the digest that it had before, and when it ends,
    /// epoch milliseconds.
    Key {
        credential: KeyCredential,
        digest: [u8; 32],
        before: Option<[u8; 32]>,
        expires_at_ms: Option<i64>,
    },
    Acl(Acl),
    Basic(BasicCredential),
    Hmac(HmacCredential),
    Jwt(JwtCredential),
    OAuth2Client(OAuth2Client),
    /// A token, and the digest that its access token is looked up by.
    OAuth2Token(OAuth2Token, Option<[u8; 32]>),
    /// A session, and the digest that its id is looked up by.
    Session(StoredSession, Option<[u8; 32]>),
    CaCertificate(CaCertificate),
    Mtls(MtlsCredential),
    NoCaCertificate(Uuid),
    NoMtls(Uuid),
    NoService(Uuid),
    NoRoute(Uuid),
    NoConsumer(Uuid),
    NoPlugin(Uuid),
    /// No API key of this digest any more.
    NoKey {
        digest: [u8; 32],
    },
    NoAcl(Uuid),
    NoBasic(Uuid),
    NoHmac(Uuid),
    NoJwt(Uuid),
    NoOAuth2Client(Uuid),
    NoOAuth2Token(Uuid),
    NoSession(Uuid),
}

/// Something of the configuration that cannot be put to use. The rest of it is in force.
#[derive(Debug, thiserror::Error)]
#[error("{entity} {id} is not in force: {why}")]
pub struct Problem {
    entity: &'static str,
    id: Uuid,
    why: String,
}

/// Where a plugin is.
struct Placed {
    scope: Scope,
    rank: Rank,
    wants_certificates: bool,
}

/// Makes snapshots.
pub struct Builder {
    snapshot: Snapshot,
    kinds: Vec<Arc<dyn Kind>>,
    records: Arc<dyn Records>,
    /// Every route, in force or not: those of a service that is turned off are not.
    routes: HashMap<Id, Arc<Route>>,
    /// Where each plugin is, to find it when it goes.
    placed: HashMap<Id, Placed>,
    /// Whose group each membership is about, to find it when it goes.
    memberships: HashMap<Id, (Id, Box<str>)>,
}

impl Builder {
    /// An empty configuration. `records` is where plugins store what outlives a request; `digester` makes the digests that
    /// credentials are looked up by.
    pub fn new(
        settings: Settings,
        mut kinds: Vec<Arc<dyn Kind>>,
        records: Arc<dyn Records>,
        digester: Digester,
    ) -> Self {
        kinds.sort_by(|a, b| b.priority().cmp(&a.priority()).then_with(|| a.name().cmp(b.name())));
        let snapshot = Snapshot {
            settings: Arc::new(settings),
            router: Router::default(),
            services: SharedMap::default(),
            plugins: Plugins::default(),
            consumers: SharedMap::default(),
            usernames: SharedMap::default(),
            custom_ids: SharedMap::default(),
            keys: SharedMap::default(),
            basic: Index::default(),
            hmac: Index::default(),
            jwt: Index::default(),
            clients: Index::default(),
            tokens: Index::default(),
            sessions: Index::default(),
            authorities: SharedMap::default(),
            mtls: Index::default(),
            want_certificates: 0,
            groups: SharedMap::default(),
            digester,
            names: [std::hash::RandomState::new(), std::hash::RandomState::new()],
        };
        Self {
            snapshot,
            kinds,
            records,
            routes: HashMap::new(),
            placed: HashMap::new(),
            memberships: HashMap::new(),
        }
    }

    /// The configuration as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }

    /// Replaces the settings.
    pub fn set_settings(&mut self, settings: Settings) {
        self.snapshot.settings = Arc::new(settings);
    }

    /// Applies a change.
    ///
    /// # Errors
    /// When what changed cannot be put to use. It is left out then, and everything else stays in force.
    pub fn apply(&mut self, update: Update) -> Result<(), Problem> {
        let snapshot = &mut self.snapshot;
        match update {
            Update::Service(service) => return self.put_service(service),
            Update::NoService(id) => {
                snapshot.services.remove(id.as_bytes());
            }
            Update::Route(route) => return self.put_route(route),
            Update::NoRoute(id) => {
                snapshot.router.remove(id.as_bytes());
                self.routes.remove(id.as_bytes());
            }
            Update::Consumer(consumer) => self.put_consumer(consumer),
            Update::NoConsumer(id) => self.drop_consumer(id),
            Update::Plugin(plugin) => return self.put_plugin(&plugin),
            Update::NoPlugin(id) => self.drop_plugin(id.as_bytes()),
            Update::Key { credential, digest, before, expires_at_ms } => {
                if let Some(before) = before {
                    snapshot.keys.remove(&short(&before));
                }
                let credential = Credential { id: credential.id, consumer: credential.consumer };
                let entry = KeyEntry { credential, expires_at_ms: expires_at_ms.unwrap_or(i64::MAX) };
                snapshot.keys.insert(short(&digest), entry);
            }
            Update::NoKey { digest } => {
                snapshot.keys.remove(&short(&digest));
            }
            Update::Acl(acl) => self.put_acl(acl),
            Update::NoAcl(id) => self.drop_acl(id.as_bytes()),
            Update::Basic(one) => snapshot.basic.put(one.id, Some(snapshot.place(&one.username)), one),
            Update::Hmac(one) => snapshot.hmac.put(one.id, Some(snapshot.place(&one.username)), one),
            Update::Jwt(one) => snapshot.jwt.put(one.id, Some(snapshot.place(&one.key)), one),
            Update::OAuth2Client(one) => {
                snapshot.clients.put(one.id, Some(snapshot.place(&one.client_id)), one);
            }
            Update::OAuth2Token(one, digest) => {
                snapshot.tokens.put(one.id, digest.as_ref().map(short), one);
            }
            Update::Session(one, digest) => {
                snapshot.sessions.put(one.id, digest.as_ref().map(short), one);
            }
            Update::CaCertificate(one) => {
                snapshot.authorities.insert(*one.id.as_bytes(), Arc::new(Kept::new(one)));
            }
            Update::Mtls(one) => {
                let place = snapshot.subject_place(&one.subject_name, one.ca_certificate.as_ref());
                snapshot.mtls.put(one.id, Some(place), one);
            }
            Update::NoCaCertificate(id) => drop(snapshot.authorities.remove(id.as_bytes())),
            Update::NoMtls(id) => snapshot.mtls.remove(id),
            Update::NoBasic(id) => snapshot.basic.remove(id),
            Update::NoHmac(id) => snapshot.hmac.remove(id),
            Update::NoJwt(id) => snapshot.jwt.remove(id),
            Update::NoOAuth2Client(id) => snapshot.clients.remove(id),
            Update::NoOAuth2Token(id) => snapshot.tokens.remove(id),
            Update::NoSession(id) => snapshot.sessions.remove(id),
        }
        Ok(())
    }

    fn put_service(&mut self, service: Service) -> Result<(), Problem> {
        let (id, enabled) = (service.id, service.enabled);
        let before = self.snapshot.services.insert(*id.as_bytes(), Arc::new(Target::new(service)));
        if before.is_none_or(|before| before.service.enabled) == enabled {
            return Ok(());
        }
        // Turned on or off: its routes come or go. This is rare, and looks at all routes.
        let own = |route: &&Arc<Route>| route.service == Some(id);
        let routes: Vec<Arc<Route>> = self.routes.values().filter(own).cloned().collect();
        routes.into_iter().try_for_each(|route| self.put_in_force(route))
    }

    fn put_route(&mut self, route: Route) -> Result<(), Problem> {
        let route = Arc::new(route);
        self.routes.insert(*route.id.as_bytes(), Arc::clone(&route));
        self.put_in_force(route)
    }

    /// Makes requests find a route, unless its service is turned off.
    fn put_in_force(&mut self, route: Arc<Route>) -> Result<(), Problem> {
        let id = *route.id.as_bytes();
        // What it was must not go on matching if what it is cannot.
        self.snapshot.router.remove(&id);
        let off =
            |service: Uuid| self.snapshot.service(&service).is_some_and(|target| !target.service.enabled);
        if route.service.is_some_and(off) {
            return Ok(());
        }
        let criteria = {
            let mut spec = Spec::new(id);
            spec.protocols = router_protocols(&route.protocols);
            spec.methods = &route.methods;
            spec.hosts = &route.hosts;
            spec.paths = &route.paths;
            spec.headers =
                route.headers.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
            spec.snis = &route.snis;
            spec.regex_priority = route.regex_priority;
            Criteria::parse(&spec)
        };
        let criteria =
            criteria.map_err(|error| Problem { entity: "route", id: route.id, why: error.to_string() })?;
        self.snapshot.router.insert(criteria, route);
        Ok(())
    }

    fn put_consumer(&mut self, consumer: Consumer) {
        self.drop_consumer(consumer.id);
        let (id, snapshot) = (*consumer.id.as_bytes(), &mut self.snapshot);
        if let Some(username) = &consumer.username {
            snapshot.usernames.insert(snapshot.name(username), id);
        }
        if let Some(custom_id) = &consumer.custom_id {
            snapshot.custom_ids.insert(snapshot.name(custom_id), id);
        }
        snapshot.consumers.insert(id, Arc::new(consumer));
    }

    fn drop_consumer(&mut self, id: Uuid) {
        let snapshot = &mut self.snapshot;
        let Some(before) = snapshot.consumers.remove(id.as_bytes()) else { return };
        let names =
            [before.username.as_ref(), before.custom_id.as_ref()].map(|n| n.map(|n| snapshot.name(n)));
        for (name, map) in names.into_iter().zip([&mut snapshot.usernames, &mut snapshot.custom_ids]) {
            // Another consumer may have taken the name in the meantime.
            if let Some(name) = name.filter(|name| map.get(name) == Some(id.as_bytes())) {
                map.remove(&name);
            }
        }
    }

    fn put_plugin(&mut self, plugin: &Plugin) -> Result<(), Problem> {
        let id = *plugin.id.as_bytes();
        self.drop_plugin(&id);
        if !plugin.enabled {
            return Ok(());
        }
        let problem = |why: String| Problem { entity: "plugin", id: plugin.id, why };
        let position = self.kinds.iter().position(|kind| kind.name() == &*plugin.name);
        let position =
            position.ok_or_else(|| problem(format!("there is no plugin '{}' here", plugin.name)))?;
        let rank = Rank(u16::try_from(position).map_err(|error| problem(error.to_string()))?);
        let kind = &self.kinds[position];
        let env = Env { id: plugin.id, records: Arc::clone(&self.records) };
        let built = kind.build(&plugin.config, &env).map_err(|error| problem(error.to_string()))?;
        let bytes = |id: Option<Uuid>| id.map(|id| *id.as_bytes());
        let scope = Scope {
            route: bytes(plugin.route),
            service: bytes(plugin.service),
            consumer: bytes(plugin.consumer),
        };
        let instance = Instance::new(id, rank, &plugin.protocols, built);
        let wants = instance.phases.client_certificate;
        self.snapshot.want_certificates += usize::from(wants);
        self.snapshot.plugins.insert(scope, instance);
        self.placed.insert(id, Placed { scope, rank, wants_certificates: wants });
        Ok(())
    }

    fn drop_plugin(&mut self, id: &Id) {
        if let Some(Placed { scope, rank, wants_certificates }) = self.placed.remove(id) {
            self.snapshot.want_certificates -= usize::from(wants_certificates);
            self.snapshot.plugins.remove(scope, rank, id);
        }
    }

    fn put_acl(&mut self, acl: Acl) {
        self.drop_acl(acl.id.as_bytes());
        let consumer = *acl.consumer.as_bytes();
        let mut groups = self.snapshot.groups.get(&consumer).map(|g| g.to_vec()).unwrap_or_default();
        let at = groups.partition_point(|group| *group < acl.group);
        groups.insert(at, acl.group.clone());
        self.snapshot.groups.insert(consumer, groups.into());
        self.memberships.insert(*acl.id.as_bytes(), (consumer, acl.group));
    }

    fn drop_acl(&mut self, id: &Id) {
        let Some((consumer, group)) = self.memberships.remove(id) else { return };
        let mut groups = self.snapshot.groups.get(&consumer).map(|g| g.to_vec()).unwrap_or_default();
        groups.retain(|other| *other != group);
        if groups.is_empty() {
            self.snapshot.groups.remove(&consumer);
        } else {
            self.snapshot.groups.insert(consumer, groups.into());
        }
    }
}

fn router_protocols(protocols: &[Protocol]) -> Protocols {
    protocols
        .iter()
        .map(|protocol| match protocol {
            Protocol::Grpc => weir_router::Protocol::Grpc,
            Protocol::Grpcs => weir_router::Protocol::Grpcs,
            Protocol::Http => weir_router::Protocol::Http,
            Protocol::Https => weir_router::Protocol::Https,
            Protocol::Tcp => weir_router::Protocol::Tcp,
            Protocol::Tls => weir_router::Protocol::Tls,
            Protocol::TlsPassthrough => weir_router::Protocol::TlsPassthrough,
            Protocol::Udp => weir_router::Protocol::Udp,
        })
        .collect()
}
