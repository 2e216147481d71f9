//! Logging in: from the link on the page to the first API call, and every way in which it goes wrong.

use serde_json::Value;
use url::Url;

use super::set_cookies;
use crate::support::browser::{Browser, Page, login};
use crate::support::stack::{FETCH, LINK, Setup, Stack};

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn with_parameter(url: &str, name: &str, value: Option<&str>) -> String {
    let mut url = Url::parse(url).unwrap();
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    let mut pairs = url.query_pairs_mut();
    pairs.clear().extend_pairs(kept);
    if let Some(value) = value {
        pairs.append_pair(name, value);
    }
    drop(pairs);
    url.into()
}

/// The refusal of a login: back to the app with a code, no session, the login cookie gone.
fn assert_refused(page: &Page, code: &str) {
    assert_eq!(page.status, 303, "{}", page.body);
    let target = page.redirect().unwrap();
    assert_eq!(target.host_str(), Some("localhost"), "{target}");
    assert_eq!(parameter(target.as_str(), "auth_error").as_deref(), Some(code), "{target}");
    assert!(parameter(target.as_str(), "request_id").is_some(), "{target}");
    assert!(set_cookies(page).iter().all(|line| line.contains("Max-Age=0")), "{page:?}");
}

// proves: AR-01, AR-03, AR-06, CB-01, CB-10, CB-11, CK-01, CK-02, CK-03, PX-04
#[tokio::test(flavor = "multi_thread")]
async fn a_user_logs_in_and_calls_the_api_without_a_token_in_sight() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "?return_to=/orders%3Fpage%3D2%23row-7").await;
    assert_eq!(parameter(&authorize, "response_type").as_deref(), Some("code"));
    assert_eq!(parameter(&authorize, "code_challenge_method").as_deref(), Some("S256"));
    assert!(parameter(&authorize, "nonce").is_some_and(|nonce| nonce.len() <= 64));
    let callback = login(&browser, &authorize, "alice").await;
    let landed = browser.get(&callback).await;
    assert_eq!(landed.status, 303);
    assert_eq!(landed.headers["location"], format!("{}/orders?page=2#row-7", stack.app));
    assert_eq!(landed.headers["cache-control"], "no-store");
    assert_eq!(landed.headers["referrer-policy"], "no-referrer");
    for line in set_cookies(&landed).iter().filter(|line| !line.contains("Max-Age=0")) {
        assert!(line.contains("Secure") && line.contains("HttpOnly"), "{line}");
        let same_site = if line.contains("-trail=") { "SameSite=Lax" } else { "SameSite=Strict" };
        assert!(line.contains(same_site) && !line.contains("Domain"), "{line}");
        assert!(line.starts_with("__Host-Http-") || line.starts_with("__Secure-"), "{line}");
    }
    let session = stack.session(&browser).await;
    assert_eq!(session["authenticated"], true);
    assert_eq!(session["claims"]["sub"], "alice");
    assert!(session["access_token_expires_in"].as_u64().unwrap() > 200, "{session}");

    let echo = stack.fetch(&browser, "GET", "/api/echo?x=1").await;
    assert_eq!(echo.status, 200, "{}", echo.body);
    let echo: Value = serde_json::from_str(&echo.body).unwrap();
    assert_eq!(echo["claims"]["sub"], "alice");
    stack.stop().await;
}

