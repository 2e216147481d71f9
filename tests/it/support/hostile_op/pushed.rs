//! Authorization requests that the client pushes (RFC 9126), each reference good for one use, and an API behind the tokens.

use serde_json::{Value, json};

use super::answers::{authenticate, error};
use super::wire::{Reply, Request};
use super::{Endpoint, State, client_assertion, dpop, fresh};

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
    let asked = unreferenced(state, said);
    match asked.iter().find(|(name, _)| name == "request") {
        Some((_, object)) => signed(state, object).unwrap_or_else(|why| panic!("{why}")),
        None => asked,
    }
}

/// The parameters of a signed request, checked as a strict server does (RFC 9101 §6).
fn signed(state: &mut State, object: &str) -> Result<Vec<(String, String)>, &'static str> {
    let claims = client_assertion::verified(state, object, "oauth-authz-req+jwt")?;
    let claims = claims.as_object().ok_or("no object")?;
    let client_id = json!(state.knobs.client_id);
    let is = |name: &str, value: &Value| claims.get(name) == Some(value);
    if !is("iss", &client_id) || !is("client_id", &client_id) || !is("aud", &json!(state.issuer)) {
        return Err("iss, client_id or aud");
    }
    if ["sub", "request", "request_uri"].iter().any(|name| claims.contains_key(*name)) {
        return Err("what must not be in there");
    }
    let number = |name: &str| claims.get(name).and_then(Value::as_u64).ok_or("a number");
    let (now, starts, ends) = (state.clock.now().0, number("nbf")?, number("exp")?);
    if starts > now || ends <= now || ends - starts > 3600 {
        return Err("time");
    }
    if claims.get("authorization_details").is_some_and(|details| !details.is_array()) {
        return Err("authorization_details are no list");
    }
    if claims.get("max_age").is_some_and(|age| !age.is_u64()) {
        return Err("max_age is no number");
    }
    let id = claims.get("jti").and_then(Value::as_str).ok_or("jti")?;
    if !state.assertions.insert(id.to_owned()) {
        return Err("jti was used");
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let each = |(name, value): (&String, &Value)| {
        // RFC 8707 §2.1: several of one name are a list.
        let values = match value {
            Value::Array(values) => values.iter().map(text).collect(),
            value => vec![text(value)],
        };
        values.into_iter().map(|value| (name.clone(), value)).collect::<Vec<_>>()
    };
    Ok(claims.iter().flat_map(each).collect())
}

fn unreferenced(state: &mut State, said: &[(String, String)]) -> Vec<(String, String)> {
    match said.iter().find(|(name, _)| name == "request_uri") {
        Some((_, reference)) => state.pushed.remove(reference).unwrap_or_default(),
        None => said.to_vec(),
    }
}

/// The API: a token of this server in the header, with its proof where tokens are bound, and as many refreshes as it wants to see.
pub fn accounts(state: &mut State, request: &Request) -> Reply {
    let scheme = dpop::scheme(state);
    let value = request.header("authorization");
    let token = value.and_then(|value| value.strip_prefix(scheme)?.strip_prefix(' '));
    if let Some(refusal) = token.and_then(|token| dpop::refusal(state, request, Some(token))) {
        let scheme = state.knobs.api_scheme;
        return refusal
            .with_header("www-authenticate", &format!("{scheme} error=\"use_dpop_nonce\""));
    }
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
    error(401, "invalid_token")
        .with_header("www-authenticate", &format!("{scheme} error=\"invalid_token\""))
}
