//! Finds the bearer token of a request (RFC 6750 section 2.1). In the header only, and only one; whether it counts is
//! decided elsewhere.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;

/// The token of an `Authorization: Bearer` header that comes exactly once.
pub fn bearer_token(request: &HttpRequest) -> Option<&str> {
    let mut values = request.headers().get_all(AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
