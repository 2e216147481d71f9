//! The token endpoint: codes and refresh tokens become tokens. Decides nothing about users; answers only the client.

use std::sync::atomic::Ordering;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::dev::users::User;

use super::Issuer;
use super::access_token::{self, IdToken};
use super::answer::OAuthError;
use super::client_auth::authenticate;
use super::grants::Grant;
use super::params::Params;

/// `POST /token`
pub async fn token(
    issuer: web::Data<Issuer>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    match answer(&issuer, &request, &body) {
        Ok(tokens) => HttpResponse::Ok().json(tokens),
        Err(error) => error.response(),
    }
}

fn answer(issuer: &Issuer, request: &HttpRequest, body: &[u8]) -> Result<Value, OAuthError> {
    let params = Params::parse(body)
        .map_err(|_| OAuthError::new("invalid_request", "a parameter came twice"))?;
    let counters = &issuer.counters;
    match params.get("grant_type") {
        Some("authorization_code") => {
            counters.code_exchanges.fetch_add(1, Ordering::SeqCst);
            authenticate(issuer, request, &params)?;
            exchange(issuer, &params)
        }
        Some("refresh_token") => {
            counters.refreshes.fetch_add(1, Ordering::SeqCst);
            authenticate(issuer, request, &params)?;
            refresh(issuer, &params)
        }
        _ => {
            authenticate(issuer, request, &params)?;
            Err(OAuthError::new("unsupported_grant_type", "authorization_code or refresh_token"))
        }
    }
}

fn exchange(issuer: &Issuer, params: &Params) -> Result<Value, OAuthError> {
    let code = required(params, "code")?;
    let redirect_uri = required(params, "redirect_uri")?;
    let verifier = required(params, "code_verifier")?;
    let id = issuer.random.token::<16>();
    let now = issuer.now();
    let grant = issuer.grants().redeem(code, redirect_uri, verifier, id, now).ok_or(
        OAuthError::new("invalid_grant", "unknown, spent or expired code, or a wrong proof"),
    )?;
    let mut tokens = sign(issuer, &grant, &grant.approval.scope, grant.approval.nonce.as_deref())?;
    add_refresh_token(issuer, &grant, &mut tokens);
    Ok(tokens)
}

fn refresh(issuer: &Issuer, params: &Params) -> Result<Value, OAuthError> {
    let token = required(params, "refresh_token")?;
    let refused = OAuthError::new("invalid_grant", "unknown, superseded, revoked or expired token");
    let now = issuer.now();
    let rotate = issuer.options.rotate;
    // The scope is looked at first: a request that is refused for it must not use up the token.
    let granted =
        issuer.grants().look_up_refresh_token(token, now).map(|(grant, _)| grant.approval.scope);
    let scope = match (params.get("scope"), granted) {
        (Some(asked), Some(granted)) => narrowed(asked, &granted)?,
        (None, Some(granted)) => granted,
        (_, None) => String::new(),
    };
    let grant = issuer.grants().use_refresh_token(token, rotate, now).ok_or(refused)?;
    let mut tokens = sign(issuer, &grant, &scope, None)?;
    if rotate {
        add_refresh_token(issuer, &grant, &mut tokens);
    }
    Ok(tokens)
}

/// RFC 6749 section 6: a refresh may ask for less, never for more.
fn narrowed(asked: &str, granted: &str) -> Result<String, OAuthError> {
    let granted: Vec<&str> = granted.split(' ').collect();
    let asked: Vec<&str> =
        asked.split(' ').filter(|word| !word.is_empty() && *word != "offline_access").collect();
    if asked.is_empty() || asked.iter().any(|word| !granted.contains(word)) {
        return Err(OAuthError::new("invalid_scope", "more than was granted"));
    }
    Ok(asked.join(" "))
}

fn sign(
    issuer: &Issuer,
    grant: &Grant,
    scope: &str,
    nonce: Option<&str>,
) -> Result<Value, OAuthError> {
    let approval = &grant.approval;
    let user = User::find(&approval.sub).ok_or_else(OAuthError::server_error)?;
    let now = issuer.now();
    let expires_at = now.plus(issuer.options.access_token_ttl);
    let jti = issuer.random.token::<16>();
    let claims = access_token::Claims {
        issuer: &issuer.url,
        client_id: &issuer.options.client_id,
        sub: user.sub,
        scope,
        issued_at: now,
        expires_at,
        auth_time: approval.auth_time,
        confirmed: approval.confirmed,
        jti: &jti,
    };
    let access_token =
        access_token::sign(&issuer.key, &claims).map_err(|_| OAuthError::server_error())?;
    let id_token = IdToken {
        issuer: &issuer.url,
        client_id: &issuer.options.client_id,
        user,
        scope,
        nonce,
        sid: &approval.sid,
        auth_time: approval.auth_time,
        confirmed: approval.confirmed,
        issued_at: now,
    };
    let id_token =
        id_token.sign(&issuer.key, &access_token).map_err(|_| OAuthError::server_error())?;
    issuer.grants().add_access_token(&jti, &grant.id, expires_at, now);
    Ok(json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": issuer.options.access_token_ttl.as_secs(),
        "scope": scope,
        "id_token": id_token,
    }))
}

fn add_refresh_token(issuer: &Issuer, grant: &Grant, tokens: &mut Value) {
    let token = issuer.random.token::<32>();
    issuer.grants().add_refresh_token(&token, &grant.id, issuer.now());
    if let Value::Object(tokens) = tokens {
        tokens.insert("refresh_token".to_owned(), json!(token));
    }
}

fn required<'a>(params: &'a Params, name: &'static str) -> Result<&'a str, OAuthError> {
    params.get(name).ok_or(OAuthError::new("invalid_request", "a parameter is missing"))
}
