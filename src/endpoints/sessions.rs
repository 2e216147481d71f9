//! Opens the session of a request and says what becomes of its cookies.
//! An ended session's cookies are cleared; cookies under an unknown key are kept, so that a rollout logs nobody out.

use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::keeping::{KeepFailure, Keeping};
use crate::audit::{self, Event};
use crate::clock::{Clock, Timestamp};
use crate::config::SessionConfig;
use crate::edge::{Code, Problem};
use crate::session::{OpenSession, Opened, SessionCookies, SessionRecord};
use crate::store::{DenyList, Tokens, Whom};
use crate::telemetry::{Metrics, SessionEnd};
use crate::tokens::{
    ApiTokens, Ended, Freshness, Providers, RefreshFailure, Refreshed, Refresher, RefusedTokens,
    Revocations, freshness, spread,
};

/// When to try again during an outage of the store, seconds.
const STORE_RETRY_AFTER: u32 = 5;

/// An answer that comes later than this has seen its session too long ago to seal it again.
const QUICK: Duration = Duration::from_secs(2);
/// How long an answer may be on its way while no refresh may begin.
const ON_ITS_WAY: Duration = Duration::from_secs(30);

/// The sessions of one app.
pub struct Sessions {
    pub cookies: Arc<SessionCookies>,
    pub keeping: Arc<Keeping>,
    pub deny: Arc<DenyList>,
    pub refresher: Arc<Refresher>,
    pub revocations: Arc<Revocations>,
    pub metrics: Metrics,
    pub refused: RefusedTokens,
    /// Those of routes that do not send the login's.
    pub api_tokens: ApiTokens,
    pub config: Arc<SessionConfig>,
    pub providers: Arc<Providers>,
    pub clock: Clock,
}

/// Why a request has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSession {
    /// None was shown, or one that this release cannot read: cookies are left alone.
    KeepCookies,
    /// It has ended or does not authenticate: its cookies are cleared.
    ClearCookies,
    /// There is one, and nobody knows whether it has ended elsewhere: an outage, which logs nobody out.
    StoreUnavailable,
}

impl Sessions {
    /// The open session of a request, if there is one that has not been ended, as far as that is known.
    pub async fn open(&self, call: &Call<'_>) -> Result<Box<OpenSession>, NoSession> {
        let session = self.open_to_end_it(call).await?;
        if self.deny.is_blind() { Err(NoSession::StoreUnavailable) } else { Ok(session) }
    }

    /// The same, though it may have ended elsewhere already: logout works during an outage, too.
    pub async fn open_to_end_it(&self, call: &Call<'_>) -> Result<Box<OpenSession>, NoSession> {
        match self.keeping.open(call).await {
            Opened::Open(session) => {
                if let Some(tokens) = self.ended(&session.record) {
                    // Boxed: every call's future would be larger by it.
                    Box::pin(self.shown_again(*session, tokens, call)).await;
                    return Err(NoSession::ClearCookies);
                }
                self.refresher.seen(&session.record);
                Ok(session)
            }
            Opened::None | Opened::Unknown => Err(NoSession::KeepCookies),
            Opened::Invalid | Opened::Expired => Err(NoSession::ClearCookies),
            Opened::Unavailable => Err(NoSession::StoreUnavailable),
        }
    }

    /// The cookies of a session that somebody else has ended: only now its tokens are at hand (LO-15).
    async fn shown_again(&self, session: OpenSession, tokens: Tokens, call: &Call<'_>) {
        self.keeping.end(&session, call.link).await;
        self.api_tokens.forget(session.record.session_id.as_bytes());
        if tokens == Tokens::Revoke {
            let ended = Ended::of(&session.record);
            let last = self.refresher.last(session.record);
            self.revocations.queue(ended, last, call.request_id);
        }
    }

    /// The 401 for a request without a session, with the cookies of an ended one cleared.
    pub fn not_logged_in(&self, why: NoSession, jar: &[&str]) -> (Problem, Vec<String>) {
        match why {
            NoSession::KeepCookies => (Problem::new(Code::NotLoggedIn), Vec::new()),
            NoSession::ClearCookies => {
                (Problem::new(Code::SessionExpired), self.cookies.clear(jar))
            }
            NoSession::StoreUnavailable => (
                Problem::new(Code::StoreUnavailable).with_retry_after(STORE_RETRY_AFTER),
                Vec::new(),
            ),
        }
    }

