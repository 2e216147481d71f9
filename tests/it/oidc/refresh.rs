//! Refreshing: rotation, verdicts and outages, and ID tokens that come along.

use std::time::Duration;

use cloakroom::clock::Timestamp;
use cloakroom::config::ClientAuthMethod;
use cloakroom::oidc::{OidcError, RefreshExpectation, TokenSet};
use cloakroom::secret::Secret;
use rstest::rstest;
use serde_json::{Value, json};

use super::setup::{NOW, SHORT, Setup};
use crate::support::hostile_op::{
    Endpoint, Knobs, Manner, Reply, Rotation, SigningKeys, edit, set,
};
use crate::support::log::Log;

fn session() -> RefreshExpectation {
    RefreshExpectation { sub: "alice".to_owned(), nonce: None, auth_time: Some(Timestamp(NOW)) }
}

/// A logged-in setup and its refresh token.
async fn logged_in(setup: Setup) -> (Setup, Secret<String>) {
    let token = setup.login().await.unwrap().tokens.refresh_token.unwrap();
    (setup, token)
}

async fn refresh(setup: &Setup, token: &Secret<String>) -> Result<TokenSet, OidcError> {
    let refreshed = setup.provider.refresh((token, None), None, &session()).await;
    refreshed.map_err(|refusal| refusal.error)
}

// proves: RF-01
#[rstest]
#[case(ClientAuthMethod::ClientSecretBasic)]
#[case(ClientAuthMethod::ClientSecretPost)]
#[tokio::test]
async fn a_refresh_authenticates_the_client_and_asks_for_no_scope(
    #[case] method: ClientAuthMethod,
) {
    let (setup, token) = logged_in(Setup::with(|config| config.auth_method = method).await).await;
    setup.clock.advance(Duration::from_secs(100));
    let tokens = refresh(&setup, &token).await.unwrap();
    assert_eq!(tokens.expires_at, Timestamp(NOW + 400));
    let request = setup.op.requests(Endpoint::Token).pop().unwrap();
    assert_eq!(request.field("grant_type").unwrap(), "refresh_token");
    assert_eq!((request.field("scope"), request.field("resource")), (None, None));
    assert_eq!(request.basic().is_some(), method == ClientAuthMethod::ClientSecretBasic);
    assert_eq!(
        request.field("client_secret").is_some(),
        method == ClientAuthMethod::ClientSecretPost
    );
    assert!(request.query.is_empty());
}

// proves: RF-01
#[tokio::test]
async fn a_refresh_with_a_wrong_credential_is_refused_without_ending_the_grant() {
    let (setup, token) = logged_in(Setup::new().await).await;
    setup.op.turn(|knobs| knobs.client_secret = "rotated".to_owned());
    let error = refresh(&setup, &token).await.unwrap_err();
    assert!(!error.is_invalid_grant() && error == OidcError::TokenRejected, "{error}");
}

// proves: RF-02
#[rstest]
#[case::never(Rotation::Never, 0)]
#[case::always(Rotation::Always, 9)]
#[case::every_third(Rotation::EveryThird, 3)]
#[tokio::test]
async fn a_session_survives_any_habit_of_rotation(#[case] rotation: Rotation, #[case] new: usize) {
    let (setup, mut token) = logged_in(Setup::new().await).await;
    setup.op.turn(|knobs| knobs.rotation = rotation);
    let mut changes = 0;
    for _ in 0..9 {
        let tokens = refresh(&setup, &token).await.unwrap();
        let next = Setup::kept(&token, tokens);
        changes += usize::from(next != token);
        token = next;
    }
    assert_eq!(changes, new);
}

// proves: RF-02
#[tokio::test]
async fn a_rotated_token_is_dead() {
    let (setup, token) = logged_in(Setup::new().await).await;
    setup.op.turn(|knobs| knobs.rotation = Rotation::Always);
    refresh(&setup, &token).await.unwrap();
    assert!(refresh(&setup, &token).await.unwrap_err().is_invalid_grant());
}

