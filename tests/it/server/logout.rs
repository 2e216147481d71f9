//! Logging out: at once, for copies too, and without showing the ID token to JavaScript.

use std::time::Duration;

use serde_json::Value;

use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::stack::{FETCH, LINK, Setup, Stack};

async fn logged_in() -> (Stack, Browser) {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    (stack, browser)
}

// proves: LO-01, LO-02, LO-04, LO-05, LO-06, LO-07
#[tokio::test(flavor = "multi_thread")]
async fn logout_ends_the_session_here_then_there_and_copies_are_useless() {
    let (stack, browser) = logged_in().await;
    let thief = browser.copy();
    let page = stack.fetch(&browser, "POST", "/logout").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(!page.body.contains("eyJ") && !page.body.contains("id_token"), "{}", page.body);
    let answer: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(answer["logout_url"], stack.url("/logout/continue"));

    let stolen = stack.fetch(&thief, "GET", "/api/echo").await;
    assert_eq!((stolen.status.as_u16(), problem_code(&stolen).as_str()), (401, "session_expired"));
    assert!(
        thief.jar().iter().all(|(name, _)| !name.contains("-t.")),
        "the copy's cookies are cleared"
    );

    let left: Vec<String> = browser.jar().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left.len(), 1, "only the ticket for the next step: {left:?}");
    let away = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    assert_eq!(away.status, 303);
    let target = away.redirect().unwrap();
    let query: Vec<(String, String)> = target.query_pairs().into_owned().collect();
    let value =
        |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert!(target.as_str().starts_with(&stack.issuer), "{target}");
    assert!(value("id_token_hint").unwrap().starts_with("eyJ"));
    assert_eq!(value("post_logout_redirect_uri"), Some(stack.url("/logged-out").as_str()));
    assert!(value("state").is_some_and(|state| state.len() >= 16));
    assert!(browser.jar().is_empty(), "the ticket is used: {:?}", browser.jar());

    let back = browser.get(target.as_str()).await.redirect().unwrap();
    assert!(back.as_str().starts_with(&stack.url("/logged-out")), "{back}");
    let home = browser.get(back.as_str()).await;
    assert_eq!(home.headers["location"], format!("{}/", stack.app));
    for query in ["", "?state=wrong", "?state=a&state=b&url=https://evil.test"] {
        let page = browser.get(&stack.url(&format!("/logged-out{query}"))).await;
        assert_eq!(page.headers["location"], format!("{}/", stack.app));
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_step_without_a_ticket_or_with_an_old_one_goes_home() {
    let (stack, browser) = logged_in().await;
    let home = format!("{}/", stack.app);
    let page = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    assert_eq!(page.headers["location"], home);
    stack.fetch(&browser, "POST", "/logout").await;
    let framed = [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-mode", "navigate"),
    ];
    let page = browser.send("GET", &stack.url("/logout/continue"), &framed, "").await;
    assert_eq!(page.status, 403, "top-level navigations only");
    stack.clock.advance(Duration::from_secs(121));
    let page = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    assert_eq!(page.headers["location"], home);
    stack.stop().await;
}

// proves: LO-03
#[tokio::test(flavor = "multi_thread")]
async fn the_refresh_token_is_revoked_and_nobody_waits_for_it() {
    let (stack, browser) = logged_in().await;
    stack.fetch(&browser, "POST", "/logout").await;
    for _ in 0..500 {
        if stack.provider().calls().revocations > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stack.provider().calls().revocations, 1);
    stack.stop().await;
}

// proves: LO-06
#[tokio::test(flavor = "multi_thread")]
async fn logout_works_while_the_authorization_server_is_down() {
    let (mut stack, browser) = logged_in().await;
    stack.stop_provider().await;
    let page = stack.fetch(&browser, "POST", "/logout").await;
    assert_eq!(page.status, 200);
    assert_eq!(stack.session(&browser).await["authenticated"], false);
    let left: Vec<String> = browser.jar().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, [format!("__Secure-app-{}-bye", stack.port)], "only the ticket");
    let next = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    assert_eq!(next.status, 303);
    // The address is still known; when the server is back, the user's session there ends too.
    let target = next.redirect().unwrap();
    assert_eq!(target.as_str().split('?').next(), Some(&*format!("{}/logout", stack.issuer)));
    assert!(target.query_pairs().any(|(name, value)| name == "id_token_hint" && !value.is_empty()));
    assert!(browser.jar().is_empty(), "{:?}", browser.jar());
    stack.stop().await;
}

// proves: LO-08, CS-06, CS-09
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_log_the_user_out() {
    let (stack, browser) = logged_in().await;
    let url = stack.url("/logout");
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", "http://blog.localhost")],
        vec![("x-csrf", "1"), ("sec-fetch-site", "cross-site")],
        vec![("x-csrf", "1"), ("origin", "null")],
        vec![("content-type", "application/x-www-form-urlencoded")],
    ] {
        let page = browser.send("POST", &url, &headers, "").await;
        assert_eq!(page.status, 403, "{headers:?}");
        assert!(problem_code(&page).starts_with("csrf_"));
        assert!(set_cookies(&page).is_empty());
    }
    for media_type in
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
    {
        let headers = [&FETCH[..], &[("content-type", media_type)]].concat();
        for path in ["/logout", "/refresh"] {
            let page = browser.send("POST", &stack.url(path), &headers, "{}").await;
            assert_eq!(
                (page.status.as_u16(), problem_code(&page).as_str()),
                (415, "unsupported_media_type")
            );
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
        let page = stack.fetch(&browser, method, "/logout").await;
        assert_eq!(page.status, 405, "{method}");
        assert_eq!(page.headers["allow"], "POST");
    }
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_sent_again_after_the_logout_sets_no_cookie() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "").await;
    let thief = browser.copy();
    let callback = crate::support::browser::login(&browser, &authorize, "alice").await;
    browser.get_from_elsewhere(&callback).await;
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    let page = thief.get_from_elsewhere(&callback).await;
    assert_eq!(page.headers["location"], format!("{}/", stack.app));
    assert!(set_cookies(&page).is_empty(), "{page:?}");
    assert_eq!(stack.session(&thief).await["authenticated"], false);
    stack.stop().await;
}
