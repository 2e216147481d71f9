//! Token introspection (RFC 7662) for the authenticated client: active with its claims, or just "not active".

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::answer::OAuthError;
use super::client_auth::authenticate;
use super::params::Params;
use super::{Issuer, access_token};

/// `POST /introspect`
pub async fn introspect(
    issuer: web::Data<Issuer>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    match answer(&issuer, &request, &body) {
        Ok(told) => HttpResponse::Ok().json(told),
        Err(error) => error.response(),
    }
}

fn answer(issuer: &Issuer, request: &HttpRequest, body: &[u8]) -> Result<Value, OAuthError> {
    let params = Params::parse(body)
        .map_err(|_| OAuthError::new("invalid_request", "a parameter came twice"))?;
    authenticate(issuer, request, &params)?;
    let token = params.get("token").ok_or(OAuthError::new("invalid_request", "no token"))?;
    let now = issuer.now();
    if let Some((grant, ends)) = issuer.grants().look_up_refresh_token(token, now) {
        return Ok(json!({
            "active": true,
            "iss": issuer.url,
            "sub": grant.approval.sub,
            "client_id": issuer.options.client_id,
            "scope": grant.approval.scope,
            "exp": ends.0,
        }));
    }
    let claims = access_token::verify(&issuer.key, token, &[&issuer.url], now);
    let Some(mut claims) = claims.filter(|claims| {
        let jti = claims.get("jti").and_then(Value::as_str).unwrap_or_default();
        issuer.grants().is_live(jti, now)
    }) else {
        return Ok(json!({ "active": false }));
    };
    claims.insert("active".to_owned(), json!(true));
    claims.insert("token_type".to_owned(), json!("Bearer"));
    Ok(Value::Object(claims))
}
