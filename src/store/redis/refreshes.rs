//! The refreshes of one app, as all its instances see them: one of them holds the lease and talks to the authorization
//! server, its result is there before the lease is gone, and a newer generation is never replaced by an older one. Results come
//! in sealed and are never looked into.

use std::time::Duration;

use redis::Pipeline;
use tokio::sync::watch;

use super::link::{Link, StoreError};
use super::scripts::{BEGIN, RELEASE, RENEW, STORE};

/// A lease that nobody renews ends after this: so long does the death of its holder stop others.
pub const LEASE: Duration = Duration::from_secs(3);
/// How often its holder renews it.
pub const RENEWED_EVERY: Duration = Duration::from_secs(1);

/// Names a session's refreshes: a digest of its id.
pub type SessionDigest = [u8; 32];

/// The shared refreshes of one app; clones share the connection.
#[derive(Clone)]
pub struct RefreshStore {
    link: Link,
    /// What the names of all its keys begin with.
    prefix: String,
    epoch: String,
    losses: watch::Receiver<u64>,
}

/// What became of an attempt to begin a refresh.
pub enum Begun {
    /// It is ours to do.
    Held(Lease),
    /// Another instance has done it.
    Newer(Stored),
    /// Another instance is at it: look again soon.
    Busy,
    /// It failed a moment ago.
    Paused,
}

/// A generation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub generation: u32,
    pub sealed: String,
}

/// The right to refresh one session. Ends by itself when it is not renewed.
pub struct Lease {
    store: RefreshStore,
    session: SessionDigest,
    holder: String,
}

impl RefreshStore {
    pub(super) fn new(
        link: Link,
        prefix: String,
        epoch: String,
        losses: watch::Receiver<u64>,
    ) -> Self {
        Self { link, prefix, epoch, losses }
    }

    /// Begins the refresh of `generation`. `holder` is a random name.
    ///
    /// # Errors
    /// The store cannot be reached: nothing was begun.
    pub async fn begin(
        &self,
        session: &SessionDigest,
        generation: u32,
        holder: String,
    ) -> Result<Begun, StoreError> {
        let keys = [
            self.key("result", session),
            self.key("lease", session),
            self.key("pause", session),
            self.epoch.clone(),
        ];
        let lease = milliseconds(LEASE);
        let asked = script(BEGIN, &keys, &[&holder, &lease, &generation.to_string(), &lease]);
        let (answer,): (Vec<String>,) = self.link.ask(&asked).await?;
        let mut words = answer.into_iter();
        match (words.next().as_deref(), words.next()) {
            (Some("held"), _) => {
                Ok(Begun::Held(Lease { store: self.clone(), session: *session, holder }))
            }
            (Some("newer"), Some(value)) => Ok(parse(&value).map_or(Begun::Busy, Begun::Newer)),
            (Some("paused"), _) => Ok(Begun::Paused),
            _ => Ok(Begun::Busy),
        }
    }

    /// The newest generation that is stored.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn newest(&self, session: &SessionDigest) -> Result<Option<Stored>, StoreError> {
        let asked = redis::pipe().get(self.key("result", session)).to_owned();
        let (value,): (Option<String>,) = self.link.ask(&asked).await?;
        Ok(value.as_deref().and_then(parse))
    }

    /// Whether some instance is at it.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn is_running(&self, session: &SessionDigest) -> Result<bool, StoreError> {
        let asked = redis::pipe().exists(self.key("lease", session)).to_owned();
        let (running,): (bool,) = self.link.ask(&asked).await?;
        Ok(running)
    }

    /// Stores a generation for `keep`, unless a newer one is there.
    ///
    /// # Errors
    /// The store cannot be reached: perhaps nothing was stored.
    pub async fn put(
        &self,
        session: &SessionDigest,
        value: &Stored,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.store(session, "", value, keep).await
    }

    /// Forgets what is stored of an ended session.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn forget(&self, session: &SessionDigest) -> Result<(), StoreError> {
        let asked = redis::pipe().del(self.key("result", session)).ignore().to_owned();
        self.link.ask(&asked).await
    }

    /// Counts how often the data was found to be gone: what was put there must be put again.
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.losses.clone()
    }

    async fn store(
        &self,
        session: &SessionDigest,
        holder: &str,
        value: &Stored,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let keys = [self.key("result", session), self.key("lease", session)];
        let text = format!("{} {}", value.generation, value.sealed);
        let asked = script(STORE, &keys, &[holder, &text, &milliseconds(keep)]);
        let (_stored,): (i64,) = self.link.ask(&asked).await?;
        Ok(())
    }

    fn key(&self, kind: &str, session: &SessionDigest) -> String {
        format!("{}:{kind}:{}", self.prefix, base64_simd::URL_SAFE_NO_PAD.encode_to_string(session))
    }
}

impl Lease {
    /// Holds it for longer; whether it is still ours.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn renew(&self) -> Result<bool, StoreError> {
        let keys = [self.store.key("lease", &self.session)];
        let asked = script(RENEW, &keys, &[&self.holder, &milliseconds(LEASE)]);
        let (ours,): (i64,) = self.store.link.ask(&asked).await?;
        Ok(ours == 1)
    }

    /// Stores the next generation for `keep`, and gives the lease back.
    ///
    /// # Errors
    /// The store cannot be reached: perhaps nothing was stored.
    pub async fn finish(&self, value: &Stored, keep: Duration) -> Result<(), StoreError> {
        self.store.store(&self.session, &self.holder, value, keep).await
    }

    /// Gives the lease back without a result; nobody begins again before `pause` is over.
    ///
    /// # Errors
    /// The store cannot be reached; the lease ends by itself.
    pub async fn release(&self, pause: Duration) -> Result<(), StoreError> {
        let keys = [self.store.key("lease", &self.session), self.store.key("pause", &self.session)];
        let asked = script(RELEASE, &keys, &[&self.holder, &milliseconds(pause)]);
        let (_released,): (i64,) = self.store.link.ask(&asked).await?;
        Ok(())
    }
}

pub(super) fn script(script: &str, keys: &[String], arguments: &[&str]) -> Pipeline {
    let mut asked = redis::pipe();
    asked.cmd("EVAL").arg(script).arg(keys.len()).arg(keys).arg(arguments);
    asked
}

pub(super) fn milliseconds(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

fn parse(text: &str) -> Option<Stored> {
    let (generation, sealed) = text.split_once(' ')?;
    Some(Stored { generation: generation.parse().ok()?, sealed: sealed.to_owned() })
}
