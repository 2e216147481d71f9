//! Which of the published keys is used, and when they are fetched again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::oidc::RefreshExpectation;
use rstest::rstest;
use serde_json::{Value, json};

use super::setup::{Setup, Wish};
use crate::support::hostile_op::{Endpoint, Reply, SigningKey, SigningKeys, edit};

fn keys() -> &'static SigningKeys {
    SigningKeys::shared()
}

fn plain(key: &SigningKey, id: Option<&str>) -> Value {
    key.jwk(id, &json!({}))
}

/// Twelve keys without an id, of four types.
pub fn crowd() -> Vec<Value> {
    let mut crowd = Vec::new();
    for _ in 0..2 {
        crowd.push(plain(&keys().other_rsa, None));
        crowd.push(plain(&keys().other_ec, None));
        crowd.push(json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}));
        crowd.push(json!({"kty": "OKP", "crv": "X25519", "x": "AAAA"}));
    }
    crowd.extend([&keys().rsa, &keys().ec, &keys().ed].map(|key| plain(key, None)));
    crowd.push(json!({"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"}));
    crowd
}

// proves: ID-07
#[rstest]
#[case::rsa(&keys().rsa, "RS256")]
#[case::pss(&keys().rsa, "PS256")]
#[case::ec(&keys().ec, "ES256")]
#[case::ed(&keys().ed, "EdDSA")]
#[tokio::test]
async fn a_token_without_kid_is_verified_by_the_one_of_twelve_keys_that_made_it(
    #[case] key: &SigningKey,
    #[case] algorithm: &str,
) {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| {
        knobs.sign_with(key, algorithm, None);
        knobs.publish(&crowd());
    });
    assert!(setup.login().await.is_ok());
    assert_eq!(setup.op.calls(Endpoint::Jwks), 1);
}

// proves: ID-07
#[rstest]
#[case::rsa(&keys().rsa, "PS256")]
#[case::ec(&keys().ec, "ES256")]
#[case::ed(&keys().ed, "EdDSA")]
#[tokio::test]
async fn decoys_of_the_same_kid_do_not_mislead(#[case] key: &SigningKey, #[case] algorithm: &str) {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| {
        knobs.sign_with(key, algorithm, Some("same"));
        knobs.publish(&[
            keys().ed.jwk(Some("same"), &json!({"alg": "EdDSA", "use": "sig"})),
            keys().ec.jwk(Some("same"), &json!({"alg": "ES256", "use": "sig"})),
            keys().other_rsa.jwk(Some("same"), &json!({"alg": "PS256", "use": "sig"})),
            keys().rsa.jwk(Some("same"), &json!({"alg": "PS256", "use": "sig"})),
        ]);
    });
    assert!(setup.login().await.is_ok());
}

// proves: ID-07
#[rstest]
#[case::encryption(json!({"use": "enc"}))]
#[case::other_algorithm(json!({"alg": "PS256"}))]
#[case::no_verification(json!({"key_ops": ["wrapKey"]}))]
#[case::other_id(json!({"kid": "k2"}))]
#[tokio::test]
async fn the_right_key_published_for_something_else_refuses_the_login(#[case] more: Value) {
    let setup = Setup::turned(|knobs| knobs.publish(&[keys().rsa.jwk(Some("k1"), &more)])).await;
    assert_eq!(setup.refused(Wish::default()).await, "id_token_key");
}

// proves: ID-07
#[rstest]
#[case::short_rsa(json!({"kty": "RSA", "kid": "k0", "n": "AQAB", "e": "AQAB"}))]
#[case::unknown_type(json!({"kty": "AKP", "kid": "k1", "pub": "AAAA"}))]
#[case::symmetric(json!({"kty": "oct", "kid": "k1", "k": "AAAA"}))]
#[case::broken(json!({"kty": "RSA", "kid": "k1", "n": 5}))]
#[case::no_object(json!(["k1"]))]
#[case::empty(json!({}))]
#[tokio::test]
async fn a_key_that_cannot_be_used_spoils_no_other(#[case] odd: Value) {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| {
        let private = json!({"d": "AQAB", "p": "AQAB", "x5t": "AAAA", "use": "sig"});
        knobs.publish(&[odd, keys().rsa.jwk(Some("k1"), &private)]);
    });
    assert!(setup.login().await.is_ok());
}

// proves: ID-07, AR-08
#[tokio::test]
async fn ten_thousand_keys_are_refused_as_a_whole() {
    let setup = Setup::new().await;
    setup.op.turn(|knobs| {
        let mut crowd = vec![json!({"kty": "oct"}); 10_000];
        crowd.push(plain(&keys().rsa, Some("k1")));
        knobs.publish(&crowd);
    });
    assert_eq!(setup.login().await.unwrap_err().code(), "jwks_unavailable");
    // Five hundred are many, but a key set.
    setup.op.turn(|knobs| {
        let mut crowd = vec![json!({"kty": "oct"}); 500];
        crowd.push(plain(&keys().rsa, Some("k1")));
        knobs.publish(&crowd);
    });
    setup.clock.advance(Duration::from_secs(5));
    assert!(setup.login().await.is_ok());
}

// proves: ID-08
#[rstest]
#[case::new_id(Some("k2"))]
#[case::same_id(Some("k1"))]
#[case::no_id(None)]
#[tokio::test]
async fn keys_that_rotated_just_before_signing_are_fetched_again(#[case] id: Option<&str>) {
    let setup = Setup::new().await;
    setup.login().await.unwrap();
    setup.op.turn(|knobs| knobs.sign_with(&keys().other_rsa, "RS256", id));
    assert!(setup.login().await.is_ok());
    assert_eq!(setup.op.calls(Endpoint::Jwks), 2);
    // The old key was withdrawn: its tokens are refused now, and the cool-down spares the server.
    setup.op.turn(|knobs| {
        knobs.sign_with(&keys().rsa, "RS256", id);
        knobs.publish(&[plain(&keys().other_rsa, id)]);
    });
    assert!(setup.login().await.unwrap_err().code().starts_with("id_token_"));
    assert_eq!(setup.op.calls(Endpoint::Jwks), 2);
}

