//! Several instances of one app that share a Redis: one refresh among all of them, and an end of a session that holds
//! everywhere.

use std::time::Duration;

use super::set_cookies;
use crate::support::browser::Browser;
use crate::support::redis::Redis;
use crate::support::stack::{Setup, Stack};

/// Lines for `[redis]`.
pub fn shared(redis: &Redis, more: &str) -> Setup {
    let more = format!("[redis]\nurl = \"{}\"\n{more}", redis.url());
    Setup { more, ..Setup::default() }
}

/// Two instances, and a browser that has logged in at the first.
pub async fn two(redis: &Redis, more: &str) -> ([Stack; 2], Browser) {
    let first = Stack::start(shared(redis, more)).await;
    let second = first.beside(shared(redis, more));
    let browser = Browser::new();
    in_contact(&first).await;
    in_contact(&second).await;
    first.log_in(&browser, "alice").await;
    ([first, second], browser)
}

/// Waits until an instance is in contact with its Redis.
pub async fn in_contact(stack: &Stack) {
    eventually("contact with Redis", async || metric(stack, "cloakroom_redis_lost").await == 0)
        .await;
}

/// The value of a metric without labels.
pub async fn metric(stack: &Stack, name: &str) -> u64 {
    let text = Browser::new().get(&format!("{}/metrics", stack.admin)).await.body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// Waits for what other instances hear of within moments.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

/// What an API call with these cookies is answered with, by a browser that forgets the answer.
pub async fn status(stack: &Stack, browser: &Browser) -> u16 {
    stack.fetch(&browser.copy(), "GET", "/api/echo").await.status.as_u16()
}

pub async fn stop(stacks: [Stack; 2]) {
    let [first, second] = stacks;
    second.stop().await;
    first.stop().await;
}

// proves: RF-02, RF-03, RF-06, RI-01
#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_expiry_over_two_instances_cost_one_refresh_and_none_of_them_fails() {
    let redis = Redis::start();
    let (stacks, browser) = two(&redis, "").await;
    for round in 1..=3 {
        stacks[0].clock.advance(Duration::from_secs(301));
        let tabs: Vec<Browser> = (0..50).map(|_| browser.copy()).collect();
        let calls = tabs.iter().enumerate();
        let calls = calls.map(|(at, tab)| stacks[at % 2].fetch(tab, "GET", "/api/echo"));
        for page in futures_util::future::join_all(calls).await {
            assert_eq!(page.status, 200, "{}", page.body);
            assert!(!set_cookies(&page).is_empty(), "each tab gets the new generation");
        }
        assert_eq!(stacks[0].provider().calls().refreshes, round);
        let at = usize::try_from(round).unwrap() % 2;
        assert_eq!(stacks[at].fetch(&browser, "GET", "/api/echo").await.status, 200);
    }
    stop(stacks).await;
}

// proves: RF-04, RI-02, RI-03
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_never_arrived_is_found_at_another_instance_until_the_session_is_idle()
 {
    let redis = Redis::start();
    let (stacks, browser) = two(&redis, "").await;
    stacks[0].clock.advance(Duration::from_secs(301));
    assert_eq!(stacks[0].fetch(&browser.copy(), "POST", "/refresh").await.status, 200);
    // A laptop sleeps in between: the token of that refresh has ended as well.
    stacks[0].clock.advance(Duration::from_secs(900));
    let page = stacks[1].fetch(&browser, "GET", "/api/echo").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(stacks[0].provider().calls().refreshes, 2, "the second one with the second token");
    assert_eq!(status(&stacks[0], &browser).await, 200);
    stop(stacks).await;
}

