//! The valid configuration: what the program needs, parsed. Values of these types are never half-valid;
//! `load` builds them or reports every problem. Never holds a secret outside [`Secret`].

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::audit::AuditConfig;
use super::certificate::ServerCertificate;
use super::choices::{
    CloseAt, LogFormat, LogoutMode, Outage, Retry, Revoke, SessionStore, TokenSource,
};
use super::claim_rules::ClaimRules;
use super::provider_types::ProviderConfig;
use super::token_target::TokenTarget;
use super::tracing::TracingConfig;
use super::trust::Trust;
use crate::secret::Secret;

/// Everything a running process needs to know.
#[derive(Debug)]
pub struct Config {
    pub server: ServerConfig,
    pub admin: AdminConfig,
    pub control: ControlConfig,
    pub log: LogConfig,
    pub audit: AuditConfig,
    pub tracing: Option<TracingConfig>,
    /// What several instances share; `None` is one instance alone.
    pub redis: Option<RedisConfig>,
    /// At least one. Ids and hosts are unique.
    pub apps: Vec<AppConfig>,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// What browsers are shown; `None` is plain HTTP.
    pub tls: Option<ServerCertificate>,
    /// Where else to listen.
    pub unix_socket: Option<PathBuf>,
    /// Worker threads; `None` is one per core.
    pub workers: Option<usize>,
    /// Peers whose `X-Forwarded-For` is believed; empty is nobody.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Until the head of a connection's first request.
    pub head_timeout: Duration,
    /// How long an idle connection of a browser is kept.
    pub keepalive_timeout: Duration,
    /// How long a reader may take nothing.
    pub write_timeout: Duration,
    /// How long the way down may take.
    pub shutdown_timeout: Duration,
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// `None` switches the listener off.
    pub listen: Option<SocketAddr>,
    /// Host names, lower case and without port, that it answers to beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// `[control]`
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Where the Unix socket is made; `None` makes none.
    pub socket: Option<PathBuf>,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogConfig {
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `info,cloakroom=debug`.
    pub level: String,
}

/// `[redis]`
#[derive(Clone, Debug)]
pub struct RedisConfig {
    pub address: RedisAddress,
    pub database: u32,
    pub username: Option<String>,
    pub password: Option<Secret<String>>,
    /// PEM certificates to trust, and no others.
    pub ca: Option<Vec<u8>>,
    pub key_prefix: String,
    /// For connecting, and for each command.
    pub timeout: Duration,
    /// Contact lost for longer is an outage.
    pub stale_after: Duration,
    pub outage: Outage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// One app: provider + session + guard + routes.
#[derive(Debug)]
pub struct AppConfig {
    /// `[a-z0-9-]`, part of cookie names and of every seal.
    pub id: String,
    /// Where browsers reach us, e.g. `https://app.example.com`: scheme, host and port, no slash at the end.
    pub public_url: PublicUrl,
    /// Where it lives on its host: `""` or `/shop`, no slash at the end. All paths of the app are below.
    pub path: String,
    /// Its first page (on `app_origin`): `/` or `/shop/`.
    pub home: String,
    /// Path prefix of our own endpoints: `""` or `/auth`, no slash at the end.
    pub base_path: String,
    /// The SPA's origin; equal to `public_url`'s unless the SPA lives on a sibling host.
    pub app_origin: String,
    /// Path (on `app_origin`) of the page that shows `?auth_error=`; `/` by default.
    pub error_path: String,
    /// Path (on `app_origin`) after logout; `/` by default.
    pub signed_out_path: String,
    /// At least one, no two alike; the first is asked when a login names none.
    pub providers: Vec<ProviderConfig>,
    pub login: LoginConfig,
    pub logout: LogoutConfig,
    pub session: SessionConfig,
    pub guard: GuardConfig,
    pub limits: LimitsConfig,
    /// Longest path first.
    pub routes: Vec<RouteConfig>,
    pub spa: Option<SpaConfig>,
}

/// An origin of ours, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// `https://app.example.com` or `http://localhost:8080`: what browsers send as `Origin`.
    pub origin: String,
    /// `app.example.com` or `localhost:8080`: what browsers send as `Host`.
    pub host: String,
    pub https: bool,
}

/// `[login]`
#[derive(Clone, Debug)]
pub struct LoginConfig {
    /// Life of one attempt; at most ten minutes.
    pub max_age: Duration,
    /// Attempts that one browser may have open.
    pub max_parallel: usize,
    /// Which of `prompt login_hint ui_locales acr_values max_age scope` the SPA may set.
    pub allowed_params: Vec<String>,
    /// This many failed or immediately repeated logins …
    pub loop_limit: usize,
    /// … within this time are a loop, and are stopped.
    pub loop_window: Duration,
    /// A login also revokes the tokens of the session that it replaces.
    pub revoke_replaced: bool,
}

/// `[logout]`
#[derive(Clone, Debug)]
pub struct LogoutConfig {
    pub mode: LogoutMode,
    /// Name of the return parameter; `post_logout_redirect_uri` by the standard.
    pub redirect_param: String,
    pub revoke: Revoke,
}

/// `[session]`
#[derive(Debug)]
pub struct SessionConfig {
    pub store: SessionStore,
    /// The first seals; all open.
    pub keys: Vec<CookieKey>,
    pub idle_timeout: Duration,
    pub max_age: Duration,
    /// Claims that `GET /session` may show.
    pub claims: Vec<String>,
    /// Refresh this long before the access token ends.
    pub refresh_before: Duration,
    /// Bytes of all our cookies together; 7000 by default.
    pub cookie_budget: usize,
    /// Where ended sessions are written down.
    pub deny_file: Option<PathBuf>,
}

/// One key of the ring.
#[derive(Clone, Debug)]
pub struct CookieKey {
    /// 1–16 characters of `[a-zA-Z0-9._-]`; only its hash prefix travels in cookies.
    pub id: String,
    pub bytes: Secret<[u8; 32]>,
}

/// `[guard]`
#[derive(Clone, Debug)]
pub struct GuardConfig {
    /// Lower-case header name; `x-csrf` by default, value `1`.
    pub csrf_header: String,
    /// Exact origins that may call, `app_origin` and `public_url.origin` always among them.
    pub origins: Vec<String>,
}

/// `[limits]`: requests of one client address; `None` is no limit.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    pub login: Option<Rate>,
    pub callback: Option<Rate>,
    pub backchannel: Option<Rate>,
}

