//! A gateway from its start to its end: the one place where store, proxy and Admin API meet.

mod changes;
pub(crate) mod check;
pub(crate) mod lock;
pub(crate) mod log;
mod node;
pub(crate) mod prefix;
mod records;
mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use weir_admin::{Access, Admin, Endpoint, Kind as Api, Token};
use weir_mint::Secret;
use weir_model::Catalog;
use weir_plugin::Kind;
use weir_plugins::Shared;
use weir_proxy::{Builder, Certificate, Gateway, Identity, Listen, Listeners, private_server_config};
use weir_store::sqlite::Sqlite;
use weir_store::{Sealer, SecretsAtRest, Store};

use crate::config::{AdminAuth, Config};
use log::Levels;
use node::{Force, Running};
pub(crate) use prefix::Prefix;
use records::StoreRecords;

/// Loads a configuration again.
pub(crate) type Reload<'a> = dyn Fn() -> Result<Config> + 'a;

/// What a wrong certificate is a certificate of.
const CERTIFICATE: &str = "the certificate of the ssl listeners";
/// How often entities whose time is over are deleted.
const REAP: Duration = Duration::from_secs(60);
/// How often a start says that it waits for the kernel's generator.
const SAY_WAITING: Duration = Duration::from_secs(60);

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// When it cannot start; a running gateway does not end in an error.
pub(crate) fn run(config: Config, reload: &Reload<'_>) -> Result<()> {
    let levels = log::start(&config.log_level);
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    raise_descriptor_limit();
    // What plugins ask others over TLS is drawn from the kernel as well. It is the first in this process, so it is taken.
    let _ = CryptoProvider::clone(&weir_proxy::cryptography()).install_default();
    let prefix = Prefix::make(&config.prefix)?;
    let _lock = lock::Lock::take(&prefix.lock())?;
    wait_for_randomness(&config, &prefix)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    runtime.block_on(serve(config, &prefix, levels, reload))
}

