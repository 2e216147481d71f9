//! The claim rules, one broken claim at a time.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://op.example.com";

fn issuer() -> Issuer {
    Issuer::new(ISSUER, None, &[]).unwrap()
}

fn rules<'a>(issuer: &'a Issuer, trusted: &'a [String]) -> Rules<'a> {
    Rules {
        issuer,
        client_id: "web",
        trusted_audiences: trusted,
        skew: Duration::from_secs(30),
        max_age: None,
        now: Timestamp(NOW),
    }
}

fn good() -> Map<String, Value> {
    let claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "web", "exp": NOW + 300, "iat": NOW, "nonce": "n",
        "sid": "s1", "auth_time": NOW - 60, "acr": "gold",
    });
    claims.as_object().unwrap().clone()
}

/// `None` removes the claim.
fn check_with(name: &str, value: Option<Value>) -> Result<IdClaims, IdTokenFault> {
    let mut claims = good();
    match value {
        Some(value) => drop(claims.insert(name.to_owned(), value)),
        None => drop(claims.remove(name)),
    }
    rules(&issuer(), &[]).check(claims)
}

#[test]
fn a_good_token_tells_who_logged_in_when_and_how() {
    let claims = rules(&issuer(), &[]).check(good()).unwrap();
    assert_eq!((claims.iss.as_str(), claims.sub.as_str()), (ISSUER, "alice"));
    assert_eq!((claims.sid.as_deref(), claims.acr.as_deref()), (Some("s1"), Some("gold")));
    assert_eq!(claims.auth_time, Some(Timestamp(NOW - 60)));
    assert_eq!(claims.all, good());
}

// proves: ID-01, ID-02, ID-03, ID-04, ID-11, ID-16
#[rstest]
#[case("iss", json!("https://op.example.com1"), IdTokenFault::Issuer)]
#[case("iss", json!("https://op.example.com/"), IdTokenFault::Issuer)]
#[case("iss", json!("https://OP.example.com"), IdTokenFault::Issuer)]
#[case("iss", json!(["https://op.example.com"]), IdTokenFault::Issuer)]
#[case("iss", json!(1), IdTokenFault::Issuer)]
#[case("aud", json!("web1"), IdTokenFault::Audience)]
#[case("aud", json!("we"), IdTokenFault::Audience)]
#[case("aud", json!("WEB"), IdTokenFault::Audience)]
#[case("aud", json!([]), IdTokenFault::Audience)]
#[case("aud", json!([{"web": "web"}]), IdTokenFault::Audience)]
#[case("aud", json!(["web", "other"]), IdTokenFault::Audience)]
#[case("aud", json!(["web", 1]), IdTokenFault::Audience)]
#[case("aud", json!({"web": 1}), IdTokenFault::Audience)]
#[case("azp", json!("other"), IdTokenFault::AuthorizedParty)]
#[case("azp", json!(["web"]), IdTokenFault::AuthorizedParty)]
#[case("azp", Value::Null, IdTokenFault::AuthorizedParty)]
#[case("sub", json!(""), IdTokenFault::Subject)]
#[case("sub", json!(1), IdTokenFault::Subject)]
#[case("sub", json!("a".repeat(256)), IdTokenFault::Subject)]
#[case("sub", json!("älice"), IdTokenFault::Subject)]
#[case("sub", json!("a\nb"), IdTokenFault::Subject)]
#[case("events", json!({}), IdTokenFault::Kind)]
fn a_wrong_claim_is_refused(#[case] name: &str, #[case] value: Value, #[case] fault: IdTokenFault) {
    assert_eq!(check_with(name, Some(value)).unwrap_err(), fault);
}

