//! Revocation and the way to the end-session endpoint.

use std::time::Duration;

use cloakroom::secret::Secret;
use rstest::rstest;
use serde_json::json;

use super::setup::{SHORT, Setup};
use crate::support::hostile_op::{Endpoint, Manner, Reply, set};

// proves: LO-03
#[tokio::test]
async fn revocation_authenticates_the_client_and_ends_the_token() {
    let setup = Setup::new().await;
    let login = setup.login().await.unwrap();
    let token = login.tokens.refresh_token.unwrap();
    setup.provider.revoke(&token, "refresh_token").await.unwrap();
    let request = setup.op.requests(Endpoint::Revocation).pop().unwrap();
    assert_eq!(request.field("token_type_hint").unwrap(), "refresh_token");
    assert!(request.basic().is_some());
    let expected =
        cloakroom::oidc::RefreshExpectation { sub: login.claims.sub, nonce: None, auth_time: None };
    assert!(
        setup
            .provider
            .refresh((&token, None), None, &expected)
            .await
            .unwrap_err()
            .error
            .is_invalid_grant()
    );
    // A token that the server does not know is a revoked one.
    setup.provider.revoke(&Secret::from("unknown"), "refresh_token").await.unwrap();
}

// proves: LO-03
#[rstest]
#[case::down(Reply::new(503, "text/plain", ""), "revocation_unavailable")]
#[case::hung_up(Reply::new(200, "text/plain", "").written(Manner::HangUp), "revocation_unavailable")]
#[case::slow(Reply::new(200, "text/plain", "").after(Duration::from_secs(600)), "revocation_unavailable")]
#[case::refused(Reply::json(401, &json!({"error": "invalid_client"})), "revocation_rejected")]
#[tokio::test]
async fn a_token_that_still_lives_is_said_to_live(#[case] reply: Reply, #[case] code: &str) {
    let setup = Setup::with(|config| config.timeout = SHORT).await;
    setup.op.answer_with(Endpoint::Revocation, reply);
    let outcome = setup.provider.revoke(&Secret::from("t"), "access_token").await;
    assert_eq!(outcome.unwrap_err().code(), code);
}

// proves: LO-03, LO-04
#[tokio::test]
async fn servers_without_revocation_or_end_session_are_normal() {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| {
        knobs.discovery = crate::support::hostile_op::edit(|document| {
            document.remove("revocation_endpoint");
            document.remove("end_session_endpoint");
        });
    });
    setup.provider.revoke(&Secret::from("t"), "access_token").await.unwrap();
    let url = setup.provider.end_session_url(None, "https://app/", "r", "s").await.unwrap();
    assert_eq!(url, None);
}

// proves: LO-04
#[tokio::test]
async fn the_end_session_url_names_the_session_us_and_the_way_back() {
    let setup = Setup::new().await;
    let hint = setup.login().await.unwrap().tokens.id_token.unwrap();
    let back = "https://app.example.com/logged-out";
    let url = setup.provider.end_session_url(Some(&hint), back, "post_logout_redirect_uri", "s1");
    let url = url.await.unwrap().unwrap();
    assert!(url.starts_with(&format!("{}/end_session?", setup.op.issuer)));
    let query = url.split_once('?').unwrap().1;
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let own = |(n, v): (&str, &str)| (n.to_owned(), v.to_owned());
    let expected = [
        ("id_token_hint", hint.expose().as_str()),
        ("client_id", "web"),
        ("post_logout_redirect_uri", back),
        ("state", "s1"),
    ];
    assert_eq!(pairs, expected.map(own));
}

#[tokio::test]
async fn logout_waits_for_no_discovery_that_fails() {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| knobs.discovery = set("issuer", None));
    let url = setup.provider.end_session_url(None, "https://app/", "r", "s").await;
    assert_eq!(url.unwrap_err().code(), "issuer_mismatch");
}
