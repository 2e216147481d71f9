//! Builds an app from its settings, or builds it anew from other settings: with what the one before remembers, so that no
//! session, no login under way and no used code is forgotten by a change. Uses no network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::app::{App, BuildError, Shared};
use super::held_open::Ends;
use super::print;
use super::providers_of::{prints, providers};
use super::routes_of::{LiveRoutes, Place};
use crate::audit::{self, Event};
use crate::config::{AppConfig, ProviderConfig, PublicUrl, SessionConfig, SessionStore};
use crate::edge::AuthError;
use crate::endpoints::backchannel_logout::Backchannel;
use crate::endpoints::events::EventParts;
use crate::endpoints::logout::LogoutParts;
use crate::endpoints::logout_continue::Landing;
use crate::endpoints::{Keeping, LoginFlow, LoopWatch, Sessions};
use crate::guard::Guard;
use crate::session::{
    CounterOf, Identity, KeyRing, RuledNames, SessionCookies, SessionError, SessionRecord,
};
use crate::spa::Spa;
use crate::store::{DenyFileError, DenyList, Seen, SessionNews};
use crate::tokens::{
    ApiTokens, Flights, Providers, Refresher, RefusedTokens, Revocations, SharedRefreshes,
};

/// How long a finished exchange answers a repeated callback of the same login.
const EXCHANGE_KEPT: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 3600);

impl App {
    /// Builds the app; `shared.control` runs everything said to the authorization server. `before` is the same app with the
    /// settings that held until now: what it remembers is taken over, and its keys, whatever the configuration says of keys.
    pub fn build(
        config: AppConfig,
        shared: &Shared,
        before: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let url = |path: &str| config.url(path);
        let common = common(&config, shared, before)?;
        Ok(Self {
            landing: Landing {
                post_logout_redirect_uri: url("/logged-out"),
                signed_out_url: format!("{}{}", config.app_origin, config.signed_out_path),
                random: shared.random.clone(),
            },
            print: print::of_app(&config),
            provider_prints: prints(&config),
            deny_file: config.session.deny_file.clone(),
            longest_life: longest_life(&config),
            sibling_spa: config.app_origin != config.public_url.origin,
            backchannel: backchannel(&config, &common, shared, before),
            login: login_flow(&config, &common, shared),
            logout: logout(&config, &common, shared, url("/logout/continue")),
            ends: Arc::new(Ends {
                deny: Arc::clone(&common.deny),
                clock: shared.clock.clone(),
                metrics: shared.metrics.clone(),
            }),
            events: EventParts { news: Arc::clone(&common.news), metrics: shared.metrics.clone() },
            sessions: sessions(&config.id, config.session, (&common, shared, before)),
            csrf_header: config.guard.csrf_header,
            limits: config.limits,
            spa: config
                .spa
                .as_ref()
                .map(|spa| Spa::load(spa, &config.public_url.origin))
                .transpose()?,
            routes: LiveRoutes::new(
                Place { id: config.id.clone(), path: config.path.clone() },
                config.routes,
                &shared.metrics,
                common.ruled,
            ),
            id: config.id,
            public: config.public_url,
            path: config.path,
            home: format!("{}{}", config.app_origin, config.home),
            base_path: config.base_path,
            guard: common.guard,
            cookies: common.cookies,
            providers: common.providers,
        })
    }
}

/// What several parts of one app share.
struct Common {
    providers: Arc<Providers>,
    cookies: Arc<SessionCookies>,
    keeping: Arc<Keeping>,
    guard: Arc<Guard>,
    deny: Arc<DenyList>,
    news: Arc<SessionNews>,
    revocations: Arc<Revocations>,
    ruled: Arc<RuledNames>,
    memory: Memory,
}

fn common(config: &AppConfig, shared: &Shared, before: Option<&App>) -> Result<Common, BuildError> {
    let cookies = Arc::new(session_cookies(config, shared, before)?);
    let providers = providers(config, shared, before)?;
    // What other clients at other servers have done is of no use.
    let same_client = before.filter(|before| before.cookies.shares_with(&identity(config)));
    let revocations = revocations(config, &providers, shared);
    Ok(Common {
        keeping: Arc::new(keeping(config, &cookies, &providers, shared)),
        revocations: Arc::new(match before {
            Some(before) => revocations.taking_over(&before.sessions.revocations),
            None => revocations,
        }),
        providers,
        guard: Arc::new(Guard::new(&config.guard, &config.public_url)),
        deny: match before {
            Some(before) => {
                before.sessions.deny.keep_for(longest_life(config));
                Arc::clone(&before.sessions.deny)
            }
            None => deny_list(config, shared)?,
        },
        news: match (before, &shared.redis) {
            (Some(before), _) => Arc::clone(&before.events.news),
            (None, Some(redis)) => SessionNews::shared(redis, &config.id),
            (None, None) => Arc::default(),
        },
        ruled: Arc::default(),
        memory: Memory::of(same_client, shared),
        cookies,
    })
}

/// What an app remembers of what went on, and what its next settings must not forget.
struct Memory {
    exchanges: Flights<Result<Arc<SessionRecord>, AuthError>>,
    used_states: Seen,
    refused: RefusedTokens,
    api_tokens: ApiTokens,
}

