//! What a session and a login attempt are made of. Holds data only; lifetimes are decided in `cookies`.

use serde_json::Value;

use super::registration::Registration;
use super::ruled_claims::{Claims, pick};
use crate::clock::Timestamp;
use crate::config::ProofKey;
use crate::secret::Secret;
use crate::store::KnownAs;

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
    /// Whose tokens these are. Not among the sealed bytes: it is what the seal itself is bound to.
    pub registration: Registration,
    pub session_id: SessionId,
    /// 1 at login, one more whenever a token of it is replaced.
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
    /// What the access token is bound to, where that is a key of this session's own.
    pub proof_key: Option<ProofKey>,
    pub scope: Option<String>,
    /// JSON object: the claims that the SPA may see.
    pub claims: String,
    /// Only between login and sealing: it goes into the logout hint cookie, never into the record.
    pub id_token: Option<Secret<String>>,
    /// Tagged fields; those of later releases are kept as they are.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

/// The tag of the login's nonce among the extensions: a refreshed ID token may repeat it, and no other (RF-09).
const NONCE: u16 = 1;
/// The tag of the issuer, where it is not the configured one but a tenant of it.
const TENANT: u16 = 2;
/// The tag of the refresh token's end, seconds in eight bytes, where the authorization server has said one.
const REFRESH_ENDS: u16 = 3;
/// The tag of the claims that routes look at, a JSON object.
const RULED: u16 = 4;
/// The tag of the thumbprint of the key that the access token is bound to, where it is.
const BOUND_TO: u16 = 5;
/// The tag of the generation that the access token came with, four bytes, where that is an earlier one.
const ACCESS_GENERATION: u16 = 6;
/// The tag of what was granted in detail (RFC 9396), in JSON.
const DETAILS: u16 = 9;
/// The tag of the session's own key among the sealed fields; it is a secret, and so never among the extensions. 7 is one of a later
/// release, in tests.
pub(super) const PROOF_KEY: u16 = 8;

impl SessionRecord {
    /// Remembers the nonce of the login.
    pub fn remember_nonce(&mut self, nonce: &str) {
        self.extensions.push((NONCE, nonce.as_bytes().to_vec()));
    }

    /// The nonce of the login, when this record remembers it.
    pub fn nonce(&self) -> Option<String> {
        self.text(NONCE).map(ToOwned::to_owned)
    }

    /// Remembers who issued the ID token, unless it is the issuer `configured` for everybody.
    pub fn remember_issuer(&mut self, issuer: &str, configured: &str) {
        if issuer != configured {
            self.extensions.push((TENANT, issuer.as_bytes().to_vec()));
        }
    }

    /// When the refresh token ends, as far as the authorization server has said.
    pub fn refresh_ends(&self) -> Option<Timestamp> {
        let (_, bytes) = self.extensions.iter().find(|(known, _)| *known == REFRESH_ENDS)?;
        Some(Timestamp(u64::from_be_bytes(bytes.as_slice().try_into().ok()?)))
    }

    /// Remembers what the authorization server has said of the refresh token's end: nothing, or when.
    pub fn set_refresh_ends(&mut self, ends: Option<Timestamp>) {
        self.extensions.retain(|(tag, _)| *tag != REFRESH_ENDS);
        self.extensions.extend(ends.map(|ends| (REFRESH_ENDS, ends.0.to_be_bytes().to_vec())));
    }

    /// What was granted in detail, in JSON, as the authorization server said it last.
    pub fn authorization_details(&self) -> Option<&str> {
        self.text(DETAILS)
    }

    /// Remembers what was granted in detail, if the authorization server says it: what it does not repeat is as before. `null` forgets it.
    pub fn set_authorization_details(&mut self, granted: Option<&Value>) {
        let Some(granted) = granted else { return };
        self.extensions.retain(|(tag, _)| *tag != DETAILS);
        if !granted.is_null() {
            self.extensions.push((DETAILS, granted.to_string().into_bytes()));
        }
    }

