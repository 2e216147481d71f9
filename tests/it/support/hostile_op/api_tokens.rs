//! Tokens for APIs: exchange, client credentials, and what an access token is worth; honest answers with the test's edits.

use cloakroom::clock::Clock;
use serde_json::{Value, json};

use super::answers::{authenticate, error};
use super::wire::{Reply, Request};
use super::{State, fresh, mtls};

/// RFC 8693, for access tokens that this server has given and not revoked.
pub fn exchange(state: &mut State, request: &Request) -> Reply {
    const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    let field = |name: &str| request.field(name).unwrap_or_default();
    if field("subject_token_type") != ACCESS_TOKEN {
        return error(400, "invalid_request");
    }
    if !state.access_tokens.contains(&field("subject_token")) {
        return error(400, "invalid_grant");
    }
    let mut answer = token(state, "exchanged", request);
    answer["issued_token_type"] = json!(ACCESS_TOKEN);
    Reply::json(200, &state.knobs.api_token.apply(answer))
}

/// RFC 6749 §4.4.
pub fn client_credentials(state: &mut State, request: &Request) -> Reply {
    let answer = token(state, "client", request);
    Reply::json(200, &state.knobs.api_token.apply(answer))
}

/// A token whose name says what it was asked for with.
fn token(state: &mut State, kind: &str, request: &Request) -> Value {
    let asked = ["audience", "resource", "scope"].map(|name| request.field(name));
    let asked = asked.into_iter().flatten().collect::<Vec<_>>().join("+");
    let name: String = asked.chars().filter(char::is_ascii_alphanumeric).collect();
    let token = fresh(&format!("{kind}-{name}"));
    mtls::bind(state, &token);
    json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 120,
    })
}

/// RFC 7662, in the form that is asked for.
pub fn introspection(state: &mut State, request: &Request, issuer: &str, clock: &Clock) -> Reply {
    if let Err(refusal) = authenticate(state, request) {
        return refusal;
    }
    let is_active = state.access_tokens.contains(&request.field("token").unwrap_or_default());
    let now = clock.now().0;
    let knobs = &state.knobs;
    let signed = |typ: &str, claims: Value| {
        let header = json!({ "alg": knobs.algorithm, "kid": knobs.key_id, "typ": typ });
        let header = knobs.introspection_header.apply(header);
        knobs.key.sign(&header, &knobs.introspection.apply(claims), &knobs.algorithm)
    };
    let accept = request.header("accept").unwrap_or_default();
    let members = if is_active {
        json!({
            "active": true, "sub": knobs.sub, "scope": "openid orders.read", "exp": now + 120,
            "client_id": knobs.client_id, "token_type": "Bearer",
        })
    } else {
        json!({ "active": false })
    };
    match accept {
        "application/jwt" if !is_active => Reply::new(204, "application/jwt", ""),
        "application/jwt" => {
            let mut claims = json!({
                "iss": issuer, "sub": knobs.sub, "aud": "https://orders.example", "iat": now,
                "exp": now + 120, "jti": fresh("jti"), "scope": "openid orders.read",
            });
            if let Some(certificate) = &knobs.certificate {
                claims["cnf"] = json!({ "x5t#S256": certificate });
            }
            Reply::new(200, accept, signed("at+jwt", claims))
        }
        "application/token-introspection+jwt" => {
            let claims = json!({
                "iss": issuer, "aud": knobs.client_id, "iat": now, "token_introspection": members,
            });
            Reply::new(200, accept, signed("token-introspection+jwt", claims))
        }
        _ => Reply::json(200, &knobs.introspection.apply(members)),
    }
}