// proves: ID-01, ID-02, ID-09, ID-10, ID-11
#[rstest]
#[case("iss", IdTokenFault::Issuer)]
#[case("aud", IdTokenFault::Audience)]
#[case("exp", IdTokenFault::Expiry)]
#[case("iat", IdTokenFault::IssuedAt)]
#[case("sub", IdTokenFault::Subject)]
fn a_missing_claim_is_refused(#[case] name: &str, #[case] fault: IdTokenFault) {
    assert_eq!(check_with(name, None).unwrap_err(), fault);
}

// proves: ID-02, ID-03, ID-04, ID-11
#[rstest]
#[case("aud", json!(["web"]))]
#[case("aud", json!(["web", "web"]))]
#[case("azp", json!("web"))]
#[case("sub", json!("a".repeat(255)))]
#[case("sub", json!("auth0|with space"))]
#[case("exp", json!(NOW - 29))]
#[case("exp", json!(1_700_000_300.5))]
#[case("iat", json!(NOW + 30))]
#[case("iat", json!(NOW - 7 * 24 * 3600))]
#[case("nbf", json!(NOW + 30))]
fn what_the_rules_allow_passes(#[case] name: &str, #[case] value: Value) {
    assert!(check_with(name, Some(value)).is_ok());
}

// proves: ID-03, ID-04
#[test]
fn a_second_audience_needs_trust_and_azp_must_still_be_us() {
    let (issuer, trusted) = (issuer(), ["api".to_owned()]);
    let rules = rules(&issuer, &trusted);
    let mut claims = good();
    claims.insert("aud".to_owned(), json!(["api", "web"]));
    assert!(rules.check(claims.clone()).is_ok());
    claims.insert("azp".to_owned(), json!("api"));
    assert_eq!(rules.check(claims.clone()).unwrap_err(), IdTokenFault::AuthorizedParty);
    claims.insert("aud".to_owned(), json!(["api"]));
    assert_eq!(rules.check(claims).unwrap_err(), IdTokenFault::Audience);
}

// proves: ID-09
#[rstest]
#[case::skew_over(json!(NOW - 30))]
#[case::five_minutes(json!(NOW - 300))]
#[case::text(json!("1700000300"))]
#[case::past_float(json!(1_699_999_000.5))]
#[case::negative(json!(-1))]
#[case::two_to_63(json!(9_223_372_036_854_775_808_u64))]
#[case::absurd(json!(1e30))]
#[case::two_years(json!(NOW + 2 * 366 * 24 * 3600))]
#[case::milliseconds(json!(NOW * 1000))]
#[case::array(json!([NOW + 300]))]
#[case::null(Value::Null)]
fn an_expiry_is_a_number_in_the_near_future(#[case] exp: Value) {
    assert_eq!(check_with("exp", Some(exp)).unwrap_err(), IdTokenFault::Expiry);
}

// proves: ID-10
#[rstest]
#[case::skew_over(json!(NOW + 31))]
#[case::an_hour_ahead(json!(NOW + 3600))]
#[case::text(json!("1700000000"))]
#[case::negative(json!(-1))]
fn an_issue_time_is_a_number_and_not_in_the_future(#[case] iat: Value) {
    assert_eq!(check_with("iat", Some(iat)).unwrap_err(), IdTokenFault::IssuedAt);
}

// proves: ID-10
#[test]
fn the_accepted_age_is_a_setting() {
    let issuer = issuer();
    let strict = Rules { max_age: Some(Duration::from_secs(600)), ..rules(&issuer, &[]) };
    let aged = |age: u64| {
        let mut claims = good();
        claims.insert("iat".to_owned(), json!(NOW - age));
        strict.check(claims).map(drop)
    };
    assert_eq!(aged(630), Ok(()));
    assert_eq!(aged(631), Err(IdTokenFault::IssuedAt));
    assert_eq!(aged(7 * 24 * 3600), Err(IdTokenFault::IssuedAt));
}

#[rstest]
#[case(json!(NOW + 31))]
#[case(json!("0"))]
#[case(Value::Null)]
fn a_token_is_not_used_before_its_time(#[case] nbf: Value) {
    assert_eq!(check_with("nbf", Some(nbf)).unwrap_err(), IdTokenFault::NotBefore);
}

