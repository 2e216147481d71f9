//! Refreshes a session's tokens: one call per refresh token however many requests want it.
//! Only `invalid_grant`, or a refreshed ID token that fails its checks, ends a session; an outage never does.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::flight::{Flights, landed};
use super::providers::Providers;
use super::shared::{SharedRefreshes, digest};
use crate::audit::{self, Event};
use crate::clock::{Clock, Timestamp};
use crate::oidc::{IdTokenFault, OidcError, Provider, RefreshExpectation};
use crate::session::SessionRecord;
use crate::store::SessionNews;
use crate::telemetry::{Metrics, RefreshResult};

/// How long a generation that reached the browser is still given to requests that were sent before it did.
const STRAGGLERS: Duration = Duration::from_secs(120);
/// Work of somebody else that does not help is waited for this often, then the request is told to try later.
const TRIES: usize = 3;

/// A store that has lost its data may be away once more.
const RESTORE_TRIES: u32 = 20;
const RESTORE_AGAIN: Duration = Duration::from_millis(100);

/// The next generation of a session.
pub type Refreshed = Arc<SessionRecord>;

/// After a failed token call of a session: an outage must not turn every request into another call.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// Why there is no next generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshFailure {
    /// The grant is gone: the session has ended.
    #[error("the authorization server ended the grant")]
    Ended,
    /// The session has no refresh token.
    #[error("the session has no refresh token")]
    NoRefreshToken,
    /// An outage: try later, nothing is lost.
    #[error("the authorization server is unavailable")]
    Unavailable,
}

/// What became of a generation's refresh. Without a next generation the one before stays the newest: its refresh token
/// must not be lost when the browser does not have it yet.
#[derive(Clone)]
struct Outcome {
    from: Refreshed,
    result: Result<Refreshed, RefreshFailure>,
    at: Timestamp,
}

impl Outcome {
    /// The newest generation, unless the grant is gone.
    fn newest(&self) -> Option<&Refreshed> {
        match &self.result {
            Ok(next) => Some(next),
            Err(RefreshFailure::Ended) => None,
            Err(_) => Some(&self.from),
        }
    }

    /// Whether it answers a request that wants the successor of `generation`. An outage answers those who waited, and
    /// whoever comes within the pause after it.
    fn serves(&self, generation: u32, now: Timestamp) -> bool {
        match &self.result {
            Ok(next) => next.generation > generation,
            Err(RefreshFailure::Ended) => self.from.generation >= generation,
            Err(_) => self.at.plus(PAUSE) > now,
        }
    }
}

/// Refreshes sessions of one app.
pub struct Refresher {
    providers: Arc<Providers>,
    /// One entry per session: its latest refresh.
    flights: Flights<Outcome>,
    /// What other instances do; `None` when there are none.
    shared: Option<Arc<SharedRefreshes>>,
    news: Arc<SessionNews>,
    control: Handle,
    clock: Clock,
    metrics: Metrics,
    /// What stores its results once more when the store has lost them.
    restore: Option<AbortHandle>,
}

impl Drop for Refresher {
    fn drop(&mut self) {
        if let Some(restore) = &self.restore {
            restore.abort();
        }
    }
}

impl Refresher {
    /// The token calls run on `control`; `news` is told of each that succeeded. A result that no browser has shown yet is
    /// kept for `keep`, the idle time: after that its session has ended.
    pub fn new(
        providers: Arc<Providers>,
        control: Handle,
        clock: Clock,
        metrics: Metrics,
        news: Arc<SessionNews>,
        keep: Duration,
    ) -> Self {
        let flights = Flights::new(control.clone(), clock.clone(), keep);
        Self { providers, flights, shared: None, news, control, clock, metrics, restore: None }
    }

    /// With the refreshes that `before` has begun, whose settings are others from now on.
    pub fn taking_over(mut self, before: &Self, keep: Duration) -> Self {
        self.flights = before.flights.keeping(keep);
        self
    }

    /// The same, among other instances.
    pub fn shared(mut self, shared: SharedRefreshes) -> Self {
        let shared = Arc::new(shared);
        let restoring = self.control.spawn(restore(Arc::clone(&shared), self.flights.clone()));
        self.restore = Some(restoring.abort_handle());
        self.shared = Some(shared);
        self
    }