// proves: RF-05
#[rstest]
#[case::server_error(Reply::new(500, "text/html", "<h1>"))]
#[case::bad_gateway(Reply::new(502, "text/html", "<h1>"))]
#[case::unavailable(Reply::json(503, &json!({"error": "invalid_grant"})))]
#[case::gateway_timeout(Reply::new(504, "text/html", ""))]
#[case::too_many(Reply::json(429, &json!({"error": "invalid_grant"})))]
#[case::later(Reply::json(400, &json!({"error": "temporarily_unavailable"})))]
#[case::slow(Reply::json(200, &json!({})).after(Duration::from_secs(600)))]
#[case::slow_body(Reply::json(200, &json!({"a": "b".repeat(1000)})).written(Manner::Trickle(Duration::from_millis(50))))]
#[case::hung_up(Reply::json(200, &json!({})).written(Manner::HangUp))]
#[case::cut_off(Reply::json(400, &json!({"error": "invalid_grant"})).written(Manner::CutOff))]
#[tokio::test]
async fn an_outage_is_no_verdict_and_the_same_token_works_after_it(#[case] reply: Reply) {
    let setup = Setup::with(|config| config.timeout = SHORT).await;
    let (setup, token) = logged_in(setup).await;
    setup.op.answer_with(Endpoint::Token, reply);
    let error = refresh(&setup, &token).await.unwrap_err();
    assert!(error.is_unavailable() && !error.is_invalid_grant(), "{error}");
    setup.op.answer_honestly(Endpoint::Token);
    assert!(refresh(&setup, &token).await.is_ok());
}

// proves: RF-05
#[rstest]
#[case::html_400(Reply::new(400, "text/html", "invalid_grant"))]
#[case::firewall(Reply::new(403, "text/html", "<h1>Forbidden</h1>"))]
#[case::not_found(Reply::new(404, "text/html", "<h1>"))]
#[case::welcome_page(Reply::new(200, "text/html", "<h1>Welcome</h1>"))]
#[case::captive_portal(Reply::redirect(302, "http://portal.example.com/"))]
#[case::other_error(Reply::json(400, &json!({"error": "invalid_request"})))]
#[case::client(Reply::json(401, &json!({"error": "invalid_client"})))]
#[tokio::test]
async fn what_is_neither_tokens_nor_invalid_grant_ends_nothing(#[case] reply: Reply) {
    let (setup, token) = logged_in(Setup::new().await).await;
    setup.op.answer_with(Endpoint::Token, reply);
    let error = refresh(&setup, &token).await.unwrap_err();
    assert!(!error.is_invalid_grant() && !error.code().starts_with("id_token"), "{error}");
    setup.op.answer_honestly(Endpoint::Token);
    assert!(refresh(&setup, &token).await.is_ok());
}

// proves: RF-05
#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_outage() {
    let (mut setup, token) = logged_in(Setup::new().await).await;
    setup.op.stop().await;
    let error = refresh(&setup, &token).await.unwrap_err();
    assert_eq!(error, OidcError::TokenUnavailable);
}

// proves: RF-05
#[tokio::test]
async fn invalid_grant_is_a_verdict() {
    let (setup, _) = logged_in(Setup::new().await).await;
    let error = refresh(&setup, &Secret::from("unknown")).await.unwrap_err();
    assert!(error.is_invalid_grant() && !error.is_unavailable());
    assert_eq!(error.code(), "invalid_grant");
}