fn login(max_age: Option<u64>, acr_values: Option<&str>) -> LoginRules<'_> {
    LoginRules { nonce: "n", max_age, acr_values }
}

fn check_login(
    name: &str,
    value: Option<Value>,
    wanted: &LoginRules<'_>,
) -> Result<(), IdTokenFault> {
    let issuer = issuer();
    rules(&issuer, &[]).check_login(&check_with(name, value).unwrap(), wanted)
}

// proves: ID-12
#[rstest]
#[case::same(Some(json!("n")), Ok(()))]
#[case::longer(Some(json!("n1")), Err(IdTokenFault::Nonce))]
#[case::other(Some(json!("m")), Err(IdTokenFault::Nonce))]
#[case::array(Some(json!(["n"])), Err(IdTokenFault::Nonce))]
#[case::empty(Some(json!("")), Err(IdTokenFault::Nonce))]
#[case::missing(None, Err(IdTokenFault::Nonce))]
fn the_nonce_is_the_one_sent(
    #[case] said: Option<Value>,
    #[case] expected: Result<(), IdTokenFault>,
) {
    assert_eq!(check_login("nonce", said, &login(None, None)), expected);
}

// proves: ID-14
#[rstest]
#[case::fresh(Some(json!(NOW - 600)), Ok(()))]
#[case::within_skew(Some(json!(NOW - 630)), Ok(()))]
#[case::stale(Some(json!(NOW - 631)), Err(IdTokenFault::AuthTime))]
#[case::future(Some(json!(NOW + 31)), Err(IdTokenFault::AuthTime))]
#[case::text(Some(json!("1700000000")), Err(IdTokenFault::AuthTime))]
#[case::missing(None, Err(IdTokenFault::AuthTime))]
fn an_asked_max_age_is_kept(
    #[case] said: Option<Value>,
    #[case] expected: Result<(), IdTokenFault>,
) {
    assert_eq!(check_login("auth_time", said.clone(), &login(Some(600), None)), expected);
    assert_eq!(check_login("auth_time", said, &login(None, None)), Ok(()));
}

// proves: ID-14
#[test]
fn a_max_age_of_zero_or_without_end_is_arithmetic_too() {
    assert_eq!(
        check_login("auth_time", Some(json!(NOW - 31)), &login(Some(0), None)),
        Err(IdTokenFault::AuthTime)
    );
    assert_eq!(check_login("auth_time", Some(json!(0)), &login(Some(u64::MAX), None)), Ok(()));
}

// proves: ID-15
#[rstest]
#[case::one(Some(json!("gold")), "gold", Ok(()))]
#[case::of_several(Some(json!("gold")), "platinum gold", Ok(()))]
#[case::lower(Some(json!("bronze")), "platinum gold", Err(IdTokenFault::Acr))]
#[case::part(Some(json!("gol")), "gold", Err(IdTokenFault::Acr))]
#[case::number(Some(json!(1)), "1", Err(IdTokenFault::Acr))]
#[case::ignored(None, "gold", Err(IdTokenFault::Acr))]
fn an_asked_acr_is_kept(
    #[case] said: Option<Value>,
    #[case] wanted: &str,
    #[case] expected: Result<(), IdTokenFault>,
) {
    assert_eq!(check_login("acr", said, &login(None, Some(wanted))), expected);
}

