//! An upstream that refuses the token: one refresh, one more try, never a loop (PX-18).

use std::time::Duration;

use serde_json::json;

use super::setup::{hostile_with, log_in};
use super::{problem_code, set_cookies};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp, Reply};
use crate::support::hostile_upstream::{HostileUpstream, Step, send};
use crate::support::socket::{Socket, handshake, switch};
use crate::support::stack::{FETCH, Setup, Stack};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";

/// A 401 with this challenge.
fn refusal(challenge: &str) -> String {
    format!(
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {challenge}\r\ncontent-length: 7\r\n\
         connection: close\r\n\r\nrefused"
    )
}

fn invalid_token() -> String {
    refusal("Bearer realm=\"api\", error=\"invalid_token\"")
}

/// Gives the answers one after another, a connection each, and begins again.
async fn answering(answers: Vec<String>) -> HostileUpstream {
    HostileUpstream::start(move |n| vec![Step::Read, send(&answers[n % answers.len()])]).await
}

async fn logged_in(upstream: &HostileUpstream) -> (HostileOp, Stack, Browser) {
    let more = format!(
        "[[routes]]\npath = \"/live\"\nupstream = \"http://{}/live\"\nwebsocket = true\n\
         strip_prefix = true\n",
        upstream.address
    );
    let setup = Setup { upstream: Some(upstream.address), more, ..Setup::default() };
    let (op, stack) = hostile_with(setup).await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    assert_eq!(op.calls(Endpoint::Token), 1);
    (op, stack, browser)
}

/// The tokens that the upstream got.
fn tokens(upstream: &HostileUpstream) -> Vec<String> {
    let requests = upstream.requests();
    let token = |request: &String| {
        let lower = request.to_lowercase();
        let at = lower.find("authorization: bearer ").unwrap() + "authorization: bearer ".len();
        request[at..].lines().next().unwrap().to_owned()
    };
    requests.iter().map(token).collect()
}

