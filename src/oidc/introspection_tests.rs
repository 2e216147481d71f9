//! What answers to introspections mean, form by form.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method is not general over the lifetime"
)]

use rstest::rstest;
use serde_json::json;

use super::super::issuer::Issuer;
use super::*;
use IntrospectionForm::{Json, Jwt, Signed};

const ISSUER: &str = "https://op.example.com";
const NOW: u64 = 1_000;

fn read(status: u16, media_type: &str, body: &str, form: IntrospectionForm) -> String {
    match parse(&Answer::for_test(status, media_type, body.as_bytes()), form) {
        Ok(Answered::Inactive) => "inactive".to_owned(),
        Ok(Answered::Plain(_)) => "plain".to_owned(),
        Ok(Answered::Jwt(jwt)) => jwt,
        Err(error) => error.code().to_owned(),
    }
}

const ACTIVE: &str = r#"{"active":true}"#;
const INACTIVE: &str = r#"{"active":false}"#;
const SIGNED: &str = "application/token-introspection+jwt";

// proves: PX-20, PX-21
#[rstest]
#[case::token(200, "application/jwt", "a.b.c\n", Jwt, "a.b.c")]
#[case::no_token(204, "", "", Jwt, "inactive")]
#[case::said_without_a_token(200, "application/json", INACTIVE, Jwt, "inactive")]
#[case::yes_without_a_token(200, "application/json", ACTIVE, Jwt, "introspection_invalid")]
#[case::signed_for_a_token(200, SIGNED, "a.b.c", Jwt, "introspection_invalid")]
#[case::signed(200, SIGNED, "a.b.c", Signed, "a.b.c")]
#[case::token_for_signed(200, "application/jwt", "a.b.c", Signed, "introspection_invalid")]
#[case::plain_for_signed(200, "application/json", ACTIVE, Signed, "introspection_invalid")]
#[case::plain_no_for_signed(200, "application/json", INACTIVE, Signed, "introspection_invalid")]
#[case::nothing_for_signed(204, "", "", Signed, "introspection_rejected")]
#[case::plain(200, "application/json", ACTIVE, Json, "plain")]
#[case::token_for_plain(200, "application/jwt", "a.b.c", Json, "introspection_invalid")]
#[case::page(200, "text/html", ACTIVE, Json, "introspection_invalid")]
#[case::twice(
    200,
    "application/json",
    r#"{"active":false,"active":true}"#,
    Json,
    "introspection_invalid"
)]
#[case::client(401, "application/json", "{}", Json, "introspection_rejected")]
#[case::elsewhere(302, "", "", Jwt, "introspection_rejected")]
#[case::outage(503, "", "", Signed, "introspection_unavailable")]
#[case::too_many(429, "", "", Jwt, "introspection_unavailable")]
fn an_answer_counts_only_in_the_agreed_form(
    #[case] status: u16,
    #[case] media_type: &str,
    #[case] body: &str,
    #[case] form: IntrospectionForm,
    #[case] expected: &str,
) {
    assert_eq!(read(status, media_type, body, form), expected);
}

/// What `check` says of `claims`: `scope@end`, `inactive`, or the error.
fn judged(
    check: impl FnOnce(&Rules<'_>, &Map<String, Value>) -> Result<Option<Active>, OidcError>,
    claims: Value,
) -> String {
    let issuer = Issuer::new(ISSUER, None, &[]).unwrap();
    let rules = Rules {
        issuer: &issuer,
        client_id: "web",
        trusted_audiences: &[],
        skew: std::time::Duration::from_secs(10),
        max_age: None,
        now: Timestamp(NOW),
    };
    let Value::Object(claims) = claims else { panic!("no object") };
    match check(&rules, &claims) {
        Ok(None) => "inactive".to_owned(),
        Ok(Some(Active { scope, ends })) => {
            format!("{}@{}", scope.unwrap_or_default(), ends.map_or(0, |ends| ends.0))
        }
        Err(error) => error.code().to_owned(),
    }
}

const INVALID: &str = "introspection_invalid";

// proves: PX-20
#[rstest]
#[case(json!({"active": true, "scope": "a b", "exp": 1_100}), "a b@1100")]
#[case(json!({"active": true}), "@0")]
#[case(json!({"active": false, "scope": 7}), "inactive")]
#[case(json!({"active": true, "exp": 989}), "inactive")]
#[case(json!({"active": "true"}), INVALID)]
#[case(json!({"active": 1}), INVALID)]
#[case(json!({}), INVALID)]
#[case(json!({"active": true, "scope": ["a"]}), INVALID)]
#[case(json!({"active": true, "exp": "soon"}), INVALID)]
fn a_token_is_active_only_if_it_is_said_plainly(#[case] members: Value, #[case] expected: &str) {
    assert_eq!(judged(|rules, claims| rules.check_introspected(claims), members), expected);
}

// proves: PX-21
#[rstest]
#[case::fine(json!({}), "a@1100")]
#[case::other_issuer(json!({"iss": "https://evil.example"}), INVALID)]
#[case::no_issuer(json!({"iss": null}), INVALID)]
#[case::other_audience(json!({"aud": "other"}), INVALID)]
#[case::more_audiences(json!({"aud": ["web", "other"]}), INVALID)]
#[case::no_time(json!({"iat": null}), INVALID)]
#[case::from_the_future(json!({"iat": 1_011}), INVALID)]
#[case::just_young_enough(json!({"iat": 930}), "a@1100")]
#[case::old(json!({"iat": 929}), INVALID)]
#[case::nothing_inside(json!({"token_introspection": null}), INVALID)]
#[case::says_it_outside(json!({"token_introspection": {}, "active": true}), INVALID)]
#[case::inactive(json!({"token_introspection": {"active": false}}), "inactive")]
fn a_signed_answer_is_for_us_by_that_issuer(#[case] change: Value, #[case] expected: &str) {
    let mut claims = json!({
        "iss": ISSUER, "aud": "web", "iat": NOW,
        "token_introspection": {"active": true, "scope": "a", "exp": 1_100},
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    assert_eq!(judged(|rules, claims| rules.check_signed_introspection(claims), claims), expected);
}

// proves: PX-20
#[rstest]
#[case::fine(json!({}), "a@1100")]
#[case::other_issuer(json!({"iss": "https://evil.example"}), INVALID)]
#[case::endless(json!({"exp": null}), INVALID)]
#[case::over(json!({"exp": 990}), "inactive")]
#[case::not_yet(json!({"nbf": 1_011}), "inactive")]
#[case::never(json!({"nbf": "later"}), INVALID)]
fn a_phantoms_jwt_is_that_issuers_and_lives(#[case] change: Value, #[case] expected: &str) {
    let mut claims = json!({"iss": ISSUER, "aud": "api", "exp": 1_100, "scope": "a"});
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    assert_eq!(judged(|rules, claims| rules.check_access_token(claims), claims), expected);
}
