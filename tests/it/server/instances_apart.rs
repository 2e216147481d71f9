//! Redis is down, hangs, comes back empty: nobody is logged out, and nobody who has logged out elsewhere is let in for
//! longer than an operator has chosen.

use std::time::Duration;

use super::backchannel::{is_in, log_in_as, tell};
use super::instances::{eventually, in_contact, metric, shared, status, stop, two};
use super::setup::hostile_with;
use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::redis::{LASTING, Redis};
use crate::support::stack::Stack;

const CLOSED: &str = "stale_after = \"1s\"\ntimeout = \"1s\"";
const OPEN: &str = "stale_after = \"1s\"\ntimeout = \"1s\"\noutage = \"fail_open\"";

async fn out_of_contact(stack: &Stack) {
    eventually("an outage", async || metric(stack, "cloakroom_redis_lost").await == 1).await;
}

/// 503 with cookies kept, whatever is called.
async fn nothing_but_503(stack: &Stack, browser: &Browser) {
    for (method, path) in [("GET", "/api/echo"), ("GET", "/session"), ("POST", "/refresh")] {
        let page = stack.fetch(browser, method, path).await;
        assert_eq!(page.status, 503, "{path}");
        assert_eq!(problem_code(&page), "store_unavailable", "{path}");
        assert!(page.headers.contains_key("retry-after"));
        assert!(set_cookies(&page).is_empty(), "{path}: cookies kept");
    }
}

// proves: RF-05, EL-06
#[tokio::test(flavor = "multi_thread")]
async fn closed_during_an_outage_means_503_and_the_same_cookies_work_afterwards() {
    for hang in [false, true] {
        let mut redis = Redis::start_with(&LASTING);
        let (stacks, browser) = two(&redis, CLOSED).await;
        if hang {
            redis.pause();
        } else {
            redis.kill();
        }
        for stack in &stacks {
            out_of_contact(stack).await;
            nothing_but_503(stack, &browser).await;
            let text = Browser::new().get(&format!("{}/readyz", stack.admin)).await;
            assert_eq!(text.status, 200, "an outage of the store is not ours");
            assert!(text.body.contains("\"redis\":\"no_contact\""), "{}", text.body);
        }
        if hang {
            redis.resume();
        } else {
            redis.restart();
        }
        for stack in &stacks {
            in_contact(stack).await;
            assert_eq!(status(stack, &browser).await, 200);
        }
        stacks[0].clock.advance(Duration::from_secs(301));
        assert_eq!(stacks[1].fetch(&browser, "GET", "/api/echo").await.status, 200);
        stop(stacks).await;
    }
}

// proves: RF-05
#[tokio::test(flavor = "multi_thread")]
async fn open_during_an_outage_lasts_as_long_as_the_access_token() {
    let mut redis = Redis::start_with(&LASTING);
    let (stacks, browser) = two(&redis, OPEN).await;
    redis.kill();
    for stack in &stacks {
        out_of_contact(stack).await;
        assert_eq!(status(stack, &browser).await, 200);
    }
    // In the early window the call goes on with what it has.
    stacks[0].clock.advance(Duration::from_secs(250));
    assert_eq!(stacks[0].fetch(&browser, "GET", "/api/echo").await.status, 200);
    stacks[0].clock.advance(Duration::from_secs(51));
    for stack in &stacks {
        let page = stack.fetch(&browser, "GET", "/api/echo").await;
        assert_eq!((page.status.as_u16(), &*problem_code(&page)), (503, "provider_unavailable"));
        assert!(set_cookies(&page).is_empty());
    }
    assert_eq!(stacks[0].provider().calls().refreshes, 0, "nobody refreshes without the lease");
    redis.restart();
    for stack in &stacks {
        in_contact(stack).await;
    }
    stacks[0].clock.advance(Duration::from_secs(5));
    eventually("it goes on", async || status(&stacks[1], &browser).await == 200).await;
    assert_eq!(stacks[0].provider().calls().refreshes, 1);
    stop(stacks).await;
}

// proves: LO-06, LO-16
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_during_an_outage_works_here_and_reaches_the_others_when_it_is_over() {
    let mut redis = Redis::start();
    let ([first, second], browser) = two(&redis, OPEN).await;
    let copy = browser.copy();
    redis.kill();
    out_of_contact(&second).await;
    assert_eq!(first.fetch(&browser, "POST", "/logout").await.status, 200);
    assert_eq!(status(&first, &copy).await, 401);
    assert_eq!(status(&second, &copy).await, 200, "it cannot know");
    redis.restart();
    eventually("it hears of it", async || status(&second, &copy).await == 401).await;
    stop([first, second]).await;
}

// proves: RF-03
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgets_everything_gets_the_last_generations_again() {
    let mut redis = Redis::start();
    let (stacks, browser) = two(&redis, CLOSED).await;
    stacks[0].clock.advance(Duration::from_secs(301));
    // The answer is lost.
    assert_eq!(stacks[0].fetch(&browser.copy(), "POST", "/refresh").await.status, 200);
    redis.restart();
    for stack in &stacks {
        in_contact(stack).await;
    }
    eventually("the result is back", async || {
        redis.ask(&["DBSIZE"]).is_ok_and(|keys| keys.parse::<u64>().unwrap() >= 2)
    })
    .await;
    let page = stacks[1].fetch(&browser, "GET", "/api/echo").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(stacks[0].provider().calls().refreshes, 1);
    stop(stacks).await;
}

// proves: EL-06
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_starts_without_its_redis_and_serves_when_it_is_there() {
    let mut redis = Redis::start();
    redis.kill();
    let stack = Stack::start(shared(&redis, CLOSED)).await;
    let browser = Browser::new();
    // A login needs no store; what it gives is of no use yet.
    stack.log_in(&browser, "alice").await;
    nothing_but_503(&stack, &browser).await;
    redis.restart();
    in_contact(&stack).await;
    assert_eq!(status(&stack, &browser).await, 200);
    stack.stop().await;
}

// proves: LO-13
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_that_the_others_cannot_hear_of_is_refused_until_they_can() {
    let mut redis = Redis::start();
    let (op, stack) = hostile_with(shared(&redis, OPEN)).await;
    in_contact(&stack).await;
    let browser = log_in_as(&op, &stack, "alice", Some("s1")).await;
    redis.kill();
    out_of_contact(&stack).await;
    let token = op.logout_token(|_, _| {});
    for _ in 0..2 {
        let page = tell(&stack, &token).await;
        assert_eq!((page.status.as_u16(), &*problem_code(&page)), (400, "logout_token_refused"));
        assert!(!is_in(&stack, &browser).await, "here it has ended");
    }
    redis.restart();
    in_contact(&stack).await;
    eventually("it is taken", async || tell(&stack, &token).await.status == 200).await;
    assert_ne!(redis.ask(&["XLEN", "{cloakroom}:app:deny"]).unwrap(), "0");
    stack.stop().await;
}
