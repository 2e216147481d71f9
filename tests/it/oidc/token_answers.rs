//! The token endpoint's answers to a code: every odd shape, and never a second try.

use std::time::Duration;

use cloakroom::clock::Timestamp;
use cloakroom::oidc::OidcError;
use rstest::rstest;
use serde_json::{Value, json};

use super::setup::{NOW, SHORT, Setup, Wish};
use crate::support::hostile_op::{Endpoint, Manner, Reply, set};

// proves: CB-08
#[rstest]
#[case::upper("token_type", Some(json!("BEARER")), 300)]
#[case::mixed("token_type", Some(json!("bEARER")), 300)]
#[case::no_life("expires_in", None, 120)]
#[case::text_life("expires_in", Some(json!("200")), 200)]
#[case::zero("expires_in", Some(json!(0)), 120)]
#[case::negative("expires_in", Some(json!(-1)), 120)]
#[case::absurd("expires_in", Some(json!(1e30)), 366 * 24 * 3600)]
#[case::unknown_member("foo", Some(json!({"bar": []})), 300)]
#[case::narrower("scope", Some(json!("openid")), 300)]
#[case::no_scope("scope", None, 300)]
#[tokio::test]
async fn odd_but_legal_token_responses_log_in(
    #[case] name: &'static str,
    #[case] value: Option<Value>,
    #[case] life: u64,
) {
    let setup =
        Setup::with(|config| config.default_token_lifetime = Duration::from_secs(120)).await;
    setup.op.turn(|knobs| knobs.token_response = set(name, value));
    let login = setup.login().await.unwrap();
    assert_eq!(login.tokens.expires_at, Timestamp(NOW + life));
}

// proves: CB-08, CB-09, ID-19
#[rstest]
#[case::mac("token_type", Some(json!("mac")), "token_type_unsupported")]
#[case::dpop("token_type", Some(json!("dPOP")), "token_type_unsupported")]
#[case::no_type("token_type", None, "token_response_invalid")]
#[case::no_access_token("access_token", None, "token_response_invalid")]
#[case::header_break("access_token", Some(json!("a\r\nb: c")), "token_response_invalid")]
#[case::no_id_token("id_token", None, "id_token_missing")]
#[case::null_id_token("id_token", Some(Value::Null), "id_token_malformed")]
#[case::number_id_token("id_token", Some(json!(1)), "id_token_malformed")]
#[case::object_id_token("id_token", Some(json!({"payload": "e30"})), "id_token_malformed")]
#[tokio::test]
async fn token_responses_that_break_the_rules_are_refused(
    #[case] name: &'static str,
    #[case] value: Option<Value>,
    #[case] code: &str,
) {
    let setup = Setup::turned(|knobs| knobs.token_response = set(name, value)).await;
    assert_eq!(setup.refused(Wish::default()).await, code);
}

// proves: CB-06
#[rstest]
#[case::hung_up(Reply::json(200, &json!({})).written(Manner::HangUp), true)]
#[case::cut_off(Reply::json(200, &json!({"access_token": "a"})).written(Manner::CutOff), true)]
#[case::slow(Reply::json(200, &json!({})).after(Duration::from_secs(600)), true)]
#[case::unavailable(Reply::new(503, "text/plain", "").with_header("retry-after", "0"), true)]
#[case::too_many(Reply::new(429, "text/plain", ""), true)]
#[case::bad_gateway(Reply::new(502, "text/html", "<h1>"), true)]
#[case::request_timeout(Reply::new(408, "text/plain", ""), true)]
#[case::same_again(Reply::redirect(307, "/token"), false)]
#[case::client(Reply::json(401, &json!({"error": "invalid_client"})), false)]
#[case::html(Reply::new(200, "text/html", "<h1>"), false)]
#[tokio::test]
async fn a_code_is_sent_once_whatever_happens(#[case] reply: Reply, #[case] unavailable: bool) {
    let setup = Setup::with(|config| config.timeout = SHORT).await;
    // A connection that is already open must not make the difference.
    setup.login().await.unwrap();
    setup.op.answer_with(Endpoint::Token, reply);
    let attempt = setup.attempt().await.unwrap();
    let error = setup.finish(&attempt, Wish::default()).await.unwrap_err();
    assert_eq!(error.is_unavailable(), unavailable, "{error}");
    assert!(!error.is_invalid_grant());
    let code = attempt.get("code").map(ToOwned::to_owned);
    let sent = setup.op.requests(Endpoint::Token);
    assert_eq!(sent.iter().filter(|request| request.field("code") == code).count(), 1);
}

// proves: CB-06
#[tokio::test]
async fn a_used_code_is_the_servers_to_refuse() {
    let setup = Setup::new().await;
    let attempt = setup.attempt().await.unwrap();
    setup.finish(&attempt, Wish::default()).await.unwrap();
    let again = setup.finish(&attempt, Wish::default()).await;
    assert_eq!(again.unwrap_err(), OidcError::InvalidGrant);
}
