//! The embedded authorization server: OAuth 2.1 code flow, OpenID Connect, for one confidential client.
//! `authorize` asks the user, `token` and its siblings serve the client, `grants` remembers, `keys` signs.

pub mod access_token;
mod answer;
mod authorize;
mod client_auth;
mod discovery;
mod expiring;
mod grants;
mod html;
mod introspection;
pub mod keys;
mod login_page;
mod logout;
mod params;
mod request;
mod revocation;
pub mod sign_on;
mod token;
mod userinfo;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::cookie::Key;
use actix_web::web::{self, ServiceConfig};

use crate::clock::{Clock, Timestamp};
use crate::secret::Random;

use super::DevStackOptions;
use grants::Grants;
use keys::SigningKey;

/// The authentication context of a user who was asked for this very login (`acr`).
pub const CONFIRMED: &str = "confirmed";
/// Scopes that can be asked for; `offline_access` is tolerated and means nothing, refresh tokens always come.
pub const SCOPES: [&str; 4] = ["openid", "profile", "email", "sales"];

/// Everything the handlers need.
#[derive(Debug)]
pub struct Issuer {
    /// The issuer, and the base of every endpoint.
    pub url: String,
    pub options: DevStackOptions,
    pub key: Arc<SigningKey>,
    pub clock: Clock,
    pub random: Random,
    sign_on_key: SignOnKey,
    grants: Mutex<Grants>,
    counters: Counters,
}

/// Seals the sign-on cookie; random per run.
struct SignOnKey(Key);

impl std::fmt::Debug for SignOnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Debug, Default)]
struct Counters {
    code_exchanges: AtomicU64,
    refreshes: AtomicU64,
    revocations: AtomicU64,
}

/// How often the client has called, refused calls included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Token requests with a code.
    pub code_exchanges: u64,
    /// Token requests with a refresh token.
    pub refreshes: u64,
    /// Revocation requests.
    pub revocations: u64,
}

impl Issuer {
    /// An authorization server at `url` that has issued nothing yet.
    pub fn new(
        url: String,
        key: Arc<SigningKey>,
        options: DevStackOptions,
        clock: Clock,
        random: Random,
    ) -> Self {
        let sign_on_key = SignOnKey(Key::from(&random.bytes::<64>()));
        Self {
            url,
            options,
            key,
            clock,
            random,
            sign_on_key,
            grants: Mutex::new(Grants::default()),
            counters: Counters::default(),
        }
    }

    /// See [`Calls`].
    pub fn calls(&self) -> Calls {
        Calls {
            code_exchanges: self.counters.code_exchanges.load(Ordering::SeqCst),
            refreshes: self.counters.refreshes.load(Ordering::SeqCst),
            revocations: self.counters.revocations.load(Ordering::SeqCst),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What has been issued. Never held across an await.
    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where what is answered.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/.well-known/openid-configuration", web::get().to(discovery::metadata))
        .route("/jwks", web::get().to(discovery::jwks))
        .service(
            web::resource("/authorize")
                .route(web::get().to(authorize::by_query))
                .route(web::post().to(authorize::by_form)),
        )
        .service(web::resource("/login").route(web::post().to(authorize::login)))
        .service(web::resource("/consent").route(web::post().to(authorize::consent)))
        .service(web::resource("/token").route(web::post().to(token::token)))
        .service(
            web::resource("/userinfo")
                .route(web::get().to(userinfo::userinfo))
                .route(web::post().to(userinfo::userinfo)),
        )
        .service(web::resource("/revoke").route(web::post().to(revocation::revoke)))
        .service(web::resource("/introspect").route(web::post().to(introspection::introspect)))
        .service(
            web::resource("/logout")
                .route(web::get().to(logout::by_query))
                .route(web::post().to(logout::by_form)),
        );
}