// proves: AR-12
#[tokio::test(flavor = "multi_thread")]
async fn login_starts_only_when_the_user_wants_it() {
    let stack = Stack::start(Setup::default()).await;
    let visit = |headers: Vec<(&'static str, &'static str)>| {
        let url = stack.url("/login?return_to=/");
        async move { Browser::new().send("GET", &url, &headers, "").await }
    };
    let nav = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let cross = visit([&[("sec-fetch-site", "cross-site")][..], &nav].concat()).await;
    assert_eq!(cross.status, 200);
    assert!(cross.body.contains("Continue to sign in"), "{}", cross.body);
    assert!(cross.body.contains("href=\"/login?return_to=/\""), "{}", cross.body);
    assert!(set_cookies(&cross).is_empty());
    for (site, mode, dest) in [
        ("cross-site", "no-cors", "image"),
        ("cross-site", "navigate", "iframe"),
        ("same-origin", "cors", "empty"),
        ("same-site", "no-cors", "script"),
    ] {
        let refused = visit(vec![
            ("sec-fetch-site", site),
            ("sec-fetch-mode", mode),
            ("sec-fetch-dest", dest),
        ])
        .await;
        assert_eq!(refused.status, 403, "{site} {mode} {dest}");
        assert!(set_cookies(&refused).is_empty());
    }
    let prefetch = visit([&LINK[..], &[("sec-purpose", "prefetch")]].concat()).await;
    assert_eq!(prefetch.status, 403);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_gets_the_authorization_url_as_json() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    let headers = [&FETCH[..], &[("accept", "application/json")]].concat();
    let page = browser.send("GET", &stack.url("/login"), &headers, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let answer: Value = serde_json::from_str(&page.body).unwrap();
    let authorize = answer["authorization_url"].as_str().unwrap();
    let callback = login(&browser, authorize, "bob").await;
    browser.get(&callback).await;
    assert_eq!(stack.session(&browser).await["claims"]["sub"], "bob");
    stack.stop().await;
}

// proves: AR-02, AR-14, AR-15
#[tokio::test(flavor = "multi_thread")]
async fn parameters_come_from_the_list_and_the_return_target_stays_here() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    for (query, code) in [
        ("?redirect_uri=https://evil.test", "bad_parameter"),
        ("?client_id=other", "bad_parameter"),
        ("?response_type=token", "bad_parameter"),
        ("?response_mode=fragment", "bad_parameter"),
        ("?request_uri=urn:x", "bad_parameter"),
        ("?code_challenge=x", "bad_parameter"),
        ("?scope=admin", "bad_parameter"),
        ("?prompt=login&prompt=none", "bad_parameter"),
        ("?return_to=https://evil.test", "bad_return_to"),
        ("?return_to=//evil.test", "bad_return_to"),
        ("?return_to=/%5Cevil.test", "bad_return_to"),
        ("?return_to=/%0d%0aSet-Cookie:a=b", "bad_return_to"),
    ] {
        let page = browser.send("GET", &stack.url(&format!("/login{query}")), &LINK, "").await;
        assert_eq!(page.status, 400, "{query}");
        assert_eq!(page.headers["cloakroom-error"], code, "{query}");
        assert!(set_cookies(&page).is_empty());
    }
    // `create` is for users who have no account yet (Initiating User Registration 1.0).
    for prompt in ["login", "create", "select_account"] {
        let query = format!("?prompt={prompt}&login_hint=alice");
        let authorize = stack.begin_login(&browser, &query).await;
        assert_eq!(parameter(&authorize, "prompt").as_deref(), Some(prompt));
    }
    let authorize = stack.begin_login(&browser, "?login_hint=alice").await;
    assert_eq!(parameter(&authorize, "login_hint").as_deref(), Some("alice"));
    assert_eq!(parameter(&authorize, "response_type").as_deref(), Some("code"));
    stack.stop().await;
}

