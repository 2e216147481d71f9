//! The claims of an ID token whose signature was verified (OpenID Connect Core §3.1.3.7 and §12.2).
//! One rule per line; never lets a token pass because a claim has an unexpected shape.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::error::IdTokenFault;
use super::issuer::Issuer;
use crate::clock::Timestamp;
use crate::secret::constant_time_eq;

/// An ID token that claims to live longer than this is a mistake or a trick.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// OpenID Connect Core §2.
const LONGEST_SUBJECT: usize = 255;

/// Members that point to claims kept elsewhere: never followed (ID-23).
const ELSEWHERE: [&str; 2] = ["_claim_names", "_claim_sources"];

/// Who logged in, as the ID token says it; `all` may hold userinfo claims beneath the token's own.
#[derive(Clone, Debug)]
pub struct IdClaims {
    pub iss: String,
    pub sub: String,
    /// The authorization server's session.
    pub sid: Option<String>,
    pub auth_time: Option<Timestamp>,
    pub acr: Option<String>,
    pub all: Map<String, Value>,
}

/// What every ID token is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) client_id: &'a str,
    pub(super) trusted_audiences: &'a [String],
    pub(super) skew: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) now: Timestamp,
}

/// What a token of a login is held against besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoginRules<'a> {
    pub(super) nonce: &'a str,
    /// Seconds.
    pub(super) max_age: Option<u64>,
    pub(super) acr_values: Option<&'a str>,
}

/// What a session knows when its tokens are refreshed.
#[derive(Clone, Debug)]
pub struct RefreshExpectation {
    pub sub: String,
    pub nonce: Option<String>,
    pub auth_time: Option<Timestamp>,
}

impl Rules<'_> {
    /// The rules that hold for every ID token.
    pub(super) fn check(&self, all: Map<String, Value>) -> Result<IdClaims, IdTokenFault> {
        // A logout token is a signed JWT of the same issuer for the same audience.
        if all.contains_key("events") {
            return Err(IdTokenFault::Kind);
        }
        let text = |name: &str| all.get(name).and_then(Value::as_str);
        let iss = text("iss")
            .filter(|iss| self.issuer.is(iss, text("tid")))
            .ok_or(IdTokenFault::Issuer)?
            .to_owned();
        self.check_audience(&all)?;
        self.check_times(&all)?;
        let sub = text("sub").filter(|sub| is_subject(sub)).ok_or(IdTokenFault::Subject)?;
        Ok(IdClaims {
            iss,
            sub: sub.to_owned(),
            sid: text("sid").filter(|sid| !sid.is_empty()).map(ToOwned::to_owned),
            auth_time: all.get("auth_time").and_then(date),
            acr: text("acr").map(ToOwned::to_owned),
            all: all.into_iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str())).collect(),
        })
    }

    /// Us, and besides us only whom the operator trusts; `aud` is a string or an array of strings.
    pub(super) fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), IdTokenFault> {
        let audiences = match claims.get("aud") {
            Some(one @ Value::String(_)) => std::slice::from_ref(one),
            Some(Value::Array(several)) => several.as_slice(),
            _ => return Err(IdTokenFault::Audience),
        };
        let trusted = |audience: &str| self.trusted_audiences.iter().any(|known| known == audience);
        let all_known = audiences.iter().all(|audience| {
            audience.as_str().is_some_and(|name| name == self.client_id || trusted(name))
        });
        if !all_known || !audiences.iter().any(|audience| audience == self.client_id) {
            return Err(IdTokenFault::Audience);
        }
        match claims.get("azp") {
            None => Ok(()),
            Some(party) if party == self.client_id => Ok(()),
            Some(_) => Err(IdTokenFault::AuthorizedParty),
        }
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), IdTokenFault> {
        let (now, skew) = (self.now, self.skew);
        let exp = claims.get("exp").and_then(date).ok_or(IdTokenFault::Expiry)?;
        if exp.plus(skew) <= now || exp > now.plus(skew).plus(LONGEST_LIFE) {
            return Err(IdTokenFault::Expiry);
        }
        let iat = claims.get("iat").and_then(date).ok_or(IdTokenFault::IssuedAt)?;
        let too_old = self.max_age.is_some_and(|age| iat.plus(age).plus(skew) < now);
        if iat > now.plus(skew) || too_old {
            return Err(IdTokenFault::IssuedAt);
        }
        match claims.get("nbf") {
            None => Ok(()),
            Some(nbf) if date(nbf).is_some_and(|nbf| nbf <= now.plus(skew)) => Ok(()),
            Some(_) => Err(IdTokenFault::NotBefore),
        }
    }

    /// The rules of a login: `nonce` (ID-12), `auth_time` (ID-14), `acr` (ID-15).
    pub(super) fn check_login(
        &self,
        claims: &IdClaims,
        login: &LoginRules<'_>,
    ) -> Result<(), IdTokenFault> {
        let nonce = claims.all.get("nonce").and_then(Value::as_str).ok_or(IdTokenFault::Nonce)?;
        if !constant_time_eq(nonce.as_bytes(), login.nonce.as_bytes()) {
            return Err(IdTokenFault::Nonce);
        }
        if let Some(max_age) = login.max_age {
            let auth_time = claims.auth_time.ok_or(IdTokenFault::AuthTime)?;
            let end = auth_time.plus(Duration::from_secs(max_age)).plus(self.skew);
            if end < self.now || auth_time > self.now.plus(self.skew) {
                return Err(IdTokenFault::AuthTime);
            }
        }
        if let Some(wanted) = login.acr_values {
            let acr = claims.acr.as_deref().ok_or(IdTokenFault::Acr)?;
            if !wanted.split(' ').any(|value| value == acr) {
                return Err(IdTokenFault::Acr);
            }
        }
        Ok(())
    }
}