// proves: ID-08
#[tokio::test]
async fn a_thousand_unknown_kids_cost_one_fetch_per_cool_down() {
    let setup = Setup::new().await;
    let count = AtomicUsize::new(0);
    setup.op.turn(|knobs| {
        knobs.publish(&[plain(&keys().rsa, Some("k1"))]);
        knobs.header = edit(move |header| {
            let kid = format!("random-{}", count.fetch_add(1, Ordering::SeqCst));
            header.insert("kid".to_owned(), json!(kid));
        });
    });
    for _ in 0..500 {
        assert_eq!(setup.login().await.unwrap_err().code(), "id_token_key");
    }
    assert_eq!(setup.op.calls(Endpoint::Jwks), 2);
    setup.clock.advance(Duration::from_secs(30));
    for _ in 0..500 {
        setup.login().await.unwrap_err();
    }
    assert_eq!(setup.op.calls(Endpoint::Jwks), 3);
}

// proves: ID-08
#[tokio::test]
async fn a_failed_refetch_keeps_the_keys_and_gives_no_verdict() {
    let setup = Setup::new().await;
    setup.login().await.unwrap();
    setup.op.answer_with(Endpoint::Jwks, Reply::new(503, "text/plain", ""));
    setup.op.turn(|knobs| knobs.sign_with(&keys().other_rsa, "RS256", Some("k2")));
    let error = setup.login().await.unwrap_err();
    assert!(error.is_unavailable() && error.code() == "jwks_unavailable", "{error}");
    assert_eq!(setup.provider.degraded(), Some("jwks_unavailable"));
    // Tokens of the known key still log in.
    setup.op.turn(|knobs| knobs.sign_with(&keys().rsa, "RS256", Some("k1")));
    assert!(setup.login().await.is_ok());
    // After the pause and the cool-down the new key is found.
    setup.op.answer_honestly(Endpoint::Jwks);
    setup.op.turn(|knobs| knobs.sign_with(&keys().other_rsa, "RS256", Some("k2")));
    setup.clock.advance(Duration::from_secs(30));
    assert!(setup.login().await.is_ok());
    assert_eq!(setup.provider.degraded(), None);
}

// proves: ID-08
#[tokio::test]
async fn a_failed_refetch_starts_no_cool_down() {
    let setup = Setup::new().await;
    setup.login().await.unwrap();
    setup.op.answer_with(Endpoint::Jwks, Reply::new(503, "text/plain", ""));
    setup.op.turn(|knobs| knobs.sign_with(&keys().other_rsa, "RS256", Some("k2")));
    assert!(setup.login().await.unwrap_err().is_unavailable());
    assert!(setup.login().await.unwrap_err().is_unavailable());
    assert_eq!(setup.op.calls(Endpoint::Jwks), 2, "the pause spares the server");
    setup.op.answer_honestly(Endpoint::Jwks);
    setup.clock.advance(Duration::from_secs(5));
    assert!(setup.login().await.is_ok());
}

// proves: CB-06, EL-02, RF-05
#[tokio::test]
async fn neither_code_nor_refresh_token_is_spent_while_no_key_is_known() {
    let setup = Setup::new().await;
    setup.op.answer_with(Endpoint::Jwks, Reply::new(503, "text/plain", ""));
    let attempt = setup.attempt().await.unwrap();
    assert!(setup.finish(&attempt, Wish::default()).await.unwrap_err().is_unavailable());
    let expected = RefreshExpectation { sub: "alice".to_owned(), nonce: None, auth_time: None };
    let refreshed = setup.provider.refresh((&"token".into(), None), None, &expected).await;
    assert!(refreshed.unwrap_err().error.is_unavailable());
    assert_eq!(setup.op.calls(Endpoint::Token), 0);
    setup.op.answer_honestly(Endpoint::Jwks);
    setup.clock.advance(Duration::from_secs(5));
    assert!(setup.finish(&attempt, Wish::default()).await.is_ok());
}

// proves: ID-08
#[tokio::test]
async fn old_keys_are_refetched_hourly_and_outlive_an_outage() {
    let setup = Setup::new().await;
    setup.login().await.unwrap();
    setup.op.answer_with(Endpoint::Jwks, Reply::new(503, "text/plain", ""));
    setup.clock.advance(Duration::from_secs(3600));
    assert!(setup.login().await.is_ok());
    assert_eq!(setup.op.calls(Endpoint::Jwks), 2);
    setup.op.answer_honestly(Endpoint::Jwks);
    setup.op.turn(|knobs| knobs.publish(&[plain(&keys().other_rsa, Some("k2"))]));
    setup.clock.advance(Duration::from_secs(5));
    // The withdrawn key goes with the next hourly fetch, although its tokens never failed.
    assert_eq!(setup.login().await.unwrap_err().code(), "id_token_key");
}

// proves: ID-08
#[tokio::test]
async fn fifty_first_logins_share_one_fetch_of_the_keys() {
    let setup = Setup::new().await;
    let logins = futures_util::future::join_all((0..50).map(|_| setup.login())).await;
    assert!(logins.iter().all(Result::is_ok));
    assert_eq!(setup.op.calls(Endpoint::Jwks), 1);
}
