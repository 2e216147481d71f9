//! The ticket of a session that is kept on the server: what the browser holds instead of the record. A random 256-bit id,
//! sealed by the key ring like everything else, so that keys rotate and a guess is no ticket.

use sha2::{Digest as _, Sha256};

use super::SessionError;
use super::codec::{decode_record, encode_record};
use super::cookies::SessionCookies;
use super::jar::{MOST_PLANTED, values};
use super::key_ring::Purpose;
use super::record::{SessionId, SessionRecord};
use super::registration::Registration;
use super::set_cookie::{Scope, delete, set};
use crate::clock::Timestamp;
use crate::secret::{Random, Secret};

/// Bytes of a ticket.
const LENGTH: usize = 32;

/// What names a session in the store. Whoever has its bytes and a key of the ring has the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ticket([u8; LENGTH]);

impl Ticket {
    /// A new one.
    pub fn new(random: &Random) -> Self {
        Self(random.bytes())
    }

    /// The one of a session that began in cookies: however many requests move it at once, they make the same. Its id is
    /// random, and known to nobody but us.
    pub fn of_moved(id: &SessionId) -> Self {
        Self(
            Sha256::new()
                .chain_update(b"cloakroom moved session")
                .chain_update(id.as_bytes())
                .finalize()
                .into(),
        )
    }

    /// The name under which the session is stored, and shown to its user: no way back to the ticket.
    pub fn digest(&self) -> [u8; LENGTH] {
        Sha256::new().chain_update(b"cloakroom ticket").chain_update(self.0).finalize().into()
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl SessionCookies {
    /// The ticket in `jar`, and whether the key which seals now has sealed it.
    pub fn open_ticket(&self, jar: &[&str]) -> Option<(Ticket, bool)> {
        values(jar, &self.names.ticket).take(MOST_PLANTED).find_map(|value| {
            let (plain, _) = self.open_any(Purpose::Ticket, value, None).ok()?;
            let bytes = plain.expose().as_slice().try_into().ok()?;
            Some((Ticket(bytes), self.ring.is_current(value)))
        })
    }

    /// The `Set-Cookie` line that brings `ticket` to the browser until the end of `record`.
    ///
    /// # Errors
    /// There is no key, or no longer such a client.
    pub fn seal_ticket(
        &self,
        ticket: &Ticket,
        record: &SessionRecord,
        now: Timestamp,
    ) -> Result<String, SessionError> {
        let value = self.seal_for(record.registration, Purpose::Ticket, &ticket.0, None)?;
        Ok(set(&self.names.ticket, &value, Scope::STRICT, record.expires.seconds_after(now)))
    }

    /// Deletes the ticket in the browser.
    pub fn clear_ticket(&self) -> String {
        delete(&self.names.ticket, Scope::STRICT)
    }

    /// Seals a record for the store, where it can be found by `ticket` only.
    ///
    /// # Errors
    /// There is no key, or no longer such a client.
    pub fn seal_stored(
        &self,
        record: &SessionRecord,
        ticket: &Ticket,
    ) -> Result<String, SessionError> {
        let owner = self.owner(record.registration)?;
        let plain = Secret::new(encode_record(record, &self.identity.app_id, &owner.issuer));
        let name = ticket.digest();
        self.ring.seal(Purpose::Stored, plain.expose(), owner.context(Some(&name)), &self.random)
    }

    /// Opens what is stored under the name `digest` of a ticket.
    pub fn open_stored(&self, sealed: &str, digest: &[u8; LENGTH]) -> Option<SessionRecord> {
        let (plain, owner) = self.open_any(Purpose::Stored, sealed, Some(digest)).ok()?;
        decode_record(plain.expose(), owner.registration)
    }

    /// Seals what a user's list says of a session of `registration`; `digest` is its name there.
    ///
    /// # Errors
    /// There is no key, or no longer such a client.
    pub fn seal_listed(
        &self,
        text: &str,
        digest: &[u8; LENGTH],
        registration: Registration,
    ) -> Result<String, SessionError> {
        self.seal_for(registration, Purpose::Listed, text.as_bytes(), Some(digest))
    }

    /// Opens what a user's list says of a session.
    pub fn open_listed(
        &self,
        sealed: &str,
        digest: &[u8; LENGTH],
        registration: Registration,
    ) -> Option<String> {
        let plain = self.open_for(registration, Purpose::Listed, sealed, Some(digest))?;
        String::from_utf8(plain.expose().clone()).ok()
    }
}
