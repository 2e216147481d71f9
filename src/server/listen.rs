//! Binds the listeners and starts the workers. Each worker is one thread with its own runtime; what is said to the
//! authorization server runs on the runtime that called [`start`].

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;

use actix_server::Server;
use tokio::task::JoinHandle;

use super::admin;
use super::app::{App, BuildError, Shared};
use super::control;
use super::dispatch::dispatch;
use super::live::{Live, Serving};
use super::print;
use super::provider_watch::watch_providers;
use super::reload::Reload;
use super::shutdown::{GOODBYE, Shutdown, Signals};
use super::socket::{Socket, SocketError};
use super::transport::server_tls;
use super::wire::{self, Limits, Listeners};
use super::worker::Worker;
use crate::clock::Clock;
use crate::config::{AppConfig, Config, RedisConfig, ServerConfig};
use crate::edge::{Rates, RequestIds};
use crate::proxy::{Drain, Pool};
use crate::secret::Random;
use crate::store::{Redis, StoreError};
use crate::telemetry::{CollectorError, Metrics, Refusals};
use crate::traces;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "cannot listen on {address} ({key}): {reason}; choose another address or stop what is using it"
    )]
    Listen { address: SocketAddr, key: &'static str, reason: std::io::Error },
    #[error("app {id:?}: {reason}")]
    App { id: String, reason: BuildError },
    #[error("cannot verify upstream certificates: {0}")]
    Tls(rustls::Error),
    #[error("control.socket: {0}")]
    Control(SocketError),
    #[error("server.unix_socket: {0}")]
    Socket(SocketError),
    #[error("[redis]: {0}")]
    Redis(StoreError),
    #[error(transparent)]
    Traces(#[from] CollectorError),
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    reload: Reload,
    shutdown: Shutdown,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// What changes it while it runs.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Stops accepting, lets requests finish and streams end, and returns when all is down.
    pub async fn stop(self) {
        self.shutdown.graceful().await;
        // A panicked server task is reported by its own thread.
        let _finished = self.task.await;
    }

    /// Waits until the server ends by a signal: gracefully at the first, at once at the second.
    pub async fn finished(mut self, mut signals: Signals) -> std::io::Result<()> {
        tokio::select! {
            ended = &mut self.task => return ended.unwrap_or_else(|error| Err(std::io::Error::other(error))),
            () = signals.next() => tracing::info!("going down; a second signal ends at once"),
        }
        tokio::select! {
            () = self.shutdown.graceful() => {}
            // The process ends with the caller, and its connections with it.
            () = signals.next() => tracing::warn!("ended at once by a second signal"),
        }
        Ok(())
    }
}

/// Starts the server on the current runtime, which becomes the control plane.
///
/// # Errors
/// An address in use, an app that cannot be built, or no usable certificate store.
pub fn start(config: Config, clock: Clock, random: Random) -> Result<Running, ServeError> {
    start_counted(config, clock, random, Metrics::default())
}

/// The same, with metrics that others count in, too.
///
/// # Errors
/// As [`start`].
pub fn start_counted(
    config: Config,
    clock: Clock,
    random: Random,
    metrics: Metrics,
) -> Result<Running, ServeError> {
    let (taken, fixed) = (print::whole(&config), print::fixed(&config));
    let exporting = config.tracing.map(|tracing| {
        traces::start(tracing, (clock.clone(), random.clone()), metrics.span_drops())
    });
    let (spans, exporter) = exporting.transpose()?.unzip();
    let shared = Shared {
        spans,
        control: tokio::runtime::Handle::current(),
        clock: clock.clone(),
        random,
        metrics: metrics.clone(),
        refusals: Refusals::default(),
        rates: Rates::default(),
        redis: config.redis.map(|redis| shared_store(redis, &clock, &metrics)).transpose()?,
    };
    let live = Live::new(serving(config.apps, &config.server, &shared)?);
    if let Some(redis) = &shared.redis {
        redis.start();
    }
    let reload = Reload { live: live.clone(), shared: shared.clone(), taken, fixed };
    let drain = Drain::default();
    let tls = Arc::new(tls_config()?);
    let (listener, address) = bind(config.server.listen, "server.listen")?;
    // Before the admin listener, which says that we are ready.
    let (socket, unix) = match &config.server.unix_socket {
        Some(path) => Some(Socket::bind(path, OWN_GROUP).map_err(ServeError::Socket)?),
        None => None,
    }
    .unzip();
    let admin = match config.admin.listen {
        Some(listen) => Some(admin::start(
            bind(listen, "admin.listen")?,
            config.admin.hosts,
            live.clone(),
            metrics.clone(),
            drain.clone(),
        )),
        None => None,
    };
    let timeout = config.server.shutdown_timeout;
    let control = match &config.control.socket {
        Some(path) => {
            let parts = (metrics.clone(), shared.refusals.clone());
            Some(control::start(path, live.clone(), parts).map_err(ServeError::Control)?)
        }
        None => None,
    };
    let parts = Parts { live: live.clone(), tls, shared, drain: drain.clone() };
    let key = "server.listen";
    let server = listen((listener, unix), config.server, parts)
        .map_err(|reason| ServeError::Listen { address, key, reason })?;
    let handle = server.handle();
    let shutdown = Shutdown { handle, drain, metrics, timeout, live, control, socket, exporter };
    Ok(Running { address, admin, reload, shutdown, task: tokio::spawn(server) })
}

/// All apps, and what goes with them.
fn serving(
    configs: Vec<AppConfig>,
    server: &ServerConfig,
    shared: &Shared,
) -> Result<Serving, ServeError> {
    let mut apps = Vec::with_capacity(configs.len());
    for app in configs {
        let id = app.id.clone();
        let app = App::build(app, shared, None);
        let app = Arc::new(app.map_err(|reason| ServeError::App { id, reason })?);
        watch_providers(&app, &[], shared);
        apps.push(app);
    }
    let certificate = server.tls.as_ref().map(|certificate| {
        shared.metrics.certificate_ends(certificate.ends());
        certificate.certified()
    });
    Ok(Serving::new(apps, server.trusted_proxies.clone(), certificate))
}

fn shared_store(
    config: RedisConfig,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Arc<Redis>, ServeError> {
    let redis = Redis::new(config, clock.clone(), metrics.clone()).map_err(ServeError::Redis)?;
    Ok(Arc::new(redis))
}

/// What every worker gets its share of.
#[derive(Clone)]
struct Parts {
    live: Live,
    tls: Arc<rustls::ClientConfig>,
    shared: Shared,
    drain: Drain,
}

/// User and group of this process open the socket: the proxy before us is put into the group.
const OWN_GROUP: u32 = 0o660;

/// The server of the apps on its listeners, ready to run.
fn listen(
    (listener, unix): (TcpListener, Option<UnixListener>),
    config: ServerConfig,
    parts: Parts,
) -> std::io::Result<Server> {
    let tls = config.tls.is_some().then(|| server_tls(&parts.live)).transpose()?;
    let drain = parts.drain.clone();
    let handlers = move || {
        let Parts { live, tls, shared, drain } = &parts;
        // Built on the worker's own thread: the pool never leaves it.
        let worker = Rc::new(Worker {
            request_ids: RequestIds::new(shared.random.clone()),
            live: live.clone(),
            pool: Pool::new(Arc::clone(tls), shared.metrics.clone(), drain.clone()),
            drain: drain.clone(),
            // Such a link was made before: it cannot fail now.
            link: shared.redis.as_ref().and_then(|redis| redis.worker_link().ok()),
            shared: shared.clone(),
        });
        move |request, body| {
            let worker = Rc::clone(&worker);
            // Called inside: a future that is taken in is stored twice, and every desk has room for one.
            async move { dispatch(&worker, &request, body).await }
        }
    };
    let limits = Limits {
        head: config.head_timeout,
        idle: config.keepalive_timeout,
        write: config.write_timeout,
    };
    let forced = config.shutdown_timeout + GOODBYE;
    let mut server = Server::build().disable_signals().shutdown_timeout(forced.as_secs());
    if let Some(workers) = config.workers {
        server = server.workers(workers);
    }
    wire::serve(server, Listeners { tcp: listener, tls, unix }, limits, &drain, handlers)
}

fn bind(address: SocketAddr, key: &'static str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let listen = |reason| ServeError::Listen { address, key, reason };
    let listener = TcpListener::bind(address).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}

/// Upstream certificates are verified against the system's roots; there is no switch to skip it (PX-17).
pub(super) fn tls_config() -> Result<rustls::ClientConfig, ServeError> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ServeError::Tls)?;
    Ok(builder.with_platform_verifier().map_err(ServeError::Tls)?.with_no_client_auth())
}
