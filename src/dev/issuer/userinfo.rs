//! Userinfo (OpenID Connect Core 5.3): what the scopes of a live access token tell about the user.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::dev::bearer::bearer_token;
use crate::dev::users::User;

use super::Issuer;
use super::access_token;
use super::answer::invalid_token;

/// `GET|POST /userinfo`
pub async fn userinfo(issuer: web::Data<Issuer>, request: HttpRequest) -> HttpResponse {
    let now = issuer.now();
    let claims = bearer_token(&request)
        .and_then(|token| access_token::verify(&issuer.key, token, &[&issuer.url], now));
    let Some(claims) = claims else { return invalid_token() };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let Some(user) = User::find(text("sub")) else { return invalid_token() };
    if !issuer.grants().is_live(text("jti"), now) {
        return invalid_token();
    }
    let mut answer = user.claims(text("scope"));
    answer.insert("sub".to_owned(), json!(user.sub));
    HttpResponse::Ok().json(answer)
}