async fn serve(config: Config, prefix: &Prefix, levels: Levels, reload: &Reload<'_>) -> Result<()> {
    let missing = prefix.missing();
    let shared = Shared::default();
    let kinds = kinds(&config.plugins, &shared)?;
    let catalog = Arc::new(Catalog::new(kinds.iter().map(|kind| kind.schema()).collect()));
    let sealer = Arc::new(sealer(prefix)?);
    let (database, at_rest) = (prefix.database(), config.secrets_at_rest);
    let store = Sqlite::open(&database, Arc::clone(&sealer), Arc::clone(&catalog), at_rest).await?;
    let store = Arc::new(store);
    shared.attempts.configure(config.lockout);
    if at_rest == SecretsAtRest::Plain {
        tracing::warn!(
            "secrets_at_rest is plain: whoever gets hold of {} has every secret in it",
            database.display()
        );
    }

    let records = Arc::new(StoreRecords::new());
    let digester = sealer.digester().clone();
    let mut builder = Builder::new(config.settings.clone(), kinds.clone(), records.clone(), digester);
    store.load(&mut |loaded| changes::load(&mut builder, loaded)).await?;
    let certificate = Certificate::new(&identity(&config, prefix)?).context(CERTIFICATE)?;
    let gateway = Gateway::start(config.workers, builder.snapshot(), Arc::clone(&certificate))?;
    let force = Arc::new(Force::new(builder, gateway));
    let running = Running {
        force: Arc::clone(&force),
        kinds,
        metrics: Arc::clone(&shared.metrics),
        attempts: Arc::clone(&shared.attempts),
        levels: levels.clone(),
        node_id: prefix.node_id()?,
    };
    let admin = Arc::new(Admin::new(store.clone(), catalog, Arc::new(running), config.api_key_kind.clone()));
    records.open(&admin);
    let mut apis = Apis::new(admin, certificate);
    // From the first connection on, a signal ends no request.
    let signals = Signals::take()?;
    let listeners = listen(&config, prefix, &force, &mut apis).await?;
    announce(&config, prefix, &missing, &listeners);
    // A gateway that serves is worth more than a file that says where.
    if let Err(error) = prefix.write_listeners(&listeners) {
        tracing::error!("{error:#}: weir health and weir reload will not find this gateway");
    }

    let reread = |before, next, apis: &Apis| {
        reload::apply(before, next, &force, apis, prefix, &levels, &shared.attempts)
    };
    until_stopped(signals, &force, &mut apis, config, reload, &reread).await?;
    prefix.remove_listeners();
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for the kernel's generator where this start has to mint something; says that it is not ready where not.
///
/// A gateway that has its keys already goes on proxying with the credentials that it knows. Until the generator is ready,
/// whatever has to be drawn is refused: TLS handshakes, new credentials, tokens, sessions. Once ready, the generator stays
/// so until the next boot, so that no draw ever waits.
fn wait_for_randomness(config: &Config, prefix: &Prefix) -> Result<()> {
    // What waiting would not mend is an error at once.
    match weir_kernel::wait_ready(Duration::ZERO) {
        Err(weir_kernel::Error::NotReady) => {}
        ready => return ready.context("nothing can be drawn"),
    }
    if must_mint(config, prefix) {
        let mut ready = Err(weir_kernel::Error::NotReady);
        while ready == Err(weir_kernel::Error::NotReady) {
            tracing::warn!(
                "waiting for the kernel's random number generator: this first start has keys to draw (weir doctor says what it lacks)"
            );
            ready = weir_kernel::wait_ready(SAY_WAITING);
        }
        return ready.context("nothing can be drawn");
    }
    tracing::warn!(
        "the kernel's random number generator is not ready: until it is, TLS and everything that mints are refused, and only known credentials over plain HTTP are served (weir doctor says what it lacks)"
    );
    // Somebody has to wait in the kernel: it gathers entropy from its own timing only then.
    let waiting = std::thread::Builder::new().name("weir-wait-ready".to_owned()).spawn(|| {
        while weir_kernel::wait_ready(SAY_WAITING) == Err(weir_kernel::Error::NotReady) {
            tracing::warn!("the kernel's random number generator is still not ready");
        }
        if weir_kernel::is_ready() {
            tracing::info!("the kernel's random number generator is ready");
        }
    });
    waiting.map(drop).context("no thread to wait for the kernel's random number generator")
}

/// Whether this start has something to draw: the keys and the token of the first one.
fn must_mint(config: &Config, prefix: &Prefix) -> bool {
    let token =
        config.admin_token.is_none() && config.admin_listen.iter().any(|one| needs_token(config, one));
    prefix.must_mint(token, config.certificate.is_none())
}

/// The plugins that entities may name.
fn kinds(names: &[String], shared: &Shared) -> Result<Vec<Arc<dyn Kind>>> {
    let all = weir_plugins::kinds(shared);
    match names {
        [one] if one == "bundled" => Ok(all),
        [one] if one == "off" => Ok(Vec::new()),
        names => {
            let mut chosen: Vec<Arc<dyn Kind>> = Vec::new();
            let mut unknown: Vec<&str> = Vec::new();
            for name in names {
                let found: Vec<_> =
                    all.iter().filter(|kind| name == "bundled" || kind.name() == name).cloned().collect();
                if found.is_empty() {
                    unknown.push(name);
                }
                let new =
                    found.into_iter().filter(|kind| !chosen.iter().any(|other| other.name() == kind.name()));
                chosen.extend(new.collect::<Vec<_>>());
            }
            if !unknown.is_empty() {
                let known: Vec<_> = all.iter().map(|kind| kind.name()).collect();
                bail!("plugins: there is no '{}'; there are {}", unknown.join("', no '"), known.join(", "));
            }
            Ok(chosen)
        }
    }
}

/// The key that secrets are sealed with. One is made with the database, never for a database that is there: its secrets
/// would be lost for good, and nobody would know before they are needed.
fn sealer(prefix: &Prefix) -> Result<Sealer> {
    let (key, database) = (prefix.store_key(), prefix.database());
    if database.exists() && !key.exists() {
        bail!(
            "{} holds secrets that only its key opens, and {} is not there: put the key back, or move the database away to begin anew",
            database.display(),
            key.display()
        );
    }
    Ok(Sealer::open_or_create(&key)?)
}

fn identity(config: &Config, prefix: &Prefix) -> Result<Identity> {
    let identity = match &config.certificate {
        Some((chain, key)) => Identity::read(chain, key),
        None => Identity::read_or_make(&prefix.certificate(), &prefix.certificate_key()),
    };
    identity.context(CERTIFICATE)
}

/// The servers of the Admin API and the status API.
struct Apis {
    admin: Arc<Admin>,
    /// The proxy's as well.
    certificate: Arc<Certificate>,
    stop: watch::Sender<bool>,
    tasks: tokio::task::JoinSet<()>,
    listening: Vec<Place>,
}

/// Where one of them listens.
struct Place {
    kind: Api,
    listen: Listen,
    address: SocketAddr,
    access: watch::Sender<Access>,
}

impl Apis {
    fn new(admin: Arc<Admin>, certificate: Arc<Certificate>) -> Self {
        Self {
            admin,
            certificate,
            stop: watch::Sender::new(false),
            tasks: tokio::task::JoinSet::new(),
            listening: Vec::new(),
        }
    }

    async fn add(
        &mut self,
        kind: Api,
        listen: &Listen,
        access: Access,
        tls: Option<TlsAcceptor>,
    ) -> Result<()> {
        let bound = TcpListener::bind(listen.address).await;
        let listener = bound.with_context(|| format!("cannot listen on {}", listen.address))?;
        let (access, asked) = watch::channel(access);
        let address = listener.local_addr()?;
        self.listening.push(Place { kind, listen: listen.clone(), address, access });
        let endpoint = Endpoint { kind, listener, tls, access: asked };
        self.tasks.spawn(weir_admin::serve(Arc::clone(&self.admin), endpoint, self.stop.subscribe()));
        Ok(())
    }

    fn addresses(&self, kind: Api, tls: bool) -> Vec<SocketAddr> {
        let of_kind = self.listening.iter().filter(|place| place.kind == kind && place.listen.tls == tls);
        of_kind.map(|place| place.address).collect()
    }

    /// Asks of requests to the Admin API what this configuration asks, which listens where the last one did.
    fn ask(&self, config: &Config, prefix: &Prefix) -> Result<()> {
        let token = admin_token(config, prefix)?;
        for place in self.listening.iter().filter(|place| place.kind == Api::Admin) {
            place.access.send_replace(access(config, token.as_ref(), &place.listen));
        }
        Ok(())
    }

    /// Where everything listens, with where the proxy does.
    fn listening(&self, proxy: Listeners) -> prefix::Listening {
        prefix::Listening {
            proxy: proxy.plain,
            proxy_ssl: proxy.tls,
            admin: self.addresses(Api::Admin, false),
            admin_ssl: self.addresses(Api::Admin, true),
            status: self.addresses(Api::Status, false),
            status_ssl: self.addresses(Api::Status, true),
        }
    }

    /// Stops listening, and gives requests under way this long to end.
    async fn end(&mut self, patience: Duration) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Starts to listen everywhere, or nowhere.
async fn listen(
    config: &Config,
    prefix: &Prefix,
    force: &Force,
    apis: &mut Apis,
) -> Result<prefix::Listening> {
    let token = admin_token(config, prefix)?;
    let authorities = authorities(config)?;
    let certificate = Arc::clone(&apis.certificate);
    let tls =
        |listen: &Listen, authorities: Option<&[CertificateDer<'static>]>| -> Result<Option<TlsAcceptor>> {
            if !listen.tls {
                return Ok(None);
            }
            Ok(Some(TlsAcceptor::from(private_server_config(&certificate, authorities)?)))
        };
    for listen in &config.admin_listen {
        let access = access(config, token.as_ref(), listen);
        let acceptor = tls(listen, authorities.as_deref())?;
        apis.add(Api::Admin, listen, access, acceptor).await?;
    }
    for listen in &config.status_listen {
        let access = Access { token: None, hosts: None, origins: Vec::new() };
        let acceptor = tls(listen, None)?;
        apis.add(Api::Status, listen, access, acceptor).await?;
    }
    Ok(apis.listening(force.listen(&config.proxy_listen)?))
}

/// What this listener of the Admin API asks of requests.
fn access(config: &Config, token: Option<&Secret>, listen: &Listen) -> Access {
    Access {
        token: token.filter(|_| needs_token(config, listen)).cloned().map(Token::new),
        // Whoever must show something cannot be a website's page.
        hosts: listen.address.ip().is_loopback().then(|| config.admin_hosts.clone()),
        origins: config.admin_origins.clone(),
    }
}

/// Whether requests to this listener must show the token.
fn needs_token(config: &Config, listen: &Listen) -> bool {
    match config.admin_auth {
        AdminAuth::Token => true,
        AdminAuth::Off => false,
        // A certificate is as good, and only TLS can ask for one.
        AdminAuth::Auto => {
            let certified = listen.tls && config.admin_client_ca.is_some();
            !(certified || listen.address.ip().is_loopback())
        }
    }
}

/// Refuses to serve the Admin API, which changes everything, to whoever comes by.
fn closed(config: &Config) -> Result<()> {
    let mut open = config.admin_listen.iter().filter(|listen| !listen.address.ip().is_loopback());
    if let (AdminAuth::Off, Some(listen)) = (config.admin_auth, open.next()) {
        bail!(
            "admin_auth is off, and admin_listen has {}, which others can reach: remove admin_auth, or listen on loopback",
            listen.address
        );
    }
    Ok(())
}

/// The token of the Admin API, if any listener asks for one.
fn admin_token(config: &Config, prefix: &Prefix) -> Result<Option<Secret>> {
    closed(config)?;
    let mut asking = config.admin_listen.iter().filter(|listen| needs_token(config, listen)).peekable();
    if asking.peek().is_none() {
        return Ok(None);
    }
    if let Some(listen) = asking.find(|listen| !listen.tls && !listen.address.ip().is_loopback()) {
        tracing::warn!(address = %listen.address, "the Admin API's token will cross the network in the clear: add ssl to this listener");
    }
    match &config.admin_token {
        Some(token) => Ok(Some(token.clone())),
        None => prefix.admin_token().map(Some),
    }
}

/// The authorities whose clients may use the Admin API, if any are named.
fn authorities(config: &Config) -> Result<Option<Vec<CertificateDer<'static>>>> {
    let Some(path) = config.admin_client_ca.as_deref() else { return Ok(None) };
    let context = || format!("admin_client_ca: {}", path.display());
    let list: Vec<_> = CertificateDer::pem_file_iter(path)
        .with_context(context)?
        .collect::<Result<_, _>>()
        .with_context(context)?;
    if list.is_empty() {
        bail!("{}: it holds no certificate", context());
    }
    let mut roots = RootCertStore::empty();
    list.iter().try_for_each(|one| roots.add(one.clone())).with_context(context)?;
    Ok(Some(list))
}

/// Says what this start made, and where the gateway listens.
fn announce(config: &Config, prefix: &Prefix, missing: &[PathBuf], listening: &prefix::Listening) {
    for made in missing.iter().filter(|path| path.exists()) {
        tracing::info!("made {}", made.display());
    }
    let shown = |list: &[SocketAddr]| {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        (!list.is_empty()).then(|| list.join(", "))
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        prefix = %prefix.absolute().display(),
        workers = config.workers,
        proxy = shown(&listening.proxy),
        proxy_ssl = shown(&listening.proxy_ssl),
        admin = shown(&listening.admin),
        admin_ssl = shown(&listening.admin_ssl),
        status = shown(&listening.status),
        status_ssl = shown(&listening.status_ssl),
        "ready"
    );
}

/// What the gateway is told by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on they are told, and no longer end the process.
    fn take() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Serves until a signal says to stop.
async fn until_stopped(
    mut signals: Signals,
    force: &Force,
    apis: &mut Apis,
    mut config: Config,
    reload: &Reload<'_>,
    put_in_force: &dyn Fn(Config, Config, &Apis) -> Config,
) -> Result<()> {
    let mut reap = tokio::time::interval(REAP);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.quit.recv() => break,
            _ = signals.hangup.recv() => {
                match reload() {
                    Ok(next) => config = put_in_force(config, next, apis),
                    Err(error) => {
                        let problems = format!("{error:#}");
                        problems.lines().for_each(|line| tracing::error!("{line}"));
                        tracing::error!("the configuration stays as it was");
                    }
                }
            }
            _ = reap.tick() => {
                if let Err(error) = apis.admin.reap().await {
                    let error = anyhow::Error::from(error);
                    tracing::error!("entities whose time is over cannot be deleted: {error:#}");
                }
                write_usage(force, &apis.admin).await;
            }
        }
    }
    tracing::info!("stopping: requests under way have {} seconds to end", config.shutdown_timeout.as_secs());
    let patience = config.shutdown_timeout;
    let ((), in_time) = tokio::join!(apis.end(patience), force.shutdown(patience));
    if !in_time {
        tracing::warn!("some requests did not end in time and were cut off");
    }
    write_usage(force, &apis.admin).await;
    Ok(())
}

/// Writes down which credentials were used since the last time.
async fn write_usage(force: &Force, admin: &Admin) {
    if let Err(error) = admin.put_last_used(&force.take_usage()).await {
        let error = anyhow::Error::from(error);
        tracing::error!("when credentials were last used cannot be written down: {error:#}");
    }
}

/// A proxy needs two descriptors a request: as many as the host allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
