//! One cookie per login attempt, so that ten tabs can log in at once. Sealed, short-lived, bounded in number,
//! deleted after use; it is what binds an authorization response to this browser (CB-01).

use sha2::{Digest as _, Sha256};

use super::codec::{decode_login, encode_login};
use super::cookies::SessionCookies;
use super::jar::{pairs, values};
use super::key_ring::Purpose;
use super::record::LoginAttempt;
use super::set_cookie::{Scope, delete, set};
use crate::clock::Timestamp;
use crate::secret::constant_time_eq;

/// Life of an attempt, seconds.
const LIFE: u64 = 600;

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
    /// The `Set-Cookie` lines of a new attempt; when `max_parallel` are open, the others make room.
    pub fn seal_login(
        &self,
        attempt: &LoginAttempt,
        jar: &[&str],
        max_parallel: usize,
        now: Timestamp,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let mut open: Vec<(Timestamp, &str)> = pairs(jar)
            .filter(|(name, _)| name.starts_with(&self.names.login))
            .map(|(name, value)| (self.started(name, value).unwrap_or_default(), name))
            .collect();
        open.sort_unstable();
        open.dedup_by_key(|(_, name)| *name);
        let surplus = (open.len() + 1).saturating_sub(max_parallel.max(1));
        for (at, (started, name)) in open.iter().enumerate() {
            if at < surplus || started.0 + LIFE <= now.0 {
                lines.push(delete(name, Scope::LAX));
            }
        }
        let name = self.login_name(&attempt.state);
        let context = self.context(&[name.as_bytes()]);
        if let Ok(value) =
            self.ring.seal(Purpose::Login, &encode_login(attempt), &context, &self.random)
        {
            lines.push(set(&name, &value, Scope::LAX, LIFE));
        }
        lines
    }

    /// The attempt that `state` belongs to, if this browser started it.
    pub fn open_login(
        &self,
        jar: &[&str],
        state: &str,
        now: Timestamp,
    ) -> Result<LoginAttempt, LoginCookieError> {
        let name = self.login_name(state);
        let value = values(jar, &name).next().ok_or(LoginCookieError::Missing)?;
        let context = self.context(&[name.as_bytes()]);
        let plain = self
            .ring
            .open(Purpose::Login, value, &context)
            .map_err(|_| LoginCookieError::Invalid)?;
        let attempt = decode_login(&plain).ok_or(LoginCookieError::Invalid)?;
        if !constant_time_eq(attempt.state.as_bytes(), state.as_bytes()) {
            return Err(LoginCookieError::Invalid);
        }
        if attempt.started.0 + LIFE <= now.0 {
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
        let plain =
            self.ring.open(Purpose::Login, value, &self.context(&[name.as_bytes()])).ok()?;
        Some(decode_login(&plain)?.started)
    }
}
