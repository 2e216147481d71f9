//! Records that rest outside the browser, in a store that several instances share: sealed there too, each bound to its
//! session, so that whoever reads or writes the store can neither use a token nor give one user another's.

use super::SessionError;
use super::codec::{decode_record, encode_record};
use super::cookies::SessionCookies;
use super::key_ring::Purpose;
use super::record::SessionRecord;
use crate::secret::Secret;

impl SessionCookies {
    /// Seals a generation for other instances.
    ///
    /// # Errors
    /// There is no key, or no longer such a client.
    pub fn seal_refreshed(&self, record: &SessionRecord) -> Result<String, SessionError> {
        let owner = self.owner(record.registration)?;
        let plain = Secret::new(encode_record(record, &self.identity.app_id, &owner.issuer));
        let context = owner.context(Some(record.session_id.as_bytes()));
        self.ring.seal(Purpose::Refreshed, plain.expose(), context, &self.random)
    }

    /// Opens what another instance sealed of the session of `known`; `None` when it is under a key that is not known here, of
    /// another provider, or not what it should be.
    pub fn open_refreshed(&self, sealed: &str, known: &SessionRecord) -> Option<SessionRecord> {
        let (of, id) = (known.registration, known.session_id);
        let plain = self.open_for(of, Purpose::Refreshed, sealed, Some(id.as_bytes()))?;
        decode_record(plain.expose(), of).filter(|record| record.session_id == id)
    }
}
