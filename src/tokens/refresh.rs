//! Refreshes a session's tokens: one call per refresh token however many requests want it, and one at a time whatever for. An outage
//! never ends a session.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::flight::{Flights, landed};
use super::providers::{OneProvider, Providers};
use super::refresh_call::{self, Fetched, ForApi, Purpose};
use super::shared::{SharedRefreshes, digest};
use crate::clock::{Clock, Timestamp};
use crate::config::TokenTarget;
use crate::secret::Secret;
use crate::session::SessionRecord;
use crate::store::SessionNews;
use crate::telemetry::{Metrics, RefreshResult};

/// How long a generation that reached the browser is still given to requests that were sent before it did.
const STRAGGLERS: Duration = Duration::from_secs(120);
/// Work of somebody else that does not help, e.g. a token for another API, is waited for this often, then the request is told to
/// try later.
const MOST_TURNS: usize = 32;

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
    /// The newest generation.
    result: Result<Refreshed, RefreshFailure>,
    /// The token for an API, by its name, where the refresh was for one.
    api: Option<([u8; 32], ForApi)>,
    at: Timestamp,
}

impl Outcome {
    /// The session has ended; it has no tokens any more.
    fn over(record: &SessionRecord) -> Self {
        let from = SessionRecord {
            generation: u32::MAX,
            access_token: Secret::from(""),
            refresh_token: None,
            proof_key: None,
            id_token: None,
            extensions: Vec::new(),
            claims: String::new(),
            ..record.clone()
        };
        let (result, at) = (Err(RefreshFailure::Ended), record.sealed_at);
        Self { from: Arc::new(from), result, api: None, at }
    }

    /// The newest generation, unless the grant is gone.
    fn newest(&self) -> Option<&Refreshed> {
        match &self.result {
            Ok(next) => Some(next),
            Err(RefreshFailure::Ended) => None,
            Err(_) => Some(&self.from),
        }
    }

    /// Whether it answers a request that wants an access token after that of `record`: a newer generation may have the same one.
    fn serves(&self, record: &SessionRecord, now: Timestamp) -> bool {
        match &self.result {
            Ok(next) => is_newer(next, record),
            Err(_) => self.is_failure_of(record, now),
        }
    }

    /// An outage answers those who waited, and whoever comes within the pause after it.
    fn is_failure_of(&self, record: &SessionRecord, now: Timestamp) -> bool {
        match &self.result {
            Ok(_) => false,
            Err(RefreshFailure::Ended) => self.from.generation >= record.generation,
            Err(_) => self.at.plus(PAUSE) > now,
        }
    }
}

