//! The cookies of one app's sessions: opens them, seals them, clears them.
//! The token record is written by login and refresh only; the activity cookie slides beside it, so that sliding never
//! overwrites newer tokens. What the browser says about time is never believed: lifetimes are sealed inside.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::SessionError;
use super::codec::{decode_record, decode_timed, encode_record, encode_timed};
use super::jar::{MOST_PLANTED, pairs, values};
use super::key_ring::{Identity, KeyRing, Keys, KeysChanged, OpenFailure, Purpose};
use super::names::{MOST_CHUNKS, Names, is_reserved};
use super::record::{SessionId, SessionRecord};
use super::registration::Owner;
use super::set_cookie::{Scope, delete, set};
use super::ticket::Ticket;
use crate::clock::Timestamp;
use crate::config::{CookieKey, SessionConfig};
use crate::secret::{Random, Secret};

/// Bytes of one cookie's value: with name and attributes well below the 4096 that browsers keep.
const CHUNK: usize = 3_800;
/// Digits of a chunk's number that are looked at, and foreign chunks that one answer deletes.
const LONGEST_NUMBER: usize = 6;
const MOST_DELETED: usize = 64;
/// A record from further in the future than this was sealed by a broken clock.
const SKEW: Duration = Duration::from_secs(300);

/// What the cookies of a request amount to.
pub enum Opened {
    /// No session cookie.
    None,
    /// Sealed under a key or in a format that we do not know: not logged in, cookies kept (a rollout logs nobody out).
    Unknown,
    /// Does not authenticate, or chunks are missing or too many: cookies are cleared.
    Invalid,
    /// Ended by time: cookies are cleared.
    Expired,
    /// It is kept in a store that cannot be reached: cookies are kept.
    Unavailable,
    Open(Box<OpenSession>),
}

/// A session that is alive.
pub struct OpenSession {
    pub record: SessionRecord,
    /// The last sign of life.
    pub last_seen: Timestamp,
    pub kept: Kept,
    /// Another key has sealed it than the one which seals now: it should be sealed again before that one is retired.
    pub is_under_old_key: bool,
}

/// Where an open session was found.
#[derive(Debug)]
pub enum Kept {
    /// In the browser's cookies.
    InCookies,
    /// In the store, with the sealed ID token for its end.
    InStore { ticket: Ticket, hint: Option<String> },
}

/// Names, contexts and lifetimes of one app, prepared once.
pub struct SessionCookies {
    pub(super) ring: Arc<KeyRing>,
    pub(super) identity: Identity,
    /// Whose what this app seals can be: one for each provider.
    pub(super) owners: Vec<Owner>,
    pub(super) names: Names,
    pub(super) random: Random,
    pub(super) hint_path: String,
    pub(super) ticket_path: String,
    idle: Duration,
    pub(super) budget: usize,
}

impl SessionCookies {
    /// `base_path` is the prefix of our own endpoints, which scopes the logout cookies.
    pub fn new(
        ring: Arc<KeyRing>,
        identity: Identity,
        config: &SessionConfig,
        base_path: &str,
        random: Random,
    ) -> Self {
        let names = Names::new(&identity.app_id, identity.port);
        Self {
            owners: Owner::all(&identity, &names.record),
            names,
            hint_path: format!("{base_path}/logout"),
            ticket_path: format!("{base_path}/logout/continue"),
            idle: config.idle_timeout,
            budget: config.cookie_budget,
            ring,
            identity,
            random,
        }
    }

