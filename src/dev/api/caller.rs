//! Who calls the demo API: the bearer token is checked, and from then on there are only its claims.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use serde_json::{Map, Value, json};

use crate::dev::MOCK_ISSUER;
use crate::dev::bearer::bearer_token;
use crate::dev::issuer::access_token;

use super::Api;

/// The claims of the caller's access token: our issuer's signature, issuer, audience and expiry hold.
pub struct Caller(pub Map<String, Value>);

impl Caller {
    /// Whether the user was asked in this way for the login behind the token (RFC 9470).
    pub fn has_acr(&self, acr: &str) -> bool {
        self.0.get("acr").and_then(Value::as_str) == Some(acr)
    }

    /// Whether the token carries `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        let scopes = self.0.get("scope").and_then(Value::as_str).unwrap_or_default();
        scopes.split(' ').any(|word| word == scope)
    }
}

impl FromRequest for Caller {
    type Error = Unauthorized;
    type Future = Ready<Result<Self, Unauthorized>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request))
    }
}

fn identify(request: &HttpRequest) -> Result<Caller, Unauthorized> {
    let token = bearer_token(request).ok_or(Unauthorized::NoToken)?;
    let api = request.app_data::<web::Data<Api>>().ok_or(Unauthorized::InvalidToken)?;
    let issuers = [api.issuer.as_str(), MOCK_ISSUER];
    access_token::verify(&api.key, token, &issuers, api.clock.now())
        .map(Caller)
        .ok_or(Unauthorized::InvalidToken)
}

/// Why a caller is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    #[error("a bearer token is needed")]
    NoToken,
    #[error("the bearer token does not count here")]
    InvalidToken,
}

impl ResponseError for Unauthorized {
    fn status_code(&self) -> StatusCode {
        StatusCode::UNAUTHORIZED
    }

    fn error_response(&self) -> HttpResponse {
        // RFC 6750 section 3.1: no error code when the request had no token at all.
        let (challenge, error) = match self {
            Self::NoToken => ("Bearer realm=\"demo-api\"", "no_token"),
            Self::InvalidToken => {
                ("Bearer realm=\"demo-api\", error=\"invalid_token\"", "invalid_token")
            }
        };
        HttpResponse::Unauthorized()
            .insert_header((WWW_AUTHENTICATE, challenge))
            .json(json!({ "error": error }))
    }
}
