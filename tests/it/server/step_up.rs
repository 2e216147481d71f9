//! An API that wants a better login: a problem with the way to it, a login that is checked, and no second round.

use std::time::Duration;

use serde_json::{Value, json};

use super::problem_code;
use super::setup::{callback, error_of, hostile_with, log_in};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{HostileOp, set};
use crate::support::hostile_upstream::HostileUpstream;
use crate::support::stack::{LINK, Setup, Stack};

async fn start(challenge: &str, setup: Setup) -> (HostileOp, Stack, HostileUpstream, Browser) {
    let upstream = HostileUpstream::answering(
        format!(
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer \
             error=\"insufficient_user_authentication\"{challenge}\r\ncontent-length: 3\r\n\r\nown"
        )
        .into_bytes(),
    )
    .await;
    let setup = Setup { upstream: Some(upstream.address), ..setup };
    let (op, stack) = hostile_with(setup).await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    (op, stack, upstream, browser)
}

fn document(page: &Page) -> Value {
    serde_json::from_str(&page.body).unwrap()
}

/// Goes to the login that a problem names, and lands where the authorization server sends the browser.
async fn step_up(op: &HostileOp, stack: &Stack, browser: &Browser, page: &Page) -> (String, Page) {
    let login = document(page)["login_url"].as_str().unwrap().to_owned();
    let begun = browser.send("GET", &stack.url(&login), &LINK, "").await;
    let authorize = begun.redirect().unwrap().to_string();
    let back = callback(op, &authorize, &stack.url("/callback"));
    (authorize, browser.get_from_elsewhere(&back).await)
}

// proves: PX-19, ID-15
#[tokio::test(flavor = "multi_thread")]
async fn a_better_login_is_asked_for_checked_and_not_asked_for_twice() {
    let (op, stack, upstream, browser) =
        start(", acr_values=\"platinum diamond\"", Setup::default()).await;
    let page = stack.fetch(&browser, "GET", "/api/transfer").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (401, "step_up_required"));
    let told = document(&page);
    assert_eq!(told["acr_values"], "platinum diamond");
    assert_eq!(told["login_url"], "/login?acr_values=platinum+diamond");
    assert!(told.get("max_age").is_none() && !page.body.contains("own"));
    assert_eq!(upstream.requests().len(), 1, "no refresh helps, and none is made");

    // The server ignores it: the login fails, and the session of before goes on.
    let (authorize, landed) = step_up(&op, &stack, &browser, &page).await;
    assert!(authorize.contains("acr_values=platinum+diamond"), "{authorize}");
    assert_eq!(error_of(&landed).as_deref(), Some("step_up_failed"));
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    let page = stack.fetch(&browser, "GET", "/api/transfer").await;
    assert_eq!(problem_code(&page), "step_up_required");

    // It does what was asked, and the API is still not content: that is the end of it.
    op.turn(|knobs| knobs.claims = set("acr", Some(json!("diamond"))));
    let (_, landed) = step_up(&op, &stack, &browser, &page).await;
    assert_eq!(error_of(&landed), None);
    for _ in 0..2 {
        let page = stack.fetch(&browser, "GET", "/api/transfer").await;
        assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (403, "step_up_failed"));
        assert!(document(&page).get("login_url").is_none());
    }
    stack.stop().await;
}

// proves: PX-19, ID-14
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_too_old_is_renewed_and_a_stale_one_does_not_count() {
    let (op, stack, _upstream, browser) = start(", max_age=30", Setup::default()).await;
    let page = stack.fetch(&browser, "GET", "/api/transfer").await;
    assert_eq!(problem_code(&page), "step_up_failed", "it is as young as was asked for");
    stack.clock.advance(Duration::from_secs(31));
    let page = stack.fetch(&browser, "GET", "/api/transfer").await;
    assert_eq!(problem_code(&page), "step_up_required");
    assert_eq!(document(&page)["max_age"], 30);
    let stale = stack.clock.now().0 - 100;
    op.turn(|knobs| knobs.claims = set("auth_time", Some(json!(stale))));
    let (authorize, landed) = step_up(&op, &stack, &browser, &page).await;
    assert!(authorize.contains("max_age=30"), "{authorize}");
    assert_eq!(error_of(&landed).as_deref(), Some("step_up_failed"));
    stack.stop().await;
}

// proves: PX-19
#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_says_nothing_more_gets_the_user_asked_again_if_the_app_allows_it() {
    let login = "allowed_params = [\"prompt\"]".to_owned();
    for (login, url) in [(String::new(), json!("/login?max_age=0")), (login, Value::Null)] {
        let (_op, stack, _upstream, browser) = start("", Setup { login, ..Setup::default() }).await;
        stack.clock.advance(Duration::from_secs(61));
        let page = stack.fetch(&browser, "GET", "/api/transfer").await;
        assert_eq!(problem_code(&page), "step_up_required");
        assert_eq!(document(&page)["login_url"], url);
        stack.stop().await;
    }
}
