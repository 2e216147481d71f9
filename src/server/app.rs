//! One app: provider, session, guard, routes and SPA, a value built from configuration and never a global,
//! so that several apps live in one process. Building it uses no network: an authorization server that is down stops nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::held_open::Ends;
use super::routes_of::LiveRoutes;
use crate::audit::{self, Event};
use crate::clock::Clock;
use crate::config::{AppConfig, LimitsConfig, PublicUrl, SessionConfig, SessionStore};
use crate::edge::Rates;
use crate::endpoints::backchannel_logout::Backchannel;
use crate::endpoints::events::EventParts;
use crate::endpoints::logout::LogoutParts;
use crate::endpoints::logout_continue::Landing;
use crate::endpoints::{Keeping, LoginFlow, LoopWatch, Sessions};
use crate::guard::Guard;
use crate::oidc::{OidcError, Provider};
use crate::secret::Random;
use crate::session::{CounterOf, Identity, KeyRing, RuledNames, SessionCookies, SessionError};
use crate::spa::{Spa, SpaError};
use crate::store::{DenyFileError, DenyList, Redis, Seen, SessionNews, Tokens};
use crate::telemetry::{Metrics, Refusals};
use crate::tokens::{Flights, Refresher, RefusedTokens, Revocations, SharedRefreshes};

/// How long a finished exchange answers a repeated callback of the same login.
const EXCHANGE_KEPT: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Everything one app needs to answer a request.
pub struct App {
    pub id: String,
    pub public: PublicUrl,
    pub base_path: String,
    /// The SPA lives on another origin than we do.
    pub sibling_spa: bool,
    pub csrf_header: String,
    pub limits: LimitsConfig,
    /// What a login asks for, and has been granted if the authorization server does not say otherwise.
    pub scopes: Vec<String>,
    pub guard: Arc<Guard>,
    pub cookies: Arc<SessionCookies>,
    pub login: LoginFlow,
    pub sessions: Sessions,
    /// How long an ended session can matter.
    pub longest_life: Duration,
    pub ends: Arc<Ends>,
    pub events: EventParts,
    pub logout: LogoutParts,
    pub backchannel: Backchannel,
    pub landing: Landing,
    pub routes: LiveRoutes,
    pub spa: Option<Spa>,
    pub provider: Arc<Provider>,
}

