//! Pushed authorization requests (RFC 9126): everything that is asked for goes to the server by the client itself, with its
//! credential, and the browser carries a reference only. Each login pushes its own request, so a reference is used once. Never
//! falls back to a plain request where the server or the operator wants it pushed.

use serde_json::Value;
use url::Url;

use super::authorization::{self, AuthorizationRequest, Client};
use super::error::OidcError;
use super::http::Answer;
use super::json;

/// The longest reference that a URL should carry.
const LONGEST: usize = 1024;

/// What is pushed: the parameters of the plain request, without those of the endpoint's own query, which stay there.
pub(super) fn parameters(
    endpoint: &Url,
    client: Client<'_>,
    request: &AuthorizationRequest,
) -> Vec<(String, String)> {
    let plain = authorization::url(endpoint, client, request);
    let own: Vec<_> = endpoint.query_pairs().into_owned().collect();
    let all = Url::parse(&plain).map(|url| url.query_pairs().into_owned().collect::<Vec<_>>());
    all.unwrap_or_default().into_iter().filter(|pair| !own.contains(pair)).collect()
}

/// The reference in the answer of the endpoint (RFC 9126 §2.2).
pub(super) fn parse(answer: &Answer) -> Result<String, OidcError> {
    if answer.is_outage() {
        return Err(OidcError::PushUnavailable);
    }
    // 201 by the RFC; some servers say 200.
    if !matches!(answer.status, 200 | 201) {
        return Err(OidcError::PushRejected);
    }
    let told = if answer.is("application/json") { json::object(&answer.body).ok() } else { None };
    let told = told.ok_or(OidcError::PushInvalid)?;
    let lives = told.get("expires_in").and_then(Value::as_u64).is_some_and(|seconds| seconds > 0);
    let reference = told.get("request_uri").and_then(Value::as_str);
    let is_good = |text: &&str| {
        (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match reference.filter(is_good) {
        Some(reference) if lives => Ok(reference.to_owned()),
        _ => Err(OidcError::PushInvalid),
    }
}

/// Where the browser goes: the endpoint with its own query, the client, and the reference; nothing else (RFC 9126 §4).
pub(super) fn url(endpoint: &Url, client_id: &str, reference: &str) -> String {
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair("client_id", client_id).append_pair("request_uri", reference);
    url.into()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &Value) -> Result<String, OidcError> {
        parse(&Answer::for_test(status, "application/json", body.to_string().as_bytes()))
    }

    // proves: AR-17
    #[rstest]
    #[case::good(201, json!({ "request_uri": "urn:x:1", "expires_in": 60 }), Ok("urn:x:1".to_owned()))]
    #[case::as_some_say_it(200, json!({ "request_uri": "urn:x:1", "expires_in": 60 }), Ok("urn:x:1".to_owned()))]
    #[case::over(201, json!({ "request_uri": "urn:x:1", "expires_in": 0 }), Err(OidcError::PushInvalid))]
    #[case::no_end(201, json!({ "request_uri": "urn:x:1" }), Err(OidcError::PushInvalid))]
    #[case::no_reference(201, json!({ "expires_in": 60 }), Err(OidcError::PushInvalid))]
    #[case::empty(201, json!({ "request_uri": "", "expires_in": 60 }), Err(OidcError::PushInvalid))]
    #[case::spaces(201, json!({ "request_uri": "urn x", "expires_in": 60 }), Err(OidcError::PushInvalid))]
    #[case::refused(400, json!({ "error": "invalid_request" }), Err(OidcError::PushRejected))]
    #[case::client(401, json!({ "error": "invalid_client" }), Err(OidcError::PushRejected))]
    #[case::large(413, json!({}), Err(OidcError::PushRejected))]
    #[case::redirect(302, json!({}), Err(OidcError::PushRejected))]
    #[case::many(429, json!({}), Err(OidcError::PushUnavailable))]
    #[case::down(500, json!({}), Err(OidcError::PushUnavailable))]
    fn an_answer_is_a_reference_a_refusal_or_an_outage(
        #[case] status: u16,
        #[case] body: Value,
        #[case] expected: Result<String, OidcError>,
    ) {
        assert_eq!(answer(status, &body), expected);
    }

    // proves: AR-17
    #[test]
    fn a_page_instead_of_json_is_no_answer() {
        let page = Answer::for_test(201, "text/html", br#"{"request_uri":"urn:x","expires_in":9}"#);
        assert_eq!(parse(&page), Err(OidcError::PushInvalid));
    }

    // proves: AR-17
    #[test]
    fn the_browsers_url_has_client_and_reference_only_and_keeps_the_endpoints_own_query() {
        let endpoint = Url::parse("https://op.example.com/authorize?policy=b2c").unwrap();
        let url = url(&endpoint, "web", "urn:ietf:params:oauth:request_uri:1&state=x");
        let pairs: Vec<_> = Url::parse(&url).unwrap().query_pairs().into_owned().collect();
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let reference = "urn:ietf:params:oauth:request_uri:1&state=x";
        let expected = [("policy", "b2c"), ("client_id", "web"), ("request_uri", reference)];
        assert_eq!(pairs, expected.map(own));
    }
}
