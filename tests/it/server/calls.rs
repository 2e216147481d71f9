//! API calls through the whole server: what the upstream sees, what the browser gets, what needs a session.

use std::time::Duration;

use serde_json::Value;

use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::stack::{FETCH, Setup, Stack};

// proves: PX-24, PX-25
#[tokio::test(flavor = "multi_thread")]
async fn protected_routes_answer_401_without_a_session_and_public_ones_never_get_a_token() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    for headers in [&FETCH[..], &[("x-csrf", "1"), ("accept", "text/html")]] {
        let page = browser.send("GET", &stack.url("/api/echo"), headers, "").await;
        assert_eq!(page.status, 401, "never a redirect");
        assert_eq!(page.headers["cloakroom-error"], "not_logged_in");
    }
    stack.log_in(&browser, "alice").await;
    let page = stack.fetch(&browser, "GET", "/public/hello").await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("alice") && !page.body.contains("earer"), "{}", page.body);
    assert!(set_cookies(&page).is_empty());
    stack.stop().await;
}

// proves: PX-03, PX-04, PX-05, PX-06
#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_the_token_and_none_of_our_cookies_or_the_callers_claims() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let headers = [
        &FETCH[..],
        &[
            ("authorization", "Bearer forged"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-user", "admin"),
            ("connection", "authorization, x-forwarded-for, cookie"),
        ],
    ]
    .concat();
    let page = browser.send("POST", &stack.url("/api/echo?a=1&a=2"), &headers, "hello").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let echo: Value = serde_json::from_str(&page.body).unwrap();
    let seen = serde_json::to_string(&echo["headers"]).unwrap().to_lowercase();
    for absent in ["cookie", "__host", "forged", "6.6.6.6", "x-user", "x-csrf", "sec-fetch"] {
        assert!(!seen.contains(absent), "{absent}: {seen}");
    }
    assert_eq!(echo["claims"]["sub"], "alice");
    assert_eq!(echo["query"], "a=1&a=2");
    assert_eq!(echo["body_bytes"], 5);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_the_api_keeps_its_status_and_is_told_from_ours() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for (path, status) in [("/api/error", 500), ("/api/forbidden", 403), ("/api/nowhere", 404)] {
        let page = stack.fetch(&browser, "GET", path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(!page.headers.contains_key("cloakroom-error"), "the API's own error");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_down_is_502_and_nobody_is_logged_out() {
    let mut stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    stack.stop_provider().await;
    let page = stack.fetch(&browser, "GET", "/api/echo").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (502, "upstream_unavailable"));
    stack.clock.advance(Duration::from_secs(5));
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_beside_a_route_is_never_answered_with_html() {
    let stack = Stack::start(Setup::default()).await;
    let page = stack.fetch(&Browser::new(), "GET", "/apix").await;
    assert_eq!((page.status.as_u16(), problem_code(&page).as_str()), (404, "not_found"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_csrf_header_is_asked_for_and_stays_here() {
    let more = "[guard]\ncsrf_header = \"x-app-call\"".to_owned();
    let stack = Stack::start(Setup { more, ..Setup::default() }).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    assert_eq!(
        stack.fetch(&browser, "GET", "/api/echo").await.status,
        403,
        "the default name means nothing"
    );
    let headers = [("x-app-call", "1"), ("sec-fetch-site", "same-origin")];
    let page = browser.send("GET", &stack.url("/api/echo"), &headers, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(!page.body.to_lowercase().contains("x-app-call"), "{}", page.body);
    stack.stop().await;
}