/// Why an app cannot be built from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("session keys: {0}")]
    Session(#[from] SessionError),
    #[error("provider: {0}")]
    Provider(#[from] OidcError),
    #[error("session.deny_file: {0}")]
    DenyFile(#[from] DenyFileError),
    #[error("spa: {0}")]
    Spa(#[from] SpaError),
}

/// What all apps of a process share.
#[derive(Clone)]
pub struct Shared {
    pub control: Handle,
    pub clock: Clock,
    pub random: Random,
    pub metrics: Metrics,
    /// What was refused lately, and why.
    pub refusals: Refusals,
    /// How often whom came lately.
    pub rates: Rates,
    /// What other instances share with this one.
    pub redis: Option<Arc<Redis>>,
}

impl App {
    /// Builds the app; `shared.control` runs everything said to the authorization server.
    pub fn build(config: AppConfig, shared: &Shared) -> Result<Self, BuildError> {
        let url = |path: &str| format!("{}{}{path}", config.public_url.origin, config.base_path);
        let cookies = Arc::new(session_cookies(&config, shared)?);
        let provider =
            Provider::new(config.provider.clone(), url("/callback"), shared.clock.clone())?;
        let provider = Arc::new(provider);
        let common = Common {
            revocations: revocations(&config, &provider, shared),
            provider,
            guard: Arc::new(Guard::new(&config.guard, &config.public_url)),
            deny: deny_list(&config, shared)?,
            news: match &shared.redis {
                Some(redis) => SessionNews::shared(redis, &config.id),
                None => Arc::default(),
            },
            keeping: Arc::new(keeping(&config, &cookies, shared)),
            ruled: Arc::default(),
            cookies,
        };
        Ok(Self {
            landing: Landing {
                post_logout_redirect_uri: url("/logged-out"),
                signed_out_url: format!("{}{}", config.app_origin, config.signed_out_path),
                random: shared.random.clone(),
            },
            longest_life: longest_life(&config),
            sibling_spa: config.app_origin != config.public_url.origin,
            backchannel: backchannel(&config, &common, shared),
            login: login_flow(&config, &common, shared),
            logout: logout(&config, &common, shared, url("/logout/continue")),
            ends: Arc::new(Ends {
                deny: Arc::clone(&common.deny),
                issuer: config.provider.issuer.clone(),
                clock: shared.clock.clone(),
                metrics: shared.metrics.clone(),
            }),
            events: EventParts { news: Arc::clone(&common.news), metrics: shared.metrics.clone() },
            sessions: sessions(
                &config.id,
                config.session,
                config.provider.issuer.clone(),
                (&common, shared),
            ),
            csrf_header: config.guard.csrf_header,
            limits: config.limits,
            scopes: config.provider.scopes,
            spa: config
                .spa
                .as_ref()
                .map(|spa| Spa::load(spa, &config.public_url.origin))
                .transpose()?,
            routes: LiveRoutes::new(&config.id, config.routes, &shared.metrics, common.ruled),
            id: config.id,
            public: config.public_url,
            base_path: config.base_path,
            guard: common.guard,
            cookies: common.cookies,
            provider: common.provider,
        })
    }
}

/// What several parts of one app share.
struct Common {
    provider: Arc<Provider>,
    cookies: Arc<SessionCookies>,
    keeping: Arc<Keeping>,
    guard: Arc<Guard>,
    deny: Arc<DenyList>,
    news: Arc<SessionNews>,
    revocations: Arc<Revocations>,
    ruled: Arc<RuledNames>,
}

fn session_cookies(config: &AppConfig, shared: &Shared) -> Result<SessionCookies, SessionError> {
    let (app, metrics) = (config.id.clone(), shared.metrics.clone());
    let counter: CounterOf = Box::new(move |key| metrics.key_seals(&app, key));
    let ring = Arc::new(KeyRing::counted(&config.session.keys, counter)?);
    let identity = Identity {
        app_id: config.id.clone(),
        issuer: config.provider.issuer.clone(),
        client_id: config.provider.client_id.clone(),
        port: dev_port(&config.public_url),
    };
    let random = shared.random.clone();
    Ok(SessionCookies::new(ring, identity, &config.session, &config.base_path, random))
}

/// Where the sessions are.
fn keeping(config: &AppConfig, cookies: &Arc<SessionCookies>, shared: &Shared) -> Keeping {
    let redis = shared.redis.as_ref().filter(|_| config.session.store == SessionStore::Redis);
    Keeping {
        cookies: Arc::clone(cookies),
        store: redis.map(|redis| redis.records(&config.id)),
        idle: config.session.idle_timeout,
        issuer: config.provider.issuer.clone(),
    }
}

/// The list of ended sessions, in a file if there is to be one. Its troubles are told and never in anybody's way.
fn deny_list(config: &AppConfig, shared: &Shared) -> Result<Arc<DenyList>, DenyFileError> {
    let list = match &config.session.deny_file {
        Some(file) => deny_file(file, config, shared)?,
        None => DenyList::default(),
    };
    Ok(match &shared.redis {
        Some(redis) => list.shared(redis, &config.id, longest_life(config)),
        None => Arc::new(list),
    })
}

/// How long an ended session can matter: sessions may have been made with a longer life, before a restart.
fn longest_life(config: &AppConfig) -> Duration {
    config.session.max_age.max(DAY) + config.login.max_age
}

fn deny_file(file: &Path, config: &AppConfig, shared: &Shared) -> Result<DenyList, DenyFileError> {
    let (id, metrics) = (config.id.clone(), shared.metrics.clone());
    metrics.deny_file_broken(&id, false);
    let report = move |reason: Option<std::io::ErrorKind>| {
        metrics.deny_file_broken(&id, reason.is_some());
        audit::record(&Event::DenyFile { app: &id, broken: reason.is_some() }, "");
        if let Some(reason) = reason {
            tracing::error!(app = id, %reason, "the deny file cannot be written; logouts work, but a restart would forget them");
        }
    };
    DenyList::in_file(file, shared.clock.now(), Box::new(report))
}

fn login_flow(config: &AppConfig, common: &Common, shared: &Shared) -> LoginFlow {
    let (control, clock) = (shared.control.clone(), shared.clock.clone());
    LoginFlow {
        provider: Arc::clone(&common.provider),
        cookies: Arc::clone(&common.cookies),
        keeping: Arc::clone(&common.keeping),
        guard: Arc::clone(&common.guard),
        deny: Arc::clone(&common.deny),
        claims: config.session.claims.clone(),
        ruled: Arc::clone(&common.ruled),
        session_max_age: config.session.max_age,
        issuer: config.provider.issuer.clone(),
        app_origin: config.app_origin.clone(),
        error_path: config.error_path.clone(),
        exchanges: Flights::new(control.clone(), clock.clone(), EXCHANGE_KEPT),
        used: Seen::default(),
        used_elsewhere: shared.redis.as_ref().map(|redis| redis.claims(&config.id, "login")),
        loops: LoopWatch::new(&config.login),
        app_id: config.id.clone(),
        refusals: shared.refusals.clone(),
        revocations: Arc::clone(&common.revocations),
        config: config.login.clone(),
        random: shared.random.clone(),
        metrics: shared.metrics.clone(),
        control,
        clock,
    }
}

fn revocations(config: &AppConfig, provider: &Arc<Provider>, shared: &Shared) -> Arc<Revocations> {
    let told = (shared.clock.clone(), shared.metrics.clone());
    let (provider, control) = (Arc::clone(provider), shared.control.clone());
    Arc::new(Revocations::new(provider, config.logout.revoke, control, told))
}

fn logout(
    config: &AppConfig,
    common: &Common,
    shared: &Shared,
    continue_url: String,
) -> LogoutParts {
    LogoutParts {
        provider: Arc::clone(&common.provider),
        continue_url,
        config: config.logout.clone(),
        issuer: config.provider.issuer.clone(),
        control: shared.control.clone(),
        metrics: shared.metrics.clone(),
    }
}

fn backchannel(config: &AppConfig, common: &Common, shared: &Shared) -> Backchannel {
    let is_offline = config.provider.scopes.iter().any(|scope| scope == "offline_access");
    let tokens = if is_offline { Tokens::Leave } else { Tokens::Revoke };
    Backchannel::new(
        Arc::clone(&common.provider),
        Arc::clone(&common.deny),
        (longest_life(config), tokens),
        shared.control.clone(),
        (shared.clock.clone(), shared.metrics.clone()),
    )
}

fn sessions(
    app: &str,
    config: SessionConfig,
    issuer: String,
    parts: (&Common, &Shared),
) -> Sessions {
    let (common, shared) = parts;
    let clock = shared.clock.clone();
    Sessions {
        cookies: Arc::clone(&common.cookies),
        keeping: Arc::clone(&common.keeping),
        deny: Arc::clone(&common.deny),
        refresher: refresher(app, config.idle_timeout, common, shared),
        refused: RefusedTokens::default(),
        revocations: Arc::clone(&common.revocations),
        metrics: shared.metrics.clone(),
        config: Arc::new(config),
        issuer,
        clock,
    }
}

fn refresher(app: &str, keep: Duration, common: &Common, shared: &Shared) -> Refresher {
    let refresher = Refresher::new(
        Arc::clone(&common.provider),
        shared.control.clone(),
        shared.clock.clone(),
        shared.metrics.clone(),
        Arc::clone(&common.news),
        keep,
    );
    match &shared.redis {
        Some(redis) => refresher.shared(SharedRefreshes {
            store: redis.refreshes(app),
            cookies: Arc::clone(&common.cookies),
            keep,
            random: shared.random.clone(),
            clock: shared.clock.clone(),
            metrics: shared.metrics.clone(),
        }),
        None => refresher,
    }
}

/// On plain-HTTP loopback the port goes into the cookie names: cookies do not tell ports apart.
fn dev_port(public: &PublicUrl) -> Option<u16> {
    let (_, port) = public.host.rsplit_once(':')?;
    if public.https { None } else { port.parse().ok() }
}
