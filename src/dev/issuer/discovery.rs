//! What the authorization server says about itself: OpenID Connect Discovery metadata (also RFC 8414) and its keys.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::{CONFIRMED, Issuer, SCOPES};

const CLIENT_AUTH: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// `GET /.well-known/openid-configuration`
pub async fn metadata(issuer: web::Data<Issuer>) -> HttpResponse {
    let at = |path: &str| format!("{}{path}", issuer.url);
    HttpResponse::Ok().json(json!({
        "issuer": issuer.url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "revocation_endpoint": at("/revoke"),
        "introspection_endpoint": at("/introspect"),
        "end_session_endpoint": at("/logout"),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": CLIENT_AUTH,
        "revocation_endpoint_auth_methods_supported": CLIENT_AUTH,
        "introspection_endpoint_auth_methods_supported": CLIENT_AUTH,
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": [CONFIRMED],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid", "at_hash",
            "name", "region", "email", "email_verified",
        ],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

/// `GET /jwks`
pub async fn jwks(issuer: web::Data<Issuer>) -> HttpResponse {
    HttpResponse::Ok().json(issuer.key.jwks())
}
