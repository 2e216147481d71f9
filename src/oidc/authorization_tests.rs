//! What an authorization URL holds, whatever is wished for.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::secret::Random;

const ENDPOINT: &str = "https://op.example.com/authorize?policy=b2c";
const REDIRECT: &str = "https://app.example.com/auth/callback";

fn build(params: &[(&str, &str)], extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
    };
    let params: BTreeMap<String, String> = own(params).into_iter().collect();
    let scopes = ["openid", "profile", "sales"].map(ToOwned::to_owned);
    let redirect_uri = RedirectUrl::new(REDIRECT.to_owned()).unwrap();
    let client = Client {
        id: "web",
        redirect_uri: &redirect_uri,
        scopes: &scopes,
        resources: &[],
        details: None,
        params: &params,
        response_mode: crate::config::ResponseMode::Query,
    };
    let request = AuthorizationRequest {
        state: "the-state".to_owned(),
        nonce: "the-nonce".to_owned(),
        code_challenge: "the-challenge".to_owned(),
        extra: own(extra),
    };
    let url = url(&Url::parse(ENDPOINT).unwrap(), client, &request);
    assert!(url.starts_with("https://op.example.com/authorize?policy=b2c&"), "{url}");
    Url::parse(&url).unwrap().query_pairs().into_owned().collect()
}

fn get<'a>(pairs: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
}

/// Whatever is wished for, each protocol parameter is there once and is ours.
fn assert_ours(pairs: &[(String, String)]) {
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "web"),
        ("redirect_uri", REDIRECT),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("code_challenge", "the-challenge"),
        ("code_challenge_method", "S256"),
        ("policy", "b2c"),
    ] {
        assert_eq!(get(pairs, name), [value], "{name}");
    }
    for (name, _) in pairs {
        assert_eq!(get(pairs, name).len(), 1, "{name} came twice");
    }
}

// proves: AR-02, AR-06
#[test]
fn a_plain_request_holds_the_code_flow_s256_state_nonce_and_the_endpoints_own_query() {
    let pairs = build(&[], &[]);
    assert_ours(&pairs);
    assert_eq!(get(&pairs, "scope"), ["openid profile sales"]);
    assert_eq!(pairs.len(), 9);
}

// proves: AR-15
#[rstest]
#[case::narrower("openid sales", "openid sales")]
#[case::openid_stays("sales", "openid sales")]
#[case::admin("admin", "openid")]
#[case::admin_beside("sales admin", "openid sales")]
#[case::empty("", "openid")]
#[case::part_of_a_name("sale", "openid")]
#[case::other_case("SALES", "openid")]
#[case::other_blank("profile\tsales", "openid")]
fn a_wished_scope_can_only_narrow(#[case] wish: &str, #[case] expected: &str) {
    let pairs = build(&[], &[("scope", wish)]);
    assert_ours(&pairs);
    assert_eq!(get(&pairs, "scope"), [expected]);
}

// proves: AR-15
#[rstest]
fn protocol_parameters_in_a_wish_are_ignored(
    #[values(
        "redirect_uri",
        "client_id",
        "client_secret",
        "response_type",
        "response_mode",
        "request",
        "request_uri",
        "code_challenge",
        "code_challenge_method",
        "state",
        "nonce",
        "id_token_hint",
        "registration",
        "resource",
        "audience",
        "anything"
    )]
    name: &str,
) {
    let pairs = build(&[], &[(name, "evil")]);
    assert_ours(&pairs);
    assert!(pairs.iter().all(|(_, value)| value != "evil"), "{pairs:?}");
}

// proves: AR-15, AR-21
#[test]
fn listed_wishes_pass_but_the_operators_own_win() {
    let wishes = [("prompt", "none"), ("login_hint", "al&ice=1"), ("max_age", "600")];
    let pairs = build(&[("max_age", "60"), ("access_type", "offline")], &wishes);
    assert_ours(&pairs);
    assert_eq!(get(&pairs, "prompt"), ["none"]);
    assert_eq!(get(&pairs, "login_hint"), ["al&ice=1"]);
    assert_eq!(get(&pairs, "max_age"), ["60"]);
    assert_eq!(get(&pairs, "access_type"), ["offline"]);
}

// proves: AR-03
#[test]
fn a_challenge_is_the_sha_256_of_its_verifier() {
    // RFC 7636 appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = code_challenge(&Secret::from(verifier));
    assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let by_crate = oauth2::PkceCodeChallenge::from_code_verifier_sha256(
        &oauth2::PkceCodeVerifier::new(verifier.to_owned()),
    );
    assert_eq!(challenge, by_crate.as_str());
}

// proves: AR-03
#[test]
fn a_thousand_challenges_are_distinct_and_no_bit_of_them_is_fixed() {
    let mut seen = HashSet::new();
    let mut ones = [0_u32; 256];
    for _ in 0..1000 {
        let verifier = Random::system().token::<32>();
        assert_eq!(verifier.len(), 43);
        let challenge = code_challenge(&Secret::new(verifier));
        for (bit, count) in ones.iter_mut().enumerate() {
            let bytes = URL_SAFE_NO_PAD.decode(&challenge).unwrap();
            *count += u32::from(bytes[bit / 8] >> (bit % 8) & 1);
        }
        assert!(seen.insert(challenge));
    }
    // Binomial(1000, ½): ±150 is more than nine standard deviations.
    assert!(ones.iter().all(|count| count.abs_diff(500) < 150), "{ones:?}");
}

proptest! {
    // proves: AR-15
    #[test]
    fn no_wish_changes_a_protocol_parameter(name in "[a-z_]{1,20}", value in "\\PC{0,40}", scope in "\\PC{0,40}") {
        prop_assume!(name != "policy");
        let pairs = build(&[], &[(&name, &value), ("scope", &scope)]);
        assert_ours(&pairs);
        let granted = get(&pairs, "scope")[0].to_owned();
        prop_assert!(granted.split(' ').all(|s| ["openid", "profile", "sales"].contains(&s)));
    }
}
