//! Tokens of ended sessions are revoked although the authorization server is away for a while, and before the process goes.

use std::time::Duration;

use super::setup::{hostile, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, Reply};
use crate::support::hostile_upstream::until;

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
