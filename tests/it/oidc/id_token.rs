//! ID tokens, each wrong in one way: every one of them must refuse the login before any token is used.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloakroom::config::ProviderConfig;
use rstest::rstest;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

use super::setup::{NOW, Setup, Wish};
use crate::support::hostile_op::{Endpoint, HostileOp, Knobs, SigningKeys, edit, set};

type Change = fn(&mut Knobs);

// proves: ID-01, ID-02, ID-03, ID-04, ID-09, ID-10, ID-11, ID-12, ID-13, ID-16, CB-09
#[rstest]
#[case::iss_longer("iss", Some(json!(APPEND)), "id_token_iss")]
#[case::iss_missing("iss", None, "id_token_iss")]
#[case::iss_number("iss", Some(json!(1)), "id_token_iss")]
#[case::iss_other("iss", Some(json!("https://evil.example.com")), "id_token_iss")]
#[case::aud_longer("aud", Some(json!("web1")), "id_token_aud")]
#[case::aud_prefix("aud", Some(json!("we")), "id_token_aud")]
#[case::aud_missing("aud", None, "id_token_aud")]
#[case::aud_empty("aud", Some(json!([])), "id_token_aud")]
#[case::aud_objects("aud", Some(json!([{"web": "web"}])), "id_token_aud")]
#[case::aud_untrusted("aud", Some(json!(["web", "other"])), "id_token_aud")]
#[case::azp_other("azp", Some(json!("other")), "id_token_azp")]
#[case::exp_missing("exp", None, "id_token_exp")]
#[case::exp_past("exp", Some(json!(NOW - 301)), "id_token_exp")]
#[case::exp_text("exp", Some(json!("1800000300")), "id_token_exp")]
#[case::exp_past_float("exp", Some(json!(1_799_999_000.5)), "id_token_exp")]
#[case::exp_negative("exp", Some(json!(-1)), "id_token_exp")]
#[case::exp_two_to_63("exp", Some(json!(9_223_372_036_854_775_808_u64)), "id_token_exp")]
#[case::exp_far("exp", Some(json!(NOW + 10 * 366 * 24 * 3600)), "id_token_exp")]
#[case::iat_missing("iat", None, "id_token_iat")]
#[case::iat_future("iat", Some(json!(NOW + 3600)), "id_token_iat")]
#[case::iat_text("iat", Some(json!("1800000000")), "id_token_iat")]
#[case::nbf_future("nbf", Some(json!(NOW + 3600)), "id_token_nbf")]
#[case::sub_missing("sub", None, "id_token_sub")]
#[case::sub_empty("sub", Some(json!("")), "id_token_sub")]
#[case::sub_number("sub", Some(json!(42)), "id_token_sub")]
#[case::sub_long("sub", Some(json!("a".repeat(300))), "id_token_sub")]
#[case::nonce_missing("nonce", None, "id_token_nonce")]
#[case::nonce_longer("nonce", Some(json!(APPEND)), "id_token_nonce")]
#[case::nonce_number("nonce", Some(json!(1)), "id_token_nonce")]
#[case::at_hash_wrong("at_hash", Some(json!("AAAAAAAAAAAAAAAAAAAAAA")), "id_token_at_hash")]
#[case::at_hash_number("at_hash", Some(json!(1)), "id_token_at_hash")]
#[case::events("events", Some(json!({"http://schemas.openid.net/event/backchannel-logout": {}})), "id_token_kind")]
#[tokio::test]
async fn a_wrong_claim_refuses_the_login(
    #[case] name: &'static str,
    #[case] value: Option<Value>,
    #[case] code: &str,
) {
    let setup = Setup::turned(|knobs| {
        knobs.claims = edit(move |claims| match &value {
            Some(Value::String(mark)) if mark == APPEND => {
                let longer = format!("{}1", claims[name].as_str().unwrap());
                claims.insert(name.to_owned(), json!(longer));
            }
            Some(value) => drop(claims.insert(name.to_owned(), value.clone())),
            None => drop(claims.remove(name)),
        });
    })
    .await;
    assert_eq!(setup.refused(Wish::default()).await, code);
}

