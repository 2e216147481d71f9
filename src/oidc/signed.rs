//! What we sign by a key of our own: the one place that puts a JWS together (RFC 7515 §7.1). Decides nothing of what is in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::error::OidcError;
use crate::config::ClientKey;

/// By how many seconds a message is dated back, for a server whose clock is behind.
pub(super) const DATED_BACK: u64 = 10;

/// A part of a JWS.
pub(super) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The JWS of `claims` under a header that is a part already.
///
/// # Errors
/// The machine has no randomness.
pub(super) fn jws(key: &ClientKey, header: &str, claims: &Value) -> Result<String, OidcError> {
    let mut made = format!("{header}.{}", part(claims));
    let signature = key.sign(made.as_bytes()).ok_or(OidcError::CannotSign)?;
    made.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut made);
    Ok(made)
}
