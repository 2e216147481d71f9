//! One app: provider, session, guard, routes and SPA, a value built from configuration and never a global,
//! so that several apps live in one process. Building it uses no network: an authorization server that is down stops nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::held_open::Ends;
use super::print::Print;
use super::routes_of::LiveRoutes;
use crate::clock::Clock;
use crate::config::{LimitsConfig, PublicUrl};
use crate::edge::Rates;
use crate::endpoints::backchannel_logout::Backchannel;
use crate::endpoints::events::EventParts;
use crate::endpoints::logout::LogoutParts;
use crate::endpoints::logout_continue::Landing;
use crate::endpoints::{LoginFlow, Sessions};
use crate::guard::Guard;
use crate::oidc::OidcError;
use crate::secret::Random;
use crate::session::{SessionCookies, SessionError};
use crate::spa::{Spa, SpaError};
use crate::store::{DenyFileError, Redis};
use crate::telemetry::{Metrics, Refusals};
use crate::tokens::Providers;
use crate::traces::Spans;

/// Everything one app needs to answer a request.
pub struct App {
    pub id: String,
    pub public: PublicUrl,
    /// Where it lives on its host: `""` or `/shop`.
    pub path: String,
    /// The URL of its first page.
    pub home: String,
    pub base_path: String,
    /// The SPA lives on another origin than we do.
    pub sibling_spa: bool,
    pub csrf_header: String,
    pub limits: LimitsConfig,
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
    pub providers: Arc<Providers>,
    /// Where its ended sessions are written down.
    pub deny_file: Option<PathBuf>,
    /// Of the settings that it was built from, and of those of each provider.
    pub print: Print,
    pub provider_prints: Vec<Print>,
}

/// Why an app cannot be built from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("session keys: {0}")]
    Session(#[from] SessionError),
    #[error("provider: {0}")]
    Provider(#[from] OidcError),
    #[error("there is no provider")]
    NoProvider,
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
    /// Takes the spans of traces, where there is a collector.
    pub spans: Option<Spans>,
    /// What other instances share with this one.
    pub redis: Option<Arc<Redis>>,
}