/// Stands for "what it was, and a 1".
const APPEND: &str = "\u{0}append";

// proves: ID-01
#[rstest]
#[case::slash(|iss: &str| json!(format!("{iss}/")))]
#[case::other_case(|iss: &str| json!(iss.to_uppercase()))]
#[case::array(|iss: &str| json!([iss]))]
#[tokio::test]
async fn a_look_alike_issuer_refuses_the_login(#[case] change: fn(&str) -> Value) {
    let setup = Setup::turned(|knobs| {
        knobs.claims = edit(move |claims| {
            let iss = change(claims["iss"].as_str().unwrap());
            claims.insert("iss".to_owned(), iss);
        });
    })
    .await;
    assert_eq!(setup.refused(Wish::default()).await, "id_token_iss");
}

// proves: ID-03, ID-04, ID-10, ID-13
#[rstest]
#[case::aud_array("aud", Some(json!(["web"])))]
#[case::azp_us("azp", Some(json!("web")))]
#[case::no_hash("at_hash", None)]
#[case::a_week_old("iat", Some(json!(NOW - 7 * 24 * 3600)))]
#[case::within_skew("exp", Some(json!(NOW - 20)))]
#[case::unknown_claim("foo", Some(json!({"a": [1, 2.5, null]})))]
#[tokio::test]
async fn a_legal_variant_logs_in(#[case] name: &'static str, #[case] value: Option<Value>) {
    let setup = Setup::turned(|knobs| knobs.claims = set(name, value)).await;
    assert!(setup.login().await.is_ok());
}

// proves: ID-03
#[tokio::test]
async fn a_second_audience_logs_in_when_it_is_trusted_with_or_without_azp() {
    let setup = Setup::with(|config| config.trusted_audiences = vec!["api".to_owned()]).await;
    for (azp, ok) in [(None, true), (Some("web"), true), (Some("api"), false)] {
        setup.op.turn(|knobs| {
            knobs.claims = edit(move |claims| {
                claims.insert("aud".to_owned(), json!(["web", "api"]));
                claims.extend(azp.map(|azp| ("azp".to_owned(), json!(azp))));
            });
        });
        assert_eq!(setup.login().await.is_ok(), ok, "{azp:?}");
    }
}

// proves: ID-10
#[tokio::test]
async fn the_accepted_age_of_a_token_is_a_setting() {
    let set_age =
        |config: &mut ProviderConfig| config.id_token_max_age = Some(Duration::from_secs(600));
    let setup = Setup::with(set_age).await;
    setup.op.turn(|knobs| knobs.claims = set("iat", Some(json!(NOW - 3600))));
    assert_eq!(setup.refused(Wish::default()).await, "id_token_iat");
}

// proves: ID-12
#[tokio::test]
async fn an_id_token_of_an_earlier_login_does_not_log_in_again() {
    // Without at_hash, which would refuse it too: another login has another access token.
    let setup = Setup::turned(|knobs| knobs.claims = set("at_hash", None)).await;
    let replayed = setup.login().await.unwrap().tokens.id_token.unwrap();
    setup.op.turn(|knobs| {
        let replayed = json!(replayed.expose());
        knobs.id_token = Some(Arc::new(move |_| replayed.clone()));
    });
    assert_eq!(setup.login().await.unwrap_err().code(), "id_token_nonce");
}

