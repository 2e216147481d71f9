//! The authorization servers of one app, each with what is remembered of it. A login, a session and a token belong to exactly one of
//! them, for good: whoever talks to an authorization server asks here whose turn it is, and gets nobody else's.

use std::sync::Arc;

use super::backoff::Backoff;
use crate::oidc::{Dpop, Provider};
use crate::session::{Registration, SessionRecord};
use crate::store::KnownAs;

/// One of them.
pub struct OneProvider {
    /// Its name: in `/login?provider=`, and at the end of its callback where there are several.
    pub id: String,
    pub registration: Registration,
    /// The configured issuer; with several tenants a session may have another.
    pub issuer: String,
    /// Its refresh tokens outlive its own sessions (`offline_access`).
    pub is_offline: bool,
    /// Its grants are for several APIs, whose tokens are cut from them by refreshing.
    pub cuts_tokens: bool,
    pub provider: Arc<Provider>,
    /// Holds refreshes back while it fails.
    pub backoff: Arc<Backoff>,
}

/// An access token cannot be used as its provider is configured now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherBinding;

/// All of one app, in the order of the configuration.
pub struct Providers {
    first: Arc<OneProvider>,
    further: Vec<Arc<OneProvider>>,
}

impl Providers {
    /// Those of an app; `None` if there is none.
    pub fn new(all: Vec<Arc<OneProvider>>) -> Option<Self> {
        let mut all = all.into_iter();
        Some(Self { first: all.next()?, further: all.collect() })
    }

    /// The one that a login asks when it names none.
    pub fn first(&self) -> &Arc<OneProvider> {
        &self.first
    }

    /// Whether each has endpoints of its own.
    pub fn are_several(&self) -> bool {
        !self.further.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<OneProvider>> {
        std::iter::once(&self.first).chain(&self.further)
    }

    /// The one called `id`.
    pub fn named(&self, id: &str) -> Option<&Arc<OneProvider>> {
        self.iter().find(|one| one.id == id)
    }

    /// The one of `registration`; `None` if it is not the app's any more.
    pub fn of(&self, registration: Registration) -> Option<&Arc<OneProvider>> {
        self.iter().find(|one| one.registration == registration)
    }

    /// The proofs that go out with tokens of the session of `record`; `None` with those of bearers, or of a certificate.
    ///
    /// # Errors
    /// [`Providers::is_bound`] says no.
    pub fn proofs_of(&self, record: &SessionRecord) -> Result<Option<Dpop>, OtherBinding> {
        if !self.is_bound(record) {
            return Err(OtherBinding);
        }
        let provider = self.of(record.registration).map(|one| &one.provider);
        let Some(provider) = provider.filter(|one| one.dpop().is_some()) else { return Ok(None) };
        // Without proofs it would go out as one of bearers.
        provider.proofs(record.proof_key.as_ref()).map(Some).ok_or(OtherBinding)
    }

    /// Whether the access token of `record` is bound as its provider's are now. One that is bound to another key or certificate than the
    /// configured one, or to none where there is one, or the reverse, is never sent (SC-02, SC-07, SC-09).
    pub fn is_bound(&self, record: &SessionRecord) -> bool {
        let has_key = record.proof_key.is_some();
        match self.of(record.registration) {
            Some(one) => one.provider.binds(record.bound_to(), has_key),
            None => record.bound_to().is_none(),
        }
    }

    /// Whether tokens for APIs are cut from the grant of `record`: a refresh may begin at any time then.
    pub fn cuts_tokens(&self, record: &SessionRecord) -> bool {
        self.of(record.registration).is_some_and(|one| one.cuts_tokens)
    }

    /// The names by which the session `record` can be ended.
    pub fn known_as<'a>(&'a self, record: &'a SessionRecord) -> KnownAs<'a> {
        record.known_as(self.issuer_of(record))
    }

    /// The configured issuer of the session `record`. Of one that is not the app's any more there are no users here.
    pub fn issuer_of(&self, record: &SessionRecord) -> &str {
        self.of(record.registration).map_or("", |one| &one.issuer)
    }
}
