//! End of the sign-on session (OpenID Connect RP-Initiated Logout). Asks nobody, this is a dev server; returns only to
//! the registered URI, and only when the ID token hint or the client id says which client is meant.

use actix_session::Session;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::Issuer;
use super::answer::redirect;
use super::login_page::{refusal_page, signed_out_page};
use super::params::Params;

/// `GET /logout`
pub async fn by_query(
    issuer: web::Data<Issuer>,
    session: Session,
    request: HttpRequest,
) -> HttpResponse {
    log_out(&issuer, &session, request.query_string().as_bytes())
}

/// `POST /logout`
pub async fn by_form(
    issuer: web::Data<Issuer>,
    session: Session,
    body: web::Bytes,
) -> HttpResponse {
    log_out(&issuer, &session, &body)
}

fn log_out(issuer: &Issuer, session: &Session, raw: &[u8]) -> HttpResponse {
    let Ok(params) = Params::parse(raw) else {
        return refusal_page("a parameter came twice");
    };
    let hint = params.get("id_token_hint");
    if hint.is_some_and(|hint| !is_ours(issuer, hint)) {
        return refusal_page("the ID token hint is not one of ours");
    }
    let client = params.get("client_id");
    if client.is_some_and(|client| client != issuer.options.client_id) {
        return refusal_page("the client is not known");
    }
    let target = params.get("post_logout_redirect_uri");
    if target.is_some_and(|target| target != issuer.options.post_logout_redirect_uri) {
        return refusal_page("the post-logout redirect URI is not registered");
    }
    session.purge();
    match target.filter(|_| hint.is_some() || client.is_some()) {
        Some(target) => {
            let state: Vec<(&str, &str)> =
                params.get("state").map(|state| ("state", state)).into_iter().collect();
            redirect(target, &state)
        }
        None => signed_out_page(),
    }
}

/// Signed by us for our client; one that has expired still says whose it was (section 2 of the standard).
fn is_ours(issuer: &Issuer, id_token: &str) -> bool {
    let Some(claims) = issuer.key.verify(id_token, "JWT") else { return false };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    text("iss") == Some(&issuer.url) && text("aud") == Some(&issuer.options.client_id)
}