// proves: ID-14, AR-21
#[rstest]
#[case::fresh(Some(json!(NOW - 500)), None)]
#[case::omitted(None, Some("id_token_auth_time"))]
#[case::stale(Some(json!(NOW - 1000)), Some("id_token_auth_time"))]
#[case::future(Some(json!(NOW + 1000)), Some("id_token_auth_time"))]
#[case::text(Some(json!("1800000000")), Some("id_token_auth_time"))]
#[tokio::test]
async fn an_asked_max_age_is_checked(
    #[case] said: Option<Value>,
    #[case] refused: Option<&str>,
    #[values(false, true)] by_operator: bool,
) {
    let setup = Setup::with(|config| {
        if by_operator {
            config.authorize_params.insert("max_age".to_owned(), "600".to_owned());
        }
    })
    .await;
    setup.op.turn(|knobs| knobs.claims = set("auth_time", said));
    let max_age = if by_operator { None } else { Some(600) };
    let outcome = setup.login_with(Wish { max_age, acr_values: None }).await;
    assert_eq!(outcome.err().map(|error| error.code()), refused);
}

// proves: ID-15, AR-21
#[rstest]
#[case::given("gold", None)]
#[case::one_of_two("platinum gold", None)]
#[case::ignored("platinum", Some("id_token_acr"))]
#[tokio::test]
async fn an_asked_acr_is_checked(
    #[case] wanted: &str,
    #[case] refused: Option<&str>,
    #[values(false, true)] by_operator: bool,
) {
    let setup = Setup::with(|config| {
        if by_operator {
            config.authorize_params.insert("acr_values".to_owned(), wanted.to_owned());
        }
    })
    .await;
    let acr_values = if by_operator { None } else { Some(wanted) };
    let outcome = setup.login_with(Wish { max_age: None, acr_values }).await;
    assert_eq!(outcome.err().map(|error| error.code()), refused);
}

// proves: ID-05, ID-06, ID-16
#[rstest]
#[case::none(|k: &mut Knobs| k.header = set("alg", Some(json!("none"))), "id_token_alg")]
#[case::none_capital(|k: &mut Knobs| k.header = set("alg", Some(json!("None"))), "id_token_alg")]
#[case::none_mixed(|k: &mut Knobs| k.header = set("alg", Some(json!("nOnE"))), "id_token_alg")]
#[case::alg_empty(|k: &mut Knobs| k.header = set("alg", Some(json!(""))), "id_token_alg")]
#[case::alg_missing(|k: &mut Knobs| k.header = set("alg", None), "id_token_alg")]
#[case::alg_null(|k: &mut Knobs| k.header = set("alg", Some(Value::Null)), "id_token_alg")]
#[case::alg_array(|k: &mut Knobs| k.header = set("alg", Some(json!(["RS256"]))), "id_token_alg")]
#[case::alg_not_agreed(|k: &mut Knobs| k.sign_with(&SigningKeys::shared().rsa, "RS384", Some("k1")), "id_token_alg")]
#[case::alg_of_other_padding(|k: &mut Knobs| k.header = set("alg", Some(json!("PS256"))), "id_token_signature")]
#[case::alg_of_other_family(|k: &mut Knobs| k.header = set("alg", Some(json!("ES256"))), "id_token_key")]
#[case::crit(|k: &mut Knobs| k.header = set("crit", Some(json!(["exp"]))), "id_token_crit")]
#[case::crit_empty(|k: &mut Knobs| k.header = set("crit", Some(json!([]))), "id_token_crit")]
#[case::b64(|k: &mut Knobs| k.header = edit(|h| { h.insert("b64".to_owned(), json!(false)); h.insert("crit".to_owned(), json!(["b64"])); }), "id_token_crit")]
#[case::b64_without_crit(|k: &mut Knobs| k.header = set("b64", Some(json!(false))), "id_token_crit")]
#[case::access_token(|k: &mut Knobs| k.header = set("typ", Some(json!("at+jwt"))), "id_token_kind")]
#[case::access_token_long(|k: &mut Knobs| k.header = set("typ", Some(json!("application/at+jwt"))), "id_token_kind")]
#[case::logout_token(|k: &mut Knobs| k.header = set("typ", Some(json!("logout+jwt"))), "id_token_kind")]
#[case::introspection(|k: &mut Knobs| k.header = set("typ", Some(json!("token-introspection+jwt"))), "id_token_kind")]
#[case::request_object(|k: &mut Knobs| k.header = set("typ", Some(json!("oauth-authz-req+jwt"))), "id_token_kind")]
#[case::typ_number(|k: &mut Knobs| k.header = set("typ", Some(json!(1))), "id_token_kind")]
#[case::jarm(|k: &mut Knobs| k.claims = edit(|c| c.retain(|name, _| ["iss", "aud", "exp"].contains(&name.as_str()))), "id_token_iat")]
#[case::kid_number(|k: &mut Knobs| k.header = set("kid", Some(json!(1))), "id_token_malformed")]
#[tokio::test]
async fn a_header_that_is_not_agreed_refuses_the_login(#[case] change: Change, #[case] code: &str) {
    let setup = Setup::turned(change).await;
    assert_eq!(setup.refused(Wish::default()).await, code);
}

