//! One refresh among all instances: whoever holds the lease asks the authorization server, stores the result where all find
//! it, and only then lets anybody have it. Everybody else waits for the result, within bounds. Without the store nobody
//! refreshes: two instances with one single-use token would cost the session.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, interval_at, sleep};

use super::refresh::{PAUSE, RefreshFailure, Refreshed};
use crate::clock::Clock;
use crate::secret::Random;
use crate::session::{SessionCookies, SessionRecord};
use crate::store::{Begun, Lease, RENEWED_EVERY, RefreshStore, SessionDigest, StoreError, Stored};
use crate::telemetry::{Metrics, RefreshResult};

/// How long another instance's refresh is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at it, at first and at last.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LATER_LOOKS: Duration = Duration::from_millis(100);
/// How long a result waits for a store that is away before those who wait get it all the same.
const STORING: Duration = Duration::from_secs(2);
/// Between two tries to store a result.
const STORE_AGAIN: Duration = Duration::from_millis(100);
/// A look for a winner that is late, after the authorization server has said that the grant is gone.
const SECOND_LOOK: Duration = Duration::from_millis(200);

/// The refreshes of one app among all its instances.
pub struct SharedRefreshes {
    pub store: RefreshStore,
    pub cookies: Arc<SessionCookies>,
    /// How long a result is kept: until its session would have ended by idleness.
    pub keep: Duration,
    pub random: Random,
    pub clock: Clock,
    pub metrics: Metrics,
}

impl SharedRefreshes {
    /// The generation after `from`: another instance's that `is_enough`, or what `fetch` gets from the authorization server with the
    /// newest of all instances; that may be the same again.
    pub async fn next<F>(
        self: &Arc<Self>,
        from: Refreshed,
        is_enough: impl Fn(&SessionRecord) -> bool,
        fetch: impl FnOnce(Refreshed) -> F,
    ) -> Result<Refreshed, RefreshFailure>
    where
        F: Future<Output = Result<Refreshed, RefreshFailure>>,
    {
        let session = digest(&from);
        let (mut base, deadline, mut look) = (from, Instant::now() + PATIENCE, FIRST_LOOK);
        loop {
            let begun = self.store.begin(&session, base.generation, self.random.token::<16>());
            match begun.await {
                Ok(Begun::Held(lease)) => return self.fetch(lease, base, fetch).await,
                Ok(Begun::Newer(stored)) => {
                    // Under a key that is still unknown here: a rollout. Somebody who has it can use it.
                    let newer = self.open(&stored, &base).ok_or(RefreshFailure::Unavailable)?;
                    if is_enough(&newer) {
                        self.metrics.refresh(RefreshResult::Shared);
                        return Ok(newer);
                    }
                    base = newer;
                    continue;
                }
                Ok(Begun::Busy) if Instant::now() < deadline => {}
                Ok(Begun::Busy | Begun::Paused) | Err(_) => {
                    return Err(RefreshFailure::Unavailable);
                }
            }
            sleep(look + self.jitter(look)).await;
            look = (look * 2).min(LATER_LOOKS);
        }
    }

    /// The newest generation that any instance has stored; `None` when that is not newer than `record`, or not known.
    pub async fn newer(&self, record: &SessionRecord) -> Option<Refreshed> {
        let stored = self.store.newest(&digest(record)).await.ok()??;
        if stored.generation > record.generation { self.open(&stored, record) } else { None }
    }

    /// The session of `record` has ended: waits for a refresh that some instance is at, and gives its result, if there is
    /// one. Nothing is left in the store.
    pub async fn last(&self, record: &SessionRecord) -> Option<Refreshed> {
        let (session, deadline) = (digest(record), Instant::now() + PATIENCE);
        while Instant::now() < deadline && self.store.is_running(&session).await == Ok(true) {
            sleep(LATER_LOOKS).await;
        }
        let newest = self.newer(record).await;
        if self.store.forget(&session).await.is_err() {
            tracing::debug!(
                "an ended session's last generation stays in Redis until its time is over"
            );
        }
        newest
    }

    /// Stores a generation again that a store has lost.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn restore(&self, record: &SessionRecord) -> Result<(), StoreError> {
        match self.seal(record) {
            Some(stored) => self.store.put(&digest(record), &stored, self.keep).await,
            None => Ok(()),
        }
    }

    async fn fetch<F>(
        self: &Arc<Self>,
        lease: Lease,
        base: Refreshed,
        fetch: impl FnOnce(Refreshed) -> F,
    ) -> Result<Refreshed, RefreshFailure>
    where
        F: Future<Output = Result<Refreshed, RefreshFailure>>,
    {
        match holding(&lease, fetch(Arc::clone(&base))).await {
            Ok(next) if next.generation == base.generation => {
                release(&lease, Duration::ZERO).await;
                Ok(next)
            }
            Ok(next) => {
                self.keep(lease, &next).await;
                Ok(next)
            }
            Err(RefreshFailure::Ended) => {
                // An instance that was cut off from the store may have won, and may be about to say so.
                sleep(SECOND_LOOK + self.jitter(SECOND_LOOK)).await;
                let winner = self.newer(&base).await;
                release(&lease, Duration::ZERO).await;
                winner.ok_or(RefreshFailure::Ended)
            }
            Err(failure) => {
                release(&lease, PAUSE).await;
                Err(failure)
            }
        }
    }

    /// Stores `next` before anybody gets it. A store that is away for longer gets it when it is back: the old refresh token
    /// is used up, and whoever comes with it elsewhere must find its successor.
    async fn keep(self: &Arc<Self>, lease: Lease, next: &Refreshed) {
        let Some(stored) = self.seal(next) else { return };
        let (keep, began) = (self.keep, Instant::now());
        while lease.finish(&stored, keep).await.is_err() {
            if began.elapsed() > STORING {
                tracing::warn!("a refreshed session cannot be stored in Redis yet; trying on");
                tokio::spawn(async move {
                    while began.elapsed() < keep && lease.finish(&stored, keep).await.is_err() {
                        sleep(STORE_AGAIN).await;
                    }
                });
                return;
            }
            sleep(STORE_AGAIN).await;
        }
    }

    fn seal(&self, record: &SessionRecord) -> Option<Stored> {
        let sealed = self.cookies.seal_refreshed(record).ok()?;
        Some(Stored { generation: record.generation, sealed })
    }

    fn open(&self, stored: &Stored, record: &SessionRecord) -> Option<Refreshed> {
        self.cookies.open_refreshed(&stored.sealed, record).map(Arc::new)
    }

    /// Up to `most`, so that instances do not look in step.
    fn jitter(&self, most: Duration) -> Duration {
        let [byte] = self.random.bytes::<1>();
        most * u32::from(byte) / 256
    }
}

/// Does `work` while the lease is held.
async fn holding<T>(lease: &Lease, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut due = interval_at(Instant::now() + RENEWED_EVERY, RENEWED_EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = due.tick() => {
                if lease.renew().await == Ok(false) {
                    tracing::warn!("a refresh has lost its lease: this process was stopped for too long");
                }
            }
        }
    }
}

async fn release(lease: &Lease, pause: Duration) {
    if lease.release(pause).await.is_err() {
        tracing::debug!("a lease could not be given back; it ends by itself");
    }
}

/// Of the session id, which is random and ours: nobody can guess what it names, two users never share one, and it stays the
/// same while keys rotate.
pub fn digest(record: &SessionRecord) -> SessionDigest {
    Sha256::digest(record.session_id.as_bytes()).into()
}