/// Whether the access token of `next` is a later one than that of `record`.
fn is_newer(next: &SessionRecord, record: &SessionRecord) -> bool {
    next.access_generation() > record.access_generation()
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

    /// A generation with an access token after that of `record`. Dropping the future does not stop the token call.
    pub async fn refresh(
        &self,
        record: &SessionRecord,
        request_id: &str,
    ) -> Result<Refreshed, RefreshFailure> {
        let newest = self.newest(record);
        // A page that was closed during a refresh comes back with the generation before: its refresh token is used up.
        if let Some(newer) = newest.as_ref().filter(|newer| is_newer(newer, record))
            && newer.access_expires > self.clock.now()
        {
            return Ok(Arc::clone(newer));
        }
        if newest.as_deref().unwrap_or(record).refresh_token.is_none() {
            return Err(RefreshFailure::NoRefreshToken);
        }
        let wants = newest.filter(|newest| is_newer(newest, record));
        let wants = wants.unwrap_or_else(|| Arc::new(record.clone()));
        let mut base = Arc::clone(&wants);
        for _ in 0..MOST_TURNS {
            let now = self.clock.now();
            let serves = |outcome: &Outcome| outcome.serves(&wants, now);
            let outcome = self.turn(&base, &Purpose::Login, serves, request_id).await?;
            if outcome.serves(&wants, now) {
                return outcome.result;
            }
            base = outcome.result.map_err(|_| RefreshFailure::Unavailable)?;
        }
        Err(RefreshFailure::Unavailable)
    }

    /// A token for the API of `target`, called `name` among those of the session of `record`, cut from its grant. It takes its turn
    /// among the refreshes of the session: a server may give out a new refresh token with it.
    pub(super) async fn api_token(
        &self,
        record: &SessionRecord,
        (name, target): ([u8; 32], TokenTarget),
        request_id: &str,
    ) -> Result<ForApi, RefreshFailure> {
        let purpose = Purpose::Api(name, Arc::new(target));
        let mut base = Arc::new(record.clone());
        for _ in 0..MOST_TURNS {
            let now = self.clock.now();
            let serves = |outcome: &Outcome| outcome.is_failure_of(record, now);
            let outcome = self.turn(&base, &purpose, serves, request_id).await?;
            base = outcome.result?;
            // That of somebody else is waited for, it is not ours.
            if let Some((_, token)) = outcome.api.filter(|(known, _)| *known == name) {
                return Ok(token);
            }
        }
        Err(RefreshFailure::Unavailable)
    }

    /// What comes of the next refresh of the session of `base`: one that runs, whatever it is for; a kept one that `serves`; or
    /// one for this `purpose`, from the newest generation that is known, `base` or a later one.
    async fn turn(
        &self,
        base: &Refreshed,
        purpose: &Purpose,
        serves: impl Fn(&Outcome) -> bool,
        request_id: &str,
    ) -> Result<Outcome, RefreshFailure> {
        // Its tokens are for no other one.
        let asked = self.providers.of(base.registration).ok_or(RefreshFailure::Unavailable)?;
        let work = |before: Option<Outcome>| {
            let newest = before.as_ref().and_then(Outcome::newest);
            let newest = newest.filter(|newest| newest.generation > base.generation).cloned();
            let turn = Turn {
                asked: Arc::clone(asked),
                purpose: purpose.clone(),
                shared: self.shared.clone(),
                news: Arc::clone(&self.news),
                clock: self.clock.clone(),
                metrics: self.metrics.clone(),
                request_id: request_id.to_owned(),
            };
            turn.taken(newest.unwrap_or_else(|| Arc::clone(base)))
        };
        let flight = self.flights.join_after(digest(base), serves, work);
        let landed = landed(flight.ok_or(RefreshFailure::Unavailable)?).await;
        landed.ok_or(RefreshFailure::Unavailable)
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
        // The first generation comes from a login. Where tokens are cut from the grant, generations follow each other fast, and an older
        // one may come back late.
        if record.generation > 1 && !self.providers.cuts_tokens(record) {
            let arrived = |outcome: &Outcome| {
                outcome.result.as_ref().is_ok_and(|next| next.generation <= record.generation)
            };
            self.flights.shorten(&digest(record), arrived, STRAGGLERS);
        }
    }

    /// The session of `record` has ended: forgets its tokens, and gives the newest generation there is, after a refresh
    /// that still runs. Whoever waits for a turn of its own gets none any more.
    pub fn last(&self, record: SessionRecord) -> impl Future<Output = Refreshed> + Send + use<> {
        let flight = self.flights.put(digest(&record), Outcome::over(&record), STRAGGLERS);
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

/// One refresh, with all that it needs after whoever wanted it has gone.
struct Turn {
    asked: Arc<OneProvider>,
    purpose: Purpose,
    shared: Option<Arc<SharedRefreshes>>,
    news: Arc<SessionNews>,
    clock: Clock,
    metrics: Metrics,
    request_id: String,
}

impl Turn {
    async fn taken(self, from: Refreshed) -> Outcome {
        let (mut api, mut failed) = (None, None);
        let mut fetch = async |from: Refreshed| {
            let fetched = self.fetch(from).await?;
            (api, failed) = (fetched.api, fetched.failed);
            Ok(fetched.next)
        };
        let result = match &self.shared {
            Some(shared) => {
                // Another instance keeps the token that it has fetched for an API to itself.
                let is_login = matches!(self.purpose, Purpose::Login);
                let is_enough = |newer: &SessionRecord| {
                    is_login && is_newer(newer, &from) && newer.access_expires > self.clock.now()
                };
                shared.next(Arc::clone(&from), is_enough, fetch).await
            }
            None => fetch(Arc::clone(&from)).await,
        };
        if let Some(next) = result.as_ref().ok().filter(|next| is_newer(next, &from)) {
            self.news.refreshed(next.session_id.as_bytes(), next.access_expires);
        }
        let name = match &self.purpose {
            Purpose::Api(name, _) => Some(*name),
            Purpose::Login => None,
        };
        // What failed may have brought another refresh token all the same.
        let (from, result) = match (failed, result) {
            (Some(failure), Ok(next)) => (next, Err(failure)),
            (_, result) => (from, result),
        };
        Outcome { from, result, api: name.zip(api), at: self.clock.now() }
    }

    async fn fetch(&self, from: Refreshed) -> Result<Fetched, RefreshFailure> {
        let (provider, backoff) = (&self.asked.provider, &self.asked.backoff);
        if !backoff.may_ask(self.clock.now()) {
            self.metrics.refresh(RefreshResult::HeldBack);
            return Err(RefreshFailure::Unavailable);
        }
        let by = (&self.clock, &self.metrics);
        let fetched =
            refresh_call::fetch(provider, from, &self.purpose, by, &self.request_id).await;
        match fetched {
            Err(RefreshFailure::Unavailable)
            | Ok(Fetched { failed: Some(RefreshFailure::Unavailable), .. }) => {
                backoff.fails(self.clock.now());
            }
            _ => backoff.works(),
        }
        fetched
    }
}

/// Stores what this process has refreshed once more whenever the store has lost its data. Ends with the store.
async fn restore(shared: Arc<SharedRefreshes>, flights: Flights<Outcome>) {
    let mut losses = shared.store.losses();
    while losses.changed().await.is_ok() {
        for next in flights.kept().iter().filter_map(|outcome| outcome.newest().cloned()) {
            let mut tries = 0..RESTORE_TRIES;
            while shared.restore(&next).await.is_err() && tries.next().is_some() {
                tokio::time::sleep(RESTORE_AGAIN).await;
            }
        }
    }
}
