//! What several instances share through one Redis: the lease of a refresh and its result, ended sessions, news, what may
//! come only once, and sessions kept on the server. Holds nothing but digests and sealed values; all keys of a deployment share
//! one hash slot, so that every script sees one node. Never decides what an outage means for a request.

mod claims;
mod feed;
mod follow;
mod link;
mod records;
mod refreshes;
mod scripts;

use std::sync::{Arc, Weak};
use std::time::Duration;

pub use claims::Claims;
pub use feed::Contact;
pub use link::{Link, StoreError};
pub use records::{Found, Listing, RecordStore};
pub use refreshes::{Begun, LEASE, Lease, RENEWED_EVERY, RefreshStore, SessionDigest, Stored};

pub(super) use feed::Publisher;

use super::news::SessionNews;

use crate::clock::Clock;
use crate::config::{Outage, RedisConfig};
use crate::telemetry::Metrics;
use feed::Feed;

/// The shared store of one process. Dropping it ends its tasks.
pub struct Redis {
    config: Arc<RedisConfig>,
    epoch: String,
    link: Link,
    feed: Feed,
    metrics: Metrics,
}

impl Redis {
    /// Prepares it; the connections are made by [`Redis::start`] and with the first commands.
    ///
    /// # Errors
    /// A certificate file that holds none.
    pub fn new(config: RedisConfig, clock: Clock, metrics: Metrics) -> Result<Self, StoreError> {
        let config = Arc::new(config);
        let link = Link::new(&config, metrics.clone())?;
        let epoch = format!("{{{}}}:epoch", config.key_prefix);
        let told = metrics.clone();
        let feed = Feed::new(Arc::clone(&config), epoch.clone(), link.clone(), clock, told);
        Ok(Self { config, epoch, link, feed, metrics })
    }

    /// Starts following what other instances do. To be called when all apps are built, on the control plane.
    pub fn start(&self) {
        self.feed.start();
    }

    /// Asks it for its version and for what it does when its memory is full (`None`: it does not say).
    ///
    /// # Errors
    /// It does not answer, or refuses this user.
    pub async fn examine(&self) -> Result<(String, Option<String>), StoreError> {
        let asked = redis::pipe().cmd("INFO").to_owned();
        let (info,): (String,) = self.link.ask(&asked).await?;
        let value = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        Ok((value("redis_version").unwrap_or_default(), value("maxmemory_policy")))
    }

    /// How well this process knows which sessions have ended.
    pub fn contact(&self) -> Contact {
        self.feed.contact()
    }

    /// What an outage means for calls.
    pub fn outage(&self) -> Outage {
        self.config.outage
    }

    /// Where entries of the deny list of `app` go, and come from. `life` is how long an entry can matter.
    pub(super) fn publisher(&self, app: &str, life: Duration) -> Publisher {
        self.feed.ended(self.key(app, "deny"), life)
    }

    /// Where news of the sessions of `app` go; those of other instances come to `news`.
    pub(super) fn news(&self, app: &str, news: Weak<SessionNews>) -> Publisher {
        self.feed.news(self.key(app, "news"), news)
    }

    /// The refreshes of `app`.
    pub fn refreshes(&self, app: &str) -> RefreshStore {
        let keys = self.key(app, "refresh");
        RefreshStore::new(self.link.clone(), keys, self.epoch.clone(), self.feed.losses())
    }

    /// The sessions of `app` that are kept on the server.
    pub fn records(&self, app: &str) -> RecordStore {
        RecordStore::new(self.key(app, "session"), self.key(app, "user"))
    }

    /// A connection of a worker's own, which never crosses threads.
    ///
    /// # Errors
    /// None: the settings have been used before.
    pub fn worker_link(&self) -> Result<Link, StoreError> {
        Link::new(&self.config, self.metrics.clone())
    }

    /// What may come only once in `app`, all of it of one `kind`.
    pub fn claims(&self, app: &str, kind: &str) -> Claims {
        Claims::new(self.link.clone(), self.key(app, kind))
    }

    fn key(&self, app: &str, kind: &str) -> String {
        format!("{{{}}}:{app}:{kind}", self.config.key_prefix)
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis")
    }
}
