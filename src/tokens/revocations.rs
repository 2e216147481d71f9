//! Revokes the tokens of ended sessions, beside and after the requests that ended them (RFC 7009 §2.2.1): tries again with
//! growing pauses while the authorization server is away, within bounds of number and time. Logout never waits for it; the way
//! down does, briefly. Gives up loudly: a token that nobody could revoke lives until it ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::refresh::Refreshed;
use crate::audit::{self, Event};
use crate::config::Revoke;
use crate::oidc::{OidcError, Provider};
use crate::telemetry::{Metrics, RevocationResult};

/// Revocations that wait or run at once; each holds one session's tokens.
const MOST: usize = 10_000;
/// Tries, the first at once: with the pauses between them a little more than twenty minutes.
const TRIES: u32 = 10;
/// The first pause; each is twice the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The revocations of one app.
pub struct Revocations {
    provider: Arc<Provider>,
    choice: Revoke,
    control: Handle,
    metrics: Metrics,
    room: Arc<Semaphore>,
    /// The process goes down: each has one more try, at once.
    hurry: watch::Sender<bool>,
}

impl Revocations {
    /// `choice` says which token is revoked, if any; `control` runs it all.
    pub fn new(provider: Arc<Provider>, choice: Revoke, control: Handle, metrics: Metrics) -> Self {
        let room = Arc::new(Semaphore::new(MOST));
        Self { provider, choice, control, metrics, room, hurry: watch::Sender::new(false) }
    }

    /// Revokes what `last` gives: the newest tokens of an ended session, after a refresh that still runs.
    pub fn queue(
        &self,
        session: [u8; 16],
        last: impl Future<Output = Refreshed> + Send + 'static,
        request_id: &str,
    ) {
        if self.choice == Revoke::None {
            return;
        }
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            self.metrics.revocation(RevocationResult::GivenUp);
            let given_up = Event::RevocationGivenUp { session: &session, code: "too_many" };
            audit::record(&given_up, request_id);
            return;
        };
        let work = Work {
            provider: Arc::clone(&self.provider),
            choice: self.choice,
            hurry: self.hurry.subscribe(),
            _room: room,
        };
        let (metrics, request_id) = (self.metrics.clone(), request_id.to_owned());
        self.control.spawn(async move {
            match work.run(last).await {
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
    choice: Revoke,
    hurry: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
}

impl Work {
    async fn run(mut self, last: impl Future<Output = Refreshed>) -> Result<(), OidcError> {
        let record = last.await;
        let (token, hint) = match (self.choice, &record.refresh_token) {
            (Revoke::Refresh, Some(token)) => (token, "refresh_token"),
            _ => (&record.access_token, "access_token"),
        };
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let is_last = tried == TRIES || *self.hurry.borrow_and_update();
            match self.provider.revoke(token, hint).await {
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
