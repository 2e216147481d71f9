//! Userinfo: about the same user, beneath the ID token, plain or signed; claims kept elsewhere stay there.

use cloakroom::oidc::OidcError;
use rstest::rstest;
use serde_json::{Value, json};

use super::setup::Setup;
use crate::support::hostile_op::{Endpoint, HostileOp, Knobs, Reply, SigningKeys, edit, set};

// proves: ID-17
#[rstest]
#[tokio::test]
async fn userinfo_adds_claims_beneath_the_id_tokens_own(#[values(false, true)] signed: bool) {
    let setup = Setup::turned(|knobs| knobs.signed_userinfo = signed).await;
    let login = setup.login().await.unwrap();
    assert_eq!(login.claims.all["name"], "Alice");
    assert_eq!(login.claims.all["email"], "alice@example.com");
    assert_eq!(login.claims.acr.as_deref(), Some("gold"));
    let requests = setup.op.requests(Endpoint::Userinfo);
    let bearer = format!("Bearer {}", login.tokens.access_token.expose());
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].header("authorization")),
        ("GET", Some(bearer.as_str()))
    );
}

#[tokio::test]
async fn userinfo_is_not_read_unless_configured() {
    let setup = Setup::new().await;
    assert!(!setup.login().await.unwrap().claims.all.contains_key("name"));
    assert_eq!(setup.op.calls(Endpoint::Userinfo), 0);
}

// proves: ID-17
#[rstest]
#[case::other("sub", Some(json!("bob")), "userinfo_sub_mismatch")]
#[case::longer("sub", Some(json!("alice1")), "userinfo_sub_mismatch")]
#[case::number("sub", Some(json!(1)), "userinfo_sub_mismatch")]
#[case::missing("sub", None, "userinfo_sub_mismatch")]
#[tokio::test]
async fn userinfo_about_somebody_else_is_refused(
    #[case] name: &'static str,
    #[case] value: Option<Value>,
    #[case] code: &str,
    #[values(false, true)] signed: bool,
) {
    let setup = Setup::turned(|knobs| {
        knobs.userinfo = set(name, value);
        knobs.signed_userinfo = signed;
    })
    .await;
    assert_eq!(setup.login().await.unwrap_err().code(), code);
}

// proves: ID-17
#[rstest]
#[case::iss(|knobs: &mut Knobs| knobs.userinfo = set("iss", Some(json!("https://evil.example.com"))))]
#[case::no_iss(|knobs: &mut Knobs| knobs.userinfo = set("iss", None))]
#[case::aud(|knobs: &mut Knobs| knobs.userinfo = set("aud", Some(json!("other"))))]
#[case::no_aud(|knobs: &mut Knobs| knobs.userinfo = set("aud", None))]
#[tokio::test]
async fn signed_userinfo_for_somebody_else_is_refused(#[case] change: fn(&mut Knobs)) {
    let setup = Setup::turned(|knobs| knobs.signed_userinfo = true).await;
    setup.op.turn(change);
    assert_eq!(setup.login().await.unwrap_err(), OidcError::UserinfoInvalid);
}

// proves: ID-17
#[tokio::test]
async fn signed_userinfo_by_a_wrong_key_or_none_is_refused() {
    let setup = Setup::with(|config| config.userinfo = true).await;
    let header = json!({"alg": "RS256", "kid": "k1"});
    let claims = json!({"iss": setup.op.issuer, "aud": "web", "sub": "alice"});
    let forged = SigningKeys::shared().other_rsa.sign(&header, &claims, "RS256");
    for body in [forged, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.".to_owned()] {
        setup.op.answer_with(Endpoint::Userinfo, Reply::new(200, "application/jwt", body));
        assert_eq!(setup.login().await.unwrap_err(), OidcError::UserinfoInvalid);
    }
}

// proves: ID-17
#[rstest]
#[case::unauthorized(Reply::json(401, &json!({"error": "invalid_token"})), "userinfo_invalid")]
#[case::html(Reply::new(200, "text/html", "{\"sub\":\"alice\"}"), "userinfo_invalid")]
#[case::plain_jwt_type(
    Reply::new(200, "application/jwt", "{\"sub\":\"alice\"}"),
    "userinfo_invalid"
)]
#[case::array(Reply::json(200, &json!([])), "userinfo_invalid")]
#[case::down(Reply::new(503, "text/plain", ""), "userinfo_unavailable")]
#[tokio::test]
async fn a_userinfo_answer_that_is_none_is_refused(#[case] reply: Reply, #[case] code: &str) {
    let setup = Setup::with(|config| config.userinfo = true).await;
    setup.op.answer_with(Endpoint::Userinfo, reply);
    assert_eq!(setup.login().await.unwrap_err().code(), code);
}

#[tokio::test]
async fn configured_userinfo_without_an_endpoint_is_a_failure() {
    let setup = Setup::turned(|knobs| knobs.discovery = set("userinfo_endpoint", None)).await;
    assert_eq!(setup.login().await.unwrap_err(), OidcError::UserinfoInvalid);
}

// proves: ID-23
#[tokio::test]
async fn distributed_and_aggregated_claims_are_dropped_and_never_fetched() {
    let elsewhere = HostileOp::start(Setup::new().await.clock).await;
    let sources = json!({
        "a": {"endpoint": format!("{}/claims", elsewhere.issuer), "access_token": "t"},
        "b": {"JWT": "e30.e30."},
    });
    let names = json!({"salary": "a", "age": "b"});
    let add = move |claims: &mut serde_json::Map<String, Value>| {
        claims.insert("_claim_names".to_owned(), names.clone());
        claims.insert("_claim_sources".to_owned(), sources.clone());
    };
    let setup = Setup::turned(|knobs| {
        knobs.claims = edit(add.clone());
        knobs.userinfo = edit(add);
    })
    .await;
    let login = setup.login().await.unwrap();
    assert!(login.claims.all.keys().all(|name| !name.starts_with('_')));
    assert!(!login.claims.all.contains_key("salary"));
    assert_eq!(elsewhere.calls(Endpoint::Other), 0);
}

// proves: ID-17
#[tokio::test]
async fn a_plain_answer_is_refused_where_a_signed_one_was_agreed_on() {
    let agreed = async |is_signed: bool| {
        let setup = Setup::with(|config| {
            (config.userinfo, config.userinfo_signed) = (true, true);
        })
        .await;
        setup.op.turn(|knobs| knobs.signed_userinfo = is_signed);
        let login = setup.login().await;
        let asked = setup.op.requests(Endpoint::Userinfo);
        assert_eq!(asked[0].header("accept"), Some("application/jwt"));
        login.map(|login| login.claims.all["name"].clone())
    };
    assert_eq!(agreed(true).await.unwrap(), "Alice");
    assert_eq!(agreed(false).await.unwrap_err(), OidcError::UserinfoInvalid);
}
