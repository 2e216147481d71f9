//! The parts that `/login` and `/callback` share: who is asked, under which limits, and where the browser lands.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use tokio::runtime::Handle;

use super::keeping::Keeping;
use super::loop_watch::LoopWatch;
use crate::clock::Clock;
use crate::config::LoginConfig;
use crate::edge::AuthError;
use crate::guard::Guard;
use crate::secret::{Random, Secret};
use crate::session::{Replaced, RuledNames, SessionCookies, SessionRecord};
use crate::store::{Claims, DenyList, Seen};
use crate::telemetry::{Metrics, Refusals};
use crate::tokens::{Flights, Providers, Revocations};

/// The login of one app.
pub struct LoginFlow {
    pub providers: Arc<Providers>,
    pub cookies: Arc<SessionCookies>,
    pub keeping: Arc<Keeping>,
    pub guard: Arc<Guard>,
    pub deny: Arc<DenyList>,
    pub config: LoginConfig,
    /// Claims that the session shows.
    pub claims: Vec<String>,
    /// Claims that the rules of routes look at.
    pub ruled: Arc<RuledNames>,
    /// A session's absolute life.
    pub session_max_age: std::time::Duration,
    /// `https://app.example.com`: where the browser lands.
    pub app_origin: String,
    /// The app's first page there: `/` or `/shop/`.
    pub home: String,
    pub error_path: String,
    /// One exchange per state, however often the callback is called.
    pub exchanges: Flights<Result<Arc<SessionRecord>, AuthError>>,
    /// States that were exchanged, by digest.
    pub used: Seen,
    /// The same at other instances.
    pub used_elsewhere: Option<Claims>,
    pub loops: LoopWatch,
    pub app_id: String,
    /// Where failed logins are remembered.
    pub refusals: Refusals,
    pub revocations: Arc<Revocations>,
    pub control: Handle,
    pub clock: Clock,
    pub random: Random,
    pub metrics: Metrics,
}

/// Longer tokens would leave no room for the login cookies of other tabs.
const LONGEST_REPLACED: usize = 1_500;

impl LoginFlow {
    /// The session of `record`, for a login in its browser that is to end it.
    pub fn replacing(&self, record: &SessionRecord) -> Replaced {
        Replaced {
            id: record.session_id,
            registration: record.registration,
            expires: record.expires,
            token: self.revokes_replaced(record).cloned(),
        }
    }

    /// The token of the session `record` that a login in its browser revokes, if it is to revoke any. It travels in the
    /// login cookie: the callback comes without the session's own.
    fn revokes_replaced<'a>(&self, record: &'a SessionRecord) -> Option<&'a Secret<String>> {
        let token = self.revocations.chosen(record).filter(|_| self.config.revoke_replaced);
        token.filter(|token| token.expose().len() <= LONGEST_REPLACED)
    }
}

/// A 303 that leaves nothing behind: not stored, no referrer (the code must not travel on, RFC 9700 §4.2).
pub fn see_other(location: &str) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(location) {
        headers.insert(header::LOCATION, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