// proves: ID-13
#[rstest]
#[case::sha256(Algorithm::ES256, "77QmUPtjPfzWtF2AnpK9RQ")]
#[case::sha256_rsa(Algorithm::RS256, "77QmUPtjPfzWtF2AnpK9RQ")]
fn an_access_token_hash_is_compared(#[case] algorithm: Algorithm, #[case] hash: &str) {
    // OpenID Connect Core §A.3.
    let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    let check = |said: Value| {
        let claims = check_with("at_hash", Some(said)).unwrap();
        check_access_token_hash(&claims, algorithm, access_token)
    };
    assert_eq!(check(json!(hash)), Ok(()));
    for wrong in [json!("77QmUPtjPfzWtF2AnpK9RA"), json!(""), json!(1), Value::Null] {
        assert_eq!(check(wrong), Err(IdTokenFault::AccessTokenHash));
    }
    let without = check_with("at_hash", None).unwrap();
    assert_eq!(check_access_token_hash(&without, algorithm, access_token), Ok(()));
}

// proves: ID-13
#[test]
fn the_hash_follows_the_algorithm() {
    for (algorithm, half) in [
        (Algorithm::PS384, Sha384::digest("t")[..24].to_vec()),
        (Algorithm::RS512, Sha512::digest("t")[..32].to_vec()),
        (Algorithm::EdDSA, Sha512::digest("t")[..32].to_vec()),
    ] {
        let claims = check_with("at_hash", Some(json!(URL_SAFE_NO_PAD.encode(half)))).unwrap();
        assert_eq!(check_access_token_hash(&claims, algorithm, "t"), Ok(()));
        assert_eq!(
            check_access_token_hash(&claims, Algorithm::RS256, "t"),
            Err(IdTokenFault::AccessTokenHash)
        );
    }
}

// proves: RF-09
#[rstest]
#[case::same("sub", Some(json!("alice")), Ok(()))]
#[case::other_user("sub", Some(json!("bob")), Err(IdTokenFault::Subject))]
#[case::same_nonce("nonce", Some(json!("n")), Ok(()))]
#[case::no_nonce("nonce", None, Ok(()))]
#[case::other_nonce("nonce", Some(json!("m")), Err(IdTokenFault::Nonce))]
#[case::odd_nonce("nonce", Some(json!(1)), Err(IdTokenFault::Nonce))]
#[case::no_auth_time("auth_time", None, Ok(()))]
#[case::other_auth_time("auth_time", Some(json!(NOW)), Err(IdTokenFault::AuthTime))]
#[case::odd_auth_time("auth_time", Some(json!("x")), Err(IdTokenFault::AuthTime))]
fn a_refreshed_token_is_about_the_same_login(
    #[case] name: &str,
    #[case] value: Option<Value>,
    #[case] expected: Result<(), IdTokenFault>,
) {
    let known = RefreshExpectation {
        sub: "alice".to_owned(),
        nonce: Some("n".to_owned()),
        auth_time: Some(Timestamp(NOW - 60)),
    };
    assert_eq!(check_refresh(&check_with(name, value).unwrap(), &known), expected);
}

// proves: ID-23
#[test]
fn claims_kept_elsewhere_are_dropped() {
    let sources = json!({"a": {"endpoint": "https://elsewhere.example.com"}});
    let claims = check_with("_claim_sources", Some(sources)).unwrap();
    assert_eq!(claims.all, good());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    // proves: ID-01, ID-02, ID-11
    #[test]
    fn no_other_value_of_a_deciding_claim_passes(
        name in "iss|aud", value in any_json()
    ) {
        let ours = value == json!(ISSUER) || value == json!("web") || value == json!(["web"]);
        prop_assume!(!ours);
        prop_assert!(check_with(&name, Some(value)).is_err());
    }

    #[test]
    fn any_shape_of_any_claim_is_judged_without_panic(
        name in "exp|iat|nbf|sub|azp|auth_time|acr|sid|nonce|at_hash|tid", value in any_json()
    ) {
        if let Ok(claims) = check_with(&name, Some(value)) {
            let issuer = issuer();
            let _ = rules(&issuer, &[]).check_login(&claims, &login(Some(60), Some("gold")));
            let _ = check_access_token_hash(&claims, Algorithm::ES256, "t");
        }
    }
}
