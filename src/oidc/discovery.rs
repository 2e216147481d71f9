//! Fetches the discovery document when it is first needed and hourly after that, one fetch at a time.
//! A failed refetch never takes away metadata that works; a failing server is asked again only after a pause.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use super::error::{ConfigFault, OidcError};
use super::http::Http;
use super::issuer::Issuer;
use super::json;
use super::metadata::{Metadata, Overrides};
use crate::clock::{Clock, Timestamp};
use crate::config::{Profile, ProviderConfig};

/// How long a document is used before it is fetched again.
const FRESH: Duration = Duration::from_secs(3600);

/// Pause after a failed fetch; until then callers get the failure, or the old document, at once.
const PAUSE: Duration = Duration::from_secs(5);

/// The metadata of one issuer.
#[derive(Debug)]
pub(super) struct Discovery {
    url: Url,
    issuer: Issuer,
    overrides: Overrides,
    profile: Profile,
    /// Access tokens must be bound to our certificate.
    binds: bool,
    clock: Clock,
    known: RwLock<Known>,
    /// Held during a fetch.
    fetching: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Known {
    metadata: Option<(Arc<Metadata>, Timestamp)>,
    /// Why the last fetch did not work; a pause lasts until the time given.
    failed: Option<(OidcError, Timestamp)>,
}

impl Discovery {
    /// Uses no network.
    pub(super) fn new(
        config: &ProviderConfig,
        issuer: Issuer,
        clock: Clock,
    ) -> Result<Self, ConfigFault> {
        let url = config.discovery_url.clone().unwrap_or_else(|| issuer.discovery_url());
        Ok(Self {
            url: issuer.endpoint(&url).ok_or(ConfigFault::Endpoint)?,
            overrides: Overrides::new(&config.endpoints, &issuer, config.certificate.is_some())?,
            profile: config.profile,
            binds: config.binding_certificate().is_some(),
            issuer,
            clock,
            known: RwLock::new(Known { metadata: None, failed: None }),
            fetching: Mutex::new(()),
        })
    }

    /// Why the last fetch did not work, or that there was none yet.
    pub(super) fn degraded(&self) -> Option<OidcError> {
        match self.known() {
            Known { failed: Some((error, _)), .. } => Some(error),
            Known { metadata: None, .. } => Some(OidcError::DiscoveryPending),
            Known { .. } => None,
        }
    }

    /// The metadata, fetched if there is none, refetched if it is old.
    pub(super) async fn metadata(&self, http: &Http) -> Result<Arc<Metadata>, OidcError> {
        if let Some(settled) = self.settled() {
            return settled;
        }
        let Some(_turn) = self.turn().await else {
            // Somebody else refetches: the old document serves meanwhile.
            return self.known().metadata.map_or(Err(OidcError::DiscoveryPending), |(m, _)| Ok(m));
        };
        if let Some(settled) = self.settled() {
            return settled;
        }
        let fetched = self.fetch(http).await;
        self.learn(fetched.map(|(metadata, ..)| metadata))
    }

    /// What can be said without a fetch.
    fn settled(&self) -> Option<Result<Arc<Metadata>, OidcError>> {
        let (now, known) = (self.clock.now(), self.known());
        let pausing = known.failed.filter(|(_, until)| now < *until);
        match (known.metadata, pausing) {
            (Some((metadata, fetched)), pausing) => {
                (now < fetched.plus(FRESH) || pausing.is_some()).then_some(Ok(metadata))
            }
            (None, Some((error, _))) => Some(Err(error)),
            (None, None) => None,
        }
    }

    /// The right to fetch; waits for it only when there is nothing to use meanwhile.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.known().metadata {
            Some(_) => self.fetching.try_lock().ok(),
            None => Some(self.fetching.lock().await),
        }
    }

    /// Fetches the document: what we use of it, all of it, and when it was given out.
    pub(super) async fn fetch(
        &self,
        http: &Http,
    ) -> Result<(Metadata, Map<String, Value>, Option<SystemTime>), OidcError> {
        let answer = http
            .get(&self.url, "application/json")
            .await
            .map_err(|_| OidcError::DiscoveryUnavailable)?;
        if answer.status != 200 {
            return Err(OidcError::DiscoveryUnavailable);
        }
        if !answer.is("application/json") {
            return Err(OidcError::DiscoveryInvalid);
        }
        let document = json::object(&answer.body).map_err(|_| OidcError::DiscoveryInvalid)?;
        let metadata = Metadata::of(&document, &self.issuer, &self.overrides)?;
        if self.profile == Profile::Fapi2 && !metadata.meets_fapi2() {
            return Err(OidcError::BelowProfile);
        }
        if self.binds && !metadata.binds_to_certificates {
            return Err(OidcError::BindsNothing);
        }
        Ok((metadata, document, answer.date))
    }

    fn learn(&self, fetched: Result<Metadata, OidcError>) -> Result<Arc<Metadata>, OidcError> {
        let now = self.clock.now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match fetched {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known { metadata: Some((Arc::clone(&metadata), now)), failed: None };
                Ok(metadata)
            }
            Err(error) => {
                tracing::warn!(code = error.code(), "the discovery document was not usable");
                known.failed = Some((error, now.plus(PAUSE)));
                known.metadata.as_ref().map_or(Err(error), |(metadata, _)| Ok(Arc::clone(metadata)))
            }
        }
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
