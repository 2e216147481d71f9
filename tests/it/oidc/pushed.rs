//! Authorization requests that are pushed: what the server is told by the client, what is left for the browser, and that there
//! is no way back to a plain request.

use cloakroom::config::{ClientAuthMethod, PushedRequests};
use cloakroom::oidc::OidcError;
use rstest::rstest;
use serde_json::json;
use url::Url;

use super::setup::{REDIRECT_URI, Setup};
use crate::support::hostile_op::{Endpoint, Reply, set};

/// Says whether nothing else is taken.
fn announce(setup: &Setup, requires: bool) {
    let name = "require_pushed_authorization_requests";
    setup.op.turn(|knobs| knobs.discovery = set(name, Some(json!(requires))));
}

fn reference(setup: &Setup) {
    let told = json!({ "request_uri": "urn:ietf:params:oauth:request_uri:7", "expires_in": 60 });
    setup.op.answer_with(Endpoint::Other, Reply::json(201, &told));
}

// proves: AR-17
#[rstest]
#[case::basic_required(ClientAuthMethod::ClientSecretBasic, true, PushedRequests::WhenRequired)]
#[case::post_required(ClientAuthMethod::ClientSecretPost, true, PushedRequests::WhenRequired)]
#[case::wanted(ClientAuthMethod::ClientSecretBasic, false, PushedRequests::Always)]
#[tokio::test]
async fn everything_is_pushed_once_with_the_clients_credential_and_the_browser_gets_a_reference(
    #[case] method: ClientAuthMethod,
    #[case] requires: bool,
    #[case] pushed: PushedRequests,
) {
    let setup = Setup::with(|config| {
        config.auth_method = method;
        config.pushed_requests = pushed;
    })
    .await;
    announce(&setup, requires);
    reference(&setup);
    for round in 1..=2 {
        let url = Url::parse(&setup.url().await.unwrap()).unwrap();
        let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names, ["client_id", "request_uri"], "{url}");
        assert_eq!(setup.op.calls(Endpoint::Other), round, "each login its own");
    }
    let requests = setup.op.requests(Endpoint::Other);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.query.is_empty()), ("POST", true));
    let form = request.form();
    let get = |name: &str| -> Vec<&str> {
        form.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(get("redirect_uri"), [REDIRECT_URI]);
    assert_eq!((get("response_type"), get("code_challenge_method")), (vec!["code"], vec!["S256"]));
    assert_eq!(get("client_id").len(), 1);
    for name in ["state", "nonce", "code_challenge", "scope"] {
        assert_eq!(get(name).len(), 1, "{name}");
    }
    let in_form = method == ClientAuthMethod::ClientSecretPost;
    assert_eq!(get("client_secret").len(), usize::from(in_form));
    assert_eq!(request.header("authorization").is_some(), !in_form);
    let other = |index: usize| requests[index].field("state").unwrap();
    assert_ne!(other(0), other(1));
}

// proves: AR-17
#[tokio::test]
async fn without_need_or_wish_nothing_is_pushed() {
    let setup = Setup::new().await;
    announce(&setup, false);
    assert!(setup.url().await.unwrap().contains("code_challenge="));
    assert_eq!(setup.op.calls(Endpoint::Other), 0);
}

// proves: AR-17
#[rstest]
#[case::refused(Reply::json(400, &json!({ "error": "invalid_request" })), OidcError::PushRejected)]
#[case::busy(Reply::json(429, &json!({})), OidcError::PushUnavailable)]
#[case::page(Reply::new(200, "text/html", "<p>"), OidcError::PushInvalid)]
#[case::over(Reply::json(201, &json!({ "request_uri": "urn:x", "expires_in": 0 })), OidcError::PushInvalid)]
#[tokio::test]
async fn a_push_that_fails_is_no_plain_request(#[case] reply: Reply, #[case] expected: OidcError) {
    let setup = Setup::new().await;
    announce(&setup, true);
    setup.op.answer_with(Endpoint::Other, reply);
    assert_eq!(setup.url().await.unwrap_err(), expected);
}

// proves: AR-17
#[tokio::test]
async fn a_wish_that_the_server_cannot_meet_fails_and_says_so() {
    let setup = Setup::with(|config| config.pushed_requests = PushedRequests::Always).await;
    let name = "pushed_authorization_request_endpoint";
    setup.op.turn(|knobs| knobs.discovery = set(name, None));
    assert_eq!(setup.url().await.unwrap_err(), OidcError::PushInvalid);
}
