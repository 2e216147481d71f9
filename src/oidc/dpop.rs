//! Proofs that we hold the key which an access token is bound to (DPoP, RFC 9449 §4): one for each request, to the authorization server
//! and to APIs. Never shows anything of the key but its public half, never makes two proofs alike.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::error::OidcError;
use super::signed;
use crate::clock::{Clock, Timestamp};
use crate::config::ClientKey;
use crate::secret::{Random, Secret};

/// The field that holds a proof, and the one by which a server names its nonce.
pub const FIELD: &str = "dpop";
pub const NONCE_FIELD: &str = "dpop-nonce";
/// A longer nonce is nobody's.
const LONGEST_NONCE: usize = 512;
/// A clock that is off by no more is none of our business, seconds.
const CLOCK_OFF: i64 = 5;

/// A key that access tokens are bound to, with what servers want in proofs by it; clones share that.
#[derive(Clone)]
pub struct Dpop {
    key: Arc<ClientKey>,
    /// The same in every proof: `typ`, `alg`, and the public key.
    header: Arc<str>,
    known: Arc<Known>,
}

/// What is known of servers, whoever's key it is.
struct Known {
    /// The nonce that each server gave last, by origin (RFC 9449 §8, §9); only origins of the configuration and the metadata get in.
    nonces: Mutex<HashMap<String, Arc<str>>>,
    /// Seconds that the authorization server's clock is ahead of ours.
    ahead: AtomicI64,
    clock: Clock,
    random: Random,
}

/// What a proof is for.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub method: &'a str,
    /// `https://api.example.com`: where it is sent.
    pub origin: &'a str,
    /// Without query and fragment.
    pub path: &'a str,
    /// Sent beside the proof; none at the token endpoint.
    pub token: Option<&'a Secret<String>>,
}

impl Dpop {
    /// Proofs by `key`.
    pub fn new(key: Arc<ClientKey>, clock: Clock, random: Random) -> Self {
        let (nonces, ahead) = (Mutex::default(), AtomicI64::new(0));
        Self { header: header(&key), key, known: Arc::new(Known { nonces, ahead, clock, random }) }
    }

    /// The same by another key.
    pub fn by(&self, key: Arc<ClientKey>) -> Self {
        Self { header: header(&key), key, known: Arc::clone(&self.known) }
    }

    /// What a token that is bound to the key names (`jkt`, RFC 9449 §6.1).
    pub fn thumbprint(&self) -> &str {
        self.key.id()
    }

    /// A proof, good for one request.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn proof(&self, target: Target<'_>) -> Result<String, OidcError> {
        let Target { method, origin, path, token } = target;
        let mut claims = Map::new();
        claims.insert("jti".to_owned(), Value::from(self.known.random.token::<16>()));
        claims.insert("htm".to_owned(), Value::from(method));
        claims.insert("htu".to_owned(), Value::from(format!("{origin}{path}")));
        claims.insert("iat".to_owned(), Value::from(self.now().0));
        if let Some(token) = token {
            let digest = Sha256::digest(token.expose().as_bytes());
            claims.insert("ath".to_owned(), Value::from(URL_SAFE_NO_PAD.encode(digest)));
        }
        if let Some(nonce) = self.nonces().get(origin) {
            claims.insert("nonce".to_owned(), Value::from(&**nonce));
        }
        signed::jws(&self.key, &self.header, &Value::Object(claims))
    }

    /// Remembers the nonce that an answer of `origin` names, if it names one and no more than one. Whether it does: of many calls that
    /// went out at once with the old one each hears of the new one.
    pub fn learn<'a>(&self, origin: &str, lines: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut lines = lines.into_iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return false };
        let Some(nonce) = nonce(line) else { return false };
        let mut nonces = self.nonces();
        if nonces.get(origin).is_none_or(|known| **known != *nonce) {
            nonces.insert(origin.to_owned(), nonce.into());
        }
        true
    }

    /// Dates proofs by the authorization server's clock, where that is far from ours (SC-10).
    pub(super) fn heard_time(&self, theirs: Timestamp) {
        let of = |time: Timestamp| i64::try_from(time.0).unwrap_or(i64::MAX);
        let ahead = of(theirs).saturating_sub(of(self.known.clock.now()));
        let ahead = if ahead.abs() > CLOCK_OFF { ahead } else { 0 };
        self.known.ahead.store(ahead, Ordering::Relaxed);
    }

    fn now(&self) -> Timestamp {
        let ahead = self.known.ahead.load(Ordering::Relaxed);
        Timestamp(self.known.clock.now().0.saturating_add_signed(ahead))
    }

    fn nonces(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<str>>> {
        self.known.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn header(key: &ClientKey) -> Arc<str> {
    let mut jwk = key.public().clone();
    if let Value::Object(members) = &mut jwk {
        // What tells a key set's reader which key it is says nothing here.
        members.retain(|name, _| !matches!(name.as_str(), "kid" | "alg" | "use"));
    }
    let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm(), "jwk": jwk });
    signed::part(&header).into()
}

/// By its public half alone.
impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop").field("key", &self.key).finish_non_exhaustive()
    }
}

/// RFC 9449 §8.1: printable ASCII without quotes and backslashes.
fn nonce(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    (is_plain && !text.is_empty() && text.len() <= LONGEST_NONCE).then_some(text)
}

#[cfg(test)]
#[path = "dpop_tests.rs"]
mod tests;
