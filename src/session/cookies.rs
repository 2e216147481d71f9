//! The cookies of one app's sessions: opens them, seals them, clears them.
//! The token record is written by login and refresh only; the activity cookie slides beside it, so that sliding never
//! overwrites newer tokens. What the browser says about time is never believed: lifetimes are sealed inside.

use std::sync::Arc;
use std::time::Duration;

use super::SessionError;
use super::codec::{decode_record, decode_timed, encode_record, encode_timed};
use super::jar::{pairs, values};
use super::key_ring::{Identity, KeyRing, OpenFailure, Purpose};
use super::names::{MOST_CHUNKS, Names, is_reserved};
use super::record::{SessionId, SessionRecord};
use super::set_cookie::{Scope, delete, set};
use crate::clock::Timestamp;
use crate::config::SessionConfig;
use crate::secret::{Random, Secret};

/// Bytes of one cookie's value: with name and attributes well below the 4096 that browsers keep.
const CHUNK: usize = 3_800;
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
    Open(Box<OpenSession>),
}

/// A session that is alive.
pub struct OpenSession {
    pub record: SessionRecord,
    /// The last sign of life.
    pub last_seen: Timestamp,
}

/// Names, contexts and lifetimes of one app, prepared once.
pub struct SessionCookies {
    pub(super) ring: Arc<KeyRing>,
    pub(super) identity: Identity,
    pub(super) names: Names,
    pub(super) random: Random,
    pub(super) hint_path: String,
    pub(super) ticket_path: String,
    idle: Duration,
    budget: usize,
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
        Self {
            names: Names::new(&identity.app_id, identity.port),
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
        let value = match self.join(jar) {
            Joined::Nothing => return Opened::None,
            Joined::Broken => return Opened::Invalid,
            Joined::Value(value, count) => (value, count),
        };
        let (value, count) = value;
        let opened = self.ring.open(Purpose::Record, &value, &self.context(&[&[count]]));
        let plain = match opened {
            Ok(plain) => Secret::new(plain),
            Err(OpenFailure::Unknown) => return Opened::Unknown,
            Err(OpenFailure::Invalid) => return Opened::Invalid,
        };
        let Some(record) = decode_record(plain.expose()) else {
            // Authentic, so ours, but of a format that this release cannot read.
            return Opened::Unknown;
        };
        let last_seen = self.last_seen(jar, &record);
        let from_the_future = record.created > now.plus(SKEW);
        if record.expires <= now || last_seen.plus(self.idle) <= now || from_the_future {
            return Opened::Expired;
        }
        Opened::Open(Box::new(OpenSession { record, last_seen }))
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
        let plain =
            Secret::new(encode_record(record, &self.identity.app_id, &self.identity.issuer));
        let life = record.expires.seconds_after(now);
        // The count is in the AAD, and the sealed length does not depend on it: measure first, then seal.
        let sealed_length = (1 + 4 + 24 + plain.expose().len() + 16) * 4;
        let count = sealed_length.div_ceil(3).div_ceil(CHUNK);
        let needed = sealed_length.div_ceil(3) + count * (self.names.record.len() + 1) + 200;
        if count > MOST_CHUNKS || needed > self.budget {
            return Err(SessionError::OverBudget { needed, budget: self.budget });
        }
        let tag = [u8::try_from(count).map_err(|_| SessionError::Seal)?];
        let context = self.context(&[&tag]);
        let value = self.ring.seal(Purpose::Record, plain.expose(), &context, &self.random)?;
        let mut lines = Vec::new();
        for (at, chunk) in value.as_bytes().chunks(CHUNK).enumerate() {
            let chunk = std::str::from_utf8(chunk).map_err(|_| SessionError::Seal)?;
            lines.push(set(&format!("{}{at}", self.names.record), chunk, Scope::STRICT, life));
        }
        lines.extend(self.stale_chunks(jar, count));
        lines.push(self.activity(record, now)?);
        if let Some(id_token) = &record.id_token {
            let hint = self.hint(id_token, &record.session_id, now)?;
            if needed + hint.len() <= self.budget && hint.len() <= CHUNK {
                lines.push(set(&self.names.logout_hint, &hint, self.hint_scope(), life));
            }
        }
        Ok(lines)
    }

    /// A fresh activity cookie when the last sign of life is older than a tenth of the idle time.
    pub fn touch(&self, session: &OpenSession, now: Timestamp) -> Option<String> {
        let due = session.last_seen.plus(self.idle / 10);
        if due > now { None } else { self.activity(&session.record, now).ok() }
    }