// proves: ID-05
#[rstest]
#[case::first_bit(|token: String| with_signature(&token, |s| s[0] ^= 0x80), "id_token_signature")]
#[case::last_bit(|token: String| with_signature(&token, |s| *s.last_mut().unwrap() ^= 1), "id_token_signature")]
#[case::middle_bit(|token: String| with_signature(&token, |s| s[100] ^= 0x10), "id_token_signature")]
#[case::shorter(|token: String| with_signature(&token, |s| s.truncate(s.len() - 1)), "id_token_signature")]
#[case::longer(|token: String| with_signature(&token, |s| s.push(0)), "id_token_signature")]
#[case::empty(|token: String| with_signature(&token, Vec::clear), "id_token_signature")]
#[case::zeros(|token: String| with_signature(&token, |s| s.fill(0)), "id_token_signature")]
#[case::not_base64(|token: String| json!(format!("{}.!!!!", unsigned(&token))), "id_token_signature")]
#[case::padded(|token: String| json!(format!("{token}==")), "id_token_signature")]
#[case::changed_payload(|token: String| with_payload(&token, |claims| drop(claims.insert("sub".to_owned(), json!("bob")))), "id_token_signature")]
#[case::no_signature_part(|token: String| json!(unsigned(&token)), "id_token_malformed")]
#[case::four_parts(|token: String| json!(format!("{token}.AAAA")), "id_token_malformed")]
#[case::jwe(|token: String| json!(format!("{token}.AAAA.AAAA")), "id_token_malformed")]
#[case::one_part(|_| json!("token"), "id_token_malformed")]
#[case::nothing(|_| json!(""), "id_token_malformed")]
#[case::blank_around(|token: String| json!(format!(" {token}")), "id_token_malformed")]
#[case::json_serialization(|token: String| json!(json_serialization(&token).to_string()), "id_token_malformed")]
#[case::json_serialization_object(|token: String| json_serialization(&token), "id_token_malformed")]
#[case::unsigned(|token: String| unsecured(&token, "none"), "id_token_alg")]
#[case::unsigned_mixed(|token: String| unsecured(&token, "nOnE"), "id_token_alg")]
#[case::unsigned_agreed_name(|token: String| unsecured(&token, "RS256"), "id_token_signature")]
#[case::header_twice(|token: String| duplicate_header(&token), "id_token_malformed")]
#[case::huge(|token: String| json!(format!("{token}{}", "A".repeat(100_000))), "id_token_malformed")]
#[tokio::test]
async fn a_tampered_token_refuses_the_login(
    #[case] mangle: fn(String) -> Value,
    #[case] code: &str,
) {
    let setup = Setup::turned(|knobs| knobs.id_token = Some(Arc::new(mangle))).await;
    assert_eq!(setup.refused(Wish::default()).await, code);
}

