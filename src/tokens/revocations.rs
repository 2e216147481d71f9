//! Revokes the tokens of ended sessions, beside and after the requests that ended them (RFC 7009 §2.2.1): tries again with
//! growing pauses while the authorization server is away, within bounds of number and time. Logout never waits for it; the way
//! down does, briefly. Never asks twice for one session. Gives up loudly: a token that nobody could revoke lives until it ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::providers::Providers;
use super::refresh::Refreshed;
use crate::audit::{self, Event};
use crate::clock::{Clock, Timestamp};
use crate::config::Revoke;
use crate::oidc::{OidcError, Provider};
use crate::secret::Secret;
use crate::session::{Registration, SessionRecord};
use crate::store::Seen;
use crate::telemetry::{Metrics, RevocationResult};

/// Revocations that wait or run at once; each holds one session's tokens.
const MOST: usize = 10_000;
/// Tries, the first at once: with the pauses between them a little more than twenty minutes.
const TRIES: u32 = 10;
/// The first pause; each is twice the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A session that has ended, and its absolute end: no cookie of it opens afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub session: [u8; 16],
    /// Whose its tokens are: they are shown to no other authorization server.
    pub registration: Registration,
    pub until: Timestamp,
}

impl Ended {
    /// The session of `record`.
    pub fn of(record: &SessionRecord) -> Self {
        Self {
            session: *record.session_id.as_bytes(),
            registration: record.registration,
            until: record.expires,
        }
    }
}

/// A token, and the hint that says of which kind it is (RFC 7009 §2.1).
type Token = (Secret<String>, &'static str);

/// The revocations of one app.
pub struct Revocations {
    providers: Arc<Providers>,
    choice: Revoke,
    control: Handle,
    clock: Clock,
    metrics: Metrics,
    room: Arc<Semaphore>,
    /// Sessions whose tokens were revoked, or are about to be: copies of their cookies cause nothing more.
    done: Seen,
    /// The process goes down: each has one more try, at once.
    hurry: Arc<watch::Sender<bool>>,
}

impl Revocations {
    /// `choice` says which token is revoked, if any; `control` runs it all.
    pub fn new(
        providers: Arc<Providers>,
        choice: Revoke,
        control: Handle,
        (clock, metrics): (Clock, Metrics),
    ) -> Self {
        let (room, done) = (Arc::new(Semaphore::new(MOST)), Seen::default());
        let hurry = Arc::new(watch::Sender::new(false));
        Self { providers, choice, control, clock, metrics, room, done, hurry }
    }

    /// With what `before` has done and is still at, whose settings are others from now on.
    pub fn taking_over(self, before: &Self) -> Self {
        let (room, hurry) = (Arc::clone(&before.room), Arc::clone(&before.hurry));
        Self { room, done: before.done.clone(), hurry, ..self }
    }

    /// The token of a session that would be revoked when a login replaces it.
    pub fn chosen<'a>(&self, record: &'a SessionRecord) -> Option<&'a Secret<String>> {
        match self.choice {
            Revoke::Refresh => record.refresh_token.as_ref(),
            Revoke::Access => Some(&record.access_token),
            Revoke::None => None,
        }
    }

    /// Revokes what `last` gives: the newest tokens of the ended `session`, after a refresh that still runs.
    pub fn queue(
        &self,
        session: Ended,
        last: impl Future<Output = Refreshed> + Send + 'static,
        request_id: &str,
    ) {
        let choice = self.choice;
        let token = async move {
            let record = last.await;
            match (choice, &record.refresh_token) {
                (Revoke::Refresh, Some(token)) => (token.clone(), "refresh_token"),
                _ => (record.access_token.clone(), "access_token"),
            }
        };
        self.start(session, token, request_id);
    }

    /// Revokes the token that [`Self::chosen`] gave.
    pub fn queue_token(&self, session: Ended, token: Secret<String>, request_id: &str) {
        let hint = if self.choice == Revoke::Refresh { "refresh_token" } else { "access_token" };
        self.start(session, async move { (token, hint) }, request_id);
    }

    fn start(
        &self,
        session: Ended,
        token: impl Future<Output = Token> + Send + 'static,
        request_id: &str,
    ) {
        let (now, Ended { session, registration, until }) = (self.clock.now(), session);
        if self.choice == Revoke::None || self.done.contains(&session, now) {
            return;
        }
        // It can have gone from the configuration meanwhile, and its credential with it.
        let Some(asked) = self.providers.of(registration) else {
            return self.give_up(&session, "no_provider", request_id);
        };
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return self.give_up(&session, "too_many", request_id);
        };
        if !self.done.note(session, until, now) {
            return;
        }
        let work = Work {
            provider: Arc::clone(&asked.provider),
            hurry: self.hurry.subscribe(),
            _room: room,
        };
        let (metrics, request_id) = (self.metrics.clone(), request_id.to_owned());
        self.control.spawn(async move {
            match work.run(token).await {
                Ok(()) => metrics.revocation(RevocationResult::Done),
                Err(error) => {
                    metrics.revocation(RevocationResult::GivenUp);
                    let code = error.code();
                    let given_up = Event::RevocationGivenUp { session: &session, code };
                    audit::record(&given_up, &request_id);
                }
            }
        });
    }

    fn give_up(&self, session: &[u8; 16], code: &str, request_id: &str) {
        self.metrics.revocation(RevocationResult::GivenUp);
        audit::record(&Event::RevocationGivenUp { session, code }, request_id);
    }

    /// Lets everything that waits try once more at once, and waits for the end of it, for `limit` at most.
    pub async fn finish(&self, limit: Duration) {
        self.hurry.send_replace(true);
        let all = u32::try_from(MOST).unwrap_or(u32::MAX);
        if timeout(limit, self.room.acquire_many(all)).await.is_err() {
            tracing::warn!("some tokens of ended sessions were not revoked in time");
        }
    }
}

struct Work {
    provider: Arc<Provider>,
    hurry: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
}

impl Work {
    async fn run(mut self, token: impl Future<Output = Token>) -> Result<(), OidcError> {
        let (token, hint) = token.await;
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let is_last = tried == TRIES || *self.hurry.borrow_and_update();
            match self.provider.revoke(&token, hint).await {
                // A verdict does not change; an outage may.
                Err(error) if error.is_unavailable() && !is_last => {
                    tracing::warn!(code = error.code(), tried, "revocation failed; trying again");
                }
                done => return done,
            }
            tokio::select! {
                () = sleep(pause) => {}
                _ = self.hurry.wait_for(|hurry| *hurry) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}
