//! Tokens for single APIs, cut from the login's grant by refreshing (RFC 8707), while the refresh token changes under every one of them.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;

use super::instances::{in_contact, stop};
use super::resource_apis::{APIS, Apis, Place, setup, url_of, with_login_token};
use super::setup::{error_of, hostile_op, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, Rotation};
use crate::support::hostile_upstream::until;
use crate::support::redis::Redis;
use crate::support::stack::{Setup, Stack};

// proves: AR-16, AR-20, FA-11
#[rstest]
#[case::rotating(Rotation::Always)]
#[case::lasting(Rotation::Never)]
#[tokio::test(flavor = "multi_thread")]
async fn each_api_gets_a_token_that_the_others_refuse(#[case] rotation: Rotation) {
    let place = Place::start_with(rotation, with_login_token).await;
    let authorize = place.stack.begin_login(&Browser::new(), "").await;
    let asked: Vec<String> = url::Url::parse(&authorize)
        .unwrap()
        .query_pairs()
        .filter(|(name, _)| name == "resource")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(asked, APIS.map(url_of), "the grant is for all of them");
    for _ in 0..3 {
        for name in APIS {
            assert_eq!(place.code(&format!("/{name}/x")).await, name);
        }
    }
    // The login's own token is for the first alone.
    assert_eq!(place.code("/login-token/x").await, "orders");
    assert_eq!(place.get("/login-token-for-billing/x").await.status, 403);
    assert_eq!(place.asked(), ["orders", "orders", "billing", "stock"], "each once");
    let refreshes = place.op.requests(Endpoint::Token);
    for request in refreshes.iter().skip(1) {
        assert_eq!(request.field("scope").as_deref(), Some("read"), "no more than the route needs");
    }
    let counts: Vec<usize> = (0..3).map(|index| place.apis.tokens(index).len()).collect();
    assert_eq!((counts, place.op.reused()), (vec![2, 2, 1], 0));
    place.stack.stop().await;
}

// proves: RF-03, RF-04, AR-20
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_to_many_apis_at_once_use_each_refresh_token_once_and_the_browser_gets_the_last()
{
    let place = Place::start(Rotation::Always).await;
    for round in 1..=3 {
        let tabs: Vec<(Browser, &str)> =
            (0..21).map(|n| (place.browser.copy(), APIS[n % 3])).collect();
        let calls = tabs.iter().map(async |(tab, name)| {
            (place.stack.fetch(tab, "GET", &format!("/{name}/x")).await, *name)
        });
        for (page, name) in futures_util::future::join_all(calls).await {
            assert_eq!((page.status.as_u16(), page.body.as_str()), (200, name), "{round}");
        }
        assert_eq!(place.op.reused(), 0, "{round}");
        // One of the tabs' answers came last, and has the newest; the jar of a real browser is one.
        assert_eq!(place.code("/orders/x").await, "orders");
        // The login's token ends, and those that were got beside it.
        place.stack.clock.advance(Duration::from_secs(301));
    }
    // Once for each API in each round, and for the login's own in the second and the third.
    assert_eq!(place.asked().len(), 1 + 3 + 2 * 4);
    // Whoever has forgotten everything goes on with what the browser has.
    let again = setup(&place.op, &place.apis, "");
    let stack = place.stack.restart_at_same_port(again).await;
    let place = Place { stack, ..place };
    assert_eq!(place.code("/billing/x").await, "billing");
    assert_eq!((place.op.reused(), place.op.refresh_tokens()), (0, 1));
    place.stack.stop().await;
}

// proves: RF-04
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_the_call_that_a_token_was_cut_for_brings_the_next_refresh_token() {
    let place = Place::start(Rotation::Always).await;
    assert_eq!(place.code("/billing/x").await, "billing");
    // Nobody remembers anything but the browser.
    let stack = place.stack.restart_at_same_port(setup(&place.op, &place.apis, "")).await;
    let place = Place { stack, ..place };
    assert_eq!((place.code("/stock/x").await.as_str(), place.op.reused()), ("stock", 0));
    place.stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_token_is_replaced_though_a_newer_generation_has_the_same_one() {
    let place = Place::start_with(Rotation::Always, with_login_token).await;
    let stale = place.browser.copy();
    assert_eq!(place.code("/billing/x").await, "billing");
    *place.apis.refuse.lock().unwrap() = 1;
    let page = place.stack.fetch(&stale, "GET", "/login-token/x").await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "orders"));
    assert_eq!((place.apis.tokens(0).len(), place.op.reused()), (2, 0));
    place.stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_its_api_refuses_is_replaced_and_the_call_repeated_once() {
    let place = Place::start(Rotation::Always).await;
    assert_eq!(place.code("/billing/x").await, "billing");
    *place.apis.refuse.lock().unwrap() = 1;
    assert_eq!(place.code("/billing/x").await, "billing");
    assert_eq!(place.apis.tokens(1).len(), 2, "another one");
    *place.apis.refuse.lock().unwrap() = 9;
    assert_eq!(place.get("/billing/x").await.status, 401);
    assert_eq!(*place.apis.refuse.lock().unwrap(), 7, "twice, no oftener");
    assert_eq!(place.op.reused(), 0);
    assert!(place.is_signed_in().await);
    place.stack.stop().await;
}

