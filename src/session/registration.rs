//! Which client of ours, at which issuer, a sealed value belongs to. It stands in the additional data of every seal, so that a session
//! or a login of one provider never opens as another's, whatever the configuration calls them. Knows nothing of their names.

use sha2::{Digest as _, Sha256};

use super::SessionError;
use super::cookies::SessionCookies;
use super::key_ring::{Context, Identity, OpenFailure, Purpose, delimited};
use crate::secret::Secret;

/// One client of ours at one issuer; stays the same while its provider's name, secret or place in the list changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Registration([u8; 16]);

impl Registration {
    /// That of the client `client_id` at `issuer`.
    pub fn of(issuer: &str, client_id: &str) -> Self {
        let [digest @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            Sha256::digest(delimited(&[issuer.as_bytes(), client_id.as_bytes()])).0;
        Self(digest)
    }

    pub(super) fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The same for as long as issuer and client id are.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Whose a sealed value can be.
pub(super) struct Owner {
    pub registration: Registration,
    pub issuer: String,
    /// App, issuer and client as they stand in the additional data.
    data: Vec<u8>,
}

impl Owner {
    /// All there are of `identity`, whose record cookie is called `record`.
    pub fn all(identity: &Identity, record: &str) -> Vec<Self> {
        let owner = |(issuer, client_id): &(String, String)| Self {
            registration: Registration::of(issuer, client_id),
            issuer: issuer.clone(),
            data: delimited(&[
                record.as_bytes(),
                identity.app_id.as_bytes(),
                issuer.as_bytes(),
                client_id.as_bytes(),
            ]),
        };
        identity.clients.iter().map(owner).collect()
    }

    /// What the additional data says: the owner, then `bound_to`.
    pub fn context<'a>(&'a self, bound_to: Option<&'a [u8]>) -> Context<'a> {
        Context { owner: &self.data, bound_to }
    }
}

impl SessionCookies {
    /// Seals `plain` for `registration`.
    ///
    /// # Errors
    /// There is no key, or this app has no such client.
    pub(super) fn seal_for(
        &self,
        registration: Registration,
        purpose: Purpose,
        plain: &[u8],
        bound_to: Option<&[u8]>,
    ) -> Result<String, SessionError> {
        let context = self.owner(registration)?.context(bound_to);
        self.ring.seal(purpose, plain, context, &self.random)
    }

    /// Opens `value` if it belongs to `registration`.
    pub(super) fn open_for(
        &self,
        registration: Registration,
        purpose: Purpose,
        value: &str,
        bound_to: Option<&[u8]>,
    ) -> Option<Secret<Vec<u8>>> {
        let context = self.owner(registration).ok()?.context(bound_to);
        self.ring.open(purpose, value, context).ok().map(Secret::new)
    }

    /// Opens `value`, whichever of the app's clients it belongs to, and says which. There are a few at most, and one key: which of
    /// them it was sealed for is not written anywhere that a browser could change.
    pub(super) fn open_any(
        &self,
        purpose: Purpose,
        value: &str,
        bound_to: Option<&[u8]>,
    ) -> Result<(Secret<Vec<u8>>, &Owner), OpenFailure> {
        let mut failure = OpenFailure::Unknown;
        for owner in &self.owners {
            match self.ring.open(purpose, value, owner.context(bound_to)) {
                Ok(plain) => return Ok((Secret::new(plain), owner)),
                Err(OpenFailure::Unknown) => return Err(OpenFailure::Unknown),
                Err(OpenFailure::Invalid) => failure = OpenFailure::Invalid,
            }
        }
        Err(failure)
    }

    /// The owner of what is sealed for `registration`.
    ///
    /// # Errors
    /// This app has no such client.
    pub(super) fn owner(&self, registration: Registration) -> Result<&Owner, SessionError> {
        let owner = self.owners.iter().find(|owner| owner.registration == registration);
        owner.ok_or(SessionError::UnknownClient)
    }
}
