//! Shows by a signature that we are the client (RFC 7523 §2.2, §3, with its update): a new assertion for each request, for this
//! authorization server alone, good for a minute.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::clock::Timestamp;
use crate::config::ClientAssertion;
use crate::secret::{Random, Secret};

/// Seconds. A server whose clock is behind sees `iat` in its future, so that is dated back; one that is ahead needs it to last.
const LIFE: u64 = 60;
const DATED_BACK: u64 = 10;

/// The value of `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion of `client_id` for `audience`; `None` if the machine has no randomness.
pub(super) fn made(
    own: &ClientAssertion,
    client_id: &str,
    audience: &str,
    (now, random): (Timestamp, &Random),
) -> Option<Secret<String>> {
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
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = own.key.sign(signed.as_bytes())?;
    Some(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}
