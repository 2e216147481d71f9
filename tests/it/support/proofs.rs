//! Takes DPoP proofs as a strict server does (RFC 9449 §4.3): an authorization server's view and an API's.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

/// What a proof must be for.
pub struct Expected<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub token: Option<&'a str>,
    pub nonce: Option<&'a str>,
    /// Seconds, by the clock of whoever checks.
    pub now: u64,
}

/// Whoever checks, with the ids that were used.
#[derive(Default)]
pub struct Proofs(HashSet<String>);

impl Proofs {
    /// The thumbprint of the key that `proof` is by; or why it is no good.
    pub fn check(&mut self, proof: &str, expected: &Expected<'_>) -> Result<String, &'static str> {
        let header = decode_header(proof).map_err(|_| "no JWS")?;
        if header.typ.as_deref() != Some("dpop+jwt") || header.alg != Algorithm::ES256 {
            return Err("typ or alg");
        }
        let jwk = raw_key(proof)?;
        let names: Vec<&str> = jwk.as_object().ok_or("jwk")?.keys().map(String::as_str).collect();
        if names != ["crv", "kty", "x", "y"] {
            return Err("more or less than the public key");
        }
        let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "no JWK")?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| "no key")?;
        let mut validation = Validation::new(Algorithm::ES256);
        (validation.validate_exp, validation.validate_aud) = (false, false);
        validation.required_spec_claims.clear();
        let claims = decode::<Value>(proof, &key, &validation).map_err(|_| "signature")?.claims;
        let text = |name: &str| claims[name].as_str();
        if text("htm") != Some(expected.method) {
            return Err("htm");
        }
        if text("htu") != Some(expected.url) {
            return Err("htu");
        }
        let iat = claims["iat"].as_u64().ok_or("iat")?;
        if iat.abs_diff(expected.now) > 30 {
            return Err("time");
        }
        let hash =
            expected.token.map(|token| URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())));
        if text("ath") != hash.as_deref() {
            return Err("ath");
        }
        if expected.nonce.is_some() && text("nonce") != expected.nonce {
            return Err("nonce");
        }
        let id = text("jti").filter(|id| id.len() >= 22).ok_or("jti is too short")?;
        if !self.0.insert(id.to_owned()) {
            return Err("jti was used");
        }
        jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| "no thumbprint")
    }
}

fn raw_key(proof: &str) -> Result<Value, &'static str> {
    let header = proof.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| "no base64url")?;
    let header: Value = serde_json::from_slice(&header).map_err(|_| "no JSON")?;
    Ok(header["jwk"].clone())
}