/// So many at once, refilled over this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// At least one.
    pub times: u32,
    pub per: Duration,
}

/// `[[routes]]`
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Normalised, starts with `/`, no slash at the end; matches whole segments.
    pub path: String,
    pub upstream: Upstream,
    pub token: TokenSource,
    /// Which token that is, where it is not the login's.
    pub target: TokenTarget,
    /// Calls of one session.
    pub session_rate: Option<Rate>,
    /// What is asked of the login's scopes and claims, and what is done with them.
    pub rules: ClaimRules,
    /// Upper case; empty is `GET HEAD POST PUT PATCH DELETE OPTIONS`.
    pub methods: Vec<String>,
    /// Remove `path` before forwarding.
    pub strip_prefix: bool,
    /// GET and HEAD may come without the CSRF header (downloads, images), guarded by Fetch Metadata.
    pub header_free: bool,
    /// WebSockets pass: a listed `Origin` and a session, always.
    pub websocket: bool,
    /// Every call leaves a security event.
    pub audit: bool,
    /// When an open WebSocket or stream is closed.
    pub close_at: CloseAt,
    /// `Sec-Fetch-Dest` values beside `empty` that this route serves, e.g. `image`, `document`.
    pub fetch_dest: Vec<String>,
    /// Media types that a `document` request may see inline.
    pub inline_types: Vec<String>,
    /// Request fields that go upstream, lower case; empty is all that may.
    pub forward_headers: Vec<String>,
    /// Response fields that do not reach the browser, lower case.
    pub drop_response_headers: Vec<String>,
    /// Response fields to set: names in lower case, values that are field values.
    pub set_response_headers: Vec<(String, String)>,
    /// Request cookies that go upstream; ours never do.
    pub forward_cookies: Vec<String>,
    /// Upstream cookies that reach the browser; ours never do.
    pub response_cookies: Vec<String>,
    /// `Cache-Control: private` of the upstream is kept either way; this adds it when the upstream is silent.
    pub cache_private: bool,
    /// Largest request body, bytes.
    pub body_limit: u64,
    pub connect_timeout: Duration,
    /// Until the response head.
    pub response_timeout: Duration,
    /// Silence inside a response body that is no event stream.
    pub idle_timeout: Option<Duration>,
    /// The whole call, to the last byte of the response body.
    pub total_timeout: Option<Duration>,
    /// How long an idle connection to the upstream is kept.
    pub keepalive_timeout: Duration,
    pub retry: Retry,
    /// Most calls at the upstream, over all workers and routes.
    pub max_in_flight: u32,
}

/// Where a route goes: one fixed host, no path tricks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    pub tls: bool,
    /// Spoken to in HTTP/2 and nothing else, over TLS or not.
    pub http2: bool,
    /// Host as sent in `Host`, with the port if it is not the scheme's.
    pub authority: String,
    /// Name to resolve and to verify.
    pub host: String,
    pub port: u16,
    /// Path prefix, `""` or `/v1`, no slash at the end.
    pub prefix: String,
    /// Where to connect instead of to `host` and `port`; empty is there.
    pub addresses: Vec<Address>,
    /// Trust and identity of its TLS; `None` is the system's roots and no client certificate.
    pub trust: Option<Arc<Trust>>,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Host name or address without brackets, and port.
    Tcp(String, u16),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[spa]`
#[derive(Clone, Debug)]
pub struct SpaConfig {
    pub source: SpaSource,
    /// `Content-Security-Policy` of the SPA's pages.
    pub csp: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpaSource {
    /// A folder, listed once; `true` lists it again on every request (dev).
    Folder(PathBuf, bool),
    /// A dev server to proxy, e.g. `http://localhost:5173` (dev only).
    DevServer(Upstream),
}
