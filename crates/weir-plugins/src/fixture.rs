//! A request in front of a plugin, and what that may look up: for tests of plugins that need no gateway.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use weir_mint::{Secret, Uuid};
use weir_model::typed::{
    BasicCredential, CaCertificate, Consumer, HmacCredential, JwtCredential, OAuth2Client, OAuth2Token,
    StoredSession,
};
use weir_plugin::{
    Client, Content, Credential, Ctx, Directory, Flow, Headers, Kept, Plugin, RequestId, Scheme,
};

/// The one consumer, by the name of alice.
pub(crate) const ALICE: Uuid = Uuid::from_bytes([7; 16]);
/// Epoch milliseconds.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// What is known: alice, her API key `k`, and of each other kind of credential one at most, whatever it is asked for by.
pub(crate) struct Known {
    pub(crate) alice: Consumer,
    pub(crate) hmac: Option<Arc<Kept<HmacCredential>>>,
    pub(crate) jwt: Option<Arc<Kept<JwtCredential>>>,
}

impl Default for Known {
    fn default() -> Self {
        let alice = Consumer { id: ALICE, username: Some("alice".into()), custom_id: None };
        Self { alice, hmac: None, jwt: None }
    }
}

impl Directory for Known {
    fn key(&self, key: &[u8]) -> Option<Credential> {
        (key == b"k").then_some(Credential { id: Uuid::from_bytes([1; 16]), consumer: ALICE })
    }

    fn consumer(&self, id: &Uuid) -> Option<&Consumer> {
        (*id == ALICE).then_some(&self.alice)
    }

    fn consumer_named(&self, name: &str) -> Option<&Consumer> {
        (name == "alice").then_some(&self.alice)
    }

    fn consumer_by_custom_id(&self, _: &str) -> Option<&Consumer> {
        None
    }

    fn groups(&self, _: &Uuid) -> &[Box<str>] {
        &[]
    }

    fn basic(&self, _: &str) -> Option<&Arc<Kept<BasicCredential>>> {
        None
    }

    fn hmac(&self, _: &str) -> Option<&Arc<Kept<HmacCredential>>> {
        self.hmac.as_ref()
    }

    fn jwt(&self, _: &str) -> Option<&Arc<Kept<JwtCredential>>> {
        self.jwt.as_ref()
    }

    fn oauth2_client(&self, _: &str) -> Option<&Arc<Kept<OAuth2Client>>> {
        None
    }

    fn oauth2_client_by_id(&self, _: &Uuid) -> Option<&Arc<Kept<OAuth2Client>>> {
        None
    }

    fn oauth2_token(&self, _: &str) -> Option<&Arc<Kept<OAuth2Token>>> {
        None
    }

    fn session(&self, _: &str) -> Option<&Arc<Kept<StoredSession>>> {
        None
    }

    fn ca_certificate(&self, _: &Uuid) -> Option<&Arc<Kept<CaCertificate>>> {
        None
    }

    fn mtls(&self, _: &str, _: Option<&Uuid>) -> Option<Credential> {
        None
    }

    fn is_secret(&self, kept: &Secret, shown: &[u8]) -> bool {
        kept.matches(shown)
    }
}

/// A request.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) now_ms: u64,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { method: Method::GET, target: "/", headers: &[], body: None, now_ms: NOW_MS }
    }
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// It goes on, as somebody's.
    Of(Uuid),
    /// It goes on, as nobody's.
    Nobodys,
    /// It was answered, so.
    Answered(u16, String),
}

/// Sends a request through the access phase of a plugin that does not wait. `look` sees it afterwards.
pub(crate) fn access(
    plugin: &dyn Plugin,
    known: &Known,
    request: &Request<'_>,
    look: impl FnOnce(&Ctx<'_>),
) -> Became {
    let ip = std::net::IpAddr::from([192, 0, 2, 1]);
    let client = Client {
        peer: (ip, 1).into(),
        peer_text: "192.0.2.1".into(),
        ip,
        ip_text: "192.0.2.1".into(),
        trusted: false,
        port: 80,
        scheme: Scheme::Http,
        sni: None,
        certificates: None,
    };
    let mut ctx = Ctx {
        id: RequestId::new([0; 16]),
        client: &client,
        method: request.method.clone(),
        target: request.target.to_owned(),
        host: "localhost".to_owned(),
        headers: request.headers.iter().copied().collect(),
        body: request.body.map(Bytes::copy_from_slice),
        started: Instant::now(),
        started_ms: request.now_ms,
        route: None,
        service: None,
        upstream_target: request.target.to_owned(),
        identity: None,
        response: Headers::new(),
        subject: None,
        groups: None,
        directory: known,
    };
    let flow = plugin.access(&mut ctx);
    look(&ctx);
    match flow {
        Flow::Continue => ctx.consumer().map_or(Became::Nobodys, |consumer| Became::Of(consumer.id)),
        Flow::Respond(answer) => {
            let text = match answer.content {
                Content::Message(text) => text.into_owned(),
                Content::Exact(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            };
            Became::Answered(answer.status.as_u16(), text)
        }
        Flow::Wait(_) => panic!("it waits"),
    }
}
