//! Authorization requests that the client pushes (RFC 9126), each reference good for one use, and an API behind the tokens.

use serde_json::json;

use super::answers::{authenticate, error};
use super::wire::{Reply, Request};
use super::{Endpoint, State, fresh};

/// Takes a request of an authenticated client; one with a reference in it is none.
pub fn push(state: &mut State, request: &Request) -> Reply {
    if let Err(refusal) = authenticate(state, request) {
        return refusal;
    }
    let form = request.form();
    let is_plain = form.iter().all(|(name, _)| name != "request_uri") && request.query.is_empty();
    if request.method != "POST" || !is_plain {
        return error(400, "invalid_request");
    }
    let reference = format!("urn:ietf:params:oauth:request_uri:{}", fresh("par"));
    state.pushed.insert(reference.clone(), form);
    Reply::json(201, &json!({ "request_uri": reference, "expires_in": 60 }))
}

/// What an authorization request asks for: what stands behind its reference, once, else what it says itself.
pub fn asked(state: &mut State, said: &[(String, String)]) -> Vec<(String, String)> {
    match said.iter().find(|(name, _)| name == "request_uri") {
        Some((_, reference)) => state.pushed.remove(reference).unwrap_or_default(),
        None => said.to_vec(),
    }
}

/// The API: a token of this server in the header, and as many refreshes as it wants to see.
pub fn accounts(state: &State, request: &Request) -> Reply {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let is_known = token.is_some_and(|token| state.access_tokens.iter().any(|own| own == token));
    let is_refresh =
        |request: &Request| request.field("grant_type").as_deref() == Some("refresh_token");
    let refreshes = state
        .requests
        .iter()
        .filter(|(to, request)| *to == Endpoint::Token && is_refresh(request))
        .count();
    if is_known && refreshes >= state.knobs.api_wants_refreshes {
        return Reply::json(200, &json!({ "accounts": [] }));
    }
    error(401, "invalid_token").with_header("www-authenticate", "Bearer error=\"invalid_token\"")
}
