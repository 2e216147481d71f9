//! Shows by a signature that we are the client (RFC 7523 §2.2, §3, with its update): a new assertion for each request, for this
//! authorization server alone, good for a minute.

use serde_json::json;

use super::error::OidcError;
use super::signed::{self, DATED_BACK};
use crate::clock::Timestamp;
use crate::config::ClientAssertion;
use crate::secret::{Random, Secret};

/// Seconds. A server whose clock is ahead needs it to last.
const LIFE: u64 = 60;

/// The value of `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion of `client_id` for `audience`.
pub(super) fn made(
    own: &ClientAssertion,
    client_id: &str,
    audience: &str,
    (now, random): (Timestamp, &Random),
) -> Result<Secret<String>, OidcError> {
    let mut header = json!({ "alg": own.key.algorithm(), "kid": own.key.id() });
    if let (false, Some(members)) = (own.untyped, header.as_object_mut()) {
        members.insert("typ".to_owned(), json!("client-authentication+jwt"));
    }
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        // One plain text, whatever endpoint it is for: another server cannot be given it (CA-05).
        "aud": audience,
        "jti": random.token::<16>(),
        "iat": now.0.saturating_sub(DATED_BACK),
        "exp": now.0 + LIFE,
    });
    signed::jws(&own.key, &signed::part(&header), &claims).map(Secret::new)
}
