//! Signed authorization responses (JARM): only the signed parameter counts, and only when it is this server's, for us, now.

use rstest::rstest;
use serde_json::{Map, Value, json};

use super::setup::{error_of, hostile_with};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp};
use crate::support::html::forms;
use crate::support::stack::{CLIENT_ID, Setup, Stack};

type Claims = Map<String, Value>;
type Edit = fn(&mut Claims);

async fn started(mode: &str) -> (HostileOp, Stack, Browser, String) {
    let provider = format!("response_mode = \"{mode}\"");
    let (op, stack) = hostile_with(Setup { provider, ..Setup::default() }).await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "?return_to=/there").await;
    assert!(authorize.contains(&format!("response_mode={mode}")), "{authorize}");
    (op, stack, browser, authorize)
}

/// The answer to `authorize` as the server signs it, its claims changed before.
fn response(op: &HostileOp, authorize: &str, edit: Edit) -> String {
    let own = op.authorize(authorize).into_iter().map(|(name, value)| (name, json!(value)));
    let mut claims: Map<String, Value> = own.collect();
    claims.insert("aud".to_owned(), json!(CLIENT_ID));
    claims.insert("exp".to_owned(), json!(op.clock.now().0 + 60));
    edit(&mut claims);
    op.signed(&Value::Object(claims))
}

async fn back(stack: &Stack, browser: &Browser, parameters: &[(&str, &str)]) -> Page {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    browser.get_from_elsewhere(&format!("{}?{}", stack.url("/callback"), query.finish())).await
}

// proves: CB-13, FA-16
#[rstest]
#[case::as_it_is(|_: &mut Claims| {}, None)]
#[case::an_error(|claims: &mut Claims| {
    claims.remove("code");
    claims.insert("error".to_owned(), json!("access_denied"));
}, Some("login_denied"))]
#[case::both(|claims: &mut Claims| drop(claims.insert("error".to_owned(), json!("access_denied"))), Some("login_failed"))]
#[case::neither(|claims: &mut Claims| drop(claims.remove("code")), Some("login_failed"))]
#[case::several_audiences(|claims: &mut Claims| drop(claims.insert("aud".to_owned(), json!([CLIENT_ID, "other"]))), Some("login_failed"))]
#[case::exp_as_text(|claims: &mut Claims| drop(claims.insert("exp".to_owned(), json!("9999999999"))), Some("login_failed"))]
#[case::an_id_token(|claims: &mut Claims| drop(claims.insert("sub".to_owned(), json!("alice"))), Some("login_failed"))]
#[case::a_logout_token(|claims: &mut Claims| drop(claims.insert("events".to_owned(), json!({}))), Some("login_failed"))]
#[case::another_state(|claims: &mut Claims| drop(claims.insert("state".to_owned(), json!("other"))), Some("login_cookie_missing"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_response_says_what_a_plain_one_would(
    #[case] edit: Edit,
    #[case] error: Option<&str>,
) {
    let (op, stack, browser, authorize) = started("query.jwt").await;
    let jwt = response(&op, &authorize, edit);
    let landed = back(&stack, &browser, &[("response", &jwt)]).await;
    assert_eq!(error_of(&landed).as_deref(), error);
    assert_eq!(stack.session(&browser).await["authenticated"], error.is_none());
    assert_eq!(op.calls(Endpoint::Token), usize::from(error.is_none()));
    stack.stop().await;
}

// proves: CB-13
#[tokio::test(flavor = "multi_thread")]
async fn nothing_beside_it_counts_and_a_plain_answer_is_none() {
    let (op, stack, browser, authorize) = started("query.jwt").await;
    let jwt = response(&op, &authorize, |_| {});
    let plain = op.authorize(&authorize);
    let plain: Vec<_> = plain.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, value) in &plain {
        let landed = back(&stack, &browser, &[("response", &jwt), (name, value)]).await;
        assert_eq!(error_of(&landed).as_deref(), Some("login_failed"), "{name}");
    }
    let twice = back(&stack, &browser, &[("response", &jwt), ("response", &jwt)]).await;
    assert_eq!(error_of(&twice).as_deref(), Some("login_failed"));
    assert_eq!(error_of(&back(&stack, &browser, &plain).await).as_deref(), Some("login_failed"));
    assert_eq!(op.calls(Endpoint::Token), 0);
    // What was refused has used up nothing.
    assert_eq!(error_of(&back(&stack, &browser, &[("response", &jwt)]).await), None);
    stack.stop().await;

    // Where none was asked for, the parameter means nothing.
    let (op, stack) = hostile_with(Setup::default()).await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "").await;
    let jwt = response(&op, &authorize, |_| {});
    let landed = back(&stack, &browser, &[("response", &jwt)]).await;
    assert_eq!(error_of(&landed).as_deref(), Some("login_failed"));
    stack.stop().await;
}

// proves: CB-13
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_keys_because_of_a_foreign_response() {
    let (op, stack, browser, authorize) = started("query.jwt").await;
    let edit: Edit = |claims| drop(claims.insert("iss".to_owned(), json!("https://evil.example")));
    let jwt = response(&op, &authorize, edit);
    let before = op.calls(Endpoint::Jwks);
    let landed = back(&stack, &browser, &[("response", &jwt)]).await;
    assert_eq!(error_of(&landed).as_deref(), Some("issuer_mismatch"));
    assert_eq!((op.calls(Endpoint::Jwks), op.calls(Endpoint::Token)), (before, 0));
    stack.stop().await;
}

// proves: CB-12, CB-13
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_form_of_another_site_is_posted_once_more_too() {
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    let (op, stack, browser, authorize) = started("form_post.jwt").await;
    let jwt = response(&op, &authorize, |_| {});
    let body = format!("response={jwt}");
    let elsewhere = [FORM, ("sec-fetch-site", "cross-site")];
    let page = Browser::new().send("POST", &stack.url("/callback"), &elsewhere, &body).await;
    let [again] = &forms(&page.body)[..] else { panic!("one form: {}", page.body) };
    let fields = again.inputs.iter().map(|input| (input.name.as_str(), input.value.as_str()));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let here = [FORM, ("sec-fetch-site", "same-origin")];
    let landed = browser.send("POST", &stack.url("/callback"), &here, &body).await;
    assert_eq!(landed.headers["location"].to_str().unwrap(), stack.url("/there"));
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}
