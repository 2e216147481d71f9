//! Refreshing: once per token however many tabs ask, and no outage logs anybody out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::setup::{hostile, log_in};
use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, Reply};
use crate::support::hostile_upstream::{HostileUpstream, Step, ok};
use crate::support::stack::{Setup, Stack};

async fn logged_in() -> (Stack, Browser) {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    (stack, browser)
}

// proves: RF-02, RF-03, RF-06
#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_expiry_cost_one_refresh_and_none_of_them_fails() {
    let (stack, browser) = logged_in().await;
    for round in 1..=2 {
        stack.clock.advance(Duration::from_secs(301));
        let tabs: Vec<Browser> = (0..50).map(|_| browser.copy()).collect();
        let calls = tabs.iter().map(|tab| stack.fetch(tab, "GET", "/api/echo"));
        for page in futures_util::future::join_all(calls).await {
            assert_eq!(page.status, 200, "{}", page.body);
            assert!(!set_cookies(&page).is_empty(), "each tab gets the new generation");
        }
        assert_eq!(stack.provider().calls().refreshes, round);
        // The rotated token reached the browser: the next round works.
        assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    }
    stack.stop().await;
}

// proves: RF-11
#[tokio::test(flavor = "multi_thread")]
async fn inside_the_early_window_a_call_refreshes_beside_itself() {
    let (stack, browser) = logged_in().await;
    stack.clock.advance(Duration::from_secs(230));
    assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    assert_eq!(stack.provider().calls().refreshes, 0, "too early");
    stack.clock.advance(Duration::from_secs(20));
    assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    assert_eq!(stack.provider().calls().refreshes, 1);
    assert_eq!(stack.session(&browser).await["access_token_expires_in"], 300);
    stack.stop().await;
}

// proves: RF-12
#[tokio::test(flavor = "multi_thread")]
async fn the_refresh_endpoint_contacts_the_authorization_server_only_near_the_end() {
    let (stack, browser) = logged_in().await;
    let page = stack.fetch(&browser, "POST", "/refresh").await;
    assert_eq!(
        (page.status.as_u16(), page.headers["cache-control"].to_str().unwrap()),
        (200, "no-store")
    );
    let answer: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    assert!(answer["access_token_expires_in"].as_u64().unwrap() > 290);
    assert_eq!(stack.provider().calls().refreshes, 0);
    stack.clock.advance(Duration::from_secs(299));
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
    assert_eq!(stack.provider().calls().refreshes, 1);
    assert_eq!(stack.fetch(&Browser::new(), "POST", "/refresh").await.status, 401);
    stack.stop().await;
}

// proves: CS-09, RF-12
#[tokio::test(flavor = "multi_thread")]
async fn no_safe_method_refreshes() {
    let (stack, browser) = logged_in().await;
    stack.clock.advance(Duration::from_secs(299));
    for method in ["GET", "HEAD", "OPTIONS"] {
        let page = stack.fetch(&browser, method, "/refresh").await;
        assert_eq!((page.status.as_u16(), &page.headers["allow"]), (405, &"POST".parse().unwrap()));
        assert!(set_cookies(&page).is_empty(), "{method}");
    }
    for (method, path) in [("GET", "/session"), ("HEAD", "/session"), ("GET", "/logged-out")] {
        let page = stack.fetch(&browser, method, path).await;
        assert!(set_cookies(&page).is_empty(), "{method} {path}");
    }
    assert_eq!(stack.provider().calls().refreshes, 0);
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

// proves: RF-05, EL-06
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_authorization_server_logs_nobody_out() {
    let (mut stack, browser) = logged_in().await;
    stack.stop_provider().await;
    // The session goes on as long as its access token does.
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.clock.advance(Duration::from_secs(301));
    for _ in 0..2 {
        let page = stack.fetch(&browser, "POST", "/refresh").await;
        assert_eq!(
            (page.status.as_u16(), problem_code(&page).as_str()),
            (503, "provider_unavailable")
        );
        assert!(page.headers.contains_key("retry-after"));
        assert!(set_cookies(&page).is_empty(), "cookies kept");
    }
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    // Whoever wants to log in now is sent there: what the authorization server said of itself is still known.
    let link = crate::support::stack::LINK;
    let page = Browser::new().send("GET", &stack.url("/login"), &link, "").await;
    assert_eq!(page.status, 303);
    stack.stop().await;
}

// proves: RF-05
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_over_ends_the_session() {
    let (stack, browser) = logged_in().await;
    let copy = browser.copy();
    stack.clock.advance(Duration::from_secs(301));
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
    // The next generation has arrived.
    assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    // Long after, somebody comes with the old generation: its refresh token is used up, the server ends the grant.
    stack.clock.advance(Duration::from_secs(301));
    let page = stack.fetch(&copy, "POST", "/refresh").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "session_expired"));
    assert!(set_cookies(&page).iter().all(|line| line.contains("Max-Age=0")));
    assert!(copy.jar().is_empty(), "{:?}", copy.jar());
    stack.stop().await;
}