    /// What to do with the access token of `record` at `now`.
    pub fn freshness(&self, record: &SessionRecord, now: Timestamp) -> Freshness {
        if !self.providers.is_bound(record) {
            return Freshness::Ended;
        }
        let session = record.session_id.as_bytes();
        let early = spread(self.config.refresh_before, session, record.access_generation());
        freshness(record.sealed_at, record.access_expires, early, now)
    }

    /// The generation after `record`.
    ///
    /// # Errors
    /// A failed refresh, or the session ended while it ran: whoever waited must not go on with a new token.
    pub async fn next(
        &self,
        record: &SessionRecord,
        request_id: &str,
        jar: &[&str],
    ) -> Result<Refreshed, (Problem, Vec<String>)> {
        let next = self.refresher.refresh(record, request_id).await;
        self.unless_ended(next, record, jar)
    }

    /// The generation after `record`, whose access token an upstream has refused (PX-18). `None` when there is none to be
    /// had: no refresh token, an outage, or an upstream that has refused too many already. Nobody is logged out for those.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn replace_refused(
        &self,
        record: &SessionRecord,
        request_id: &str,
        jar: &[&str],
    ) -> Result<Option<Refreshed>, (Problem, Vec<String>)> {
        let (session, now) = (record.session_id.as_bytes(), self.clock.now());
        if record.refresh_token.is_none()
            || !self.refused.may_replace(session, record.access_generation(), now)
        {
            return Ok(None);
        }
        match self.refresher.refresh(record, request_id).await {
            Err(RefreshFailure::Unavailable) => Ok(None),
            next => self.unless_ended(next, record, jar).map(Some),
        }
    }

    /// A refresh's result, unless the session ended while it ran. A grant that is gone ends what the session holds open,
    /// too.
    fn unless_ended(
        &self,
        next: Result<Refreshed, RefreshFailure>,
        record: &SessionRecord,
        jar: &[&str],
    ) -> Result<Refreshed, (Problem, Vec<String>)> {
        if self.is_denied(record) {
            return Err(self.not_logged_in(NoSession::ClearCookies, jar));
        }
        next.map_err(|failure| match failure {
            RefreshFailure::Ended => self.grant_is_gone(record, jar),
            failure => self.refresh_problem(failure, jar),
        })
    }

    /// Ends the session of `record`, whose grant the authorization server has ended.
    pub fn grant_is_gone(&self, record: &SessionRecord, jar: &[&str]) -> (Problem, Vec<String>) {
        let ended = Whom::Session(record.session_id.as_bytes());
        self.deny.deny(ended, record.expires, Tokens::Leave, self.clock.now());
        self.api_tokens.forget(record.session_id.as_bytes());
        self.metrics.session_ended(SessionEnd::GrantGone);
        self.refresh_problem(RefreshFailure::Ended, jar)
    }

    /// Keeps the newest generation, for a request that got `next`, and gives the cookies for that; those that clear when the
    /// session ended meanwhile.
    ///
    /// # Errors
    /// The new tokens do not fit into cookies. The old refresh token may be used up, so the session ends here and now,
    /// with the cause, instead of at some later refresh without one.
    pub async fn reseal(
        &self,
        next: &Refreshed,
        call: &Call<'_>,
    ) -> Result<Vec<String>, (Problem, Vec<String>)> {
        // A slow upstream may have held this answer back while newer tokens reached the browser: an older generation
        // must not overwrite them. What is kept no longer has been seen by then, or is being replaced just now.
        let newest = self.refresher.newest_of_all(next).await;
        let Some(newest) = newest.filter(|newest| newest.generation >= next.generation) else {
            return Ok(Vec::new());
        };
        // A last look: the store may have been asked meanwhile.
        if self.is_denied(next) {
            return Ok(self.cookies.clear(call.jar));
        }
        match self.keeping.go_on(&newest, call).await {
            Ok(lines) => Ok(lines),
            Err(KeepFailure::Ended) => Ok(self.cookies.clear(call.jar)),
            // The refresh is kept for whoever comes with the generation before.
            Err(KeepFailure::Unavailable) => Ok(Vec::new()),
            Err(KeepFailure::TooLarge | KeepFailure::NoKey) => {
                let (session, code) = (newest.session_id.as_bytes(), Code::SessionTooLarge);
                let now = self.clock.now();
                self.deny.deny(Whom::Session(session), newest.expires, Tokens::Revoke, now);
                self.api_tokens.forget(session);
                self.metrics.session_ended(SessionEnd::TooLarge);
                let code_text = code.as_str();
                let ended = Event::RefreshFailed { session, code: code_text, session_ended: true };
                audit::record(&ended, call.request_id);
                let last = self.refresher.last(SessionRecord::clone(&newest));
                self.revocations.queue(Ended::of(&newest), last, call.request_id);
                Err((Problem::new(code), self.cookies.clear(call.jar)))
            }
        }
    }

    /// When `session` ends by idleness, as far as its cookies tell; never after its absolute end.
    pub fn idle_end(&self, session: &OpenSession) -> Timestamp {
        session.last_seen.plus(self.config.idle_timeout).min(session.record.expires)
    }

    /// A sign of life, when one is due, or a generation that the browser does not have yet; none for a session that ended meanwhile.
    pub async fn touch(&self, session: &OpenSession, call: &Call<'_>) -> Vec<String> {
        // The answer to a long poll comes with the time of its request: it must not overwrite a later sign of life.
        let late = call.now.plus(self.config.idle_timeout / 10) < self.clock.now();
        if late || self.is_denied(&session.record) {
            return Vec::new();
        }
        if self.providers.cuts_tokens(&session.record) {
            // Boxed: rare, and every call's future would be larger by it.
            if let Some(next) = Box::pin(self.rotated(session, call)).await {
                return Box::pin(self.reseal(&next, call)).await.unwrap_or_else(|(_, clear)| clear);
            }
        }
        if session.is_under_old_key && self.cookies.is_touch_due(session, call.now) {
            // Boxed: rare, and every call's future would be larger by it.
            return Box::pin(self.touch_under_new_key(session, call)).await;
        }
        self.keeping.touch(session, call).await
    }

    /// The generation after that of `session` that a token for an API has brought: this call's, one that was given up, or, asked for as
    /// often as a sign of life is due, that of an instance which is gone.
    async fn rotated(&self, session: &OpenSession, call: &Call<'_>) -> Option<Refreshed> {
        let record = &session.record;
        let is_newer = |newest: &Refreshed| newest.generation > record.generation;
        let known = self.refresher.newest(record).filter(is_newer);
        if known.is_some() || !self.cookies.is_touch_due(session, call.now) {
            return known;
        }
        self.refresher.newest_of_all(&Arc::new(record.clone())).await.filter(is_newer)
    }

    /// A sign of life that also brings the session under the key which seals now. Not when a newer generation is there or may
    /// come before this answer arrives: it must not be overwritten.
    async fn touch_under_new_key(&self, session: &OpenSession, call: &Call<'_>) -> Vec<String> {
        let record = &session.record;
        let (now, known) = (self.clock.now(), Arc::new(record.clone()));
        let is_quick = call.now.plus(QUICK) >= now;
        let stays = !self.providers.cuts_tokens(record)
            && self.freshness(record, now.plus(ON_ITS_WAY)) == Freshness::Fresh;
        if !is_quick || !stays {
            return self.keeping.touch(session, call).await;
        }
        let newest = self.refresher.newest_of_all(&known).await;
        if newest.is_some_and(|newest| newest.generation > record.generation) {
            return self.keeping.touch(session, call).await;
        }
        match self.keeping.seal_again(session, call).await {
            Ok(_) if self.is_denied(record) => Vec::new(),
            Ok(lines) => lines,
            Err(_) => self.keeping.touch(session, call).await,
        }
    }

    /// What a failed refresh means for the request: a problem, and cookies to set.
    fn refresh_problem(&self, failure: RefreshFailure, jar: &[&str]) -> (Problem, Vec<String>) {
        match failure {
            RefreshFailure::Unavailable => {
                (Problem::new(Code::ProviderUnavailable).with_retry_after(5), Vec::new())
            }
            RefreshFailure::Ended | RefreshFailure::NoRefreshToken => {
                (Problem::new(Code::SessionExpired), self.cookies.clear(jar))
            }
        }
    }

    /// Whether the session of `record` has ended, as far as that is known here.
    pub fn is_denied(&self, record: &SessionRecord) -> bool {
        self.ended(record).is_some()
    }

    fn ended(&self, record: &SessionRecord) -> Option<Tokens> {
        self.deny.ended(&self.providers.known_as(record))
    }
}