    /// Opens the session that the `Cookie` lines in `jar` hold.
    pub fn open(&self, jar: &[&str], now: Timestamp) -> Opened {
        let shown = self.shown(jar);
        let (value, count) = match join(&shown.chunks) {
            Joined::Nothing => return Opened::None,
            Joined::Broken => return Opened::Invalid,
            Joined::Value(value, count) => (value, count),
        };
        let (plain, owner) = match self.open_any(Purpose::Record, &value, Some(&[count])) {
            Ok(opened) => opened,
            Err(OpenFailure::Unknown) => return Opened::Unknown,
            Err(OpenFailure::Invalid) => return Opened::Invalid,
        };
        let Some(record) = decode_record(plain.expose(), owner.registration) else {
            // Authentic, so ours, but of a format that this release cannot read.
            return Opened::Unknown;
        };
        // A sign of life by itself is written a tenth of the idle time after the sealing at the soonest; one that a later
        // sealing of the same record wrote is newer by less than that, which is how exact it ever is.
        let last_seen = if record.sealed_at.plus(self.idle / 10) > now {
            record.sealed_at
        } else {
            self.last_seen(&shown.signs_of_life, &record)
        };
        let from_the_future = record.created > now.plus(SKEW);
        if record.expires <= now || last_seen.plus(self.idle) <= now || from_the_future {
            return Opened::Expired;
        }
        let (kept, is_under_old_key) = (Kept::InCookies, !self.ring.is_current(&value));
        Opened::Open(Box::new(OpenSession { record, last_seen, kept, is_under_old_key }))
    }

    /// The `Set-Cookie` lines for a new generation: chunks, activity, logout hint, and deletions of stale chunks.
    ///
    /// # Errors
    /// [`SessionError::OverBudget`] when the record does not fit; the logout hint is dropped first.
    pub fn seal(
        &self,
        record: &SessionRecord,
        jar: &[&str],
        now: Timestamp,
    ) -> Result<Vec<String>, SessionError> {
        let owner = self.owner(record.registration)?;
        let plain = Secret::new(encode_record(record, &self.identity.app_id, &owner.issuer));
        let life = record.expires.seconds_after(now);
        // The count is in the AAD, and the sealed length does not depend on it: measure first, then seal.
        let sealed_length = (1 + 4 + 24 + plain.expose().len() + 16) * 4;
        let count = sealed_length.div_ceil(3).div_ceil(CHUNK);
        let needed = sealed_length.div_ceil(3) + count * (self.names.record.len() + 1) + 200;
        if count > MOST_CHUNKS || needed > self.budget {
            return Err(SessionError::OverBudget { needed, budget: self.budget });
        }
        let tag = [u8::try_from(count).map_err(|_| SessionError::Seal)?];
        let context = owner.context(Some(&tag));
        let value = self.ring.seal(Purpose::Record, plain.expose(), context, &self.random)?;
        let mut lines = Vec::new();
        for (at, chunk) in value.as_bytes().chunks(CHUNK).enumerate() {
            let chunk = std::str::from_utf8(chunk).map_err(|_| SessionError::Seal)?;
            lines.push(set(&format!("{}{at}", self.names.record), chunk, Scope::STRICT, life));
        }
        if record.generation == 1 {
            // A callback comes from the authorization server's page, without our Strict cookies: `jar` cannot show
            // the chunks that an earlier, larger session left, and one of them would break the new session.
            lines.extend((count..MOST_CHUNKS).map(|at| self.delete_chunk(&at.to_string())));
        } else {
            lines.extend(self.stale_chunks(jar, count));
        }
        lines.push(self.activity(record, now)?);
        if let Some(id_token) = &record.id_token {
            let hint = self.hint(id_token, record, now)?;
            if needed + hint.len() <= self.budget && hint.len() <= CHUNK {
                lines.push(set(&self.names.logout_hint, &hint, self.hint_scope(), life));
            }
        }
        Ok(lines)
    }

    /// Whether the last sign of life is older than a tenth of the idle time, so that another one is to be kept.
    pub fn is_touch_due(&self, session: &OpenSession, now: Timestamp) -> bool {
        session.last_seen.plus(self.idle / 10) <= now
    }

    /// A fresh activity cookie when one is due.
    pub fn touch(&self, session: &OpenSession, now: Timestamp) -> Option<String> {
        let is_due = self.is_touch_due(session, now);
        if is_due { self.activity(&session.record, now).ok() } else { None }
    }

