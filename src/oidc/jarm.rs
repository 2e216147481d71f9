//! A signed authorization response (JARM): whose it is, for whom, and until when is judged before its signature, its signature before
//! anything in it is believed. Keys are never asked for because of a response that names another issuer (CB-13).

use serde_json::{Map, Value};

use super::Provider;
use super::checked::is_verdict;
use super::error::{IdTokenFault, OidcError};
use super::id_token::{Rules, date};
use super::jws::{Kind, Unverified};
use super::key_cache::Asker;

/// What a verified response says, as the parameters of a plain one.
pub type Parameters = Vec<(String, String)>;

/// The `state` that a response names, before any check: by it the login is found that it must belong to. Nothing else of it is.
pub fn claimed_state(response: &str) -> Option<String> {
    let claims = Unverified::payload_of(response).ok()?;
    claims.get("state").and_then(Value::as_str).map(str::to_owned)
}

impl Provider {
    /// Whether the server is asked to sign its answers to logins.
    pub fn signs_answers(&self) -> bool {
        self.config.response_mode.is_signed()
    }

    /// The parameters in the value of `response`.
    ///
    /// # Errors
    /// It breaks a rule, or the keys cannot be had.
    pub async fn signed_response(&self, response: &str) -> Result<Parameters, OidcError> {
        let metadata = self.metadata().await?;
        let claims = Unverified::payload_of(response).map_err(|_| OidcError::ResponseInvalid)?;
        check(&self.rules(), &claims)?;
        let token = Unverified::parse(response, Kind::Response, &self.algorithms)
            .map_err(|_| OidcError::ResponseInvalid)?;
        let verified = self.keys.verify(&token, Asker::Anybody, &self.http, &metadata.jwks).await;
        let claims = verified
            .map_err(|error| if is_verdict(error) { OidcError::ResponseInvalid } else { error })?;
        let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
        Ok(claims.into_iter().filter_map(text).collect())
    }
}

/// The rules in their order: issuer, audience, time.
fn check(rules: &Rules<'_>, claims: &Map<String, Value>) -> Result<(), OidcError> {
    match claims.get("iss").and_then(Value::as_str) {
        Some(iss) if rules.issuer.is(iss, None) => {}
        Some(_) => return Err(OidcError::ResponseIssMismatch),
        None => return Err(OidcError::ResponseIssMissing),
    }
    let bad = |_: IdTokenFault| OidcError::ResponseInvalid;
    rules.check_audience(claims).map_err(bad)?;
    let ends = claims.get("exp").and_then(date).ok_or(OidcError::ResponseInvalid)?;
    // An ID token or a logout token has these; a response never does.
    let is_another = ["nonce", "events", "sub"].iter().any(|name| claims.contains_key(*name));
    if ends.plus(rules.skew) <= rules.now || is_another {
        return Err(OidcError::ResponseInvalid);
    }
    Ok(())
}
