//! What the server answers when no raw reply is set: a strict, honest server's answers, with the test's edits applied.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::clock::Clock;
use serde_json::{Value, json};

use super::resources::Aim;
use super::wire::{Reply, Request};
use super::{
    Endpoint, Grant, Rotation, State, api_tokens, client_assertion, dpop, fresh, mtls, pushed,
    resources,
};

/// The server's own answer.
pub fn own(
    state: &mut State,
    endpoint: Endpoint,
    request: &Request,
    issuer: &str,
    clock: &Clock,
) -> Reply {
    match endpoint {
        Endpoint::Discovery => {
            Reply::json(200, &state.knobs.discovery.apply(discovery(state, issuer)))
        }
        Endpoint::Jwks => Reply::json(200, &jwks(state)),
        Endpoint::Authorize => {
            let (redirect_uri, params) = authorize(state, &request.query, issuer, clock);
            Reply::redirect(302, &with_query(&redirect_uri, &params))
        }
        Endpoint::Token => token(state, request, issuer, clock),
        Endpoint::Userinfo => userinfo(state, request, issuer),
        Endpoint::Revocation => match authenticate(state, request) {
            Ok(()) => {
                let token = request.field("token").unwrap_or_default();
                state.refresh_tokens.remove(&token);
                state.access_tokens.retain(|known| *known != token);
                Reply::new(200, "text/plain", "")
            }
            Err(refusal) => refusal,
        },
        Endpoint::Introspection => api_tokens::introspection(state, request, issuer, clock),
        Endpoint::EndSession => end_session(request),
        Endpoint::Other => match request.path.as_str() {
            "/par" => pushed::push(state, request),
            "/api/accounts" => pushed::accounts(state, request),
            _ => Reply::new(404, "text/plain", ""),
        },
    }
}

/// Logs the user in; returns the redirect URI and the parameters of the response.
pub fn authorize(
    state: &mut State,
    asked: &[(String, String)],
    issuer: &str,
    clock: &Clock,
) -> (String, Vec<(String, String)>) {
    let asked = pushed::asked(state, asked);
    let get = |name: &str| asked.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let redirect_uri = get("redirect_uri").unwrap_or_default();
    let grant = Grant {
        nonce: get("nonce"),
        challenge: get("code_challenge").unwrap_or_default(),
        redirect_uri: redirect_uri.clone(),
        scope: get("scope").unwrap_or_default(),
        resources: resources::asked(&asked),
        auth_time: clock.now().0,
        refreshes: 0,
    };
    let code = mint_code(state, grant);
    let mut params = vec![("code".to_owned(), code)];
    params.extend(get("state").map(|value| ("state".to_owned(), value)));
    params.push(("iss".to_owned(), issuer.to_owned()));
    if let Some(edit) = &state.knobs.authorization_response {
        edit(&mut params);
    }
    (redirect_uri, params)
}

/// A new code for a grant.
pub fn mint_code(state: &mut State, grant: Grant) -> String {
    let code = fresh("code");
    state.codes.insert(code.clone(), grant);
    code
}