    /// The generation that the access token came with: later ones may have brought another refresh token only.
    pub fn access_generation(&self) -> u32 {
        let kept = self.extensions.iter().find(|(known, _)| *known == ACCESS_GENERATION);
        let kept = kept.and_then(|(_, bytes)| bytes.as_slice().try_into().ok());
        kept.map_or(self.generation, u32::from_be_bytes)
    }

    /// Remembers the generation that the access token came with.
    pub fn set_access_generation(&mut self, generation: u32) {
        self.extensions.retain(|(tag, _)| *tag != ACCESS_GENERATION);
        if generation != self.generation {
            self.extensions.push((ACCESS_GENERATION, generation.to_be_bytes().to_vec()));
        }
    }

    /// The thumbprint of the key that the access token is bound to; `None` for one of bearers (RFC 9449 §6).
    pub fn bound_to(&self) -> Option<&str> {
        self.text(BOUND_TO)
    }

    /// Remembers what the access token is bound to.
    pub fn set_bound_to(&mut self, thumbprint: Option<String>) {
        self.extensions.retain(|(tag, _)| *tag != BOUND_TO);
        self.extensions.extend(thumbprint.map(|it| (BOUND_TO, it.into_bytes())));
    }

    /// When this session is over if nothing is refreshed any more: with its last token, at its absolute end at the latest
    /// (RF-08).
    pub fn ends(&self) -> Timestamp {
        let tokens = self.refresh_ends().map(|ends| ends.max(self.access_expires));
        tokens.map_or(self.expires, |ends| ends.min(self.expires))
    }

    /// Keeps the claims that routes look at, as the login has them: `names` of `all`.
    pub fn keep_ruled(&mut self, all: &Claims, names: &[String]) {
        let kept = pick(all, names);
        if !kept.is_empty() {
            self.extensions.push((RULED, Value::Object(kept).to_string().into_bytes()));
        }
    }

    /// What [`SessionRecord::keep_ruled`] kept, by the names that it was given; and the subject, always.
    pub fn ruled(&self) -> Claims {
        let kept = self.text(RULED).and_then(|text| serde_json::from_str(text).ok());
        let mut kept: Claims = kept.unwrap_or_default();
        kept.insert("sub".to_owned(), Value::from(self.subject.as_str()));
        kept
    }

    /// The names by which this session can be ended; `issuer` is the configured one of its registration.
    pub fn known_as<'a>(&'a self, issuer: &'a str) -> KnownAs<'a> {
        KnownAs {
            id: self.session_id.as_bytes(),
            issuer: self.text(TENANT).unwrap_or(issuer),
            op_sid: self.op_sid.as_deref(),
            subject: &self.subject,
            created: self.created,
        }
    }

    fn text(&self, tag: u16) -> Option<&str> {
        let (_, bytes) = self.extensions.iter().find(|(known, _)| *known == tag)?;
        str::from_utf8(bytes).ok()
    }
}

/// One login attempt: what a login cookie holds.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    /// Who was asked. Not among the sealed bytes: it is what the seal itself is bound to.
    pub registration: Registration,
    pub state: String,
    pub nonce: String,
    pub verifier: Secret<String>,
    pub return_to: String,
    pub started: Timestamp,
    pub max_age: Option<u64>,
    pub acr_values: Option<String>,
    /// The scopes asked for; attempts of older releases do not say.
    pub scope: Option<String>,
    /// The user is not to be asked for anything (`prompt=none`).
    pub silent: bool,
    /// The session that this login will replace. Noted at the start, because the callback comes
    /// without our Strict cookies.
    pub replaces: Option<Replaced>,
}

/// A session that a login is about to end.
#[derive(Clone, Debug)]
pub struct Replaced {
    pub id: SessionId,
    /// Whose tokens it has: not always the one that the new login asks.
    pub registration: Registration,
    /// Its absolute end.
    pub expires: Timestamp,
    /// The token to revoke then, where that is wanted and it fits.
    pub token: Option<Secret<String>>,
}