    /// Whether a session of these can be one of `identity`: a client at an authorization server that both have, under the same names.
    pub fn shares_with(&self, identity: &Identity) -> bool {
        let Identity { app_id, clients, port } = &self.identity;
        let same_names = (app_id, port) == (&identity.app_id, &identity.port);
        same_names && clients.iter().any(|client| identity.clients.contains(client))
    }

    /// The keys, for whoever takes the place of these cookies.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring)
    }

    /// Prepares other keys for [`Self::install_keys`].
    ///
    /// # Errors
    /// There is none, or two have ids that cannot be told apart.
    pub fn prepare_keys(&self, keys: &[CookieKey]) -> Result<Keys, SessionError> {
        self.ring.prepare(keys)
    }

    /// Exchanges the keys for every request from now on; what that changed.
    pub fn install_keys(&self, keys: Keys) -> Option<KeysChanged> {
        self.ring.install(keys)
    }

    /// Whether the key which seals now has sealed `value`, which has been opened.
    pub fn is_current(&self, value: &str) -> bool {
        self.ring.is_current(value)
    }

    /// Deletes every session cookie of ours that `jar` shows, and those that it cannot show here.
    pub fn clear(&self, jar: &[&str]) -> Vec<String> {
        let mut lines = self.clear_record(jar);
        if values(jar, &self.names.ticket).next().is_some() {
            lines.push(self.clear_ticket());
        }
        lines.push(delete(&self.names.logout_hint, self.hint_scope()));
        lines
    }

    /// Deletes the record and the sign of life that `jar` shows: the session is kept elsewhere from now on.
    pub fn clear_record(&self, jar: &[&str]) -> Vec<String> {
        let mut lines = self.stale_chunks(jar, 0);
        if values(jar, &self.names.activity).next().is_some() {
            lines.push(delete(&self.names.activity, Scope::STRICT));
        }
        lines
    }

    /// Where unguessable bytes come from.
    pub fn random(&self) -> &Random {
        &self.random
    }

    /// The ID token that was kept for the end of the session `id`.
    pub fn logout_hint(&self, jar: &[&str], id: &SessionId) -> Option<Secret<String>> {
        // A sibling host may have planted another one: only a value that authenticates counts (CK-07).
        let mut shown = values(jar, &self.names.logout_hint).take(MOST_PLANTED);
        shown.find_map(|value| self.open_hint(value, id))
    }

    /// The same for a session in the store, where it is kept beside the record.
    pub fn open_hint(&self, sealed: &str, id: &SessionId) -> Option<Secret<String>> {
        let (plain, _) = self.open_any(Purpose::LogoutHint, sealed, Some(id.as_bytes())).ok()?;
        decode_timed(plain.expose())?.0
    }

    /// Seals the ID token of `record`, if it has come with one, for the session's end.
    pub fn seal_hint(&self, record: &SessionRecord, now: Timestamp) -> Option<String> {
        self.hint(record.id_token.as_ref()?, record, now).ok()
    }

    /// Whether a cookie name could belong to any app of ours.
    pub fn is_ours(&self, name: &str) -> bool {
        is_reserved(name)
    }

    fn hint_scope(&self) -> Scope<'_> {
        Scope { path: &self.hint_path, ..Scope::STRICT }
    }

    fn hint(
        &self,
        id_token: &Secret<String>,
        record: &SessionRecord,
        now: Timestamp,
    ) -> Result<String, SessionError> {
        let plain = Secret::new(encode_timed(Some(id_token.expose()), now));
        let (of, id) = (record.registration, record.session_id.as_bytes());
        self.seal_for(of, Purpose::LogoutHint, plain.expose(), Some(id))
    }

    fn activity(&self, record: &SessionRecord, now: Timestamp) -> Result<String, SessionError> {
        let (plain, id) = (encode_timed(None, now), record.session_id.as_bytes());
        let value = self.seal_for(record.registration, Purpose::Activity, &plain, Some(id))?;
        Ok(set(&self.names.activity, &value, Scope::STRICT, record.expires.seconds_after(now)))
    }

    /// Sealing is a sign of life too, so a lost activity cookie never makes a session older than its record.
    fn last_seen(&self, signs_of_life: &[&str], record: &SessionRecord) -> Timestamp {
        let (of, id) = (record.registration, record.session_id.as_bytes());
        signs_of_life
            .iter()
            .filter_map(|value| {
                let plain = self.open_for(of, Purpose::Activity, value, Some(id))?;
                Some(decode_timed(plain.expose())?.1)
            })
            .fold(record.sealed_at, Timestamp::max)
    }

    /// The session's cookies in `jar`, in one pass.
    fn shown<'a>(&self, jar: &'a [&'a str]) -> Shown<'a> {
        let mut shown = Shown::default();
        for (name, value) in pairs(jar) {
            if let Some(number) = self.chunk_number(name) {
                shown.chunks.push((number, value));
            } else if name == self.names.activity && shown.signs_of_life.len() < MOST_CHUNKS {
                shown.signs_of_life.push(value);
            }
        }
        shown
    }

    /// The digits behind our name, whether we would write them so or not.
    pub(super) fn chunk_number<'a>(&self, name: &'a str) -> Option<&'a str> {
        let number = name.strip_prefix(self.names.record.as_str())?;
        let is_number = (1..=LONGEST_NUMBER).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit());
        is_number.then_some(number)
    }

    /// Deletes the chunks from number `keep` on, and those that we never wrote: one of them would break every request.
    fn stale_chunks(&self, jar: &[&str], keep: usize) -> Vec<String> {
        let stale = |number: &&str| written_as(number).is_none_or(|at| at >= keep);
        let numbers = pairs(jar).filter_map(|(name, _)| self.chunk_number(name));
        let mut numbers: Vec<&str> = numbers.filter(stale).take(MOST_DELETED).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| self.delete_chunk(number)).collect()
    }

    fn delete_chunk(&self, number: &str) -> String {
        delete(&format!("{}{number}", self.names.record), Scope::STRICT)
    }
}

