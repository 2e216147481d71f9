//! The token endpoint's answer (RFC 6749 §5): tokens, a verdict on the grant, or an outage; never one for another (RF-05).
//! Tokens are opaque: nothing here looks into one (ID-22).

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::{IdTokenFault, OidcError};
use super::http::Answer;
use super::json;
use crate::clock::Timestamp;
use crate::config::ProofKey;
use crate::secret::Secret;

/// Longest believable life of an access token; a server that says more means "for ever".
const LONGEST_LIFE: u64 = 366 * 24 * 3600;

/// The tokens of one answer.
#[derive(Clone, Debug)]
pub struct TokenSet {
    pub access_token: Secret<String>,
    /// The thumbprint of the key that it is bound to, if it is.
    pub bound_to: Option<String>,
    /// That key, where it is the session's own.
    pub proof_key: Option<ProofKey>,
    /// By our clock, from the moment of asking.
    pub expires_at: Timestamp,
    /// `None`: the old one goes on (RF-02).
    pub refresh_token: Option<Secret<String>>,
    /// When the refresh token ends, if the server says it (it need not, and there is no standard name for it).
    pub refresh_ends: Option<Timestamp>,
    /// Verified when it leaves this module.
    pub id_token: Option<Secret<String>>,
    /// What was granted, if the server says it.
    pub scope: Option<String>,
    /// The same in detail, as it says it (RFC 9396 §7); once it has been compared with what was asked for, a list, or `null` for what does
    /// not hold any more.
    pub authorization_details: Option<Value>,
}

/// The refresh token of an answer, whatever else of it cannot be used: the one before may be used up (RFC 6749 §6).
#[derive(Clone, Debug)]
pub struct Rotated {
    pub refresh_token: Secret<String>,
    pub refresh_ends: Option<Timestamp>,
}

/// Why a refresh brought no tokens, and the refresh token that came all the same.
#[derive(Debug)]
pub struct RefreshRefusal {
    pub error: OidcError,
    pub rotated: Option<Rotated>,
}

impl From<OidcError> for RefreshRefusal {
    fn from(error: OidcError) -> Self {
        Self { error, rotated: None }
    }
}

/// The refresh token of an answer to a request made at `asked_at`.
pub(super) fn rotated(answer: &Answer, asked_at: Timestamp) -> Option<Rotated> {
    if answer.status != 200 || !answer.is("application/json") {
        return None;
    }
    let mut members = json::object(&answer.body).ok()?;
    let refresh_ends = refresh_life(&members).map(|life| asked_at.plus(life));
    let refresh_token = token(&mut members, "refresh_token").ok()??;
    Some(Rotated { refresh_token, refresh_ends })
}

/// How the granted scope relates to what is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    AsAsked,
    Narrower,
    Wider,
}

/// Reads an answer to a request made at `asked_at`; `default_life` is for answers that name none, `token_type` what its tokens must be.
pub(super) fn parse(
    answer: &Answer,
    asked_at: Timestamp,
    default_life: Duration,
    token_type: &str,
) -> Result<TokenSet, OidcError> {
    if answer.status != 200 {
        return Err(refusal(answer));
    }
    if !answer.is("application/json") {
        return Err(OidcError::TokenResponseInvalid);
    }
    let mut members = json::object(&answer.body).map_err(|_| OidcError::TokenResponseInvalid)?;
    match members.get("token_type") {
        // RFC 6749 §5.1: compared without regard to case. What is not bound where it must be is as unusable as the reverse
        // (RFC 9449 §5).
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case(token_type) => {}
        Some(Value::String(_)) => return Err(OidcError::TokenTypeUnsupported),
        _ => return Err(OidcError::TokenResponseInvalid),
    }
    let access_token = token(&mut members, "access_token")?;
    Ok(TokenSet {
        access_token: access_token.ok_or(OidcError::TokenResponseInvalid)?,
        bound_to: None,
        proof_key: None,
        expires_at: asked_at.plus(life(members.get("expires_in"), default_life)),
        refresh_token: token(&mut members, "refresh_token")?,
        refresh_ends: refresh_life(&members).map(|life| asked_at.plus(life)),
        id_token: id_token(&mut members)?,
        authorization_details: members.remove("authorization_details"),
        scope: match members.remove("scope") {
            Some(Value::String(scope)) => Some(scope),
            _ => None,
        },
    })
}

/// Compares what was granted with what is configured (CB-08, RF-10).
pub(super) fn granted(configured: &[String], scope: &str) -> Granted {
    let granted: Vec<&str> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
    if granted.iter().any(|scope| !configured.iter().any(|known| known == scope)) {
        Granted::Wider
    } else if configured.iter().any(|known| !granted.contains(&known.as_str())) {
        Granted::Narrower
    } else {
        Granted::AsAsked
    }
}

/// What an answer other than 200 means.
fn refusal(answer: &Answer) -> OidcError {
    if answer.is_outage() {
        return OidcError::TokenUnavailable;
    }
    if !(400..500).contains(&answer.status) {
        return OidcError::TokenResponseInvalid;
    }
    // An error page of something in between is no verdict: only JSON is believed.
    let error = if answer.is("application/json") { json::object(&answer.body).ok() } else { None };
    match error.as_ref().and_then(|members| members.get("error")).and_then(Value::as_str) {
        Some("invalid_grant") => OidcError::InvalidGrant,
        Some("temporarily_unavailable" | "server_error" | "slow_down") => {
            OidcError::TokenUnavailable
        }
        _ => OidcError::TokenRejected,
    }
}

/// A token, fit for a header field (RFC 6749 appendix A.12 and A.17, without the space).
fn token(
    members: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<Secret<String>>, OidcError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if token.is_empty() => Ok(None),
        Some(Value::String(token)) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(Secret::new(token)))
        }
        Some(_) => Err(OidcError::TokenResponseInvalid),
    }
}

/// ID-19: an `id_token` that is no string is a failure, not an absence.
fn id_token(members: &mut Map<String, Value>) -> Result<Option<Secret<String>>, OidcError> {
    match members.remove("id_token") {
        None => Ok(None),
        Some(Value::String(token)) => Ok(Some(Secret::new(token))),
        Some(_) => Err(IdTokenFault::Malformed.into()),
    }
}

/// Seconds from a number or a numeric string; zero, negative and nonsense count as "not said".
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the result is capped right after it"
)]
fn life(expires_in: Option<&Value>, default: Duration) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds >= 1.0 => Duration::from_secs((seconds as u64).min(LONGEST_LIFE)),
        _ => default,
    }
}

/// Both names are in use; zero means that it does not end.
fn refresh_life(members: &Map<String, Value>) -> Option<Duration> {
    let said = ["refresh_token_expires_in", "refresh_expires_in"];
    let said = said.iter().find_map(|name| members.get(*name));
    said.map(|value| life(Some(value), Duration::ZERO)).filter(|life| !life.is_zero())
}

#[cfg(test)]
#[path = "token_response_tests.rs"]
mod tests;