    /// The generation after `record`. Dropping the future does not stop the token call.
    pub async fn refresh(
        &self,
        record: &SessionRecord,
        request_id: &str,
    ) -> Result<Refreshed, RefreshFailure> {
        // A page that was closed during a refresh comes back with the generation before: its refresh token is used up.
        let base = match self.newest(record) {
            Some(newer) if newer.generation > record.generation => {
                if newer.access_expires > self.clock.now() {
                    return Ok(newer);
                }
                newer
            }
            _ => Arc::new(record.clone()),
        };
        if base.refresh_token.is_none() {
            return Err(RefreshFailure::NoRefreshToken);
        }
        // Its tokens are for no other one.
        let asked = self.providers.of(base.registration).ok_or(RefreshFailure::Unavailable)?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let serves = |outcome: &Outcome| outcome.serves(base.generation, now);
            let work = || {
                let (asked, metrics) = (Arc::clone(asked), self.metrics.clone());
                let (from, clock) = (Arc::clone(&base), self.clock.clone());
                let (news, shared) = (Arc::clone(&self.news), self.shared.clone());
                let request_id = request_id.to_owned();
                async move {
                    let (provider, backoff) = (&asked.provider, &asked.backoff);
                    let fetch = async |from: Refreshed| {
                        let record = SessionRecord::clone(&from);
                        if !backoff.may_ask(clock.now()) {
                            metrics.refresh(RefreshResult::HeldBack);
                            return Err(RefreshFailure::Unavailable);
                        }
                        let result = fetch(provider, record, &clock, &metrics, &request_id).await;
                        match result {
                            Err(RefreshFailure::Unavailable) => backoff.fails(clock.now()),
                            _ => backoff.works(),
                        }
                        result
                    };
                    let result = match &shared {
                        Some(shared) => shared.next(Arc::clone(&from), fetch).await,
                        None => fetch(Arc::clone(&from)).await,
                    };
                    if let Ok(next) = &result {
                        news.refreshed(next.session_id.as_bytes(), next.access_expires);
                    }
                    Outcome { from, result, at: clock.now() }
                }
            };
            let flight = self.flights.join_if(digest(&base), serves, work);
            let outcome = landed(flight.ok_or(RefreshFailure::Unavailable)?).await;
            match outcome {
                Some(outcome) if outcome.serves(base.generation, now) => return outcome.result,
                Some(Outcome { result: Ok(_), .. }) => {}
                _ => return Err(RefreshFailure::Unavailable),
            }
        }
        Err(RefreshFailure::Unavailable)
    }

    /// The newest generation of the session of `record`, if the browser may not have it yet; `None` as well while it is
    /// being fetched.
    pub fn newest(&self, record: &SessionRecord) -> Option<Refreshed> {
        self.flights.peek(&digest(record))?.newest().cloned()
    }

    /// The same among all instances: what one of them was slow to answer must not overwrite what another one has made.
    pub async fn newest_of_all(&self, record: &Refreshed) -> Option<Refreshed> {
        let known = self.newest(record);
        let Some(shared) = &self.shared else { return known };
        let base = known.clone().unwrap_or_else(|| Arc::clone(record));
        let (shared, kept) = (Arc::clone(shared), Arc::clone(&base));
        // The connection lives on the control plane.
        let newer = self.control.spawn(async move { shared.newer(&kept).await });
        // A store that is away knows nothing newer: what is here is the best there is.
        newer.await.ok().flatten().or(Some(base))
    }

    /// The browser has shown `record`: what came before it is needed by stragglers only.
    pub fn seen(&self, record: &SessionRecord) {
        // The first generation comes from a login.
        if record.generation > 1 {
            let arrived = |outcome: &Outcome| {
                outcome.result.as_ref().is_ok_and(|next| next.generation <= record.generation)
            };
            self.flights.shorten(&digest(record), arrived, STRAGGLERS);
        }
    }

    /// The session of `record` has ended: forgets its tokens, and gives the newest generation there is, after a refresh
    /// that still runs.
    pub fn last(&self, record: SessionRecord) -> impl Future<Output = Refreshed> + Send + use<> {
        let flight = self.flights.take(&digest(&record));
        let shared = self.shared.clone();
        async move {
            let outcome = match flight {
                Some(flight) => landed(flight).await,
                None => None,
            };
            let newer = outcome.as_ref().and_then(Outcome::newest).cloned();
            let newer = newer.filter(|newer| newer.generation > record.generation);
            let last = newer.unwrap_or_else(|| Arc::new(record));
            match shared {
                Some(shared) => shared.last(&last).await.unwrap_or(last),
                None => last,
            }
        }
    }
}