/// The number of a chunk as we write it: one digit.
fn written_as(number: &str) -> Option<usize> {
    if number.len() == 1 { number.parse().ok() } else { None }
}

/// The cookies of one session as a request shows them.
#[derive(Default)]
struct Shown<'a> {
    /// By the number behind their name.
    chunks: SmallVec<[(&'a str, &'a str); MOST_CHUNKS]>,
    signs_of_life: SmallVec<[&'a str; MOST_CHUNKS]>,
}

enum Joined<'a> {
    Nothing,
    Broken,
    Value(Cow<'a, str>, u8),
}

/// Joins the numbered chunks. Gaps, repeats and numbers out of range are not repaired but refused.
fn join<'a>(shown: &[(&str, &'a str)]) -> Joined<'a> {
    let mut chunks: [Option<&str>; MOST_CHUNKS] = [None; MOST_CHUNKS];
    for (number, value) in shown {
        match written_as(number).and_then(|at| chunks.get_mut(at)) {
            Some(slot @ None) => *slot = Some(value),
            _ => return Joined::Broken,
        }
    }
    let count = chunks.iter().flatten().count();
    if chunks.iter().take(count).any(Option::is_none) {
        return Joined::Broken;
    }
    match (chunks, u8::try_from(count)) {
        (_, Ok(0) | Err(_)) => Joined::Nothing,
        // Most sessions fit into one cookie, which is opened where it stands.
        ([Some(only), ..], Ok(1)) => Joined::Value(Cow::Borrowed(only), 1),
        (_, Ok(count)) => Joined::Value(chunks.iter().flatten().copied().collect(), count),
    }
}