fn discovery(state: &State, issuer: &str) -> Value {
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "end_session_endpoint": format!("{issuer}/end_session"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    mtls::announce(state, &mut document);
    document
}

fn jwks(state: &State) -> Value {
    let knobs = &state.knobs;
    let own =
        || json!({ "keys": [knobs.key.jwk(knobs.key_id.as_deref(), &json!({"use": "sig"}))] });
    knobs.jwks.clone().unwrap_or_else(own)
}

fn token(state: &mut State, request: &Request, issuer: &str, clock: &Clock) -> Reply {
    if let Err(refusal) = authenticate(state, request) {
        return refusal;
    }
    if let Some(refusal) = dpop::refusal(state, request, None) {
        return refusal;
    }
    let reply = granted(state, request, issuer, clock).after(state.knobs.token_delay);
    dpop::renewed(state, reply)
}

fn granted(state: &mut State, request: &Request, issuer: &str, clock: &Clock) -> Reply {
    let field = |name: &str| request.field(name).unwrap_or_default();
    match field("grant_type").as_str() {
        "authorization_code" => {
            let Some(grant) = state.codes.remove(&field("code")) else {
                return error(400, "invalid_grant");
            };
            let challenge = digest(&SHA256, field("code_verifier").as_bytes());
            let proven = URL_SAFE_NO_PAD.encode(challenge) == grant.challenge;
            if !proven || field("redirect_uri") != grant.redirect_uri {
                return error(400, "invalid_grant");
            }
            match resources::aim(request, &grant) {
                Ok(aim) => tokens(state, grant, (None, aim), issuer, clock),
                Err(code) => error(400, code),
            }
        }
        "refresh_token" => {
            let old = field("refresh_token");
            let Some(mut grant) = state.refresh_tokens.get(&old).cloned() else {
                state.reused += 1;
                return error(400, "invalid_grant");
            };
            grant.refreshes += 1;
            match resources::aim(request, &grant) {
                Ok(aim) => tokens(state, grant, (Some(old), aim), issuer, clock),
                Err(code) => error(400, code),
            }
        }
        "urn:ietf:params:oauth:grant-type:token-exchange" => api_tokens::exchange(state, request),
        "client_credentials" => api_tokens::client_credentials(state, request),
        _ => error(400, "unsupported_grant_type"),
    }
}

fn tokens(
    state: &mut State,
    grant: Grant,
    (old, aim): (Option<String>, Aim),
    issuer: &str,
    clock: &Clock,
) -> Reply {
    let access_token = fresh("access");
    state.access_tokens.push(access_token.clone());
    mtls::bind(state, &access_token);
    if let Some(audience) = aim.audience {
        state.audiences.insert(access_token.clone(), audience);
    }
    let mut answer = json!({
        "access_token": access_token,
        "token_type": dpop::scheme(state),
        "expires_in": 300,
        "scope": aim.scope,
    });
    let refreshed = old.is_some();
    if !refreshed || state.knobs.id_token_at_refresh {
        answer["id_token"] =
            id_token(state, &grant, &access_token, refreshed, (issuer, clock.now().0));
    }
    let rotates = match state.knobs.rotation {
        Rotation::Never => false,
        Rotation::Always => true,
        Rotation::EveryThird => grant.refreshes.is_multiple_of(3),
    };
    match old {
        Some(old) if !rotates => drop(state.refresh_tokens.insert(old, grant)),
        old => {
            // A rotated token is dead: using it again is invalid_grant.
            old.map(|old| state.refresh_tokens.remove(&old));
            let refresh_token = fresh("refresh");
            answer["refresh_token"] = json!(refresh_token);
            state.refresh_tokens.insert(refresh_token, grant);
        }
    }
    Reply::json(200, &state.knobs.token_response.apply(answer))
        .with_header("cache-control", "no-store")
}

fn id_token(
    state: &State,
    grant: &Grant,
    access_token: &str,
    refreshed: bool,
    (issuer, now): (&str, u64),
) -> Value {
    let knobs = &state.knobs;
    let hash = digest(&SHA256, access_token.as_bytes());
    let mut claims = json!({
        "iss": issuer, "sub": knobs.sub, "aud": knobs.client_id, "exp": now + 300, "iat": now,
        "auth_time": grant.auth_time, "sid": "op-session", "acr": "gold", "email": "alice@example.com",
    });
    if matches!(knobs.algorithm.as_str(), "RS256" | "PS256" | "ES256") {
        claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
    }
    if let Some(nonce) = grant.nonce.as_ref().filter(|_| !refreshed) {
        claims["nonce"] = json!(nonce);
    }
    let edits = if refreshed { &knobs.refreshed_claims } else { &knobs.claims };
    let token = sign(state, &edits.apply(claims));
    match &knobs.id_token {
        Some(mangle) => mangle(token),
        None => json!(token),
    }
}

pub fn sign(state: &State, claims: &Value) -> String {
    let knobs = &state.knobs;
    let mut header = json!({"alg": knobs.algorithm, "typ": "JWT"});
    if let Some(id) = &knobs.key_id {
        header["kid"] = json!(id);
    }
    knobs.key.sign(&knobs.header.apply(header), claims, &knobs.algorithm)
}

fn userinfo(state: &mut State, request: &Request, issuer: &str) -> Reply {
    let scheme = dpop::scheme(state);
    let value = request.header("authorization");
    let token = value.and_then(|value| value.strip_prefix(scheme)?.strip_prefix(' '));
    if let Some(refusal) = dpop::refusal(state, request, token) {
        return refusal;
    }
    let is_known = |token: &str| {
        state.access_tokens.iter().any(|known| known == token) && mtls::fits(state, token, request)
    };
    if !token.is_some_and(is_known) {
        return error(401, "invalid_token");
    }
    let knobs = &state.knobs;
    let claims =
        json!({"sub": knobs.sub, "name": "Alice", "email": "other@example.com", "acr": "bronze"});
    if !knobs.signed_userinfo {
        return Reply::json(200, &knobs.userinfo.apply(claims));
    }
    let mut claims = claims;
    claims["iss"] = json!(issuer);
    claims["aud"] = json!(knobs.client_id);
    Reply::new(200, "application/jwt", sign(state, &knobs.userinfo.apply(claims)))
}

fn end_session(request: &Request) -> Reply {
    let get = |name: &str| request.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    match get("post_logout_redirect_uri") {
        Some(back) => {
            let state = get("state").map(|state| ("state".to_owned(), state));
            Reply::redirect(302, &with_query(&back, &state.into_iter().collect::<Vec<_>>()))
        }
        None => Reply::new(200, "text/html", "<p>signed out</p>"),
    }
}

pub fn authenticate(state: &mut State, request: &Request) -> Result<(), Reply> {
    if !state.knobs.client_keys.is_empty() {
        return client_assertion::check(state, request).map_err(|why| {
            eprintln!("the assertion is refused: {why}");
            error(401, "invalid_client")
        });
    }
    if state.knobs.certificate.is_some() {
        return mtls::check(state, request).map_err(|why| {
            eprintln!("the client is refused: {why}");
            error(401, "invalid_client")
        });
    }
    let by_form = || Some((request.field("client_id")?, request.field("client_secret")?));
    let known = (state.knobs.client_id.clone(), state.knobs.client_secret.clone());
    if request.basic().or_else(by_form) == Some(known) {
        Ok(())
    } else {
        Err(error(401, "invalid_client"))
    }
}

pub fn error(status: u16, code: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": code, "error_description": "<script>never shown</script>" }),
    )
}

fn with_query(url: &str, params: &[(String, String)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{query}")
}
