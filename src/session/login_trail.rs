//! What a browser shows of its last login, so that logins which work and start anew at once are noticed. It is Lax and
//! lives as long as the loop window; it holds no user and no secret, and losing it loses nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::codec::{decode_timed, encode_timed};
use super::cookies::SessionCookies;
use super::jar::values;
use super::key_ring::Purpose;
use super::set_cookie::{Scope, delete, set};
use crate::clock::Timestamp;

/// The last login of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginTrail {
    /// How many logins in a row were each started at once after the one before.
    pub rounds: usize,
    /// When the last one worked.
    pub at: Timestamp,
    /// A digest of where it returned to.
    pub target: String,
}

impl LoginTrail {
    /// The trail of a login that worked at `at` and returns to `return_to`.
    pub fn new(rounds: usize, at: Timestamp, return_to: &str) -> Self {
        Self { rounds, at, target: target(return_to) }
    }

    /// Whether the login of this trail returned to `return_to`.
    pub fn returned_to(&self, return_to: &str) -> bool {
        self.target == target(return_to)
    }
}

impl SessionCookies {
    /// The line that keeps `trail` in the browser for `window` from now on.
    pub fn seal_trail(&self, trail: &LoginTrail, window: Duration) -> String {
        let plain = encode_timed(Some(&format!("{} {}", trail.rounds, trail.target)), trail.at);
        // It is of no provider in particular.
        let first = self.owners.first().map(|owner| owner.registration).unwrap_or_default();
        match self.seal_for(first, Purpose::LoginTrail, &plain, None) {
            Ok(value) => set(&self.names.login_trail, &value, Scope::LAX, window.as_secs()),
            Err(_) => self.clear_trail(),
        }
    }

    /// The trail in `jar`.
    pub fn open_trail(&self, jar: &[&str]) -> Option<LoginTrail> {
        let value = values(jar, &self.names.login_trail).next()?;
        let (plain, _) = self.open_any(Purpose::LoginTrail, value, None).ok()?;
        let (text, at) = decode_timed(plain.expose())?;
        let text = text?;
        let (rounds, target) = text.expose().split_once(' ')?;
        Some(LoginTrail { rounds: rounds.parse().ok()?, at, target: target.to_owned() })
    }

    /// Deletes the trail.
    pub fn clear_trail(&self) -> String {
        delete(&self.names.login_trail, Scope::LAX)
    }
}

fn target(return_to: &str) -> String {
    let digest = Sha256::digest(return_to.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default())
}
