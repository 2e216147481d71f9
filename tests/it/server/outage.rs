//! An authorization server that is away, and clocks that jump: whoever is logged in goes on, nobody gets in by it.

use std::time::Duration;

use cloakroom::clock::{Clock, Timestamp};
use serde_json::json;

use super::setup::{error_of, hostile_op, hostile_with, log_in};
use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, Reply, set};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{LINK, Setup, Stack};

const HOUR: Duration = Duration::from_secs(3_600);

// proves: EL-06
#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_for_hours_while_the_authorization_server_is_away() {
    let upstream = HostileUpstream::answering(ok("{}")).await;
    let session = "idle_timeout = \"3h\"".to_owned();
    let setup = Setup { upstream: Some(upstream.address), session, ..Setup::default() };
    let (mut op, stack) = hostile_with(setup).await;
    op.turn(|knobs| knobs.token_response = set("expires_in", Some(json!(2 * 3_600 + 60))));
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    op.stop().await;
    for hours in 0..=2_usize {
        let page = stack.fetch(&browser, "GET", "/api/x").await;
        assert_eq!((page.status.as_u16(), upstream.requests().len()), (200, hours + 1));
        assert_eq!(stack.session(&browser).await["authenticated"], true, "after {hours} hours");
        // What the authorization server said of itself is still known: its own page is where the user sees the outage.
        let page = Browser::new().send("GET", &stack.url("/login"), &LINK, "").await;
        assert_eq!(page.status, 303, "after {hours} hours");
        if hours < 2 {
            stack.clock.advance(HOUR);
        }
    }
    // With the token, calls end, but not the session.
    stack.clock.advance(Duration::from_secs(60));
    let page = stack.fetch(&browser, "GET", "/api/x").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (503, "provider_unavailable"));
    assert!(page.headers.contains_key("retry-after") && set_cookies(&page).is_empty());
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    assert_eq!(upstream.requests().len(), 3, "no call without a token");
    stack.stop().await;
}

// proves: EL-02, CB-06
#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nobody_gets_in_and_no_code_is_spent() {
    let setup = Setup::default();
    let op = hostile_op(setup.clock.clone()).await;
    op.answer_with(Endpoint::Jwks, Reply::new(503, "text/plain", ""));
    let stack = Stack::start(Setup { issuer: Some(op.issuer.clone()), ..setup }).await;
    for reply in [
        Reply::new(503, "text/plain", ""),
        Reply::new(200, "application/json", "{"),
        Reply::json(200, &json!({ "keys": "none" })),
    ] {
        op.answer_with(Endpoint::Jwks, reply);
        let browser = Browser::new();
        let page = log_in(&op, &stack, &browser).await;
        assert_eq!(error_of(&page).as_deref(), Some("provider_unavailable"));
        assert_eq!(stack.session(&browser).await["authenticated"], false);
        assert_eq!(op.calls(Endpoint::Token), 0);
        stack.clock.advance(Duration::from_secs(5));
    }
    op.answer_honestly(Endpoint::Jwks);
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

/// The same server with a clock that stands at `at`.
async fn with_clock_at(stack: Stack, issuer: &str, at: u64) -> Stack {
    let setup = Setup {
        issuer: Some(issuer.to_owned()),
        clock: Clock::manual(Timestamp(at)),
        login: "loop_limit = 100".to_owned(),
        ..Setup::default()
    };
    stack.restart_at_same_port(setup).await
}

// proves: EL-02
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ends_sessions_or_keeps_them_and_lets_nobody_in() {
    let clock = Setup::default().clock;
    let now = clock.now().0;
    let op = hostile_op(clock.clone()).await;
    let setup = Setup { issuer: Some(op.issuer.clone()), clock, ..Setup::default() };
    let mut stack = Stack::start(setup).await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    for (at, lives) in [
        (now, true),
        (now - 300, true),
        (now - 301, false),
        (now - 3_600, false),
        (0, false),
        (1, false),
        (now + 1_799, true),
        (now + 1_800, false),
        (now + 10 * 365 * 86_400, false),
        (u64::MAX - 1, false),
    ] {
        stack = with_clock_at(stack, &op.issuer, at).await;
        let (copy, newcomer) = (browser.copy(), Browser::new());
        assert_eq!(stack.session(&copy).await["authenticated"], lives, "{at}");
        // The authorization server's clock did not jump: beyond the skew, its tokens are not believed.
        let page = log_in(&op, &stack, &newcomer).await;
        let refused = (now.abs_diff(at) > 300).then_some("clock");
        if now.abs_diff(at) <= 30 || refused.is_some() {
            assert_eq!(error_of(&page).as_deref(), refused, "{at}");
            assert_eq!(stack.session(&newcomer).await["authenticated"], refused.is_none(), "{at}");
        }
    }
    stack = with_clock_at(stack, &op.issuer, now).await;
    assert_eq!(stack.session(&browser).await["authenticated"], true, "the clock came back");
    stack.stop().await;
}

// proves: RF-13
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_is_not_asked_by_every_session_and_all_go_on_when_it_works() {
    let (op, stack) = hostile_with(Setup::default()).await;
    let mut browsers = Vec::new();
    for _ in 0..30 {
        let browser = Browser::new();
        log_in(&op, &stack, &browser).await;
        browsers.push(browser);
    }
    let logins = op.calls(Endpoint::Token);
    stack.clock.advance(Duration::from_secs(301));
    op.answer_with(Endpoint::Token, Reply::new(503, "text/plain", ""));
    for round in 0..3 {
        for browser in &browsers {
            let page = stack.fetch(browser, "GET", "/api/echo").await;
            assert_eq!(
                (page.status.as_u16(), &*problem_code(&page)),
                (503, "provider_unavailable")
            );
            assert!(set_cookies(&page).is_empty(), "cookies kept");
        }
        // Ten in a row, then one each time the pause is over, though ninety calls wanted it.
        assert_eq!(op.calls(Endpoint::Token), logins + 10 + round);
        stack.clock.advance(Duration::from_secs(4));
    }
    let metrics = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
    assert!(metrics.contains("cloakroom_refreshes_total{result=\"HeldBack\"}"), "{metrics}");
    op.turn(|knobs| knobs.raw.clear());
    stack.clock.advance(Duration::from_secs(30));
    let mut back = 0;
    for browser in &browsers {
        back += usize::from(stack.fetch(browser, "POST", "/refresh").await.status == 200);
    }
    assert_eq!(back, browsers.len());
    stack.stop().await;
}

// proves: RF-08
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_of_the_refresh_tokens_end_is_the_sessions() {
    let (op, stack) = hostile_with(Setup::default()).await;
    // It shrinks with every refresh: the grant has a fixed end.
    let grant = |left: u64| {
        op.turn(move |knobs| {
            knobs.token_response = set("refresh_expires_in", Some(json!(left)));
        });
    };
    grant(1_000);
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.session(&browser).await["session_expires_in"], 1_000);
    for left in [699, 398] {
        stack.clock.advance(Duration::from_secs(301));
        grant(left);
        assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
        assert_eq!(stack.session(&browser).await["session_expires_in"], left);
    }
    stack.clock.advance(Duration::from_secs(398));
    let asked = op.calls(Endpoint::Token);
    let page = stack.fetch(&browser, "POST", "/refresh").await;
    assert_eq!((page.status.as_u16(), &*problem_code(&page)), (401, "session_expired"));
    assert_eq!(op.calls(Endpoint::Token), asked, "what is over is not tried out");
    stack.stop().await;
}