// proves: AR-05, AR-11, CB-01, CB-02, CB-03, CB-04, CS-12
#[tokio::test(flavor = "multi_thread")]
async fn a_response_counts_only_in_the_browser_that_asked_and_only_unchanged() {
    let stack =
        Stack::start(Setup { login: "loop_limit = 100".to_owned(), ..Setup::default() }).await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "").await;
    let callback = login(&browser, &authorize, "alice").await;
    let state = parameter(&callback, "state").unwrap();
    let mut flipped = state.clone().into_bytes();
    flipped[0] = if flipped[0] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();

    let stranger = Browser::new();
    assert_refused(&stranger.get(&callback).await, "login_cookie_missing");
    for (url, code) in [
        (with_parameter(&callback, "state", None), "login_failed"),
        (with_parameter(&callback, "state", Some(&flipped)), "login_cookie_missing"),
        (format!("{callback}&state={state}"), "login_failed"),
        (format!("{callback}&code=other"), "login_failed"),
        (format!("{callback}&error=access_denied"), "login_failed"),
        (with_parameter(&callback, "code", None), "login_failed"),
    ] {
        assert_refused(&browser.get(&url).await, code);
        assert_eq!(stack.session(&browser).await["authenticated"], false, "{url}");
    }
    // None of that used the attempt up.
    let landed = browser.get(&format!("{callback}&unknown=parameter")).await;
    assert_eq!(landed.headers["location"], format!("{}/", stack.app));
    assert_eq!(stack.session(&browser).await["authenticated"], true);

    for iss in [Some("https://evil.test"), Some("http://127.0.0.1"), None] {
        let other = Browser::new();
        let authorize = stack.begin_login(&other, "").await;
        let callback = login(&other, &authorize, "alice").await;
        let page = other.get(&with_parameter(&callback, "iss", iss)).await;
        assert_refused(&page, "issuer_mismatch");
    }
    stack.stop().await;
}

// proves: CB-03, CB-05
#[tokio::test(flavor = "multi_thread")]
async fn an_error_response_says_nothing_of_its_text_and_keeps_the_session() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for (error, code) in [
        ("access_denied", "login_denied"),
        ("login_required", "interaction_needed"),
        ("odd", "login_failed"),
    ] {
        let authorize = stack.begin_login(&browser, "?return_to=/x").await;
        let state = parameter(&authorize, "state").unwrap();
        let evil = "%3Cscript%3Ealert(1)%3C/script%3E%0d%0aX: y";
        let page = browser
            .get(&format!(
                "{}?state={state}&iss={}&error={error}&error_description={evil}&error_uri=https://evil.test",
                stack.url("/callback"),
                stack.issuer
            ))
            .await;
        assert_refused(&page, code);
        let location = page.headers["location"].to_str().unwrap();
        assert!(!location.contains("script") && !location.contains("evil"), "{location}");
        assert_eq!(parameter(location, "return_to").as_deref(), Some("/x"));
        assert_eq!(stack.session(&browser).await["authenticated"], true);
    }
    let authorize = stack.begin_login(&browser, "").await;
    let state = parameter(&authorize, "state").unwrap();
    let forged = format!(
        "{}?state={state}&iss=https://evil.test&error=access_denied",
        stack.url("/callback")
    );
    assert_refused(&browser.get(&forged).await, "issuer_mismatch");
    stack.stop().await;
}

// proves: CK-15
#[tokio::test(flavor = "multi_thread")]
async fn ten_tabs_log_in_at_once_and_finish_in_any_order() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    let mut attempts = Vec::new();
    for tab in 0..10 {
        attempts.push((tab, stack.begin_login(&browser, &format!("?return_to=/tab/{tab}")).await));
    }
    for (tab, authorize) in attempts.into_iter().rev() {
        let callback = login(&browser, &authorize, "alice").await;
        let landed = browser.get(&callback).await;
        assert_eq!(landed.headers["location"], format!("{}/tab/{tab}", stack.app));
    }
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    assert!(
        browser.jar().iter().all(|(name, _)| !name.contains("-login-")),
        "attempts are used up"
    );
    stack.stop().await;
}

// proves: CB-06
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_called_again_lands_on_the_app_without_disturbing_the_session() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "?return_to=/deep").await;
    let callback = login(&browser, &authorize, "alice").await;
    let twin = browser.copy();
    let (first, second) = tokio::join!(browser.get(&callback), twin.get(&callback));
    for page in [&first, &second] {
        assert_eq!(page.headers["location"], format!("{}/deep", stack.app));
    }
    let before = stack.session(&browser).await;
    let again = browser.get(&callback).await;
    assert_eq!(again.headers["location"], format!("{}/", stack.app));
    assert_eq!(stack.session(&browser).await["claims"], before["claims"]);
    assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    stack.stop().await;
}