/// Stores what this process has refreshed once more whenever the store has lost its data. Ends with the store.
async fn restore(shared: Arc<SharedRefreshes>, flights: Flights<Outcome>) {
    let mut losses = shared.store.losses();
    while losses.changed().await.is_ok() {
        for next in flights.kept().into_iter().filter_map(|outcome| outcome.result.ok()) {
            let mut tries = 0..RESTORE_TRIES;
            while shared.restore(&next).await.is_err() && tries.next().is_some() {
                tokio::time::sleep(RESTORE_AGAIN).await;
            }
        }
    }
}

async fn fetch(
    provider: &Provider,
    mut record: SessionRecord,
    clock: &Clock,
    metrics: &Metrics,
    request_id: &str,
) -> Result<Refreshed, RefreshFailure> {
    let Some(token) = record.refresh_token.clone() else {
        return Err(RefreshFailure::NoRefreshToken);
    };
    let expected = RefreshExpectation {
        sub: record.subject.clone(),
        nonce: record.nonce(),
        auth_time: record.auth_time,
    };
    let session = *record.session_id.as_bytes();
    // RF-08: what the server has said of the refresh token's end is not tried out.
    if record.refresh_ends().is_some_and(|ends| ends <= clock.now()) {
        metrics.refresh(RefreshResult::Ended);
        let code = "refresh_token_ended";
        audit::record(
            &Event::RefreshFailed { session: &session, code, session_ended: true },
            request_id,
        );
        return Err(RefreshFailure::Ended);
    }
    let asked = Instant::now();
    let answer = provider.refresh(&token, &expected).await;
    metrics.refresh_took(asked.elapsed().as_secs_f64());
    match answer {
        Ok(tokens) => {
            record.generation = record.generation.saturating_add(1);
            record.sealed_at = clock.now();
            record.access_token = tokens.access_token;
            record.access_expires = tokens.expires_at;
            record.set_bound_to(tokens.bound_to);
            // RF-02: no new refresh token means that the old one goes on.
            if tokens.refresh_token.is_some() || tokens.refresh_ends.is_some() {
                record.set_refresh_ends(tokens.refresh_ends);
            }
            record.refresh_token = tokens.refresh_token.or(Some(token));
            // RFC 6749 §6: no word on the scope means that it is as before.
            record.scope = tokens.scope.or(record.scope);
            record.id_token = tokens.id_token;
            metrics.refresh(RefreshResult::Succeeded);
            let generation = record.generation;
            audit::record(&Event::RefreshSucceeded { session: &session, generation }, request_id);
            Ok(Arc::new(record))
        }
        Err(error) => {
            let ended = ends_session(error);
            metrics.refresh(if ended { RefreshResult::Ended } else { RefreshResult::Unavailable });
            let failed = Event::RefreshFailed {
                session: &session,
                code: error.code(),
                session_ended: ended,
            };
            audit::record(&failed, request_id);
            Err(if ended { RefreshFailure::Ended } else { RefreshFailure::Unavailable })
        }
    }
}

/// RF-05: only a verdict on the grant ends the session. RF-09: a refreshed ID token that fails its checks is one, but
/// for a key that is not published yet: that passes.
fn ends_session(error: OidcError) -> bool {
    let unknown_key = error == OidcError::IdToken(IdTokenFault::Key);
    error.is_invalid_grant() || (matches!(error, OidcError::IdToken(_)) && !unknown_key)
}
