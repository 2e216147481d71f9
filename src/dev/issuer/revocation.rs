//! Token revocation (RFC 7009): a refresh token ends its grant, an access token itself. Never says whether it was known.

use std::sync::atomic::Ordering;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::answer::OAuthError;
use super::client_auth::authenticate;
use super::params::Params;
use super::{Issuer, access_token};

/// `POST /revoke`
pub async fn revoke(
    issuer: web::Data<Issuer>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    issuer.counters.revocations.fetch_add(1, Ordering::SeqCst);
    match answer(&issuer, &request, &body) {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) => error.response(),
    }
}

fn answer(issuer: &Issuer, request: &HttpRequest, body: &[u8]) -> Result<(), OAuthError> {
    let params = Params::parse(body)
        .map_err(|_| OAuthError::new("invalid_request", "a parameter came twice"))?;
    authenticate(issuer, request, &params)?;
    let token = params.get("token").ok_or(OAuthError::new("invalid_request", "no token"))?;
    let now = issuer.now();
    // The hint is only a hint (section 2.1): look at what it is.
    match access_token::verify(&issuer.key, token, &[&issuer.url], now) {
        Some(claims) => {
            let jti = claims.get("jti").and_then(Value::as_str).unwrap_or_default();
            issuer.grants().revoke_access_token(jti);
        }
        None => issuer.grants().revoke_refresh_token(token, now),
    }
    Ok(())
}