/// The rules of a refresh (Core §12.2): the same user and login; `nonce` absent, or the one of the login.
pub(super) fn check_refresh(
    claims: &IdClaims,
    expected: &RefreshExpectation,
) -> Result<(), IdTokenFault> {
    if claims.sub != expected.sub {
        return Err(IdTokenFault::Subject);
    }
    if let (Some(nonce), Some(known)) = (claims.all.get("nonce"), &expected.nonce) {
        let nonce = nonce.as_str().ok_or(IdTokenFault::Nonce)?;
        if !constant_time_eq(nonce.as_bytes(), known.as_bytes()) {
            return Err(IdTokenFault::Nonce);
        }
    }
    match (claims.all.get("auth_time"), expected.auth_time) {
        (Some(_), Some(known)) if claims.auth_time != Some(known) => Err(IdTokenFault::AuthTime),
        _ => Ok(()),
    }
}

/// `at_hash`, if the token has one, is of this access token (Core §3.1.3.6; ID-13).
pub(super) fn check_access_token_hash(
    claims: &IdClaims,
    algorithm: Algorithm,
    access_token: &str,
) -> Result<(), IdTokenFault> {
    let Some(said) = claims.all.get("at_hash") else { return Ok(()) };
    let digest = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => {
            Sha384::digest(access_token).to_vec()
        }
        // Ed25519 hashes with SHA-512 (RFC 8032 §5.1).
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => {
            Sha512::digest(access_token).to_vec()
        }
        _ => Sha256::digest(access_token).to_vec(),
    };
    let half = digest.get(..digest.len() / 2).unwrap_or_default();
    if *said == URL_SAFE_NO_PAD.encode(half) { Ok(()) } else { Err(IdTokenFault::AccessTokenHash) }
}

pub(super) fn is_subject(sub: &str) -> bool {
    !sub.is_empty() && sub.len() <= LONGEST_SUBJECT && sub.bytes().all(|b| matches!(b, 0x20..=0x7e))
}

/// A NumericDate (RFC 7519 §2), which may have a fraction; negative, far beyond any calendar, or no number is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is within 0 and 2^53, where the cast only drops the fraction"
)]
pub(super) fn date(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_f64()?;
    (0.0..=9_007_199_254_740_991.0).contains(&seconds).then_some(Timestamp(seconds as u64))
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
