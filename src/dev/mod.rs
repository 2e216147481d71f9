//! The dev stack: an embedded authorization server and a demo API, on loopback only. Cargo feature `dev`; never in
//! the release image. It has no passwords and asks nobody who they are, so it must never be reachable from elsewhere.

mod api;
mod bearer;
mod issuer;
mod listen;
mod users;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::secret::{Random, Secret};

use api::Api;
use issuer::keys::SigningKey;
use issuer::{Issuer, access_token};
use listen::Listener;

pub use issuer::Calls;

/// What `aud` of every access token says: the demo API.
pub const API_AUDIENCE: &str = "demo-api";

/// The issuer that a minted token names when no dev stack has ever run with its key.
const MOCK_ISSUER: &str = "http://127.0.0.1/cloakroom-dev";

/// How the dev stack behaves.
#[derive(Debug)]
pub struct DevStackOptions {
    /// Loopback address of the authorization server; port 0 picks a free one.
    pub issuer_listen: SocketAddr,
    /// Loopback address of the demo API; port 0 picks a free one.
    pub api_listen: SocketAddr,
    /// The only redirect URI; compared as a string.
    pub redirect_uri: String,
    /// The only place to return to after logout; compared as a string.
    pub post_logout_redirect_uri: String,
    pub client_id: String,
    pub client_secret: Secret<String>,
    /// Give out a new refresh token at every use; a second use of an old one ends the whole grant.
    pub rotate: bool,
    /// Ask the user for consent after login.
    pub consent: bool,
    pub access_token_ttl: Duration,
    /// Where the signing key lives (made when missing); `None` is a key for this run only.
    pub key_file: Option<PathBuf>,
}

/// A running dev stack. Its servers stop when this is dropped.
#[derive(Debug)]
pub struct DevStack {
    /// The authorization server's issuer, e.g. `http://127.0.0.1:43121`.
    pub issuer: String,
    /// Where the demo API listens.
    pub api_addr: SocketAddr,
    state: Arc<Issuer>,
    servers: listen::Running,
}

impl DevStack {
    /// Stops both servers and waits until they have stopped.
    pub async fn stop(self) {
        self.servers.stop().await;
    }

    /// How often the authorization server has been asked for what, so that a test can count.
    pub fn calls(&self) -> Calls {
        self.state.calls()
    }
}

/// Starts the authorization server and the demo API.
///
/// # Errors
/// An address that is not loopback, a port in use, a signing key that cannot be read, made or trusted.
pub async fn start(
    options: DevStackOptions,
    clock: Clock,
    random: Random,
) -> anyhow::Result<DevStack> {
    let issuer_listener = Listener::bind(options.issuer_listen)?;
    let api_listener = Listener::bind(options.api_listen)?;
    let key = Arc::new(match &options.key_file {
        Some(file) => SigningKey::load_or_create(file, &random)?,
        None => SigningKey::generate()?,
    });
    let url = format!("http://{}", issuer_listener.address);
    if let Some(file) = &options.key_file {
        issuer::keys::record_issuer(file, &url, &random)?;
    }
    let api = Arc::new(Api::new(url.clone(), Arc::clone(&key), clock.clone()));
    let state = Arc::new(Issuer::new(url.clone(), key, options, clock, random));
    let api_addr = api_listener.address;
    let servers = listen::run(issuer_listener, Arc::clone(&state), api_listener, api).await?;
    Ok(DevStack { issuer: url, api_addr, state, servers })
}

/// An access token for `sub` that a dev stack with the same key file has as good as issued: same key, same `kid`,
/// same claims; its issuer is the stack that ran last. `ttl` counts whole seconds. Without a key file the key is
/// random, and only the shape of the token is of use. Introspection and userinfo do not know it.
///
/// # Errors
/// A signing key that cannot be read, made or trusted.
pub fn mint_token(
    sub: &str,
    scope: &str,
    ttl: Duration,
    key_file: Option<&Path>,
    clock: &Clock,
    random: &Random,
) -> anyhow::Result<String> {
    let (key, issuer) = match key_file {
        Some(file) => {
            (SigningKey::load_or_create(file, random)?, issuer::keys::recorded_issuer(file))
        }
        None => (SigningKey::generate()?, None),
    };
    let now = clock.now();
    let claims = access_token::Claims {
        issuer: issuer.as_deref().unwrap_or(MOCK_ISSUER),
        client_id: "cloakroom-dev-token",
        sub,
        scope,
        issued_at: now,
        expires_at: now.plus(ttl),
        auth_time: now,
        confirmed: false,
        jti: &random.token::<16>(),
    };
    access_token::sign(&key, &claims)
}
