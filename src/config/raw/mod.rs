//! The configuration as written: names, shapes and defaults, nothing checked beyond that. The JSON schema, the
//! shape check and the table in `docs/configuration.md` are made from these types and their comments.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choices::LogFormat;

mod app;
mod audit;
mod provider;
mod redis;
mod routes;
mod tracing;

pub use app::{RawAppSection, RawGuard, RawKey, RawLimits, RawLogin, RawLogout, RawSession};
pub use audit::RawAudit;
pub use provider::RawProvider;
pub use redis::RawRedis;
pub use routes::{RawRoute, RawSpa, RawUpstreamBy};
pub use tracing::RawTracing;

/// A table with names of the user's choice.
pub type Pairs = BTreeMap<String, String>;

/// Cloakroom configuration.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    pub server: RawServer,
    pub admin: RawAdmin,
    pub control: RawControl,
    pub log: RawLog,
    pub audit: RawAudit,
    pub tracing: RawTracing,
    pub redis: Option<RawRedis>,
    pub app: RawAppSection,
    pub provider: RawProvider,
    /// Several authorization servers for one app, instead of `[provider]`; `/login` uses the first when the SPA names none.
    pub providers: Vec<RawProvider>,
    pub login: RawLogin,
    pub logout: RawLogout,
    pub session: RawSession,
    pub guard: RawGuard,
    pub limits: RawLimits,
    /// What is proxied where. The longest matching path wins.
    pub routes: Vec<RawRoute>,
    pub spa: Option<RawSpa>,
    /// Several apps, told apart by host: each entry has the sections from `app` to `spa`, and `public_url`.
    pub apps: Vec<RawApp>,
}

/// One entry of `[[apps]]`, or what stands beside `[server]` when there is only one app.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawApp {
    /// Where browsers reach this app: scheme, host and, if unusual, port. Required.
    #[schemars(extend("x-unit" = "origin"))]
    pub public_url: Option<String>,
    pub app: RawAppSection,
    pub provider: RawProvider,
    /// Several authorization servers for one app, instead of `[provider]`; `/login` uses the first when the SPA names none.
    pub providers: Vec<RawProvider>,
    pub login: RawLogin,
    pub logout: RawLogout,
    pub session: RawSession,
    pub guard: RawGuard,
    pub limits: RawLimits,
    /// What is proxied where. The longest matching path wins.
    pub routes: Vec<RawRoute>,
    pub spa: Option<RawSpa>,
}

/// The listener of the apps.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawServer {
    /// Address to listen on.
    #[schemars(extend("x-unit" = "address:port"))]
    pub listen: String,
    /// Where browsers reach us: scheme, host and, if unusual, port. The redirect URI, cookies and origins come from
    /// here, never from a `Host` header. Plain HTTP only on loopback. Required, unless `[[apps]]` is used.
    #[schemars(extend("x-unit" = "origin"))]
    pub public_url: Option<String>,
    /// Let several `[[apps]]` live on one host, each at its `app.path`. They then trust each other entirely: to a browser they are one
    /// origin, with the same storage and the same pages, and a script injected into one acts in all. Give an app a host of its own where it can have one.
    pub shared_origin: bool,
    /// PEM file with the certificate to show browsers, and those between it and its authority: then `listen` speaks TLS (1.2 and 1.3).
    /// Read again when it changes. Absent: plain HTTP, for a proxy before us.
    #[schemars(extend("x-unit" = "file"))]
    pub tls_cert_file: Option<String>,
    /// PEM file with the private key of `tls_cert_file`.
    #[schemars(extend("x-unit" = "file"))]
    pub tls_key_file: Option<String>,
    /// A Unix socket to listen on besides, for a proxy on this machine; plain HTTP. User and group of this process can open it. Its peers
    /// count as `127.0.0.1`.
    #[schemars(extend("x-unit" = "path"))]
    pub unix_socket: Option<String>,
    /// Worker threads. Absent: one per core.
    #[schemars(range(min = 1, max = 1024), extend("x-unit" = "threads"))]
    pub workers: Option<usize>,
    /// How many processes serve these apps: replicas, zones, the old and the new one of a rolling deployment. No process can
    /// see the others, so this has to be said; more than one needs `[redis]`.
    #[schemars(range(min = 1, max = 10_000), extend("x-unit" = "processes"))]
    pub replicas: usize,
    /// Peers whose `X-Forwarded-For` is believed. Nobody is trusted until named.
    #[schemars(extend("x-unit" = "addresses or CIDR blocks"))]
    pub trusted_proxies: Vec<String>,
    /// Time limit for the head of a browser's request to arrive, and for a TLS handshake; 1s to 60s.
    #[schemars(extend("x-unit" = "duration"))]
    pub head_timeout: String,
    /// How long an idle connection from a browser, or from the proxy before us, is kept; 1s to 1h. Keep it longer than
    /// that proxy keeps them, or its requests meet connections that are being closed.
    #[schemars(extend("x-unit" = "duration"))]
    pub keepalive_timeout: String,
    /// Time limit for a reader that takes nothing, or whose network is gone; 1s to 1h. Then the connection is closed,
    /// and its upstream call with it. Linux only.
    #[schemars(extend("x-unit" = "duration"))]
    pub write_timeout: String,
    /// How long requests, then streams, may go on after SIGTERM or SIGINT; 1s to 1h. A second signal ends at once.
    #[schemars(extend("x-unit" = "duration"))]
    pub shutdown_timeout: String,
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            shared_origin: false,
            tls_cert_file: None,
            tls_key_file: None,
            unix_socket: None,
            workers: None,
            replicas: 1,
            trusted_proxies: Vec::new(),
            head_timeout: "10s".to_owned(),
            keepalive_timeout: "75s".to_owned(),
            write_timeout: "60s".to_owned(),
            shutdown_timeout: "25s".to_owned(),
        }
    }
}

/// The read-only listener of the operators: `/livez`, `/readyz`, `/metrics`, `/version`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdmin {
    /// Address to listen on, or `off`.
    #[schemars(extend("x-unit" = "address:port"))]
    pub listen: String,
    /// Names under which this listener is reached, e.g. `cloakroom` in a container network. Addresses and `localhost`
    /// always work; every other name is refused.
    #[schemars(extend("x-unit" = "host names"))]
    pub hosts: Vec<String>,
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".to_owned(), hosts: Vec::new() }
    }
}

/// The socket through which those who run the process change what it does and learn why: `cloakroom sessions end`,
/// `cloakroom explain`.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawControl {
    /// Path of a Unix socket that only this process's user can open. Absent: there is none.
    #[schemars(extend("x-unit" = "path"))]
    pub socket: Option<String>,
}

/// Log lines, on standard error.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLog {
    /// `json` for machines, `pretty` for people.
    pub format: LogFormat,
    /// A filter such as `info` or `info,cloakroom=debug`.
    pub level: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".to_owned() }
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}
