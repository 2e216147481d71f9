//! The sections of one app as written: names, shapes and defaults. Keys are never serialised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::texts;
use crate::config::choices::{LogoutMode, Revoke, SessionStore};

/// The app's name and its pages.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAppSection {
    /// Short name, `a-z`, `0-9` and `-`. Part of the cookie names: changing it logs everybody out.
    pub id: String,
    /// Where the app lives when several share a host (`server.shared_origin`), e.g. `/shop`: its own endpoints, its routes and its SPA are all
    /// below. The most specific path wins.
    #[schemars(extend("x-unit" = "path"))]
    pub path: String,
    /// Path prefix of the own endpoints, below `path` (`/login`, `/callback`, …), e.g. `/auth` beside a SPA router that owns
    /// `/login`.
    #[schemars(extend("x-unit" = "path"))]
    pub base_path: String,
    /// The SPA's origin if the SPA lives on a sibling host. Absent: the same as `public_url`.
    #[schemars(extend("x-unit" = "origin"))]
    pub url: Option<String>,
    /// The SPA's page that shows `?auth_error=`. Not written: where the app lives.
    #[schemars(extend("x-unit" = "path"))]
    pub error_path: String,
    /// The SPA's page after logout. Not written: where the app lives.
    #[schemars(extend("x-unit" = "path"))]
    pub signed_out_path: String,
}

impl Default for RawAppSection {
    fn default() -> Self {
        Self {
            id: "app".to_owned(),
            path: "/".to_owned(),
            base_path: "/".to_owned(),
            url: None,
            error_path: "/".to_owned(),
            signed_out_path: "/".to_owned(),
        }
    }
}

/// How a login runs.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLogin {
    /// Life of one login attempt; 30s to 10m.
    #[schemars(extend("x-unit" = "duration"))]
    pub max_age: String,
    /// Login attempts that one browser may have open.
    #[schemars(range(min = 1, max = 50), extend("x-unit" = "attempts"))]
    pub max_parallel: usize,
    /// What the SPA may set at `/login`: any of `prompt`, `login_hint`, `ui_locales`, `acr_values`, `max_age`, `scope`.
    /// Without `acr_values` and `max_age` the SPA can start no login that an API asks for (step-up).
    pub allowed_params: Vec<String>,
    /// This many failed or immediately repeated logins within `loop_window` are a loop, and are stopped.
    #[schemars(range(min = 2, max = 100), extend("x-unit" = "logins"))]
    pub loop_limit: usize,
    /// See `loop_limit`; 1s to 1h.
    #[schemars(extend("x-unit" = "duration"))]
    pub loop_window: String,
    /// A login ends the session that this browser had before. With `true` its tokens are revoked as well: not where the
    /// authorization server takes that as the end of everything that the user has allowed this client.
    pub revoke_replaced: bool,
}

impl Default for RawLogin {
    fn default() -> Self {
        Self {
            max_age: "10m".to_owned(),
            max_parallel: 10,
            allowed_params: texts(&["prompt", "login_hint", "ui_locales", "acr_values", "max_age"]),
            loop_limit: 5,
            loop_window: "60s".to_owned(),
            revoke_replaced: false,
        }
    }
}

/// How a logout runs.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLogout {
    /// `rp_initiated` also ends the session at the authorization server; `local` ends ours only.
    pub mode: LogoutMode,
    /// Name of the return parameter of the authorization server's logout endpoint.
    pub redirect_param: String,
    /// Which token is revoked: `refresh`, `access` or `none`.
    pub revoke: Revoke,
}

impl Default for RawLogout {
    fn default() -> Self {
        Self {
            mode: LogoutMode::RpInitiated,
            redirect_param: "post_logout_redirect_uri".to_owned(),
            revoke: Revoke::Refresh,
        }
    }
}

/// The session in the browser's cookies.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSession {
    /// Where the session's record is: `cookie` keeps it in the browser, sealed; `redis` keeps it, sealed, in the store of
    /// `[redis]`, and the browser holds a ticket: for tokens too large for cookies, and to list and end one's own sessions.
    pub store: SessionStore,
    /// The key ring: the first key seals, all open. Required. See "Rotating the cookie key".
    pub keys: Vec<RawKey>,
    /// A session without requests ends after this; 1s to `max_age`.
    #[schemars(extend("x-unit" = "duration"))]
    pub idle_timeout: String,
    /// A session ends after this in any case; at most 400d, as browsers keep no cookie longer.
    #[schemars(extend("x-unit" = "duration"))]
    pub max_age: String,
    /// Claims that `GET /session` may show to the SPA.
    pub claims: Vec<String>,
    /// Refresh the access token this long before it ends, never in the first half of its life; at most 1h.
    #[schemars(extend("x-unit" = "duration"))]
    pub refresh_before: String,
    /// Most bytes that all session cookies together may take.
    #[schemars(range(min = 4000, max = 15000), extend("x-unit" = "bytes"))]
    pub cookie_budget: usize,
    /// Where ended sessions are written down, so that a restart does not revive copies of their cookies. A file in a folder
    /// of this process's own; it is made when it is not there. Absent: they are remembered in memory only.
    #[schemars(extend("x-unit" = "file"))]
    pub deny_file: Option<String>,
}

impl Default for RawSession {
    fn default() -> Self {
        Self {
            store: SessionStore::Cookie,
            keys: Vec::new(),
            idle_timeout: "30m".to_owned(),
            max_age: "8h".to_owned(),
            claims: texts(&["sub"]),
            refresh_before: "60s".to_owned(),
            cookie_budget: 7000,
            deny_file: None,
        }
    }
}

/// One cookie key: `id`, and exactly one of `value`, `file` and `env`.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawKey {
    /// Name of the key, e.g. the month it was made: 1 to 16 of `a-z A-Z 0-9 . _ -`. Required.
    pub id: Option<String>,
    /// The key itself: 32 bytes as 64 hex digits, base64 or base64url. `cloakroom keygen cookie` makes one.
    #[serde(skip_serializing)]
    #[schemars(extend("writeOnly" = true))]
    pub value: Option<String>,
    /// A file that holds the key.
    #[schemars(extend("x-unit" = "file"))]
    pub file: Option<String>,
    /// The name of an environment variable that holds the key.
    #[schemars(extend("x-unit" = "variable"))]
    pub env: Option<String>,
}

/// How often one client address may come; for IPv6 that is a network of 64 bits. Each process counts by itself. So many at once, then
/// as the time passes; more are 429 `rate_limited` with `Retry-After`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    /// `/login`: a whole number and `/s`, `/m` or `/h`, or `off`. An office behind one address is one client.
    #[schemars(extend("x-unit" = "rate"))]
    pub login: String,
    /// `/callback`.
    #[schemars(extend("x-unit" = "rate"))]
    pub callback: String,
    /// `/backchannel-logout`: the client is the authorization server.
    #[schemars(extend("x-unit" = "rate"))]
    pub backchannel: String,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            login: "1200/m".to_owned(),
            callback: "1200/m".to_owned(),
            backchannel: "12000/m".to_owned(),
        }
    }
}

/// Who may call.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawGuard {
    /// Name of the header that every call of the SPA carries with the value `1`.
    #[schemars(extend("x-unit" = "header"))]
    pub csrf_header: String,
    /// Further origins that may call, exact and same-site. The app's own are always among them.
    #[schemars(extend("x-unit" = "origins"))]
    pub origins: Vec<String>,
}

impl Default for RawGuard {
    fn default() -> Self {
        Self { csrf_header: "x-csrf".to_owned(), origins: Vec::new() }
    }
}
