//! A signed authorization request (JAR, RFC 9101): all that is asked for in one token by the client's key, for this server, for five minutes.
//! Nothing in the browser can change it, and the server can show later what it was asked for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use url::Url;

use crate::clock::Timestamp;
use crate::config::ClientAssertion;
use crate::secret::Random;

/// Seconds; and how far it is dated back, for a server whose clock is behind.
const LIFE: u64 = 300;
const DATED_BACK: u64 = 10;
/// What stands beside it in the address, because a request without them is none (OpenID Connect Core §6.1).
const BESIDE: [&str; 3] = ["client_id", "response_type", "scope"];

/// The token that says `parameters`; `None` if the machine has no randomness.
pub(super) fn made(
    own: &ClientAssertion,
    (client_id, issuer): (&str, &str),
    parameters: &[(String, String)],
    (now, random): (Timestamp, &Random),
) -> Option<String> {
    let header = json!({
        "alg": own.key.algorithm(), "kid": own.key.id(), "typ": "oauth-authz-req+jwt",
    });
    let mut claims = Map::new();
    for (name, value) in parameters {
        // RFC 9101 §4: numbers are numbers.
        let number = (name == "max_age").then(|| value.parse::<u64>().ok()).flatten();
        claims.insert(name.clone(), number.map_or_else(|| json!(value), |number| json!(number)));
    }
    for (name, value) in [
        ("iss", json!(client_id)),
        ("client_id", json!(client_id)),
        ("aud", json!(issuer)),
        ("iat", json!(now.0.saturating_sub(DATED_BACK))),
        ("nbf", json!(now.0.saturating_sub(DATED_BACK))),
        ("exp", json!(now.0 + LIFE)),
        ("jti", json!(random.token::<16>())),
    ] {
        claims.insert(name.to_owned(), value);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&Value::Object(claims)));
    let signature = own.key.sign(signed.as_bytes())?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Where the browser goes with it: the endpoint with its own query, what a request must have beside, and the token.
pub(super) fn url(endpoint: &Url, parameters: &[(String, String)], object: &str) -> String {
    let mut url = endpoint.clone();
    let beside = parameters.iter().filter(|(name, _)| BESIDE.contains(&name.as_str()));
    url.query_pairs_mut().extend_pairs(beside).append_pair("request", object);
    url.into()
}
