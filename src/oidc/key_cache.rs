//! Keeps the issuer's keys, and fetches them again when a token does not fit them (OpenID Connect Core §10.1.1).
//! Tokens that fit no key cannot make it fetch more often than the cool-down allows (ID-08); a failed refetch keeps the old
//! keys. Tokens that anybody may bring have a cool-down of their own, so that forged ones never delay a login after a rotation.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use super::error::{IdTokenFault, OidcError};
use super::http::Http;
use super::jwks::KeySet;
use super::jws::Unverified;
use crate::clock::{Clock, Timestamp};

/// How long keys are used before they are fetched again anyway, so that a withdrawn key goes away.
const FRESH: Duration = Duration::from_secs(3600);

/// At most one fetch in this time because a token fitted no key.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// Pause after a failed fetch.
const PAUSE: Duration = Duration::from_secs(5);

/// Who brings a token that is to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// We fetched it from the authorization server.
    Us,
    /// It was sent to us: it may be forged, and come a thousand times.
    Anybody,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeyCache {
    clock: Clock,
    known: RwLock<Known>,
    /// Held during a fetch.
    fetching: Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    keys: Option<Fetched>,
    /// No fetch before this time, because the last one failed.
    paused_until: Timestamp,
    /// No fetch for a token of ours that fits no key before this time.
    cool_until: Timestamp,
    /// The same for tokens that anybody brings.
    cool_for_anybody_until: Timestamp,
}

#[derive(Clone, Debug)]
struct Fetched {
    set: Arc<KeySet>,
    url: Url,
    at: Timestamp,
}

impl KeyCache {
    /// Holds nothing yet.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, known: RwLock::default(), fetching: Mutex::new(()) }
    }

    /// The last fetch failed.
    pub(super) fn is_degraded(&self) -> bool {
        self.known().paused_until > Timestamp::default()
    }

    /// The claims of `token`, verified with the keys at `url`; refetches them once when none fits.
    pub(super) async fn verify(
        &self,
        token: &Unverified<'_>,
        asker: Asker,
        http: &Http,
        url: &Url,
    ) -> Result<Map<String, Value>, OidcError> {
        let keys = self.keys(http, url).await?;
        match token.claims(&keys) {
            Err(fault @ (IdTokenFault::Key | IdTokenFault::Signature)) => {
                match self.keys_after(&keys, asker, http, url).await? {
                    Some(keys) => Ok(token.claims(&keys)?),
                    None => Err(fault.into()),
                }
            }
            verdict => Ok(verdict?),
        }
    }

    /// The keys, fetched if there are none or they are old.
    pub(super) async fn keys(&self, http: &Http, url: &Url) -> Result<Arc<KeySet>, OidcError> {
        if let Some(settled) = self.settled(url) {
            return settled;
        }
        let old = self.known().keys_of(url).map(|keys| keys.set);
        let turn = match &old {
            // Old keys serve while somebody else refetches.
            Some(_) => self.fetching.try_lock().ok(),
            None => Some(self.fetching.lock().await),
        };
        if turn.is_none() {
            return old.ok_or(OidcError::JwksUnavailable);
        }
        if let Some(settled) = self.settled(url) {
            return settled;
        }
        let fetched = self.fetch(http, url).await;
        fetched.or_else(|error| old.ok_or(error))
    }

    /// Newer keys than `seen`; `None` while the cool-down lasts.
    async fn keys_after(
        &self,
        seen: &Arc<KeySet>,
        asker: Asker,
        http: &Http,
        url: &Url,
    ) -> Result<Option<Arc<KeySet>>, OidcError> {
        let _turn = self.fetching.lock().await;
        let (now, mut known) = (self.clock.now(), self.known());
        if let Some(keys) = known.keys_of(url).filter(|keys| !Arc::ptr_eq(&keys.set, seen)) {
            return Ok(Some(keys.set));
        }
        if now < known.paused_until {
            // The newest keys could not be had: no verdict on the token.
            return Err(OidcError::JwksUnavailable);
        }
        if now < *known.cools_for(asker) {
            return Ok(None);
        }
        let keys = self.fetch(http, url).await?;
        self.change(|known| *known.cools_for(asker) = now.plus(COOL_DOWN));
        Ok(Some(keys))
    }

    fn settled(&self, url: &Url) -> Option<Result<Arc<KeySet>, OidcError>> {
        let (now, known) = (self.clock.now(), self.known());
        let pausing = now < known.paused_until;
        match known.keys_of(url) {
            Some(keys) => (now < keys.at.plus(FRESH) || pausing).then_some(Ok(keys.set)),
            None => pausing.then_some(Err(OidcError::JwksUnavailable)),
        }
    }

    async fn fetch(&self, http: &Http, url: &Url) -> Result<Arc<KeySet>, OidcError> {
        let fetched = fetch(http, url).await;
        let now = self.clock.now();
        let Some(keys) = fetched else {
            tracing::warn!(code = OidcError::JwksUnavailable.code(), "the keys were not usable");
            self.change(|known| known.paused_until = now.plus(PAUSE));
            return Err(OidcError::JwksUnavailable);
        };
        let set = Arc::new(keys);
        let fetched = Fetched { set: Arc::clone(&set), url: url.clone(), at: now };
        self.change(|known| {
            known.keys = Some(fetched);
            known.paused_until = Timestamp::default();
        });
        Ok(set)
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Known {
    fn cools_for(&mut self, asker: Asker) -> &mut Timestamp {
        match asker {
            Asker::Us => &mut self.cool_until,
            Asker::Anybody => &mut self.cool_for_anybody_until,
        }
    }

    /// Keys fetched from elsewhere are not the issuer's any more: it moved them.
    fn keys_of(&self, url: &Url) -> Option<Fetched> {
        self.keys.clone().filter(|keys| keys.url == *url)
    }
}

async fn fetch(http: &Http, url: &Url) -> Option<KeySet> {
    let accept = "application/jwk-set+json, application/json";
    let answer = http.get(url, accept).await.ok()?;
    let typed = answer.is("application/json") || answer.is("application/jwk-set+json");
    if answer.status != 200 || !typed {
        return None;
    }
    KeySet::parse(&answer.body).ok()
}
