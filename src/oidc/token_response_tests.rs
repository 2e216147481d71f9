//! Token responses, good, odd and bad.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

const ASKED: Timestamp = Timestamp(1_000_000);
const DEFAULT: Duration = Duration::from_secs(300);

fn answer(status: u16, media_type: &str, body: &str) -> Answer {
    Answer::for_test(status, media_type, body.as_bytes())
}

fn parse_with(name: &str, value: Value) -> Result<TokenSet, OidcError> {
    let mut body = json!({"access_token": "a", "token_type": "Bearer", "expires_in": 60});
    match value {
        Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
        value => body[name] = value,
    }
    parse(&answer(200, "application/json", &body.to_string()), ASKED, DEFAULT, "Bearer")
}

// proves: CB-08
#[rstest]
#[case::number(json!(60), 60)]
#[case::text(json!("300"), 300)]
#[case::absent(Value::Null, 300)]
#[case::zero(json!(0), 300)]
#[case::negative(json!(-5), 300)]
#[case::negative_text(json!("-5"), 300)]
#[case::fraction(json!(90.9), 90)]
#[case::absurd(json!(1e30), LONGEST_LIFE)]
#[case::absurd_whole(json!(u64::MAX), LONGEST_LIFE)]
#[case::absurd_text(json!("99999999999999999999999999"), LONGEST_LIFE)]
#[case::word(json!("soon"), 300)]
#[case::object(json!({}), 300)]
fn every_spelling_of_a_life_gives_a_sane_end(#[case] said: Value, #[case] seconds: u64) {
    let tokens = parse_with("expires_in", said).unwrap();
    assert_eq!(tokens.expires_at, Timestamp(ASKED.0 + seconds));
}

// proves: CB-08
#[rstest]
#[case("Bearer", Ok(()))]
#[case("bEARER", Ok(()))]
#[case("bearer", Ok(()))]
#[case("DPoP", Err(OidcError::TokenTypeUnsupported))]
#[case("dpop", Err(OidcError::TokenTypeUnsupported))]
#[case("mac", Err(OidcError::TokenTypeUnsupported))]
#[case("N_A", Err(OidcError::TokenTypeUnsupported))]
#[case("bearer ", Err(OidcError::TokenTypeUnsupported))]
fn only_bearer_tokens_are_taken_in_any_case(
    #[case] kind: &str,
    #[case] expected: Result<(), OidcError>,
) {
    assert_eq!(parse_with("token_type", json!(kind)).map(drop), expected);
}

// proves: CB-08
#[rstest]
#[case::no_type("token_type", Value::Null)]
#[case::odd_type("token_type", json!(1))]
#[case::no_token("access_token", Value::Null)]
#[case::empty_token("access_token", json!(""))]
#[case::odd_token("access_token", json!({"a": 1}))]
#[case::line_break("access_token", json!("a\r\nX-Evil: 1"))]
#[case::blank("access_token", json!("a b"))]
#[case::not_ascii("access_token", json!("é"))]
#[case::odd_refresh_token("refresh_token", json!(["r"]))]
fn a_response_that_breaks_the_rules_is_refused(#[case] name: &str, #[case] value: Value) {
    assert_eq!(parse_with(name, value).map(drop), Err(OidcError::TokenResponseInvalid));
}

// proves: ID-19
#[test]
fn an_id_token_that_is_no_string_is_a_failure() {
    for odd in [json!(1), json!({"payload": "", "signatures": []}), json!(["a"])] {
        let refused = parse_with("id_token", odd).map(drop);
        assert_eq!(refused, Err(OidcError::IdToken(IdTokenFault::Malformed)));
    }
}

// proves: CB-08
#[test]
fn unknown_members_are_ignored_and_a_non_string_scope_is_no_scope() {
    let tokens = parse_with("foo", json!({"bar": [1, 2]})).unwrap();
    assert!(tokens.scope.is_none() && tokens.refresh_token.is_none());
    assert_eq!(parse_with("scope", json!(["a"])).unwrap().scope, None);
    assert_eq!(parse_with("scope", json!("openid a")).unwrap().scope.unwrap(), "openid a");
}

// proves: RF-05
#[rstest]
#[case::grant(400, "application/json", r#"{"error":"invalid_grant"}"#, OidcError::InvalidGrant)]
#[case::grant_as_html(400, "text/html", r#"{"error":"invalid_grant"}"#, OidcError::TokenRejected)]
#[case::grant_in_an_outage(
    503,
    "application/json",
    r#"{"error":"invalid_grant"}"#,
    OidcError::TokenUnavailable
)]
#[case::grant_twice(
    400,
    "application/json",
    r#"{"error":"x","error":"invalid_grant"}"#,
    OidcError::TokenRejected
)]
#[case::client(401, "application/json", r#"{"error":"invalid_client"}"#, OidcError::TokenRejected)]
#[case::odd_error(
    400,
    "application/json",
    r#"{"error":["invalid_grant"]}"#,
    OidcError::TokenRejected
)]
#[case::later(
    400,
    "application/json",
    r#"{"error":"temporarily_unavailable"}"#,
    OidcError::TokenUnavailable
)]
#[case::broken(500, "text/html", "<h1>", OidcError::TokenUnavailable)]
#[case::too_many(429, "text/plain", "", OidcError::TokenUnavailable)]
#[case::firewall(403, "text/html", "<h1>", OidcError::TokenRejected)]
#[case::redirect(302, "text/html", "", OidcError::TokenResponseInvalid)]
#[case::created(
    201,
    "application/json",
    r#"{"access_token":"a","token_type":"Bearer"}"#,
    OidcError::TokenResponseInvalid
)]
#[case::html(
    200,
    "text/html",
    r#"{"access_token":"a","token_type":"Bearer"}"#,
    OidcError::TokenResponseInvalid
)]
#[case::not_json(200, "application/json", "access_token=a", OidcError::TokenResponseInvalid)]
#[case::array(200, "application/json", "[]", OidcError::TokenResponseInvalid)]
#[case::twice(
    200,
    "application/json",
    r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
    OidcError::TokenResponseInvalid
)]
fn each_failure_is_what_it_is(
    #[case] status: u16,
    #[case] media_type: &str,
    #[case] body: &str,
    #[case] expected: OidcError,
) {
    let refused = parse(&answer(status, media_type, body), ASKED, DEFAULT, "Bearer").map(drop);
    assert_eq!(refused, Err(expected));
}

// proves: CB-08, RF-10
#[rstest]
#[case("openid sales", Granted::AsAsked)]
#[case("sales  openid", Granted::AsAsked)]
#[case("openid", Granted::Narrower)]
#[case("", Granted::Narrower)]
#[case("openid sales admin", Granted::Wider)]
#[case("openid admin", Granted::Wider)]
fn a_granted_scope_is_compared_as_a_set(#[case] scope: &str, #[case] expected: Granted) {
    assert_eq!(granted(&["openid".to_owned(), "sales".to_owned()], scope), expected);
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused_without_panic(status in 100_u16..600, body: Vec<u8>) {
        let _ = parse(&Answer::for_test(status, "application/json", &body), ASKED, DEFAULT, "Bearer");
    }

    #[test]
    fn a_life_is_never_beyond_its_cap(seconds: f64) {
        if let Ok(tokens) = parse_with("expires_in", json!(seconds)) {
            prop_assert!(tokens.expires_at.0 - ASKED.0 <= LONGEST_LIFE);
            prop_assert!(tokens.expires_at > ASKED);
        }
    }
}
