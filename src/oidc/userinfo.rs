//! The userinfo answer (OpenID Connect Core §5.3): plain JSON or a signed JWT, always about the user of the ID token.
//! Never overrides a claim of the ID token, and never adds what the token's own checks rest on.

use serde_json::{Map, Value};

use super::error::OidcError;
use super::http::Answer;
use super::id_token::{IdClaims, Rules};
use super::json;

/// What came back.
pub(super) enum Userinfo {
    Plain(Map<String, Value>),
    /// A JWT whose signature is still to be verified.
    Signed(String),
}

/// Reads the answer of the userinfo endpoint.
pub(super) fn parse(answer: Answer) -> Result<Userinfo, OidcError> {
    if answer.is_outage() {
        return Err(OidcError::UserinfoUnavailable);
    }
    if answer.status != 200 {
        return Err(OidcError::UserinfoInvalid);
    }
    if answer.is("application/json") {
        let claims = json::object(&answer.body).map_err(|_| OidcError::UserinfoInvalid)?;
        return Ok(Userinfo::Plain(claims));
    }
    if answer.is("application/jwt") {
        let token = String::from_utf8(answer.body).map_err(|_| OidcError::UserinfoInvalid)?;
        return Ok(Userinfo::Signed(token));
    }
    Err(OidcError::UserinfoInvalid)
}

/// A signed answer names its issuer and us (Core §5.3.2).
pub(super) fn check_signed(
    claims: &Map<String, Value>,
    rules: &Rules<'_>,
) -> Result<(), OidcError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let ours = text("iss").is_some_and(|iss| rules.issuer.is(iss, text("tid")));
    if !ours || rules.check_audience(claims).is_err() || claims.contains_key("events") {
        return Err(OidcError::UserinfoInvalid);
    }
    Ok(())
}

/// Puts the answer under the ID token's claims, if it is about the same user.
pub(super) fn merge(claims: &mut IdClaims, userinfo: Map<String, Value>) -> Result<(), OidcError> {
    // Without this check a substituted access token would log in as somebody else (Core §5.3.4).
    if userinfo.get("sub").and_then(Value::as_str) != Some(claims.sub.as_str()) {
        return Err(OidcError::UserinfoSubject);
    }
    for (name, value) in userinfo {
        if name != "_claim_names" && name != "_claim_sources" {
            claims.all.entry(name).or_insert(value);
        }
    }
    Ok(())
}
