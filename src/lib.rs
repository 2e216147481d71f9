//! Cloakroom: a token handler (backend for frontend) for single-page applications.
//!
//! The life of a request: `server` accepts and dispatches, `guard` says whether it may be here, `endpoints`
//! answer the SPA's own calls, `proxy` forwards API calls with the token that `tokens` gives, `session` opens
//! and seals the cookies, `oidc` talks to the authorization server. Imports run one way:
//! `cli → server → {endpoints, proxy, spa} → {edge, guard} → tokens → session → oidc → {store, audit, traces} →
//! {telemetry, config, clock, alarm, secret, formats, http1}`; `tests/it/architecture.rs` keeps it so. This file holds no items.

pub mod alarm;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
pub mod edge;
pub mod endpoints;
pub mod formats;
pub mod guard;
pub mod http1;
pub mod oidc;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod session;
pub mod spa;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod traces;
