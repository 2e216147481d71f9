//! A signed authorization request (JAR, RFC 9101): all that is asked for in one token by the client's key, for this server, for five minutes.
//! Nothing in the browser can change it, and the server can show later what it was asked for.

use serde_json::{Map, Value, json};
use url::Url;

use super::error::OidcError;
use super::signed::{self, DATED_BACK};
use crate::clock::Timestamp;
use crate::config::ClientAssertion;
use crate::secret::Random;

/// Seconds.
const LIFE: u64 = 300;
/// What stands beside it in the address, because a request without them is none (OpenID Connect Core §6.1).
const BESIDE: [&str; 3] = ["client_id", "response_type", "scope"];

/// The token that says `parameters`.
pub(super) fn made(
    own: &ClientAssertion,
    (client_id, issuer): (&str, &str),
    parameters: &[(String, String)],
    (now, random): (Timestamp, &Random),
) -> Result<String, OidcError> {
    let header = json!({
        "alg": own.key.algorithm(), "kid": own.key.id(), "typ": "oauth-authz-req+jwt",
    });
    let mut claims = Map::new();
    for (name, value) in parameters {
        // RFC 9101 §4: numbers are numbers, and lists of objects are such (RFC 9396 §3).
        let is_json = matches!(name.as_str(), "max_age" | "authorization_details");
        let parsed = is_json.then(|| serde_json::from_str(value).ok()).flatten();
        let value = parsed.unwrap_or_else(|| json!(value));
        // RFC 8707 §2.1: several of one name are a list.
        match claims.get_mut(name) {
            None => drop(claims.insert(name.clone(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    let starts = now.0.saturating_sub(DATED_BACK);
    for (name, value) in [
        ("iss", json!(client_id)),
        ("client_id", json!(client_id)),
        ("aud", json!(issuer)),
        ("iat", json!(starts)),
        ("nbf", json!(starts)),
        ("exp", json!(now.0 + LIFE)),
        ("jti", json!(random.token::<16>())),
    ] {
        claims.insert(name.to_owned(), value);
    }
    signed::jws(&own.key, &signed::part(&header), &Value::Object(claims))
}

/// Where the browser goes with it: the endpoint with its own query, what a request must have beside, and the token.
pub(super) fn url(endpoint: &Url, parameters: &[(String, String)], object: &str) -> String {
    let mut url = endpoint.clone();
    let beside = parameters.iter().filter(|(name, _)| BESIDE.contains(&name.as_str()));
    url.query_pairs_mut().extend_pairs(beside).append_pair("request", object);
    url.into()
}
