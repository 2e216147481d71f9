//! The shapes of the authorization server's answers: redirect, OAuth error, problem of ours. Never echoes input.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, WWW_AUTHENTICATE};
use serde_json::json;

/// An error of the token endpoint and its siblings (RFC 6749 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// A registered code.
    pub code: &'static str,
    pub description: &'static str,
    status: StatusCode,
}

impl OAuthError {
    /// A 400.
    pub fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description, status: StatusCode::BAD_REQUEST }
    }

    /// A 401 that asks for HTTP Basic credentials.
    pub fn invalid_client() -> Self {
        Self {
            code: "invalid_client",
            description: "unknown client or wrong secret",
            status: StatusCode::UNAUTHORIZED,
        }
    }

    /// A 500: signing failed.
    pub fn server_error() -> Self {
        Self {
            code: "server_error",
            description: "signing failed",
            status: StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// As an answer.
    pub fn response(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"cloakroom dev\""));
        }
        response.json(json!({ "error": self.code, "error_description": self.description }))
    }
}

/// A 401 of a resource that wants an access token (RFC 6750 section 3).
pub fn invalid_token() -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header((WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""))
        .json(json!({ "error": "invalid_token" }))
}

/// 303 to `target` with `params` added to its query.
pub fn redirect(target: &str, params: &[(&str, &str)]) -> HttpResponse {
    let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    let location = match (added.is_empty(), target.contains('?')) {
        (true, _) => target.to_owned(),
        (false, true) => format!("{target}&{added}"),
        (false, false) => format!("{target}?{added}"),
    };
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}
