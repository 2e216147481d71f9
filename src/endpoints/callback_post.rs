//! `POST /callback`: the authorization server's answer in a form, for providers that are asked for it (Form Post Response Mode
//! 1.0): no code stands in an address, a history or a log. Another site's form brings no cookie of ours along, so it is posted
//! once more, by a page of ours; after that it is an answer like any other.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::Payload;

use super::call::Call;
use super::callback;
use super::form;
use super::login_flow::LoginFlow;
use crate::edge::{Code, Problem, pages};
use crate::oidc::claimed_state;
use crate::session::LoginCookieError;
use crate::tokens::OneProvider;

/// Largest form, bytes: a code, and an error that nobody reads; and where all of it is signed.
const LARGEST: usize = 16 * 1024;
const LARGEST_SIGNED: usize = 96 * 1024;
/// Says that the form comes from our own page: it is never posted a third time.
const AGAIN: &str = "cloakroom_again";
/// What is read of an answer; nothing else is repeated on a page of ours.
const KNOWN: [&str; 5] = ["state", "iss", "code", "error", "response"];

/// Answers as [`callback::answer`], or by the page that brings the cookies.
pub async fn answer(
    call: &Call<'_>,
    body: Payload,
    flow: &LoginFlow,
    came_to: Option<&Arc<OneProvider>>,
) -> Result<HttpResponse, Problem> {
    let Some(provider) = came_to.filter(|one| one.provider.answers_by_form()) else {
        return Err(Problem::new(Code::MethodNotAllowed).with_allow("GET"));
    };
    let largest = if provider.provider.signs_answers() { LARGEST_SIGNED } else { LARGEST };
    let Some(fields) = form::read(call, body, largest).await else {
        return Err(Problem::new(Code::BadRequest));
    };
    let is_again = fields.iter().any(|(name, _)| name == AGAIN);
    let known = |name: &String| KNOWN.contains(&name.as_str());
    let fields = fields.into_iter().filter(|(name, _)| known(name));
    let mut fields: Vec<(String, String)> =
        fields.map(|(name, value)| (name, value.expose().clone())).collect();
    if !is_again && lacks_cookie(call, flow, &fields) {
        fields.push((AGAIN.to_owned(), "1".to_owned()));
        let (path, origin) = (call.request.path(), &flow.app_origin);
        return Ok(pages::reposting_page(path, &fields, origin, call.request_id));
    }
    callback::answer(call, flow, came_to, fields).await
}

/// Whether the login that this answers has left no cookie in the request.
fn lacks_cookie(call: &Call<'_>, flow: &LoginFlow, fields: &[(String, String)]) -> bool {
    let value = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, it)| it);
    let signed = value("response").and_then(|response| claimed_state(response));
    let state = signed.or_else(|| value("state").cloned()).unwrap_or_default();
    let opened = flow.cookies.open_login(call.jar, &state, &flow.config, call.now);
    matches!(opened, Err(LoginCookieError::Missing))
}
