//! A proxy whose entities and plugins are the test's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::{Client, TempDir};
use weir_mint::{Digester, Uuid};
use weir_model::PluginSchema;
use weir_model::schema::record;
use weir_model::typed::{self, Protocol, Route, Service};
use weir_plugin::{BuildError, Env, Kind, NoRecords, Plugin};
use weir_proxy::{Builder, Certificate, Gateway, Identity, Listen, Settings, Update};

/// A kind of plugin that has one instance, which is the test's.
pub(crate) struct Single {
    pub(crate) name: &'static str,
    pub(crate) priority: i32,
    pub(crate) plugin: Arc<dyn Plugin>,
}

impl Kind for Single {
    fn name(&self) -> &'static str {
        self.name
    }

    fn priority(&self) -> i32 {
        self.priority
    }

    fn schema(&self) -> PluginSchema {
        PluginSchema::http(self.name, record([]))
    }

    fn build(&self, _: &serde_json::Value, _: &Env) -> Result<Arc<dyn Plugin>, BuildError> {
        Ok(Arc::clone(&self.plugin))
    }
}

/// A proxy with one worker, so that what waits and what must not wait share it.
pub(crate) struct Proxy {
    pub(crate) builder: Builder,
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
    pub(crate) route: Uuid,
    _dir: TempDir,
}

impl Proxy {
    /// All requests go through these plugins, in this order, to this upstream. Those whose path begins with `/free`
    /// go through none.
    pub(crate) fn start(upstream: SocketAddr, plugins: Vec<Arc<dyn Plugin>>) -> Self {
        const NAMES: [&str; 4] = ["first", "second", "third", "fourth"];
        let kinds: Vec<Arc<dyn Kind>> = NAMES
            .iter()
            .zip((0..100).rev())
            .zip(plugins)
            .map(|((name, priority), plugin)| Arc::new(Single { name, priority, plugin }) as Arc<dyn Kind>)
            .collect();
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let mut builder =
            Builder::new(Settings::default(), kinds, Arc::new(NoRecords), Digester::new(&[7; 32]));
        let service = service(upstream);
        let (all, free) = (route(&service, "/"), route(&service, "/free"));
        let of_all = all.id;
        builder.apply(Update::Service(service)).unwrap();
        for route in [all, free] {
            builder.apply(Update::Route(route)).unwrap();
        }
        for name in names {
            builder.apply(Update::Plugin(plugin(name, of_all))).unwrap();
        }
        let dir = TempDir::new();
        let identity = Identity::read_or_make(&dir.join("a.crt"), &dir.join("a.key")).unwrap();
        let mut gateway =
            Gateway::start(1, builder.snapshot(), Certificate::new(&identity).unwrap()).unwrap();
        let listen = Listen { address: ([127, 0, 0, 1], 0).into(), tls: false, http2: true, backlog: 64 };
        let address = gateway.listen(&[listen]).unwrap().plain[0];
        Self { builder, gateway, address, route: of_all, _dir: dir }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// Ends it. Says whether all requests ended in time.
    pub(crate) fn end(self, patience: Duration) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.gateway.shutdown(patience))
    }
}

fn service(upstream: SocketAddr) -> Service {
    let limit = Duration::from_secs(20);
    Service {
        id: Uuid::v4().unwrap(),
        name: Some("upstream".into()),
        protocol: Protocol::Http,
        host: upstream.ip().to_string().into(),
        port: upstream.port(),
        path: None,
        retries: 0,
        connect_timeout: limit,
        write_timeout: limit,
        read_timeout: limit,
        tls_verify: false,
        enabled: true,
    }
}

fn route(service: &Service, path: &str) -> Route {
    Route {
        id: Uuid::v4().unwrap(),
        name: None,
        created_at: 0,
        protocols: vec![Protocol::Http, Protocol::Https],
        https_redirect_status_code: 426,
        strip_path: false,
        preserve_host: false,
        request_buffering: true,
        service: Some(service.id),
        snis: Vec::new(),
        methods: Vec::new(),
        hosts: Vec::new(),
        paths: vec![path.to_owned()],
        headers: Vec::new(),
        regex_priority: 0,
        path_handling_v1: false,
    }
}

fn plugin(name: &str, route: Uuid) -> typed::Plugin {
    typed::Plugin {
        id: Uuid::v4().unwrap(),
        name: name.into(),
        route: Some(route),
        service: None,
        consumer: None,
        config: json!({}),
        protocols: vec![Protocol::Http, Protocol::Https],
        enabled: true,
    }
}
