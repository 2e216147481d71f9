//! Who the client is: `client_secret_basic` or `client_secret_post` (RFC 6749 section 2.3.1), exactly one of them.
//! Secrets are compared in constant time.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::secret::{Secret, constant_time_eq};

use super::Issuer;
use super::answer::OAuthError;
use super::params::Params;

/// Passes if the request comes from the one client there is.
///
/// # Errors
/// `invalid_client`, or `invalid_request` when both methods are used at once.
pub fn authenticate(
    issuer: &Issuer,
    request: &HttpRequest,
    params: &Params,
) -> Result<(), OAuthError> {
    let basic = request.headers().get(AUTHORIZATION);
    let (id, secret) = match (basic, params.get("client_secret")) {
        (Some(_), Some(_)) => {
            return Err(OAuthError::new("invalid_request", "two ways of client authentication"));
        }
        (Some(value), None) => {
            let found = value.to_str().ok().and_then(from_basic);
            found.ok_or_else(OAuthError::invalid_client)?
        }
        (None, Some(secret)) => {
            let id = params.get("client_id").ok_or_else(OAuthError::invalid_client)?;
            (id.to_owned(), Secret::from(secret))
        }
        (None, None) => return Err(OAuthError::invalid_client()),
    };
    let right_id = constant_time_eq(id.as_bytes(), issuer.options.client_id.as_bytes());
    let right_secret = secret == issuer.options.client_secret;
    // A client_id in the form beside Basic must not name somebody else.
    let same_id = params.get("client_id").is_none_or(|form| form == id);
    if right_id & right_secret & same_id { Ok(()) } else { Err(OAuthError::invalid_client()) }
}

/// `Basic base64(id:secret)`, both form-encoded before.
fn from_basic(value: &str) -> Option<(String, Secret<String>)> {
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decode(id)?, Secret::new(form_decode(secret)?)))
}

fn form_decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}
