//! Takes client assertions as a strict server does (RFC 7523 and its update): one way to authenticate, one audience, once.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::State;
use super::wire::Request;

/// Why the client is not believed.
pub fn check(state: &mut State, request: &Request) -> Result<(), &'static str> {
    let only = |name: &str| {
        let form = request.form();
        let mut found = form.iter().filter(|(field, _)| field == name);
        let value = found.next().map(|(_, value)| value.clone());
        value.filter(|_| found.next().is_none())
    };
    if request.header("authorization").is_some() || only("client_secret").is_some() {
        return Err("two ways to authenticate");
    }
    let client_id = state.knobs.client_id.clone();
    if only("client_id").as_ref() != Some(&client_id) {
        return Err("client_id");
    }
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    if only("client_assertion_type").as_deref() != Some(kind) {
        return Err("client_assertion_type");
    }
    let token = only("client_assertion").ok_or("client_assertion")?;
    let claims = verified(state, &token, "client-authentication+jwt")?;
    let text = |name: &str| claims[name].as_str().map(str::to_owned);
    if text("iss").as_ref() != Some(&client_id) || text("sub").as_ref() != Some(&client_id) {
        return Err("iss and sub");
    }
    if claims["aud"].as_str() != Some(&state.issuer) {
        return Err("aud is not the issuer, as one text");
    }
    let now = state.clock.now().0.checked_add_signed(state.knobs.ahead).unwrap();
    let (iat, exp) = (claims["iat"].as_u64().ok_or("iat")?, claims["exp"].as_u64().ok_or("exp")?);
    if exp <= now || exp > now + 120 || iat > now + 30 {
        return Err("time");
    }
    let id = text("jti").filter(|id| id.len() >= 22).ok_or("jti is too short")?;
    if state.assertions.insert(id) { Ok(()) } else { Err("jti was used") }
}

pub fn verified(state: &State, token: &str, kind: &str) -> Result<Value, &'static str> {
    let header = decode_header(token).map_err(|_| "no JWS")?;
    if header.typ.as_deref() != Some(kind) {
        return Err("typ");
    }
    let known =
        state.knobs.client_keys.iter().find(|key| key["kid"].as_str() == header.kid.as_deref());
    let known = known.ok_or("kid")?;
    let agreed: Algorithm = serde_json::from_value(known["alg"].clone()).map_err(|_| "alg")?;
    if agreed != header.alg || known.get("d").is_some() {
        return Err("alg, or a private key among the public ones");
    }
    let jwk: Jwk = serde_json::from_value(known.clone()).map_err(|_| "no JWK")?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "no key")?;
    let mut validation = Validation::new(agreed);
    (validation.validate_exp, validation.validate_aud) = (false, false);
    validation.required_spec_claims.clear();
    decode::<Value>(token, &key, &validation).map(|data| data.claims).map_err(|_| "signature")
}
