//! What a session is known by to the deny list: its own id, the authorization server's session, and its user. All of them
//! as digests, so that neither the list nor its file holds anything that opens a session or names a user.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;

/// A digest over one name of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 16]);

/// The name of one session of ours as the audit stream writes it, for operators: no way back to its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionName(pub(super) Key);

impl SessionName {
    /// The name of the session `id`.
    pub fn of(id: &[u8; 16]) -> Self {
        Self(Key::session(id))
    }

    /// Reads a name as [`SessionName`] displays it.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        Some(Self(Key(bytes.try_into().ok()?)))
    }
}

impl std::fmt::Display for SessionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&base64_simd::URL_SAFE_NO_PAD.encode_to_string(self.0.0))
    }
}

impl Key {
    /// Our own session id.
    pub(super) fn session(id: &[u8; 16]) -> Self {
        Self::of(&[b"session", id])
    }

    /// The session `sid` of the authorization server.
    pub(super) fn op_session(issuer: &str, sid: &str) -> Self {
        Self::of(&[b"sid", issuer.as_bytes(), sid.as_bytes()])
    }

    /// A user is issuer and subject (ID-18).
    pub(super) fn user(issuer: &str, subject: &str) -> Self {
        Self::of(&[b"sub", issuer.as_bytes(), subject.as_bytes()])
    }

    /// Every session there is.
    pub(super) fn everybody() -> Self {
        static EVERYBODY: LazyLock<Key> = LazyLock::new(|| Key::of(&[b"everybody"]));
        *EVERYBODY
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash.finalize().0;
        Self(key)
    }
}

/// A session by everything that can end it.
#[derive(Clone, Copy, Debug)]
pub struct KnownAs<'a> {
    pub id: &'a [u8; 16],
    pub issuer: &'a str,
    /// The authorization server's session (`sid`).
    pub op_sid: Option<&'a str>,
    pub subject: &'a str,
    pub created: Timestamp,
}

/// The same as digests, for what outlives the request: a stream, a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct SessionKeys {
    pub(super) session: Key,
    pub(super) op_session: Option<Key>,
    pub(super) user: Key,
    pub(super) everybody: Key,
    pub(super) created: Timestamp,
}

impl KnownAs<'_> {
    /// All digests.
    pub fn keys(&self) -> SessionKeys {
        SessionKeys {
            session: Key::session(self.id),
            op_session: self.op_sid.map(|sid| Key::op_session(self.issuer, sid)),
            user: Key::user(self.issuer, self.subject),
            everybody: Key::everybody(),
            created: self.created,
        }
    }
}

impl SessionKeys {
    pub(super) fn all(&self) -> impl Iterator<Item = Key> {
        [Some(self.session), self.op_session, Some(self.user), Some(self.everybody)]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: ID-18
    #[test]
    fn no_two_names_share_a_digest() {
        let keys = [
            Key::session(b"0123456789abcdef"),
            Key::op_session("https://a", "1"),
            Key::op_session("https://b", "1"),
            Key::user("https://a", "1"),
            Key::user("https://a", "b1"),
            Key::user("https://ab", "1"),
            Key::everybody(),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
        assert_ne!(keys[0].0, *b"0123456789abcdef");
    }
}
