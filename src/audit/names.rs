//! How security events name sessions and users: by digests that join the lines of one, and open nothing. With a key the names of
//! users are pseudonyms: the same over apps and restarts, and nobody without the key can tell whose they are.
//! Never gives a name or an e-mail address away (ID-18).

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// The key of this process: like the stream of events there is one, whatever the number of apps.
static KEY: OnceLock<Secret<[u8; 32]>> = OnceLock::new();

/// Names users by `key` from now on. The first key of a process stays.
pub(super) fn name_users_by(key: &Secret<[u8; 32]>) {
    let _kept = KEY.set(key.clone());
}

/// A session id's digest: joins the lines of one session, opens nothing. Operators end a session by it, so it is the name
/// that the deny list knows, too; the id is random, so nobody can guess what the digest is of.
pub(super) fn session(session: &[u8; 16]) -> String {
    short(&Sha256::digest(joined(&[b"session", session])))
}

/// A user's name over issuer and subject.
pub(super) fn user(issuer: &str, subject: &str) -> String {
    named(KEY.get(), &[b"user", issuer.as_bytes(), subject.as_bytes()])
}

/// The name of a session of the authorization server, which may number them.
pub(super) fn op_session(issuer: &str, sid: &str) -> String {
    named(KEY.get(), &[b"sid", issuer.as_bytes(), sid.as_bytes()])
}

fn named(key: Option<&Secret<[u8; 32]>>, parts: &[&[u8]]) -> String {
    let text = joined(parts);
    let keyed = key.and_then(|key| Hmac::<Sha256>::new_from_slice(key.expose()).ok());
    match keyed {
        Some(mac) => short(&mac.chain_update(text).finalize().into_bytes()),
        None => short(&Sha256::digest(text)),
    }
}

/// The parts with their lengths, so that no two lists read alike.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        text.extend((part.len() as u64).to_be_bytes());
        text.extend(*part);
    }
    text
}

fn short(digest: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named_by(key: Option<u8>, issuer: &str, subject: &str) -> String {
        let key = key.map(|byte| Secret::new([byte; 32]));
        named(key.as_ref(), &[b"user", issuer.as_bytes(), subject.as_bytes()])
    }

    // proves: ID-18
    #[test]
    fn the_same_subject_at_two_issuers_is_two_users() {
        for key in [None, Some(7)] {
            let name = |issuer, subject| named_by(key, issuer, subject);
            assert_ne!(name("https://a", "1"), name("https://b", "1"));
            assert_ne!(name("https://a", "b1"), name("https://ab", "1"));
        }
    }

    #[test]
    fn a_session_digest_is_not_the_session_id() {
        assert_eq!(session(&[7; 16]).len(), 22);
        assert_ne!(session(&[7; 16]), URL_SAFE_NO_PAD.encode([7; 16]));
    }

    // proves: ID-18
    #[test]
    fn a_pseudonym_is_the_keys_and_no_plain_digest() {
        let name = |key| named_by(key, "https://a", "alice");
        assert_eq!(name(Some(1)), name(Some(1)));
        assert_ne!(name(Some(1)), name(Some(2)));
        assert_ne!(name(Some(1)), name(None));
        // HMAC-SHA-256 of 0x01 times 32 over the three parts with their lengths, by Python's hmac.
        assert_eq!(name(Some(1)), "oefgdKKdXyU8I_vFl6OHwA");
    }
}
