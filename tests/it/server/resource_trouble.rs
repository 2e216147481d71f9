//! Tokens for single APIs when something goes wrong: refusals, outages, answers of no use, logouts in between. No refresh token is sent twice.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::problem_code;
use super::resource_apis::{APIS, Place};
use super::setup::{error_of, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, Reply, Rotation, set};
use crate::support::hostile_upstream::until;

// proves: RF-05, PX-22
#[rstest]
#[case::invalid_target("invalid_target")]
#[case::invalid_scope("invalid_scope")]
#[case::unauthorized("unauthorized_client")]
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_the_server_gives_no_token_for_costs_nobody_the_session(#[case] error: &str) {
    let place = Place::start(Rotation::Always).await;
    let refusal = Reply::json(400, &json!({ "error": error }));
    place.op.answer_with(Endpoint::Token, refusal);
    for _ in 0..3 {
        assert_eq!(place.code("/billing/x").await, "502/api_token_refused");
    }
    assert_eq!(place.asked(), ["orders", "billing"], "a refusal is believed for a while");
    place.op.answer_honestly(Endpoint::Token);
    assert!(place.is_signed_in().await);
    // No pause for the others, as after an outage.
    assert_eq!(place.code("/orders/x").await, "orders");
    place.stack.clock.advance(Duration::from_secs(31));
    assert_eq!(place.code("/billing/x").await, "billing");
    assert_eq!(place.op.reused(), 0);
    place.stack.stop().await;
}

// proves: RF-05
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_one_and_a_grant_that_is_gone_ends_the_session() {
    let place = Place::start(Rotation::Always).await;
    place.op.answer_with(Endpoint::Token, Reply::new(500, "text/html", "<h1>"));
    assert_eq!(place.code("/billing/x").await, "503/provider_unavailable");
    assert!(place.is_signed_in().await);
    place.op.answer_honestly(Endpoint::Token);
    place.stack.clock.advance(Duration::from_secs(30));
    assert_eq!(place.code("/billing/x").await, "billing");

    let gone = Reply::json(400, &json!({ "error": "invalid_grant" }));
    place.op.answer_with(Endpoint::Token, gone);
    let page = place.get("/stock/x").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "session_expired"));
    assert!(place.browser.jar().is_empty(), "{:?}", place.browser.jar());
    assert_eq!(place.code("/orders/x").await, "401/not_logged_in");
    place.stack.stop().await;
}

// proves: LO-03, RF-03
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_for_their_token_when_the_user_logs_out_use_no_refresh_token_and_do_not_go_out()
 {
    let place = Place::start(Rotation::Always).await;
    place.op.delay_tokens(Duration::from_millis(400));
    let tabs = [place.browser.copy(), place.browser.copy(), place.browser.copy()];
    let calls = tabs.iter().zip(APIS).map(async |(tab, name)| {
        place.stack.fetch(tab, "GET", &format!("/{name}/x")).await.status.as_u16()
    });
    let logout = async {
        until(|| place.asked().len() == 2).await;
        place.stack.fetch(&place.browser, "POST", "/logout").await.status.as_u16()
    };
    let (calls, logout) = tokio::join!(futures_util::future::join_all(calls), logout);
    assert_eq!((calls, logout), (vec![401, 401, 401], 200));
    until(|| place.op.refresh_tokens() == 0).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    // The code, and the one that ran when the user went.
    assert_eq!((place.op.reused(), place.asked().len()), (0, 2));
    assert_eq!((0..3).map(|index| place.apis.tokens(index).len()).sum::<usize>(), 0);
    assert_eq!(place.op.refresh_tokens(), 0, "nothing came after the logout");
    place.stack.stop().await;
}

// proves: RF-02, RF-05
#[rstest]
#[case::another_type("token_type", json!("mac"))]
#[case::no_access_token("access_token", json!(7))]
#[case::no_text("id_token", json!(7))]
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_no_use_brings_its_refresh_token_all_the_same(
    #[case] name: &str,
    #[case] value: serde_json::Value,
) {
    let place = Place::start(Rotation::Always).await;
    place.op.turn(|knobs| knobs.token_response = set(name, Some(value.clone())));
    // An API's own.
    let code = place.code("/billing/x").await;
    let ends = name == "id_token";
    assert_eq!(code, if ends { "401/session_expired" } else { "502/api_token_refused" });
    if ends {
        return place.stack.stop().await;
    }
    place.op.turn(|knobs| knobs.token_response = set("x", None));
    assert_eq!((place.code("/orders/x").await.as_str(), place.op.reused()), ("orders", 0));
    // The login's.
    place.stack.clock.advance(Duration::from_secs(301));
    place.op.turn(|knobs| knobs.token_response = set(name, Some(value)));
    assert_eq!(place.code("/orders/x").await, "503/provider_unavailable");
    place.op.turn(|knobs| knobs.token_response = set("x", None));
    place.stack.clock.advance(Duration::from_secs(30));
    assert_eq!((place.code("/orders/x").await.as_str(), place.op.reused()), ("orders", 0));
    place.stack.stop().await;
}

// proves: RF-08
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_has_ended_costs_a_token_for_an_api_and_not_the_session() {
    let place = Place::start(Rotation::Always).await;
    place.op.turn(|knobs| knobs.token_response = set("refresh_expires_in", Some(json!(60))));
    let other = Browser::new();
    assert_eq!(error_of(&log_in(&place.op, &place.stack, &other).await), None);
    let place = Place { browser: other, ..place };
    place.stack.clock.advance(Duration::from_secs(61));
    let before = place.op.calls(Endpoint::Token);
    assert_eq!(place.code("/billing/x").await, "502/api_token_refused");
    assert_eq!(place.op.calls(Endpoint::Token), before);
    assert!(place.is_signed_in().await, "its access token lives on");
    place.stack.stop().await;
}

// proves: PX-22
#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_a_refresh_token_gets_a_clear_answer_and_stays() {
    let place = Place::start(Rotation::Always).await;
    place.op.turn(|knobs| knobs.token_response = set("refresh_token", None));
    let other = Browser::new();
    assert_eq!(error_of(&log_in(&place.op, &place.stack, &other).await), None);
    let place = Place { browser: other, ..place };
    let before = place.op.calls(Endpoint::Token);
    assert_eq!(place.code("/billing/x").await, "502/api_token_refused");
    assert_eq!(place.op.calls(Endpoint::Token), before);
    assert!(place.is_signed_in().await);
    place.stack.stop().await;
}
