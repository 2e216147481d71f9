//! One cookie per login attempt, so that ten tabs can log in at once. Sealed, short-lived, bounded in number,
//! deleted after use; it is what binds an authorization response to this browser (CB-01).

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::codec::{decode_login, encode_login};
use super::cookies::SessionCookies;
use super::jar::{pairs, values};
use super::key_ring::Purpose;
use super::names::is_reserved;
use super::record::LoginAttempt;
use super::set_cookie::{Scope, delete, set};
use crate::clock::Timestamp;
use crate::config::LoginConfig;
use crate::secret::{Secret, constant_time_eq};

/// The most bytes that the login cookies of one browser take together; ten ordinary attempts need about 3,500.
const MOST_BYTES: usize = 4_000;
/// The browser keeps the cookie this much longer than it is valid, so that a late callback is told why it fails.
const GRACE: Duration = Duration::from_secs(600);

/// Why a callback has no login attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginCookieError {
    #[error("the browser did not return the login cookie")]
    Missing,
    #[error("the login attempt is too old")]
    Expired,
    #[error("the login cookie does not belong to this response")]
    Invalid,
}

impl SessionCookies {
    /// The `Set-Cookie` lines of a new attempt; when `limits.max_parallel` are open, the oldest make room.
    pub fn seal_login(
        &self,
        attempt: &LoginAttempt,
        jar: &[&str],
        limits: &LoginConfig,
        now: Timestamp,
    ) -> Vec<String> {
        let name = self.login_name(&attempt.state);
        let (of, plain) = (attempt.registration, Secret::new(encode_login(attempt)));
        let sealed = self.seal_for(of, Purpose::Login, plain.expose(), Some(name.as_bytes()));
        let Ok(value) = sealed else {
            return Vec::new();
        };
        let mut lines = self.make_room(name.len() + value.len(), jar, limits, now);
        let life = (limits.max_age + GRACE).as_secs();
        lines.push(set(&name, &value, Scope::LAX, life));
        lines
    }

    /// Deletes attempts that are too old, too many, or too large together, oldest first: a header that outgrows a front
    /// proxy would lock the browser out.
    fn make_room(
        &self,
        new: usize,
        jar: &[&str],
        limits: &LoginConfig,
        now: Timestamp,
    ) -> Vec<String> {
        let is_attempt = |name: &str| name.starts_with(&self.names.login);
        let mut open: Vec<(Timestamp, &str, usize)> = pairs(jar)
            .filter(|(name, _)| is_attempt(name))
            .map(|(name, value)| {
                (self.started(name, value).unwrap_or_default(), name, name.len() + value.len())
            })
            .collect();
        open.sort_unstable();
        open.dedup_by_key(|(_, name, _)| *name);
        let others: usize = pairs(jar)
            .filter(|(name, _)| !is_attempt(name) && is_reserved(name))
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let room = self.budget.saturating_sub(others).min(MOST_BYTES);
        let mut bytes: usize = new + open.iter().map(|(_, _, size)| size).sum::<usize>();
        let mut count = open.len() + 1;
        let mut lines = Vec::new();
        for (started, name, size) in open {
            let surplus = count > limits.max_parallel.max(1) || bytes > room;
            if surplus || started.plus(limits.max_age) <= now {
                lines.push(delete(name, Scope::LAX));
                (bytes, count) = (bytes - size, count - 1);
            }
        }
        lines
    }

    /// The attempt that `state` belongs to, if this browser started it.
    pub fn open_login(
        &self,
        jar: &[&str],
        state: &str,
        limits: &LoginConfig,
        now: Timestamp,
    ) -> Result<LoginAttempt, LoginCookieError> {
        let name = self.login_name(state);
        let value = values(jar, &name).next().ok_or(LoginCookieError::Missing)?;
        let (plain, owner) = self
            .open_any(Purpose::Login, value, Some(name.as_bytes()))
            .map_err(|_| LoginCookieError::Invalid)?;
        let attempt = decode_login(plain.expose(), owner.registration);
        let attempt = attempt.ok_or(LoginCookieError::Invalid)?;
        if !constant_time_eq(attempt.state.as_bytes(), state.as_bytes()) {
            return Err(LoginCookieError::Invalid);
        }
        if attempt.started.plus(limits.max_age) <= now {
            return Err(LoginCookieError::Expired);
        }
        Ok(attempt)
    }

    /// Deletes the cookie of the attempt that `state` belongs to.
    pub fn clear_login(&self, state: &str) -> String {
        delete(&self.login_name(state), Scope::LAX)
    }

    fn login_name(&self, state: &str) -> String {
        let digest: [u8; 32] = Sha256::digest(state.as_bytes()).into();
        let [a, b, c, d, ..] = digest;
        format!("{}{a:02x}{b:02x}{c:02x}{d:02x}", self.names.login)
    }

    fn started(&self, name: &str, value: &str) -> Option<Timestamp> {
        let (plain, owner) = self.open_any(Purpose::Login, value, Some(name.as_bytes())).ok()?;
        Some(decode_login(plain.expose(), owner.registration)?.started)
    }
}