// proves: RF-09
#[rstest]
#[case::issuer("iss", Some(json!("https://evil.example.com")), "id_token_iss")]
#[case::user("sub", Some(json!("bob")), "id_token_sub")]
#[case::no_user("sub", None, "id_token_sub")]
#[case::audience("aud", Some(json!("other")), "id_token_aud")]
#[case::auth_time("auth_time", Some(json!(NOW + 1)), "id_token_auth_time")]
#[case::expired("exp", Some(json!(NOW - 300)), "id_token_exp")]
#[case::future("iat", Some(json!(NOW + 3600)), "id_token_iat")]
#[case::access_token_hash("at_hash", Some(json!("AAAA")), "id_token_at_hash")]
#[case::logout_token("events", Some(json!({})), "id_token_kind")]
#[tokio::test]
async fn a_refreshed_id_token_that_deviates_is_refused(
    #[case] name: &'static str,
    #[case] value: Option<Value>,
    #[case] code: &str,
) {
    let (setup, token) = logged_in(Setup::new().await).await;
    setup.op.turn(|knobs| knobs.refreshed_claims = set(name, value));
    assert_eq!(refresh(&setup, &token).await.unwrap_err().code(), code);
}

// proves: RF-09
#[rstest]
#[case::by_another_key(|knobs: &mut Knobs| {
    knobs.jwks = Some(json!({"keys": [knobs.key.jwk(Some("k1"), &json!({}))]}));
    knobs.key = SigningKeys::shared().other_rsa.clone();
}, "id_token_signature")]
#[case::unsigned(|knobs: &mut Knobs| knobs.header = set("alg", Some(json!("none"))), "id_token_alg")]
#[case::access_token(|knobs: &mut Knobs| knobs.header = set("typ", Some(json!("at+jwt"))), "id_token_kind")]
#[tokio::test]
async fn a_refreshed_id_token_needs_a_signature_too(
    #[case] change: fn(&mut Knobs),
    #[case] code: &str,
) {
    let (setup, token) = logged_in(Setup::new().await).await;
    setup.op.turn(change);
    assert_eq!(refresh(&setup, &token).await.unwrap_err().code(), code);
}

// proves: RF-09
#[tokio::test]
async fn a_nonce_in_a_refreshed_id_token_is_absent_or_the_logins_own() {
    let (setup, token) = logged_in(Setup::new().await).await;
    let expected = RefreshExpectation { nonce: Some("n1".to_owned()), ..session() };
    assert!(setup.provider.refresh((&token, None), None, &expected).await.is_ok(), "absent");
    for (nonce, outcome) in [("n1", None), ("n2", Some("id_token_nonce"))] {
        setup.op.turn(|knobs| knobs.refreshed_claims = set("nonce", Some(json!(nonce))));
        let refreshed = setup.provider.refresh((&token, None), None, &expected).await;
        assert_eq!(refreshed.err().map(|refusal| refusal.error.code()), outcome);
    }
}

// proves: RF-09
#[tokio::test]
async fn a_refresh_without_an_id_token_is_normal() {
    let (setup, token) = logged_in(Setup::new().await).await;
    setup.op.turn(|knobs| knobs.id_token_at_refresh = false);
    assert!(refresh(&setup, &token).await.unwrap().id_token.is_none());
    setup.op.turn(|knobs| {
        knobs.id_token_at_refresh = true;
        knobs.refreshed_claims = edit(|claims| drop(claims.remove("auth_time")));
    });
    assert!(refresh(&setup, &token).await.unwrap().id_token.is_some());
}

// proves: RF-10
#[tokio::test]
async fn a_wider_scope_in_the_answer_is_noticed() {
    let (log, _guard) = Log::catch();
    let (setup, token) = logged_in(Setup::new().await).await;
    refresh(&setup, &token).await.unwrap();
    assert!(!log.text().contains("scope_"), "{}", log.text());
    setup.op.turn(|knobs| knobs.token_response = set("scope", Some(json!("openid admin"))));
    let tokens = refresh(&setup, &token).await.unwrap();
    assert_eq!(tokens.scope.as_deref(), Some("openid admin"));
    assert!(log.text().contains("scope_wider") && !log.text().contains("admin"), "{}", log.text());
}
