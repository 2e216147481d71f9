//! Records that rest outside the browser, in a store that several instances share: sealed there too, each bound to its
//! session, so that whoever reads or writes the store can neither use a token nor give one user another's.

use super::SessionError;
use super::codec::{decode_record, encode_record};
use super::cookies::SessionCookies;
use super::key_ring::Purpose;
use super::record::{SessionId, SessionRecord};
use crate::secret::Secret;

impl SessionCookies {
    /// Seals a generation for other instances.
    ///
    /// # Errors
    /// There is no key.
    pub fn seal_refreshed(&self, record: &SessionRecord) -> Result<String, SessionError> {
        let (app, issuer) = (&self.identity.app_id, &self.identity.issuer);
        let plain = Secret::new(encode_record(record, app, issuer));
        let context = self.context(Some(record.session_id.as_bytes()));
        self.ring.seal(Purpose::Refreshed, plain.expose(), context, &self.random)
    }

    /// Opens what another instance sealed of the session `id`; `None` when it is under a key that is not known here, or
    /// not what it should be.
    pub fn open_refreshed(&self, sealed: &str, id: &SessionId) -> Option<SessionRecord> {
        let context = self.context(Some(id.as_bytes()));
        let plain = Secret::new(self.ring.open(Purpose::Refreshed, sealed, context).ok()?);
        decode_record(plain.expose()).filter(|record| record.session_id == *id)
    }
}