// proves: RF-07, RI-04
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_knows_an_older_generation_gives_the_newest() {
    let redis = Redis::start();
    let (stacks, browser) = two(&redis, "").await;
    let before = browser.copy();
    stacks[0].clock.advance(Duration::from_secs(301));
    assert_eq!(stacks[0].fetch(&browser, "POST", "/refresh").await.status, 200);
    stacks[0].clock.advance(Duration::from_secs(250));
    assert_eq!(stacks[1].fetch(&browser, "POST", "/refresh").await.status, 200);
    // The first instance has the second generation at hand, whose token is still good.
    assert_eq!(stacks[0].fetch(&before, "GET", "/api/echo").await.status, 200);
    assert_eq!(stacks[0].session(&before).await["access_token_expires_in"], 300);
    assert_eq!(stacks[0].provider().calls().refreshes, 2);
    stop(stacks).await;
}

// proves: LO-01, LO-16
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_at_every_instance_after_restarts_and_when_redis_has_forgotten_everything() {
    let mut redis = Redis::start();
    let ([first, second], browser) = two(&redis, "").await;
    let copy = browser.copy();
    assert_eq!(status(&second, &copy).await, 200);
    assert_eq!(first.fetch(&browser, "POST", "/logout").await.status, 200);
    eventually("the other instance knows", async || status(&second, &copy).await == 401).await;
    // What Redis has lost, those who know it write again: an instance that starts later reads it there.
    redis.restart();
    in_contact(&second).await;
    eventually("it is written again", async || {
        redis.ask(&["XLEN", "{cloakroom}:app:deny"]).is_ok_and(|length| length != "0")
    })
    .await;
    second.stop().await;
    let third = first.beside(shared(&redis, ""));
    in_contact(&third).await;
    assert_eq!(status(&third, &copy).await, 401);
    stop([first, third]).await;
}

// proves: LO-16
#[tokio::test(flavor = "multi_thread")]
async fn what_an_open_stream_shows_ends_at_every_instance() {
    let redis = Redis::start();
    let ([first, second], browser) = two(&redis, "").await;
    let elsewhere = browser.copy();
    let events = second.fetch(&elsewhere, "GET", "/events");
    let end = async {
        eventually("the stream is open", async || {
            metric(&second, "cloakroom_event_streams_open").await == 1
        })
        .await;
        first.fetch(&browser, "POST", "/logout").await
    };
    let (events, _) = tokio::join!(events, end);
    assert!(events.body.contains("event: logged-out"), "{}", events.body);
    stop([first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_of_a_refresh_at_another_instance_and_once() {
    let redis = Redis::start();
    let ([first, second], browser) = two(&redis, "").await;
    let elsewhere = browser.copy();
    let events = second.fetch(&elsewhere, "GET", "/events");
    let happens = async {
        eventually("the stream is open", async || {
            metric(&second, "cloakroom_event_streams_open").await == 1
        })
        .await;
        first.clock.advance(Duration::from_secs(290));
        assert_eq!(first.fetch(&browser, "POST", "/refresh").await.status, 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
        first.fetch(&browser, "POST", "/logout").await
    };
    let (events, _) = tokio::join!(events, happens);
    assert_eq!(events.body.matches("event: refreshed").count(), 1, "{}", events.body);
    stop([first, second]).await;
}

// proves: CB-06
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_exchanged_once_among_all_instances() {
    let redis = Redis::start();
    let ([first, second], _) = two(&redis, "").await;
    let browser = Browser::new();
    let authorize = first.begin_login(&browser, "?return_to=/").await;
    let callback = crate::support::browser::login(&browser, &authorize, "bob").await;
    let twice = browser.copy();
    let before = first.provider().calls().code_exchanges;
    browser.get_from_elsewhere(&callback).await;
    let path = callback.strip_prefix(&first.app).unwrap();
    let page = second.fetch(&twice, "GET", path).await;
    assert!(page.redirect().unwrap().as_str().contains("auth_error=login_used"), "{page:?}");
    assert_eq!(first.provider().calls().code_exchanges, before + 1);
    assert_eq!(status(&second, &browser).await, 200);
    stop([first, second]).await;
}
