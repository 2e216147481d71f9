//! Tokens of ended sessions are revoked although the authorization server is away for a while, and before the process goes.

use std::time::Duration;

use super::backchannel::{log_in_as, tell};
use super::problem_code;
use super::setup::{hostile, hostile_with, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, Reply};
use crate::support::hostile_upstream::{HostileUpstream, ok, until};
use crate::support::stack::Setup;

async fn metrics(stack: &crate::support::stack::Stack) -> String {
    Browser::new().get(&format!("{}/metrics", stack.admin)).await.body
}

// proves: LO-03
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_outlasted_a_verdict_is_final_and_both_are_counted() {
    let (op, stack) = hostile().await;
    op.answer_with(Endpoint::Revocation, Reply::new(503, "text/plain", ""));
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    until(|| op.calls(Endpoint::Revocation) == 2).await;
    op.answer_honestly(Endpoint::Revocation);
    until(|| op.calls(Endpoint::Revocation) == 3).await;
    let tokens = op.requests(Endpoint::Revocation);
    assert!(tokens.iter().all(|request| request.body == tokens[0].body), "one and the same");

    op.answer_with(Endpoint::Revocation, Reply::new(400, "application/json", "{}"));
    log_in(&op, &stack, &browser).await;
    stack.fetch(&browser, "POST", "/logout").await;
    let mut text = String::new();
    for _ in 0..1_000 {
        text = metrics(&stack).await;
        if text.contains("cloakroom_revocations_total{result=\"GivenUp\"} 1") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(text.contains("cloakroom_revocations_total{result=\"GivenUp\"} 1"), "{text}");
    assert!(text.contains("cloakroom_revocations_total{result=\"Done\"} 1"), "{text}");
    assert_eq!(op.calls(Endpoint::Revocation), 4);
    stack.stop().await;
}

// proves: LO-03
#[tokio::test(flavor = "multi_thread")]
async fn the_way_down_gives_what_waits_one_more_try_and_waits_briefly() {
    for answers in [true, false] {
        let (op, stack) = hostile().await;
        op.answer_with(Endpoint::Revocation, Reply::new(503, "text/plain", ""));
        let browser = Browser::new();
        log_in(&op, &stack, &browser).await;
        stack.fetch(&browser, "POST", "/logout").await;
        until(|| op.calls(Endpoint::Revocation) == 3).await;
        if answers {
            op.answer_honestly(Endpoint::Revocation);
        } else {
            let never = Reply::new(200, "text/plain", "").after(Duration::from_secs(600));
            op.answer_with(Endpoint::Revocation, never);
        }
        // The next try by itself would come after four seconds.
        stack.stop().await;
        assert_eq!(op.calls(Endpoint::Revocation), 4);
    }
}

/// The bodies of the revocation requests so far.
fn revoked(op: &HostileOp) -> Vec<String> {
    op.requests(Endpoint::Revocation).into_iter().map(|request| request.body).collect()
}

// proves: LO-15
#[tokio::test(flavor = "multi_thread")]
async fn the_cookies_of_a_session_that_somebody_else_has_ended_bring_its_tokens_to_be_revoked_once()
{
    for (scopes, expected) in [("openid", 1), ("openid\", \"offline_access", 0)] {
        let upstream = HostileUpstream::answering(ok("")).await;
        let provider = format!("scopes = [\"{scopes}\"]");
        let setup = Setup { upstream: Some(upstream.address), provider, ..Setup::default() };
        let (op, stack) = hostile_with(setup).await;
        let alice = log_in_as(&op, &stack, "alice", Some("s1")).await;
        let copies = [alice.copy(), alice.copy(), alice.copy()];
        assert_eq!(tell(&stack, &op.logout_token(|_, _| {})).await.status, 200);
        assert!(revoked(&op).is_empty(), "nobody has shown them yet");
        for copy in &copies {
            let page = stack.fetch(copy, "GET", "/api/echo").await;
            assert_eq!((page.status.as_u16(), &*problem_code(&page)), (401, "session_expired"));
            assert!(copy.jar().is_empty(), "cleared");
        }
        assert!(upstream.requests().is_empty());
        // The way down waits for revocations that still run.
        stack.stop().await;
        let revoked = revoked(&op);
        assert_eq!(revoked.len(), expected, "{scopes}: {revoked:?}");
        assert!(revoked.iter().all(|body| body.contains("token_type_hint=refresh_token")));
    }
}

// proves: LO-15, LO-03
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_the_cookies_of_a_logout_cause_no_second_revocation() {
    let (op, stack) = hostile().await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    let thief = browser.copy();
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    assert_eq!(stack.fetch(&thief.copy(), "GET", "/api/echo").await.status, 401);
    assert_eq!(stack.fetch(&thief, "POST", "/refresh").await.status, 401);
    stack.stop().await;
    assert_eq!(revoked(&op).len(), 1);
}

// proves: CB-14
#[tokio::test(flavor = "multi_thread")]
async fn a_login_revokes_the_tokens_of_the_session_it_replaces_only_by_setting() {
    for (setting, expected) in [("", 0), ("revoke_replaced = true", 1)] {
        let (op, stack) =
            hostile_with(Setup { login: setting.to_owned(), ..Setup::default() }).await;
        let browser = Browser::new();
        log_in(&op, &stack, &browser).await;
        let before = browser.copy();
        log_in(&op, &stack, &browser).await;
        assert_eq!(stack.session(&browser).await["authenticated"], true);
        assert_eq!(stack.fetch(&before, "GET", "/api/echo").await.status, 401);
        stack.stop().await;
        let revoked = revoked(&op);
        assert_eq!(revoked.len(), expected, "{setting}: {revoked:?}");
    }
}
