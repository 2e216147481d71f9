//! What the authorization server says of an access token (RFC 7662 §2.2; signed for us, RFC 9701 §5; or the token as a JWT,
//! `application/jwt`, the phantom token). Never takes an answer in another form than the agreed one, and never takes a signed
//! answer for a token (RFC 9701 §8.1).

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::{IdTokenFault, OidcError};
use super::http::Answer;
use super::id_token::{Rules, date};
use super::json;
use crate::clock::Timestamp;
use crate::config::IntrospectionForm;

/// A signed answer that was made longer ago is an old one, whoever shows it again.
const OLDEST: Duration = Duration::from_secs(60);

/// The media type to ask for.
pub(super) fn accept(form: IntrospectionForm) -> &'static str {
    match form {
        IntrospectionForm::Jwt => "application/jwt",
        IntrospectionForm::Signed => "application/token-introspection+jwt",
        IntrospectionForm::Json => "application/json",
    }
}

/// An answer, not yet verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Inactive,
    Plain(Map<String, Value>),
    /// A JWT of the agreed kind.
    Jwt(String),
}

/// What holds for an active token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    /// Separated by spaces.
    pub(super) scope: Option<String>,
    pub(super) ends: Option<Timestamp>,
}

/// Reads the answer to a question in this form.
pub(super) fn parse(answer: &Answer, form: IntrospectionForm) -> Result<Answered, OidcError> {
    if answer.is_outage() {
        return Err(OidcError::IntrospectionUnavailable);
    }
    let wants_token = form == IntrospectionForm::Jwt;
    match answer.status {
        200 => {}
        // There is no JWT for a token that is not active.
        204 if wants_token => return Ok(Answered::Inactive),
        _ => return Err(OidcError::IntrospectionRejected),
    }
    if form != IntrospectionForm::Json && answer.is(accept(form)) {
        let text = std::str::from_utf8(&answer.body).map_err(invalid)?;
        return Ok(Answered::Jwt(text.trim().to_owned()));
    }
    if form == IntrospectionForm::Signed || !answer.is("application/json") {
        return Err(OidcError::IntrospectionInvalid);
    }
    let members = json::object(&answer.body).map_err(invalid)?;
    if !wants_token {
        return Ok(Answered::Plain(members));
    }
    // "No" can be said without a JWT; "yes" cannot.
    match members.get("active") {
        Some(Value::Bool(false)) => Ok(Answered::Inactive),
        _ => Err(OidcError::IntrospectionInvalid),
    }
}

impl Rules<'_> {
    /// The members of an introspection; `None` when the token is not active.
    pub(super) fn check_introspected(
        &self,
        members: &Map<String, Value>,
    ) -> Result<Option<Active>, OidcError> {
        match members.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(None),
            _ => return Err(OidcError::IntrospectionInvalid),
        }
        let ends = match members.get("exp") {
            None | Some(Value::Null) => None,
            Some(exp) => Some(date(exp).ok_or(OidcError::IntrospectionInvalid)?),
        };
        if ends.is_some_and(|ends| ends.plus(self.skew) <= self.now) {
            return Ok(None);
        }
        Ok(Some(Active { scope: scope(members)?, ends }))
    }

    /// The claims of a signed answer (RFC 9701 §5), after its signature was verified: by that issuer, for us, just now.
    pub(super) fn check_signed_introspection(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Option<Active>, OidcError> {
        self.check_maker(claims).map_err(invalid)?;
        self.check_audience(claims).map_err(invalid)?;
        let made = claims.get("iat").and_then(date).ok_or(OidcError::IntrospectionInvalid)?;
        if made > self.now.plus(self.skew) || made.plus(OLDEST).plus(self.skew) < self.now {
            return Err(OidcError::IntrospectionInvalid);
        }
        match claims.get("token_introspection") {
            Some(Value::Object(members)) => self.check_introspected(members),
            _ => Err(OidcError::IntrospectionInvalid),
        }
    }

    /// The claims of an access token as a JWT (RFC 9068 §4), after its signature was verified. For whom it is, the API checks.
    pub(super) fn check_access_token(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Option<Active>, OidcError> {
        self.check_maker(claims).map_err(invalid)?;
        let ends = claims.get("exp").and_then(date).ok_or(OidcError::IntrospectionInvalid)?;
        let starts = claims.get("nbf").map(|nbf| date(nbf).ok_or(OidcError::IntrospectionInvalid));
        if ends.plus(self.skew) <= self.now
            || starts.transpose()?.is_some_and(|starts| starts > self.now.plus(self.skew))
        {
            return Ok(None);
        }
        Ok(Some(Active { scope: scope(claims)?, ends: Some(ends) }))
    }

    fn check_maker(&self, claims: &Map<String, Value>) -> Result<(), IdTokenFault> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let iss = text("iss").filter(|iss| self.issuer.is(iss, text("tid")));
        iss.map(|_| ()).ok_or(IdTokenFault::Issuer)
    }
}

fn scope(members: &Map<String, Value>) -> Result<Option<String>, OidcError> {
    match members.get("scope") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(scope)) => Ok(Some(scope.clone())),
        Some(_) => Err(OidcError::IntrospectionInvalid),
    }
}

fn invalid<E>(_: E) -> OidcError {
    OidcError::IntrospectionInvalid
}

#[cfg(test)]
#[path = "introspection_tests.rs"]
mod tests;
