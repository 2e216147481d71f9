//! Access tokens as JWTs (RFC 9068) and ID tokens (OpenID Connect Core 2). Decides their claims, and when an access
//! token counts; never who gets one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::dev::API_AUDIENCE;
use crate::dev::users::User;

use super::CONFIRMED;
use super::keys::SigningKey;

const TYPE: &str = "at+jwt";
/// Seconds that an ID token counts for its first reader; as a logout hint it counts for ever.
const ID_TOKEN_SECONDS: u64 = 300;

/// What an access token says.
#[derive(Debug)]
pub struct Claims<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub sub: &'a str,
    /// Separated by spaces.
    pub scope: &'a str,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub auth_time: Timestamp,
    /// As in [`IdToken`].
    pub confirmed: bool,
    /// Unguessable; names the token in the revocation list.
    pub jti: &'a str,
}

/// Signs an access token (RFC 9068 section 2).
pub fn sign(key: &SigningKey, claims: &Claims<'_>) -> anyhow::Result<String> {
    let mut body = json!({
        "iss": claims.issuer,
        "sub": claims.sub,
        "aud": API_AUDIENCE,
        "client_id": claims.client_id,
        "scope": claims.scope,
        "iat": claims.issued_at.0,
        "exp": claims.expires_at.0,
        "auth_time": claims.auth_time.0,
        "jti": claims.jti,
    });
    if let (Some(user), Value::Object(body)) = (User::find(claims.sub), &mut body) {
        body.insert("region".to_owned(), json!(user.region));
        if claims.confirmed {
            body.insert("acr".to_owned(), json!(CONFIRMED));
        }
    }
    key.sign(TYPE, &body)
}

/// The claims of an access token that counts at `now`: our signature and type, one of `issuers`, our API, not expired.
pub fn verify(
    key: &SigningKey,
    token: &str,
    issuers: &[&str],
    now: Timestamp,
) -> Option<Map<String, Value>> {
    let claims = key.verify(token, TYPE)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let issued_by_us = text("iss").is_some_and(|issuer| issuers.contains(&issuer));
    let for_us = text("aud") == Some(API_AUDIENCE);
    let fresh = claims.get("exp").and_then(Value::as_u64).is_some_and(|exp| now.0 < exp);
    (issued_by_us && for_us && fresh).then_some(claims)
}

/// What an ID token says beside the user's claims.
#[derive(Debug)]
pub struct IdToken<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub user: &'static User,
    pub scope: &'a str,
    /// Of the authorization request; absent in ID tokens of a refresh (OpenID Connect Core 12.2).
    pub nonce: Option<&'a str>,
    pub sid: &'a str,
    pub auth_time: Timestamp,
    /// The user was asked for this login, whoever they were before.
    pub confirmed: bool,
    pub issued_at: Timestamp,
}

impl IdToken<'_> {
    /// Signs an ID token that vouches for `access_token` by `at_hash`.
    pub fn sign(&self, key: &SigningKey, access_token: &str) -> anyhow::Result<String> {
        let mut claims = self.user.claims(self.scope);
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("iss", json!(self.issuer));
        set("sub", json!(self.user.sub));
        set("aud", json!(self.client_id));
        set("iat", json!(self.issued_at.0));
        set("exp", json!(self.issued_at.0.saturating_add(ID_TOKEN_SECONDS)));
        set("auth_time", json!(self.auth_time.0));
        set("sid", json!(self.sid));
        set("at_hash", json!(at_hash(access_token)));
        if self.confirmed {
            set("acr", json!(CONFIRMED));
        }
        if let Some(nonce) = self.nonce {
            set("nonce", json!(nonce));
        }
        key.sign("JWT", &claims)
    }
}

/// OpenID Connect Core 3.1.3.6: the left half of the hash that the signature algorithm uses.
fn at_hash(access_token: &str) -> String {
    let digest = Sha256::digest(access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.iter().take(16).copied().collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "http://127.0.0.1:1";

    fn body(changed: &str, value: Value) -> Value {
        let mut body = json!({ "iss": ISSUER, "aud": API_AUDIENCE, "exp": 100, "sub": "alice" });
        body[changed] = value;
        body
    }

    fn counts(key: &SigningKey, typ: &str, body: &Value) -> bool {
        verify(key, &key.sign(typ, body).unwrap(), &[ISSUER], Timestamp(99)).is_some()
    }

    #[test]
    fn a_token_that_our_key_signed_counts_only_with_type_issuer_audience_and_expiry() {
        let key = SigningKey::generate().unwrap();
        let good = body("sub", json!("bob"));
        assert!(counts(&key, TYPE, &good) && counts(&key, "AT+JWT", &good));
        assert!(!counts(&key, "JWT", &good), "an ID token is no access token (RFC 9068 section 4)");
        for (changed, value) in [
            ("iss", json!("http://127.0.0.1:2")),
            ("iss", json!(null)),
            ("aud", json!("web")),
            ("aud", json!(["web", API_AUDIENCE])),
            ("exp", json!(99)),
            ("exp", json!("1000")),
            ("exp", json!(null)),
        ] {
            assert!(!counts(&key, TYPE, &body(changed, value.clone())), "{changed}: {value}");
        }
    }

    #[test]
    fn a_token_of_another_key_or_with_a_critical_extension_does_not_count() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let good = body("sub", json!("bob"));
        let foreign = other.sign(TYPE, &good).unwrap();
        assert!(verify(&key, &foreign, &[ISSUER], Timestamp(99)).is_none());
        let critical = key.sign_with_critical(TYPE, &good);
        assert!(verify(&key, &critical, &[ISSUER], Timestamp(99)).is_none());
    }
}
