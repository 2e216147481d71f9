//! Looks at an authorization server as an operator would before the first login: what it says of itself, its keys, its clock,
//! and whether it knows this client. Changes nothing over there: the one thing that is sent is a made-up code, which it must
//! refuse. Never repeats what it was told.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::error::OidcError;
use super::http::Answer;
use super::json;
use super::token_request::{self, Client};
use super::{Metadata, Provider};
use crate::clock::Timestamp;
use crate::config::{AuthorizationDetails, ProviderConfig};
use crate::secret::Secret;

/// No authorization server has given it out.
const MADE_UP_CODE: &str = "cloakroom-doctor-made-up-code";
/// As long as a code verifier must be (RFC 7636 §4.1).
const MADE_UP_VERIFIER: &str = "cloakroom-doctor-made-up-verifier-of-43-characters";

/// What was found.
#[derive(Debug)]
pub struct Examination {
    /// What the discovery document says, or why there is none to go by. Everything below needs it.
    pub discovery: Result<Facts, OidcError>,
    /// By how much its clock is ahead of ours (negative: behind), seconds; `None` when it does not say.
    pub clock_ahead: Option<i64>,
    /// How many of its keys can be used.
    pub keys: Result<usize, OidcError>,
    /// What it thinks of this client.
    pub client: Verdict,
}

/// What a discovery document says about what we need. `None` is that it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Configured scopes that it does not list.
    pub unknown_scopes: Option<Vec<String>>,
    /// Types of what is asked for in detail that it does not list.
    pub unknown_details: Option<Vec<String>>,
    pub s256: Option<bool>,
    pub code: Option<bool>,
    /// The configured way for the client to show its secret.
    pub auth_method: Option<bool>,
    pub end_session: bool,
    pub revocation: bool,
    pub introspection: bool,
    pub backchannel_logout: bool,
    /// Names itself in authorization responses (RFC 9207).
    pub names_itself: bool,
    /// Takes pushed authorization requests (RFC 9126).
    pub par: bool,
    /// Binds tokens to a key of the client's (RFC 9449).
    pub dpop: bool,
    /// Binds tokens to the client's certificate (RFC 8705).
    pub mtls_bound: bool,
}

/// What the token endpoint answers to this client and a made-up code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The code is no good, so the client is.
    Known,
    /// `invalid_client`, or 401.
    WrongCredential,
    /// The client may not use the code flow.
    NotAllowed,
    /// An error that says nothing about the client.
    Unclear,
    /// It does not answer, or with an outage's status.
    Unavailable,
    /// Not asked.
    Skipped,
}

impl Provider {
    /// Asks for everything once.
    pub async fn examine(&self) -> Examination {
        let fetched = self.discovery.fetch(&self.http).await;
        let (metadata, document, date) = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                let (keys, client) = (Err(OidcError::DiscoveryPending), Verdict::Skipped);
                return Examination { discovery: Err(error), clock_ahead: None, keys, client };
            }
        };
        let keys = self.keys.keys(&self.http, &metadata.jwks).await;
        let verifier = Secret::from(MADE_UP_VERIFIER);
        let redirect_uri = self.redirect_uri.as_str();
        let form =
            |client: Client<'_>| token_request::code(client, MADE_UP_CODE, redirect_uri, &verifier);
        let asked = self.ask_token(&metadata, form, self.dpop()).await;
        Examination {
            discovery: Ok(facts(&document, &metadata, &self.config)),
            clock_ahead: date.map(|date| ahead(date, self.clock.now())),
            keys: keys.map(|keys| keys.len()),
            client: asked.map_or(Verdict::Unavailable, |(answer, _)| verdict(&answer)),
        }
    }
}

fn ahead(date: SystemTime, now: Timestamp) -> i64 {
    let date = date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    i64::try_from(date).unwrap_or(i64::MAX).saturating_sub(i64::try_from(now.0).unwrap_or(i64::MAX))
}

fn facts(document: &Map<String, Value>, metadata: &Metadata, config: &ProviderConfig) -> Facts {
    let lists = |name: &str| document.get(name).and_then(Value::as_array);
    let has = |name: &str, wanted: &str| Some(lists(name)?.iter().any(|value| value == wanted));
    let is_true = |name: &str| document.get(name) == Some(&Value::Bool(true));
    Facts {
        unknown_scopes: lists("scopes_supported").map(|known| {
            let is_unknown = |scope: &&String| !known.iter().any(|value| value == scope.as_str());
            config.scopes.iter().filter(is_unknown).cloned().collect()
        }),
        unknown_details: lists("authorization_details_types_supported").map(|known| {
            let asked = config.authorization_details.iter().flat_map(AuthorizationDetails::list);
            let types =
                asked.filter_map(|one| one.get("type")).filter(|kind| !known.contains(kind));
            types.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }),
        s256: has("code_challenge_methods_supported", "S256"),
        code: has("response_types_supported", "code"),
        auth_method: has("token_endpoint_auth_methods_supported", config.auth_method.name()),
        end_session: metadata.end_session.is_some(),
        revocation: metadata.revocation.is_some(),
        introspection: metadata.introspection.is_some(),
        backchannel_logout: is_true("backchannel_logout_supported"),
        names_itself: metadata.names_itself,
        par: metadata.pushed.is_some(),
        dpop: lists("dpop_signing_alg_values_supported").is_some_and(|algs| !algs.is_empty()),
        mtls_bound: metadata.binds_to_certificates,
    }
}

fn verdict(answer: &Answer) -> Verdict {
    if answer.is_outage() {
        return Verdict::Unavailable;
    }
    let said = if answer.is("application/json") { json::object(&answer.body).ok() } else { None };
    let code = said.as_ref().and_then(|members| members.get("error")).and_then(Value::as_str);
    match (code, answer.status) {
        (Some("invalid_grant"), _) => Verdict::Known,
        (Some("invalid_client"), _) | (_, 401) => Verdict::WrongCredential,
        (Some("unauthorized_client" | "unsupported_grant_type"), _) => Verdict::NotAllowed,
        _ => Verdict::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::good(400, json!({ "error": "invalid_grant" }), Verdict::Known)]
    #[case::wrong_secret(401, json!({ "error": "invalid_client" }), Verdict::WrongCredential)]
    #[case::as_some_say_it(400, json!({ "error": "invalid_client" }), Verdict::WrongCredential)]
    #[case::without_words(401, json!({}), Verdict::WrongCredential)]
    #[case::no_code_flow(400, json!({ "error": "unauthorized_client" }), Verdict::NotAllowed)]
    #[case::otherwise(400, json!({ "error": "invalid_request" }), Verdict::Unclear)]
    #[case::tokens(200, json!({ "access_token": "t" }), Verdict::Unclear)]
    #[case::down(503, json!({ "error": "invalid_client" }), Verdict::Unavailable)]
    fn an_answer_to_a_made_up_code_tells_of_the_client(
        #[case] status: u16,
        #[case] body: Value,
        #[case] expected: Verdict,
    ) {
        let body = body.to_string();
        let answer = Answer::for_test(status, "application/json", body.as_bytes());
        assert_eq!(verdict(&answer), expected);
    }

    #[test]
    fn clocks_are_compared_in_both_directions() {
        let date = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(ahead(date(1_000), Timestamp(990)), 10);
        assert_eq!(ahead(date(990), Timestamp(1_000)), -10);
    }
}