// proves: RF-04
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_given_up_loses_no_refresh_token() {
    let place = Place::start(Rotation::Always).await;
    // The answer never reaches this tab: its cookies stay what they were.
    let given_up = place.browser.copy();
    let call = place.stack.fetch(&given_up, "GET", "/billing/x");
    let _gone = tokio::time::timeout(Duration::from_millis(1), call).await;
    until(|| place.asked().len() == 2).await;
    let cookies = place.browser.jar();
    until(|| place.op.refresh_tokens() == 1).await;
    // Whatever is asked next brings what changed, though everybody has forgotten it then.
    for _ in 0..100 {
        assert_eq!(place.stack.fetch(&place.browser, "POST", "/refresh").await.status, 200);
        if place.browser.jar() != cookies {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(place.browser.jar(), cookies);
    let stack = place.stack.restart_at_same_port(setup(&place.op, &place.apis, "")).await;
    let place = Place { stack, ..place };
    place.stack.clock.advance(Duration::from_secs(301));
    assert_eq!(place.code("/orders/x").await, "orders");
    assert_eq!(place.op.reused(), 0);
    place.stack.stop().await;
}

// proves: LO-03
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_revokes_the_last_refresh_token_and_drops_the_tokens_of_apis() {
    let place = Place::start(Rotation::Always).await;
    for name in APIS {
        assert_eq!(place.code(&format!("/{name}/x")).await, name);
    }
    assert_eq!(place.op.refresh_tokens(), 1);
    assert_eq!(place.stack.fetch(&place.browser, "POST", "/logout").await.status, 200);
    until(|| place.op.refresh_tokens() == 0).await;
    assert_eq!(place.code("/orders/x").await, "401/not_logged_in");
    place.stack.stop().await;
}

// proves: RF-03, RF-07
#[rstest]
#[case::in_cookies("")]
#[case::on_the_server("store = \"redis\"\n")]
#[tokio::test(flavor = "multi_thread")]
async fn instances_take_turns_and_each_has_a_token_of_its_own(#[case] store: &str) {
    let redis = Redis::start();
    let op = Arc::new(hostile_op(Setup::default().clock).await);
    op.turn(|knobs| knobs.rotation = Rotation::Always);
    let apis = Apis::start(&op).await;
    let shared = || Setup {
        session: store.to_owned(),
        ..setup(&op, &apis, &format!("[redis]\nurl = \"{}\"\n", redis.url()))
    };
    let one = Stack::start(shared()).await;
    let two = one.beside(shared());
    in_contact(&one).await;
    in_contact(&two).await;
    let browser = Browser::new();
    assert_eq!(error_of(&log_in(&op, &one, &browser).await), None);
    for round in 1..=3 {
        let tabs: Vec<(Browser, &Stack, &str)> = (0..24)
            .map(|n| (browser.copy(), if n % 2 == 0 { &one } else { &two }, APIS[n % 3]))
            .collect();
        let calls = tabs.iter().map(async |(tab, stack, name)| {
            (stack.fetch(tab, "GET", &format!("/{name}/x")).await, *name)
        });
        for (page, name) in futures_util::future::join_all(calls).await {
            assert_eq!((page.status.as_u16(), page.body.as_str()), (200, name), "{round}");
        }
        assert_eq!(op.reused(), 0, "{round}");
        assert_eq!(one.fetch(&browser, "GET", "/orders/x").await.body, "orders");
        op.clock.advance(Duration::from_secs(301));
    }
    // For each instance and API once in each round, and the login's own once for both.
    let calls = op.calls(Endpoint::Token);
    assert!((1 + 6 * 3 + 2..=1 + 6 * 3 + 2 * 2).contains(&calls), "{calls}");
    assert_eq!(op.refresh_tokens(), 1);
    stop([one, two]).await;
}
