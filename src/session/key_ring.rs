//! Which key seals and which keys open. One seals, any number open, and all of them can be exchanged while requests run, so
//! that rotation logs nobody out. Counts what each key seals.
//! A value names its key; nothing is ever tried under several keys (AES-GCM does not commit to its key).

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use super::SessionError;
use super::xaes::{NONCE, Xaes};
use crate::audit::{self, Event};
use crate::config::CookieKey;
use crate::formats::SEAL;
use crate::secret::{Random, room};
use crate::telemetry::Counter;

/// A sealed value is version ‖ key id ‖ nonce ‖ ciphertext ‖ tag, in base64url. The version is authenticated.
const VERSION: u8 = SEAL.writes;
/// The additional data says [`VERSION`], whatever the value does: one of a second version would not authenticate, and its user would
/// be logged out. Whoever reads a second one here makes that follow the value first.
const _: () = assert!(SEAL.reads.0 == VERSION && SEAL.reads.1 == VERSION);
const KEY_ID: usize = 4;
const HEADER: usize = 1 + KEY_ID + NONCE;
/// How many seals of one key are worth a warning, long before any limit: random nonces of 192 bits are good for 2^80, but half of
/// what plain AES-GCM would bear is a sign that a key is never rotated (KM-04).
const WORN: u64 = 1 << 31;
/// The characters of a value that name its version and its key.
const NAMED_BY: usize = 8;
/// Room for the additional data of an ordinary app without an allocation.
const AAD: usize = 256;

/// What a sealed value is for. Each purpose has keys of its own (KM-05), so that none passes for another (CK-06).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Purpose {
    Record,
    Activity,
    LogoutHint,
    LogoutTicket,
    Login,
    LoginTrail,
    Refreshed,
    Ticket,
    Stored,
    Listed,
}

const PURPOSES: [(Purpose, &str); 10] = [
    (Purpose::Record, "record"),
    (Purpose::Activity, "activity"),
    (Purpose::LogoutHint, "logout-hint"),
    (Purpose::LogoutTicket, "logout-ticket"),
    (Purpose::Login, "login"),
    (Purpose::LoginTrail, "login-trail"),
    (Purpose::Refreshed, "refreshed"),
    (Purpose::Ticket, "ticket"),
    (Purpose::Stored, "stored"),
    (Purpose::Listed, "listed"),
];

/// Who seals belong to: part of every AAD, so that no other app, deployment or client opens them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub app_id: String,
    /// Issuer and client id of each provider.
    pub clients: Vec<(String, String)>,
    /// On plain-HTTP loopback the port, which then is part of the cookie names.
    pub port: Option<u16>,
}

/// Why a value does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// Another version or a key that we do not have: perhaps a newer release's. The cookie is kept.
    Unknown,
    /// Does not authenticate.
    Invalid,
}

/// Prepared keys. The first seals, all open.
pub struct KeyRing {
    keys: ArcSwap<Keys>,
    counter: CounterOf,
    worn: u64,
}

/// Gives the counter of the seals of the key with this id.
pub type CounterOf = Box<dyn Fn(&str) -> Counter + Send + Sync>;

/// Keys that are ready to become the ring's: see [`KeyRing::prepare`].
pub struct Keys(Vec<RingKey>);

/// What became of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysChanged {
    /// The id of the key that seals now.
    pub sealing: String,
    /// Another key sealed before.
    pub promoted: bool,
    /// Ids of keys that open only from now on.
    pub added: Vec<String>,
    /// Ids of keys that open nothing any more.
    pub retired: Vec<String>,
}

struct RingKey {
    name: String,
    /// Tells two keys apart that were given one id, which should not be.
    print: [u8; 32],
    seals: Counter,
    id: [u8; KEY_ID],
    /// By purpose, in the order of [`PURPOSES`].
    ciphers: Vec<PurposeKey>,
}

/// A key for one purpose, and how the additional data of all that it seals begins.
struct PurposeKey {
    cipher: Xaes,
    head: Vec<u8>,
}