// proves: RF-04, RI-02, RI-03
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_never_arrived_is_found_until_the_session_is_idle() {
    let (stack, browser) = logged_in().await;
    stack.clock.advance(Duration::from_secs(301));
    // The page is closed before the answer comes: its cookies are lost, its refresh token is used up.
    let closed = browser.copy();
    assert_eq!(stack.fetch(&closed, "POST", "/refresh").await.status, 200);
    for _ in 0..2 {
        stack.clock.advance(Duration::from_secs(800));
        let tab = browser.copy();
        let page = stack.fetch(&tab, "GET", "/api/echo").await;
        assert_eq!(page.status, 200, "{}", page.body);
        browser.tamper(|name, value| {
            let fresh = tab.jar().into_iter().find(|(cookie, _)| cookie == name);
            Some(if name.ends_with("-a") { fresh.unwrap().1 } else { value.to_owned() })
        });
    }
    stack.stop().await;
}

// proves: RF-02
#[tokio::test(flavor = "multi_thread")]
async fn short_tokens_under_one_lasting_refresh_token_are_renewed_each_time() {
    let ttl = Duration::from_secs(50);
    let setup = Setup { rotate: false, access_token_ttl: ttl, ..Setup::default() };
    let stack = Stack::start(setup).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for round in 1..=4 {
        // Half of a token's life is left alone, however long the early window is.
        assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
        assert_eq!(stack.provider().calls().refreshes, round - 1);
        stack.clock.advance(Duration::from_secs(51));
        let page = stack.fetch(&browser, "GET", "/api/echo").await;
        assert_eq!(page.status, 200, "round {round}: {}", page.body);
        assert_eq!(stack.provider().calls().refreshes, round);
    }
    stack.stop().await;
}

// proves: RF-07, RI-04
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_does_not_put_older_tokens_over_newer_ones() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&arrived), Arc::clone(&go));
    let upstream = HostileUpstream::start(move |number| match number {
        0 => vec![
            Step::Read,
            Step::Tell(Arc::clone(&tell)),
            Step::Wait(Arc::clone(&wait)),
            Step::Send(ok("slow")),
        ],
        _ => vec![Step::Serve(ok("quick"))],
    })
    .await;
    let stack = Stack::start(Setup { upstream: Some(upstream.address), ..Setup::default() }).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    stack.clock.advance(Duration::from_secs(250));
    let slow = browser.copy();
    let held = stack.fetch(&slow, "GET", "/api/slow");
    let meanwhile = async {
        arrived.notified().await;
        for seconds in [0, 250, 250] {
            stack.clock.advance(Duration::from_secs(seconds));
            assert_eq!(stack.fetch(&browser, "GET", "/api/quick").await.status, 200);
        }
        assert_eq!(stack.provider().calls().refreshes, 3);
        let newest = stack.session(&browser).await["access_token_expires_in"].clone();
        go.notify_one();
        newest
    };
    let (page, newest) = futures_util::future::join(held, meanwhile).await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "slow"));
    assert_eq!(stack.session(&slow).await["access_token_expires_in"], newest);
    stack.stop().await;
}

// proves: LO-03
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_during_a_refresh_wins_and_takes_the_new_tokens_along() {
    let (op, stack) = hostile().await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    stack.clock.advance(Duration::from_secs(400));
    let answer = json!({
        "access_token": "later-access", "refresh_token": "later-refresh",
        "token_type": "Bearer", "expires_in": 300
    });
    let slow = Reply::json(200, &answer).after(Duration::from_secs(1));
    op.answer_with(Endpoint::Token, slow);
    let tabs = [browser.copy(), browser.copy()];
    let begun = op.calls(Endpoint::Token);
    let logout = async {
        while op.calls(Endpoint::Token) == begun {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stack.fetch(&browser, "POST", "/logout").await
    };
    let (refresh, call, logout) = futures_util::future::join3(
        stack.fetch(&tabs[0], "POST", "/refresh"),
        stack.fetch(&tabs[1], "GET", "/api/echo"),
        logout,
    )
    .await;
    assert_eq!(logout.status, 200);
    for page in [refresh, call] {
        assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "session_expired"));
        assert!(set_cookies(&page).iter().all(|line| line.contains("Max-Age=0")), "{page:?}");
    }
    for _ in 0..500 {
        if op.calls(Endpoint::Revocation) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let revoked = op.requests(Endpoint::Revocation)[0].field("token");
    assert_eq!(revoked.as_deref(), Some("later-refresh"));
    stack.stop().await;
}