fn is_the_apis_own(page: &Page) {
    assert_eq!((page.status.as_u16(), page.body.as_str()), (401, "refused"));
    assert!(!page.headers.contains_key("cloakroom-error"));
    assert!(!page.headers.contains_key("www-authenticate"), "the browser would ask for a password");
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_replaced_and_the_call_repeated_again_and_again() {
    let upstream = answering(vec![invalid_token(), OK.to_owned()]).await;
    let (op, stack, browser) = logged_in(&upstream).await;
    for round in 1..=2 {
        let page = stack.fetch(&browser, "GET", "/api/x").await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "hi"));
        assert!(!set_cookies(&page).is_empty(), "the new token reaches the browser");
        assert_eq!(op.calls(Endpoint::Token), 1 + round);
        let sent = tokens(&upstream);
        assert_eq!(sent.len(), 2 * round);
        assert_ne!(sent[2 * round - 2], sent[2 * round - 1]);
        if round == 2 {
            assert_eq!(sent[1], sent[2], "the browser kept the token of the first round");
        }
    }
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_refuses_every_token_costs_one_refresh_a_minute() {
    let upstream = answering(vec![invalid_token()]).await;
    let (op, stack, browser) = logged_in(&upstream).await;
    is_the_apis_own(&stack.fetch(&browser, "GET", "/api/x").await);
    assert_eq!((op.calls(Endpoint::Token), upstream.connections()), (2, 2));
    let tabs: Vec<Browser> = (0..20).map(|_| browser.copy()).collect();
    let calls = tabs.iter().map(|tab| stack.fetch(tab, "GET", "/api/x"));
    for page in futures_util::future::join_all(calls).await {
        is_the_apis_own(&page);
    }
    assert_eq!((op.calls(Endpoint::Token), upstream.connections()), (2, 22));
    stack.clock.advance(Duration::from_secs(61));
    is_the_apis_own(&stack.fetch(&browser, "GET", "/api/x").await);
    assert_eq!((op.calls(Endpoint::Token), upstream.connections()), (3, 24));
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

// proves: PX-18, RF-03
#[tokio::test(flavor = "multi_thread")]
async fn many_calls_with_one_refused_token_cost_one_refresh() {
    // Knows the first token only to refuse it.
    let upstream = HostileUpstream::start(|n| {
        let answer = if n < 20 { invalid_token() } else { OK.to_owned() };
        vec![Step::Read, send(answer)]
    })
    .await;
    let (op, stack, browser) = logged_in(&upstream).await;
    let slow = json!({
        "access_token": "second", "refresh_token": "second-refresh",
        "token_type": "Bearer", "expires_in": 300
    });
    op.answer_with(Endpoint::Token, Reply::json(200, &slow).after(Duration::from_secs(1)));
    let tabs: Vec<Browser> = (0..20).map(|_| browser.copy()).collect();
    let calls = tabs.iter().map(|tab| stack.fetch(tab, "GET", "/api/x"));
    for page in futures_util::future::join_all(calls).await {
        assert_eq!(page.status, 200);
    }
    assert_eq!(op.calls(Endpoint::Token), 2);
    assert_eq!(tokens(&upstream).iter().filter(|token| *token == "second").count(), 20);
    stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_repeated_is_sent_once_and_the_next_call_has_a_new_token() {
    let upstream = answering(vec![invalid_token()]).await;
    for (method, body) in [("POST", ""), ("POST", "x"), ("PATCH", ""), ("PUT", "x")] {
        let (op, stack, browser) = logged_in(&upstream).await;
        let before = upstream.connections();
        let page = browser.send(method, &stack.url("/api/x"), &own(&stack), body).await;
        is_the_apis_own(&page);
        assert_eq!(upstream.connections(), before + 1, "{method} {body:?}");
        assert!(!set_cookies(&page).is_empty());
        assert_eq!(op.calls(Endpoint::Token), 2);
        stack.stop().await;
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let (op, stack, browser) = logged_in(&upstream).await;
        let before = upstream.connections();
        is_the_apis_own(&browser.send(method, &stack.url("/api/x"), &own(&stack), "").await);
        assert_eq!((upstream.connections(), op.calls(Endpoint::Token)), (before + 2, 2));
        stack.stop().await;
    }
}

fn own(stack: &Stack) -> Vec<(&'static str, &str)> {
    [&FETCH[..], &[("origin", stack.app.as_str())]].concat()
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn no_other_refusal_refreshes_anything() {
    let answers = [
        refusal("Bearer"),
        refusal("DPoP error=\"invalid_token\""),
        refusal("Basic realm=\"Bearer error=invalid_token\""),
        invalid_token().replace("401 Unauthorized", "403 Forbidden"),
    ];
    let count = answers.len();
    let upstream = answering(answers.to_vec()).await;
    let (op, stack, browser) = logged_in(&upstream).await;
    for _ in 0..count {
        let page = stack.fetch(&browser, "GET", "/api/x").await;
        assert!(page.status.is_client_error() && page.body == "refused");
        assert!(set_cookies(&page).is_empty());
    }
    assert_eq!((op.calls(Endpoint::Token), upstream.connections()), (1, count));
    stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_logs_nobody_out_and_an_ended_grant_ends_the_session() {
    let upstream = answering(vec![invalid_token()]).await;
    let (op, stack, browser) = logged_in(&upstream).await;
    op.answer_with(Endpoint::Token, Reply::json(503, &json!({})));
    let page = stack.fetch(&browser, "GET", "/api/x").await;
    is_the_apis_own(&page);
    assert!(set_cookies(&page).is_empty());
    assert_eq!(upstream.connections(), 1, "there is nothing to try again with");
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.clock.advance(Duration::from_secs(61));
    op.answer_with(Endpoint::Token, Reply::json(400, &json!({ "error": "invalid_grant" })));
    let page = stack.fetch(&browser, "GET", "/api/x").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "session_expired"));
    assert_eq!(stack.session(&browser).await["authenticated"], false);
    stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_just_refreshed_is_not_refreshed_again() {
    let upstream = answering(vec![invalid_token()]).await;
    let (op, stack, browser) = logged_in(&upstream).await;
    // Ended: refreshed before the call, which is then sent once.
    stack.clock.advance(Duration::from_secs(301));
    is_the_apis_own(&stack.fetch(&browser, "GET", "/api/x").await);
    assert_eq!((op.calls(Endpoint::Token), upstream.connections()), (2, 1));
    // Early: refreshed beside the call, which is sent again with what came.
    stack.clock.advance(Duration::from_secs(290));
    let page = stack.fetch(&browser, "GET", "/api/x").await;
    is_the_apis_own(&page);
    assert_eq!((op.calls(Endpoint::Token), upstream.connections()), (3, 3));
    assert!(!set_cookies(&page).is_empty());
    stack.stop().await;
}

// proves: PX-18
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_repeated_with_a_new_token_too() {
    let upstream = HostileUpstream::start(|n| {
        let answer = if n == 0 { invalid_token() } else { switch("") };
        vec![Step::ReadHead, send(answer), Step::Hang]
    })
    .await;
    let (op, stack, browser) = logged_in(&upstream).await;
    let request = handshake(&stack, &browser, "/live", &format!("origin: {}\r\n", stack.app));
    let mut socket = Socket::sending(&stack, request).await;
    let head = socket.head().await.to_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nset-cookie: "), "{head}");
    assert_eq!((op.calls(Endpoint::Token), upstream.connections()), (2, 2));
    drop(socket);
    stack.stop().await;
}