/// Who a value belongs to, written once, and what it is bound to beside that.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// From [`delimited`]: app, issuer, client.
    pub owner: &'a [u8],
    pub bound_to: Option<&'a [u8]>,
}

impl KeyRing {
    /// Prepares `keys`; the first seals.
    ///
    /// # Errors
    /// There is none, or two have ids that cannot be told apart.
    pub fn new(keys: &[CookieKey]) -> Result<Self, SessionError> {
        Self::counted(keys, Box::new(|_| Counter::default()))
    }

    /// The same; `counter` gives what counts the seals of a key.
    ///
    /// # Errors
    /// As above.
    pub fn counted(keys: &[CookieKey], counter: CounterOf) -> Result<Self, SessionError> {
        let keys = ArcSwap::from_pointee(prepared(keys, &counter)?);
        Ok(Self { keys, counter, worn: WORN })
    }

    /// Prepares other keys; nothing changes yet.
    ///
    /// # Errors
    /// As above.
    pub fn prepare(&self, keys: &[CookieKey]) -> Result<Keys, SessionError> {
        prepared(keys, &self.counter)
    }

    /// Exchanges the keys for every thread at once. What is being opened or sealed at the moment goes on under those before.
    /// `None` when they are the same.
    pub fn install(&self, keys: Keys) -> Option<KeysChanged> {
        let before = self.keys.load_full();
        let named = |keys: &Keys, others: &Keys| -> Vec<String> {
            let is_new = |key: &&RingKey| !others.0.iter().any(|other| other.print == key.print);
            keys.0.iter().filter(is_new).map(|key| key.name.clone()).collect()
        };
        let promoted = before.0.first().map(|key| key.print) != keys.0.first().map(|key| key.print);
        let changed = KeysChanged {
            sealing: keys.0.first().map(|key| key.name.clone()).unwrap_or_default(),
            promoted,
            added: named(&keys, &before),
            retired: named(&before, &keys),
        };
        if !promoted && changed.added.is_empty() && changed.retired.is_empty() {
            return None;
        }
        self.keys.store(Arc::new(keys));
        Some(changed)
    }

    /// Whether `value` says that the key which seals now has sealed it. Believed only of what has been opened.
    pub fn is_current(&self, value: &str) -> bool {
        let mut bytes = [0; NAMED_BY / 4 * 3];
        let named = value.as_bytes().get(..NAMED_BY);
        let named =
            named.and_then(|text| URL_SAFE_NO_PAD.decode(text, bytes.as_mut_slice().as_out()).ok());
        let keys = self.keys.load();
        match (named, keys.0.first()) {
            (Some(bytes), Some(key)) => bytes.get(1..=KEY_ID) == Some(&key.id[..]),
            _ => false,
        }
    }

