//! What a session and a login attempt are made of. Holds data only; lifetimes are decided in `cookies`.

use crate::clock::Timestamp;
use crate::secret::Secret;

/// 128 unguessable bits; new at every login (CK-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Takes random bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// One generation of a session: what the token record cookie holds.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    pub session_id: SessionId,
    /// 1 at login, one more at every refresh.
    pub generation: u32,
    /// The user at the issuer (`sub`).
    pub subject: String,
    /// The authorization server's session (`sid`).
    pub op_sid: Option<String>,
    pub auth_time: Option<Timestamp>,
    pub acr: Option<String>,
    pub created: Timestamp,
    /// The absolute end.
    pub expires: Timestamp,
    pub sealed_at: Timestamp,
    pub access_token: Secret<String>,
    pub access_expires: Timestamp,
    pub refresh_token: Option<Secret<String>>,
    pub scope: Option<String>,
    /// JSON object: the claims that the SPA may see.
    pub claims: String,
    /// Only between login and sealing: it goes into the logout hint cookie, never into the record.
    pub id_token: Option<Secret<String>>,
    /// Tagged fields of later releases, kept as they are.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

/// One login attempt: what a login cookie holds.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    pub state: String,
    pub nonce: String,
    pub verifier: Secret<String>,
    pub return_to: String,
    pub started: Timestamp,
    pub max_age: Option<u64>,
    pub acr_values: Option<String>,
}