impl Memory {
    fn of(before: Option<&App>, shared: &Shared) -> Self {
        let new_exchanges =
            || Flights::new(shared.control.clone(), shared.clock.clone(), EXCHANGE_KEPT);
        let new_tokens = || {
            let Shared { control, clock, metrics, .. } = shared;
            ApiTokens::new(control.clone(), clock.clone(), metrics.clone())
        };
        Self {
            exchanges: before.map_or_else(new_exchanges, |app| app.login.exchanges.clone()),
            used_states: before.map(|app| app.login.used.clone()).unwrap_or_default(),
            refused: before.map(|app| app.sessions.refused.clone()).unwrap_or_default(),
            api_tokens: before.map_or_else(new_tokens, |app| app.sessions.api_tokens.clone()),
        }
    }
}

fn session_cookies(
    config: &AppConfig,
    shared: &Shared,
    before: Option<&App>,
) -> Result<SessionCookies, SessionError> {
    let (app, metrics) = (config.id.clone(), shared.metrics.clone());
    let counter: CounterOf = Box::new(move |key| metrics.key_seals(&app, key));
    let ring = match before {
        Some(before) => before.cookies.ring(),
        None => Arc::new(KeyRing::counted(&config.session.keys, counter)?),
    };
    let (identity, random) = (identity(config), shared.random.clone());
    Ok(SessionCookies::new(ring, identity, &config.session, &config.base_path, random))
}

fn identity(config: &AppConfig) -> Identity {
    let client = |one: &ProviderConfig| (one.issuer.clone(), one.client_id.clone());
    Identity {
        app_id: config.id.clone(),
        clients: config.providers.iter().map(client).collect(),
        port: dev_port(&config.public_url),
    }
}

/// Where the sessions are.
fn keeping(
    config: &AppConfig,
    cookies: &Arc<SessionCookies>,
    providers: &Arc<Providers>,
    shared: &Shared,
) -> Keeping {
    let redis = shared.redis.as_ref().filter(|_| config.session.store == SessionStore::Redis);
    Keeping {
        cookies: Arc::clone(cookies),
        store: redis.map(|redis| redis.records(&config.id)),
        idle: config.session.idle_timeout,
        providers: Arc::clone(providers),
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
        providers: Arc::clone(&common.providers),
        cookies: Arc::clone(&common.cookies),
        keeping: Arc::clone(&common.keeping),
        guard: Arc::clone(&common.guard),
        deny: Arc::clone(&common.deny),
        claims: config.session.claims.clone(),
        ruled: Arc::clone(&common.ruled),
        session_max_age: config.session.max_age,
        app_origin: config.app_origin.clone(),
        home: config.home.clone(),
        error_path: config.error_path.clone(),
        exchanges: common.memory.exchanges.clone(),
        used: common.memory.used_states.clone(),
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

fn revocations(config: &AppConfig, providers: &Arc<Providers>, shared: &Shared) -> Revocations {
    let told = (shared.clock.clone(), shared.metrics.clone());
    let (providers, control) = (Arc::clone(providers), shared.control.clone());
    Revocations::new(providers, config.logout.revoke, control, told)
}

fn logout(
    config: &AppConfig,
    common: &Common,
    shared: &Shared,
    continue_url: String,
) -> LogoutParts {
    LogoutParts {
        providers: Arc::clone(&common.providers),
        continue_url,
        config: config.logout.clone(),
        control: shared.control.clone(),
        metrics: shared.metrics.clone(),
    }
}

fn backchannel(
    config: &AppConfig,
    common: &Common,
    shared: &Shared,
    before: Option<&App>,
) -> Backchannel {
    let backchannel = Backchannel::new(
        Arc::clone(&common.deny),
        longest_life(config),
        shared.control.clone(),
        (shared.clock.clone(), shared.metrics.clone()),
    );
    match before {
        Some(before) => backchannel.taking_over(&before.backchannel),
        None => backchannel,
    }
}

fn sessions(app: &str, config: SessionConfig, parts: (&Common, &Shared, Option<&App>)) -> Sessions {
    let (common, shared, before) = parts;
    let clock = shared.clock.clone();
    Sessions {
        cookies: Arc::clone(&common.cookies),
        keeping: Arc::clone(&common.keeping),
        deny: Arc::clone(&common.deny),
        refresher: Arc::new(refresher(app, config.idle_timeout, common, (shared, before))),
        refused: common.memory.refused.clone(),
        api_tokens: common.memory.api_tokens.clone(),
        revocations: Arc::clone(&common.revocations),
        metrics: shared.metrics.clone(),
        config: Arc::new(config),
        providers: Arc::clone(&common.providers),
        clock,
    }
}

fn refresher(
    app: &str,
    keep: Duration,
    common: &Common,
    (shared, before): (&Shared, Option<&App>),
) -> Refresher {
    let refresher = Refresher::new(
        Arc::clone(&common.providers),
        shared.control.clone(),
        shared.clock.clone(),
        shared.metrics.clone(),
        Arc::clone(&common.news),
        keep,
    );
    let refresher = match before {
        // A refresh that runs, or whose result no browser has, is of the same session as before.
        Some(before) => refresher.taking_over(&before.sessions.refresher, keep),
        None => refresher,
    };
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
