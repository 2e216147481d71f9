//! The discovery document: whose it is, when it is fetched, and what happens when it cannot be.

use std::time::Duration;

use cloakroom::oidc::OidcError;
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use super::setup::Setup;
use crate::support::hostile_op::{Edit, Endpoint, Reply, edit, set};

fn broken() -> Reply {
    Reply::new(503, "text/plain", "")
}

// proves: AR-07
#[rstest]
#[case::longer(|issuer: &str| Some(json!(format!("{issuer}1"))))]
#[case::slash(|issuer: &str| Some(json!(format!("{issuer}/"))))]
#[case::other_case(|issuer: &str| Some(json!(issuer.to_uppercase())))]
#[case::other_host(|issuer: &str| Some(json!(issuer.replace("127.0.0.1", "localhost"))))]
#[case::array(|issuer: &str| Some(json!([issuer])))]
#[case::missing(|_: &str| None)]
#[tokio::test]
async fn a_document_of_another_issuer_starts_no_login(#[case] claim: fn(&str) -> Option<Value>) {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| knobs.discovery = set("issuer", claim(&setup.op.issuer)));
    assert_eq!(setup.attempt().await.map(|a| a.url).unwrap_err(), OidcError::IssuerMismatch);
    assert_eq!(setup.provider.degraded(), Some("issuer_mismatch"));
    assert_eq!(setup.op.calls(Endpoint::Authorize), 0);

    // Mended: the next attempt after the pause works.
    setup.op.turn(|knobs| knobs.discovery = Edit::default());
    assert!(setup.attempt().await.is_err(), "within the pause the server is left alone");
    setup.clock.advance(Duration::from_secs(5));
    assert!(setup.login().await.is_ok());
    assert_eq!(setup.provider.degraded(), None);
}

// proves: AR-07
#[tokio::test]
async fn a_trailing_slash_in_the_configured_issuer_is_kept_in_the_comparison() {
    let clock = cloakroom::clock::Clock::manual(cloakroom::clock::Timestamp(super::setup::NOW));
    let op = crate::support::hostile_op::HostileOp::start(clock).await;
    let setup = Setup::around(op, |config| config.issuer.push('/'));
    assert_eq!(setup.login().await.unwrap_err(), OidcError::IssuerMismatch);
}

// proves: AR-08
#[rstest]
#[case::plain_http("token_endpoint", json!("http://op.example.com/token"))]
#[case::plain_http_keys("jwks_uri", json!("http://op.example.com/jwks"))]
#[case::file("jwks_uri", json!("file:///etc/passwd"))]
#[case::missing("token_endpoint", Value::Null)]
#[case::number("authorization_endpoint", json!(7))]
#[case::script("authorization_endpoint", json!("javascript:alert(1)"))]
#[tokio::test]
async fn a_document_with_an_unsafe_endpoint_is_not_used(
    #[case] name: &'static str,
    #[case] url: Value,
) {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| knobs.discovery = set(name, Some(url)));
    assert_eq!(setup.login().await.unwrap_err(), OidcError::EndpointInvalid);
    assert_eq!(setup.provider.degraded(), Some("discovery_endpoint_invalid"));
}

#[tokio::test]
async fn fifty_first_logins_share_one_fetch() {
    let setup = Setup::new().await;
    let attempts = join_all((0..50).map(|_| setup.attempt())).await;
    assert!(attempts.iter().all(Result::is_ok));
    assert_eq!(setup.op.calls(Endpoint::Discovery), 1);
}

#[tokio::test]
async fn a_failing_server_is_asked_once_per_pause_and_found_again() {
    let setup = Setup::new().await;
    setup.op.answer_with(Endpoint::Discovery, broken());
    for _ in 0..20 {
        let error = setup.attempt().await.map(|a| a.url).unwrap_err();
        assert!(error.is_unavailable(), "{error}");
    }
    assert_eq!(setup.op.calls(Endpoint::Discovery), 1);
    assert_eq!(setup.provider.degraded(), Some("discovery_unavailable"));
    setup.op.answer_honestly(Endpoint::Discovery);
    setup.clock.advance(Duration::from_secs(5));
    assert!(setup.login().await.is_ok());
    assert_eq!(setup.op.calls(Endpoint::Discovery), 2);
}

#[tokio::test]
async fn metadata_is_fetched_hourly_and_old_metadata_outlives_an_outage() {
    let setup = Setup::new().await;
    setup.login().await.unwrap();
    setup.clock.advance(Duration::from_secs(3599));
    setup.login().await.unwrap();
    assert_eq!(setup.op.calls(Endpoint::Discovery), 1);

    setup.op.answer_with(Endpoint::Discovery, broken());
    setup.clock.advance(Duration::from_secs(1));
    for _ in 0..5 {
        setup.login().await.unwrap();
    }
    assert_eq!(setup.op.calls(Endpoint::Discovery), 2, "one refetch in the pause");
    assert_eq!(setup.provider.degraded(), Some("discovery_unavailable"));

    // A document of another issuer does not replace the good one either.
    setup.op.answer_honestly(Endpoint::Discovery);
    setup.op.turn(|knobs| knobs.discovery = set("issuer", Some(json!("https://evil.example.com"))));
    setup.clock.advance(Duration::from_secs(5));
    setup.login().await.unwrap();
    assert_eq!(setup.provider.degraded(), Some("issuer_mismatch"));

    // Back again: a moved endpoint is learned.
    setup.op.turn(|knobs| {
        knobs.discovery = edit(|document| drop(document.remove("revocation_endpoint")));
    });
    setup.clock.advance(Duration::from_secs(5));
    setup.provider.revoke(&"token".into(), "access_token").await.unwrap();
    assert_eq!(setup.op.calls(Endpoint::Revocation), 0);
    assert_eq!(setup.provider.degraded(), None);
}

#[tokio::test]
async fn old_metadata_serves_while_somebody_refetches_slowly() {
    let setup = Setup::new().await;
    setup.login().await.unwrap();
    let slow = Reply::new(503, "text/plain", "").after(Duration::from_secs(3600));
    setup.op.answer_with(Endpoint::Discovery, slow);
    setup.clock.advance(Duration::from_secs(3600));
    let refetch = setup.provider.check_response_iss(Some("x"));
    tokio::pin!(refetch);
    tokio::select! {
        biased;
        outcome = &mut refetch => panic!("the fetch hangs: {outcome:?}"),
        () = async { while setup.op.calls(Endpoint::Discovery) < 2 { tokio::task::yield_now().await } } => {}
    }
    assert!(setup.attempt().await.is_ok());
    assert_eq!(setup.op.calls(Endpoint::Discovery), 2);
}

// proves: AR-07
#[tokio::test]
async fn configured_endpoints_win_over_the_document() {
    let clock = cloakroom::clock::Clock::manual(cloakroom::clock::Timestamp(super::setup::NOW));
    let other = crate::support::hostile_op::HostileOp::start(clock).await;
    let setup = Setup::with(|config| {
        config.endpoints.revocation = Some(format!("{}/revoke", other.issuer));
    })
    .await;
    setup.provider.revoke(&"token".into(), "access_token").await.unwrap();
    assert_eq!((setup.op.calls(Endpoint::Revocation), other.calls(Endpoint::Revocation)), (0, 1));
}