    /// Seals `plain` for `purpose`.
    pub fn seal(
        &self,
        purpose: Purpose,
        plain: &[u8],
        context: Context<'_>,
        random: &Random,
    ) -> Result<String, SessionError> {
        let keys = self.keys.load();
        let key = keys.0.first().ok_or(SessionError::NoKey)?;
        let PurposeKey { cipher, head } =
            key.ciphers.get(purpose as usize).ok_or(SessionError::Seal)?;
        let nonce = random.bytes::<NONCE>();
        let sealed = cipher.seal(&nonce, plain, &aad(head, context)).ok_or(SessionError::Seal)?;
        let mut value = Vec::with_capacity(HEADER + sealed.len());
        value.push(VERSION);
        value.extend_from_slice(&key.id);
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);
        if key.seals.inc() == self.worn {
            tracing::warn!(key = key.name, "this cookie key has sealed very much: rotate it");
            audit::record(&Event::KeyWorn { key: &key.name }, "");
        }
        Ok(URL_SAFE_NO_PAD.encode_to_string(value))
    }

    /// Opens `value`, which must have been sealed for the same purpose and context.
    pub fn open(
        &self,
        purpose: Purpose,
        value: &str,
        context: Context<'_>,
    ) -> Result<Vec<u8>, OpenFailure> {
        let mut bytes = room(URL_SAFE_NO_PAD.estimated_decoded_length(value.len()));
        URL_SAFE_NO_PAD.decode_append(value, &mut bytes).map_err(|_| OpenFailure::Invalid)?;
        let (version, rest) = bytes.split_first().ok_or(OpenFailure::Invalid)?;
        if !SEAL.can_read(*version) {
            return Err(OpenFailure::Unknown);
        }
        let (&id, rest) = rest.split_first_chunk::<KEY_ID>().ok_or(OpenFailure::Invalid)?;
        let (&nonce, _) = rest.split_first_chunk::<NONCE>().ok_or(OpenFailure::Invalid)?;
        let keys = self.keys.load();
        let key = keys.0.iter().find(|key| key.id == id).ok_or(OpenFailure::Unknown)?;
        let PurposeKey { cipher, head } =
            key.ciphers.get(purpose as usize).ok_or(OpenFailure::Invalid)?;
        // One buffer from the cookie's text to the plain text, so that there is one to wipe.
        bytes.drain(..HEADER);
        cipher.open(&nonce, &mut bytes, &aad(head, context)).ok_or(OpenFailure::Invalid)?;
        Ok(bytes)
    }
}

fn prepared(keys: &[CookieKey], counter: &CounterOf) -> Result<Keys, SessionError> {
    let mut ring: Vec<RingKey> = Vec::with_capacity(keys.len());
    for key in keys {
        let id = key_id(&key.id);
        if ring.iter().any(|other| other.id == id) {
            return Err(SessionError::KeyIdCollision);
        }
        let ciphers = PURPOSES.iter().map(|(_, label)| purpose_key(key, id, label)).collect();
        let (name, print) = (key.id.clone(), print(key));
        ring.push(RingKey { seals: counter(&name), name, print, id, ciphers });
    }
    if ring.is_empty() { Err(SessionError::NoKey) } else { Ok(Keys(ring)) }
}

/// A digest of id and key. Never leaves the process.
fn print(key: &CookieKey) -> [u8; 32] {
    let print = Sha256::new().chain_update(b"cloakroom key print ").chain_update(key.id.as_bytes());
    print.chain_update([0]).chain_update(key.bytes.expose()).finalize().into()
}

fn aad(head: &[u8], context: Context<'_>) -> SmallVec<[u8; AAD]> {
    let mut aad = SmallVec::from_slice(head);
    aad.extend_from_slice(context.owner);
    if let Some(part) = context.bound_to {
        aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
        aad.extend_from_slice(part);
    }
    aad
}

/// Length-delimited, so that no two contexts read alike (CVE-2023-35941 taught that).
pub fn delimited(parts: &[&[u8]]) -> Vec<u8> {
    let length = |part: &&[u8]| (part.len() as u64).to_be_bytes();
    parts.iter().flat_map(|part| length(part).into_iter().chain(part.iter().copied())).collect()
}

fn purpose_key(key: &CookieKey, id: [u8; KEY_ID], label: &str) -> PurposeKey {
    let head = delimited(&[b"cloakroom", &[VERSION], &id, label.as_bytes()]);
    PurposeKey { cipher: derive(key, label), head }
}

fn derive(key: &CookieKey, label: &str) -> Xaes {
    // HMAC takes keys of every length; a key it refuses would be a bug that the vectors show.
    let mac = Hmac::<Sha256>::new_from_slice(key.bytes.expose());
    let bytes: [u8; 32] = mac.map_or([0; 32], |mut mac| {
        mac.update(b"cloakroom cookie key v1 ");
        mac.update(label.as_bytes());
        mac.finalize().into_bytes().into()
    });
    Xaes::new(&bytes)
}

fn key_id(id: &str) -> [u8; KEY_ID] {
    let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

#[cfg(test)]
#[path = "key_ring_tests.rs"]
mod tests;
