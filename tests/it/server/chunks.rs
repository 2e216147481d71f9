//! Sessions that take several cookies, as they grow, shrink, lose parts and get mixed up.

use std::time::Duration;

use serde_json::json;

use super::setup::{hostile, hostile_with, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{HostileOp, set};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{Setup, Stack};

/// Bytes of an access token, and the chunks that a session with it takes.
const SMALL: (usize, usize) = (100, 1);
const MIDDLE: (usize, usize) = (4_000, 2);
const LARGE: (usize, usize) = (9_000, 4);

async fn roomy() -> (HostileOp, Stack, HostileUpstream) {
    let upstream = HostileUpstream::answering(ok("{}")).await;
    let setup = Setup {
        session: "cookie_budget = 15000".to_owned(),
        upstream: Some(upstream.address),
        ..Setup::default()
    };
    let (op, stack) = hostile_with(setup).await;
    op.turn(|knobs| {
        knobs.claims = set("at_hash", None);
        knobs.refreshed_claims = set("at_hash", None);
    });
    (op, stack, upstream)
}

fn next_token(op: &HostileOp, (bytes, _): (usize, usize), letter: &str) {
    let token = letter.repeat(bytes);
    op.turn(|knobs| knobs.token_response = set("access_token", Some(json!(token))));
}

fn chunks(browser: &Browser) -> Vec<(String, String)> {
    browser.jar().into_iter().filter(|(name, _)| name.contains("-t.")).collect()
}

async fn is_logged_in(stack: &Stack, browser: &Browser) -> bool {
    stack.session(browser).await["authenticated"].as_bool().unwrap()
}

// proves: CK-08, CK-09
#[tokio::test(flavor = "multi_thread")]
async fn a_session_grows_to_four_chunks_and_shrinks_again_by_login_and_by_refresh() {
    let (op, stack, upstream) = roomy().await;
    let browser = Browser::new();
    for by_refresh in [false, true] {
        for (size, letter) in
            [(SMALL, "a"), (LARGE, "b"), (MIDDLE, "c"), (LARGE, "d"), (SMALL, "e")]
        {
            next_token(&op, size, letter);
            if by_refresh {
                stack.clock.advance(Duration::from_secs(299));
                assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
            } else {
                log_in(&op, &stack, &browser).await;
            }
            assert_eq!(chunks(&browser).len(), size.1, "{size:?} {by_refresh}");
            assert_eq!(stack.fetch(&browser, "GET", "/api/x").await.status, 200);
            let token = format!("Bearer {}\r\n", letter.repeat(size.0));
            assert!(upstream.requests().last().unwrap().contains(&token), "{size:?} {by_refresh}");
        }
    }
    stack.stop().await;
}

// proves: CK-09
#[tokio::test(flavor = "multi_thread")]
async fn missing_mixed_and_swapped_chunks_are_no_session_and_are_cleared() {
    let (op, stack, _upstream) = roomy().await;
    let browser = Browser::new();
    next_token(&op, LARGE, "a");
    log_in(&op, &stack, &browser).await;
    let first = chunks(&browser);
    stack.clock.advance(Duration::from_secs(299));
    next_token(&op, LARGE, "b");
    assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
    let second = chunks(&browser);
    assert_eq!((first.len(), second.len()), (4, 4));
    let of = |all: &[(String, String)], at: usize| {
        all.iter().find(|(name, _)| name.ends_with(&format!("-t.{at}"))).unwrap().1.clone()
    };
    let jar_with = |at: usize, value: Option<String>| {
        let copy = browser.copy();
        copy.tamper(|name, old| {
            if name.ends_with(&format!("-t.{at}")) { value.clone() } else { Some(old.to_owned()) }
        });
        copy
    };
    for at in 0..4 {
        for (what, value) in [
            ("dropped", None),
            ("of the generation before", Some(of(&first, at))),
            ("of another place", Some(of(&second, (at + 1) % 4))),
            ("cut off", Some(half(of(&second, at)))),
            ("empty", Some(String::new())),
        ] {
            // The key's name stands in the first chunk: where it is lost, the cookies could be those of a newer instance.
            let names_no_key = at == 0 && matches!(what, "of another place" | "empty");
            let copy = jar_with(at, value);
            assert!(!is_logged_in(&stack, &copy).await, "chunk {at} {what}");
            assert_eq!(chunks(&copy).is_empty(), !names_no_key, "chunk {at} {what}");
        }
    }
    let all_of_the_first = browser.copy();
    all_of_the_first.tamper(|name, old| {
        Some(first.iter().find(|(n, _)| n == name).map_or(old, |(_, value)| value).to_owned())
    });
    assert!(is_logged_in(&stack, &all_of_the_first).await, "a whole generation is a session");
    assert!(is_logged_in(&stack, &browser).await);
    stack.stop().await;
}

// proves: CK-09
#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_session_deletes_the_chunks_of_a_larger_one() {
    let (op, stack) = hostile().await;
    let browser = Browser::new();
    op.turn(|knobs| knobs.claims = set("at_hash", None));
    for (bytes, expected) in [(4_000, 2), (100, 1), (4_500, 2)] {
        op.turn(|knobs| knobs.token_response = set("access_token", Some(json!("t".repeat(bytes)))));
        log_in(&op, &stack, &browser).await;
        assert_eq!(chunks(&browser).len(), expected, "{bytes}");
        assert_eq!(stack.session(&browser).await["authenticated"], true);
    }
    // One chunk from an older generation beside a newer one: no session, cleaned up.
    let older = browser.jar();
    log_in(&op, &stack, &browser).await;
    let mixed = browser.copy();
    mixed.tamper(|name, value| {
        let old = older.iter().find(|(cookie, _)| cookie == name && name.ends_with("-t.1"));
        Some(old.map_or(value.to_owned(), |(_, old)| old.clone()))
    });
    assert_eq!(stack.session(&mixed).await["authenticated"], false);
    assert_eq!(chunks(&mixed), []);
    stack.stop().await;
}

// proves: CK-10
#[tokio::test(flavor = "multi_thread")]
async fn whatever_cookies_a_browser_loses_it_is_logged_in_or_not_and_can_log_in_again() {
    let (op, stack, _upstream) = roomy().await;
    next_token(&op, MIDDLE, "a");
    for kept in 0_u32..1 << 4 {
        // A session of its own each time: logging in again ends the one before.
        let left = Browser::new();
        log_in(&op, &stack, &left).await;
        let names: Vec<String> = left.jar().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 4, "two chunks, activity, logout hint: {names:?}");
        left.tamper(|name, value| {
            let at = names.iter().position(|known| known == name);
            at.is_none_or(|at| kept >> at & 1 == 1).then(|| value.to_owned())
        });
        let whole = chunks(&left).len() == 2;
        let (calling, twice) = (left.copy(), left.copy());
        assert_eq!(is_logged_in(&stack, &left).await, whole, "{kept:b}");
        assert_eq!(chunks(&left).len(), if whole { 2 } else { 0 }, "{kept:b}: cleaned up");
        for _ in 0..2 {
            let status = stack.fetch(&twice, "GET", "/api/x").await.status;
            assert_eq!(status, if whole { 200 } else { 401 }, "{kept:b}");
        }
        let page = log_in(&op, &stack, &calling).await;
        assert_eq!(page.headers["location"], format!("{}/", stack.app), "{kept:b}");
        assert!(is_logged_in(&stack, &calling).await, "{kept:b}: no way back in");
    }
    stack.stop().await;
}

/// The first half of a value, in whole base64url groups.
fn half(mut value: String) -> String {
    value.truncate(value.len() / 8 * 4);
    value
}