// proves: AR-21, ID-14
#[tokio::test(flavor = "multi_thread")]
async fn a_max_age_that_could_not_be_checked_is_not_asked_for() {
    let login = "allowed_params = [\"max_age\"]".to_owned();
    let stack = Stack::start(Setup { login, ..Setup::default() }).await;
    for value in ["", "abc", "-1", "+5", "1.5", "99999999999999999999", "0x10"] {
        let query = form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
        let url = stack.url(&format!("/login?max_age={query}"));
        let page = Browser::new().send("GET", &url, &LINK, "").await;
        assert_eq!(page.status, 400, "{value}");
    }
    let authorize = stack.begin_login(&Browser::new(), "?max_age=600").await;
    assert_eq!(parameter(&authorize, "max_age").as_deref(), Some("600"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_took_too_long_is_told_so() {
    let stack =
        Stack::start(Setup { login: "max_age = \"5m\"".to_owned(), ..Setup::default() }).await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "?return_to=/late").await;
    stack.clock.advance(std::time::Duration::from_secs(301));
    let state = parameter(&authorize, "state").unwrap();
    let page = browser.get(&format!("{}?state={state}&code=x", stack.url("/callback"))).await;
    assert_refused(&page, "login_expired");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_goes_in_circles_is_stopped_on_a_page_that_names_the_cause() {
    let stack =
        Stack::start(Setup { login: "loop_limit = 3".to_owned(), ..Setup::default() }).await;
    // A browser that returns no cookie: host A is not host B.
    let callback = stack.url("/callback?code=x&state=y");
    let mut last = None;
    for _ in 0..3 {
        last = Some(Browser::new().send("GET", &callback, &LINK, "").await);
    }
    let page = last.unwrap();
    assert_eq!(page.status, 429);
    assert_eq!(page.headers["cloakroom-error"], "login_loop");
    assert!(page.body.contains("login_cookie_missing"), "{}", page.body);
    assert!(page.body.contains("server.public_url"), "{}", page.body);
    stack.clock.advance(std::time::Duration::from_secs(61));
    assert_refused(&Browser::new().get(&callback).await, "login_cookie_missing");

    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_that_work_and_start_anew_at_once_are_stopped_with_the_cause() {
    let stack =
        Stack::start(Setup { login: "loop_limit = 3".to_owned(), ..Setup::default() }).await;
    for (drops_session, expected) in [(true, "session_cookie_missing"), (false, "repeated_login")] {
        let browser = Browser::new();
        let mut rounds = 0;
        let page = loop {
            let page = browser.send("GET", &stack.url("/login?return_to=/"), &LINK, "").await;
            let Some(authorize) = page.redirect() else { break page };
            let callback = login(&browser, authorize.as_str(), "alice").await;
            browser.get(&callback).await;
            if drops_session {
                let is_session = |name: &str| name.contains("-t.") || name.ends_with("-a");
                browser.tamper(|name, value| (!is_session(name)).then(|| value.to_owned()));
            }
            rounds += 1;
            assert!(rounds < 10, "never stopped");
        };
        assert_eq!((page.status.as_u16(), rounds), (429, 3));
        assert!(page.body.contains(expected), "{}", page.body);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_users_behind_one_address_and_signing_out_and_in_again_are_no_circle() {
    let stack =
        Stack::start(Setup { login: "loop_limit = 3".to_owned(), ..Setup::default() }).await;
    for _ in 0..8 {
        assert_eq!(stack.log_in(&Browser::new(), "alice").await.status, 303);
    }
    let browser = Browser::new();
    for _ in 0..8 {
        stack.log_in(&browser, "bob").await;
        assert_eq!(stack.session(&browser).await["authenticated"], true);
        assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    }
    stack.stop().await;
}

// proves: CB-14, CK-13
#[tokio::test(flavor = "multi_thread")]
async fn a_second_login_makes_a_new_session_and_ends_the_old_one() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let thief = browser.copy();
    assert_eq!(stack.session(&thief).await["authenticated"], true);
    stack.log_in(&browser, "alice").await;
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    assert_eq!(stack.session(&thief).await["authenticated"], false);
    stack.stop().await;
}