    /// Deletes every session cookie of ours that `jar` shows, and those that it cannot show here.
    pub fn clear(&self, jar: &[&str]) -> Vec<String> {
        let mut lines = self.stale_chunks(jar, 0);
        if values(jar, &self.names.activity).next().is_some() {
            lines.push(delete(&self.names.activity, Scope::STRICT));
        }
        lines.push(delete(&self.names.logout_hint, self.hint_scope()));
        lines
    }

    /// The ID token that was kept for the end of the session `id`.
    pub fn logout_hint(&self, jar: &[&str], id: &SessionId) -> Option<Secret<String>> {
        // A sibling host may have planted another one: only a value that authenticates counts (CK-07).
        values(jar, &self.names.logout_hint).take(MOST_CHUNKS).find_map(|value| {
            let context = self.context(&[id.as_bytes()]);
            let plain = self.ring.open(Purpose::LogoutHint, value, &context).ok()?;
            decode_timed(&plain)?.0
        })
    }

    /// Whether a cookie name could belong to any app of ours.
    pub fn is_ours(&self, name: &str) -> bool {
        is_reserved(name)
    }

    /// App, issuer and client, then `more`: the AAD of everything this app seals.
    pub(super) fn context<'a>(&'a self, more: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let mut context = vec![
            self.names.record.as_bytes(),
            self.identity.app_id.as_bytes(),
            self.identity.issuer.as_bytes(),
            self.identity.client_id.as_bytes(),
        ];
        context.extend_from_slice(more);
        context
    }

    fn hint_scope(&self) -> Scope<'_> {
        Scope { path: &self.hint_path, ..Scope::STRICT }
    }

    fn hint(
        &self,
        id_token: &Secret<String>,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<String, SessionError> {
        let plain = Secret::new(encode_timed(Some(id_token.expose()), now));
        let context = self.context(&[id.as_bytes()]);
        self.ring.seal(Purpose::LogoutHint, plain.expose(), &context, &self.random)
    }

    fn activity(&self, record: &SessionRecord, now: Timestamp) -> Result<String, SessionError> {
        let context = self.context(&[record.session_id.as_bytes()]);
        let plain = encode_timed(None, now);
        let value = self.ring.seal(Purpose::Activity, &plain, &context, &self.random)?;
        Ok(set(&self.names.activity, &value, Scope::STRICT, record.expires.seconds_after(now)))
    }

    /// Sealing is a sign of life too, so a lost activity cookie never makes a session older than its record.
    fn last_seen(&self, jar: &[&str], record: &SessionRecord) -> Timestamp {
        let context = self.context(&[record.session_id.as_bytes()]);
        values(jar, &self.names.activity)
            .take(MOST_CHUNKS)
            .filter_map(|value| {
                let plain = self.ring.open(Purpose::Activity, value, &context).ok()?;
                Some(decode_timed(&plain)?.1)
            })
            .fold(record.sealed_at, Timestamp::max)
    }

    /// Joins the numbered chunks. Gaps, repeats and numbers out of range are not repaired but refused.
    fn join(&self, jar: &[&str]) -> Joined {
        let mut chunks: [Option<&str>; MOST_CHUNKS] = [None; MOST_CHUNKS];
        for (number, value) in self.chunks(jar) {
            match number.and_then(|at| chunks.get_mut(at)) {
                Some(slot @ None) => *slot = Some(value),
                _ => return Joined::Broken,
            }
        }
        let count = chunks.iter().flatten().count();
        if chunks.iter().take(count).any(Option::is_none) {
            return Joined::Broken;
        }
        match u8::try_from(count) {
            Ok(0) | Err(_) => Joined::Nothing,
            Ok(count) => Joined::Value(chunks.iter().flatten().copied().collect(), count),
        }
    }

    /// Every cookie whose name is ours and a number; the number is `None` when it is none of ours to write.
    fn chunks<'a>(
        &'a self,
        jar: &'a [&'a str],
    ) -> impl Iterator<Item = (Option<usize>, &'a str)> + 'a {
        pairs(jar).filter_map(|(name, value)| {
            let number = name.strip_prefix(self.names.record.as_str())?;
            let canonical = number.len() == 1 && number.bytes().all(|b| b.is_ascii_digit());
            Some((number.parse().ok().filter(|_| canonical), value))
        })
    }

    fn stale_chunks(&self, jar: &[&str], keep: usize) -> Vec<String> {
        let mut numbers: Vec<usize> =
            self.chunks(jar).filter_map(|(number, _)| number).filter(|at| *at >= keep).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
            .iter()
            .map(|at| delete(&format!("{}{at}", self.names.record), Scope::STRICT))
            .collect()
    }
}

enum Joined {
    Nothing,
    Broken,
    Value(String, u8),
}
