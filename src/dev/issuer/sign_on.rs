//! The sign-on session: which user this browser is at the authorization server. One small encrypted cookie.
//! Decides when it answers an authorization request without asking the user; holds no token.

use actix_session::config::CookieContentSecurity;
use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::SameSite;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::dev::users::User;

use super::Issuer;
use super::request::AuthorizationRequest;

const KEY: &str = "sign_on";
/// A working day, counted from the login.
const LIFE_SECONDS: u64 = 10 * 3600;

/// A user who has logged in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignOn {
    pub sub: String,
    /// Names this sign-on session in ID tokens.
    pub sid: String,
    /// Seconds since the epoch.
    pub auth_time: u64,
    /// Scopes that the user has consented to, separated by spaces.
    pub consented: String,
    /// Digest of the request for which the user has just logged in …
    pub login_for: Option<String>,
    /// … or just consented. Both end when the request is answered, so `prompt` counts anew for the next.
    pub consent_for: Option<String>,
}

/// The cookie. Named by port, because cookies do not tell ports apart and several stacks may run.
pub fn middleware(issuer: &Issuer) -> SessionMiddleware<CookieSessionStore> {
    let port = issuer.url.rsplit(':').next().unwrap_or_default();
    SessionMiddleware::builder(CookieSessionStore::default(), issuer.sign_on_key.0.clone())
        .cookie_name(format!("cloakroom-dev-sign-on-{port}"))
        // Plain HTTP on loopback: Safari would drop a Secure cookie.
        .cookie_secure(false)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_content_security(CookieContentSecurity::Private)
        .build()
}

impl SignOn {
    /// The session of this browser, unless it has ended.
    pub fn current(session: &Session, now: Timestamp) -> Option<Self> {
        let found: Self = session.get(KEY).ok()??;
        let ended = now.0.saturating_sub(found.auth_time) >= LIFE_SECONDS;
        (!ended && User::find(&found.sub).is_some()).then_some(found)
    }

    /// Writes it into the cookie.
    pub fn keep(&self, session: &Session) {
        // A value of ours always serialises; if not, the user is asked again.
        drop(session.insert(KEY, self));
    }

    /// Whether the user need not log in for this request.
    pub fn suffices_for(
        &self,
        request: &AuthorizationRequest,
        digest: &str,
        now: Timestamp,
    ) -> bool {
        if self.login_for.as_deref() == Some(digest) {
            return true;
        }
        if request.confirm {
            return false;
        }
        let age = now.0.saturating_sub(self.auth_time);
        let hinted = User::find(&self.sub)
            .zip(request.login_hint.as_deref())
            .is_none_or(|(user, hint)| user.is_hinted_by(hint));
        !request.prompt.login && request.max_age.is_none_or(|max_age| age <= max_age) && hinted
    }

    /// Whether the user has consented to what this request asks for.
    pub fn has_consented_to(&self, request: &AuthorizationRequest, digest: &str) -> bool {
        if self.consent_for.as_deref() == Some(digest) {
            return true;
        }
        let known: Vec<&str> = self.consented.split(' ').collect();
        !request.prompt.consent && request.scope.split(' ').all(|scope| known.contains(&scope))
    }
}