// proves: ID-05
#[tokio::test]
async fn rs256_refuses_the_login_when_es256_is_agreed() {
    let setup = Setup::with(|config| config.algorithms = vec!["ES256".to_owned()]).await;
    assert_eq!(setup.refused(Wish::default()).await, "id_token_alg");
}

// proves: ID-05
#[rstest]
#[case::pem(|der: &[u8], _: &Value| pem(der).into_bytes())]
#[case::pem_without_last_line_break(|der: &[u8], _: &Value| pem(der).trim_end().as_bytes().to_vec())]
#[case::der(|der: &[u8], _: &Value| der.to_vec())]
#[case::jwk(|_: &[u8], jwk: &Value| jwk.to_string().into_bytes())]
#[case::modulus(|_: &[u8], jwk: &Value| jwk["n"].as_str().unwrap().as_bytes().to_vec())]
#[case::nothing(|_: &[u8], _: &Value| Vec::new())]
#[tokio::test]
async fn an_hmac_keyed_with_the_public_key_refuses_the_login(
    #[case] secret: fn(&[u8], &Value) -> Vec<u8>,
) {
    let key = &SigningKeys::shared().rsa;
    let secret = secret(&key.public_der(), &key.jwk(Some("k1"), &json!({})));
    let setup = Setup::turned(|knobs| {
        knobs.id_token = Some(Arc::new(move |token| {
            let header =
                header(&token, |header| drop(header.insert("alg".to_owned(), json!("HS256"))));
            let signed = format!("{header}.{}", token.split('.').nth(1).unwrap());
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            json!(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
        }));
    })
    .await;
    assert_eq!(setup.refused(Wish::default()).await, "id_token_alg");
}

// proves: ID-05, ID-06
#[rstest]
#[case::own_key("jwk")]
#[case::key_url("jku")]
#[case::certificate_url("x5u")]
#[case::certificate("x5c")]
#[tokio::test]
async fn a_key_that_travels_in_the_token_is_not_believed(
    #[case] member: &'static str,
    #[values(Some("k1"), Some("attacker"), None)] key_id: Option<&'static str>,
) {
    let attacker = HostileOp::start(cloakroom::clock::Clock::system()).await;
    let keys = SigningKeys::shared();
    let value = match member {
        "jwk" => keys.other_rsa.jwk(key_id, &json!({})),
        "x5c" => json!([STANDARD.encode(keys.other_rsa.public_der())]),
        _ => json!(format!("{}/keys", attacker.issuer)),
    };
    let setup = Setup::turned(|knobs| {
        knobs.publish(&[keys.rsa.jwk(Some("k1"), &json!({}))]);
        knobs.sign_with(&keys.other_rsa, "RS256", key_id);
        knobs.header = set(member, Some(value));
    })
    .await;
    let code = setup.refused(Wish::default()).await;
    assert!(["id_token_signature", "id_token_key"].contains(&code), "{code}");
    assert_eq!(attacker.calls(Endpoint::Other), 0);
}

fn unsigned(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}

fn with_signature(token: &str, change: impl FnOnce(&mut Vec<u8>)) -> Value {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    change(&mut signature);
    json!(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn changed(part: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let mut members = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    change(&mut members);
    URL_SAFE_NO_PAD.encode(Value::Object(members).to_string())
}

fn with_payload(token: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    json!(format!("{}.{}.{}", parts[0], changed(parts[1], change), parts[2]))
}

fn header(token: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    changed(token.split('.').next().unwrap(), change)
}

fn unsecured(token: &str, algorithm: &str) -> Value {
    let header = header(token, |header| drop(header.insert("alg".to_owned(), json!(algorithm))));
    json!(format!("{header}.{}.", token.split('.').nth(1).unwrap()))
}

fn duplicate_header(token: &str) -> Value {
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k1","alg":"RS256"}"#);
    json!(format!("{twice}.{}", token.split_once('.').unwrap().1))
}

fn json_serialization(token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]})
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}
