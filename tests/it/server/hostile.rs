//! The whole server before an authorization server that does what polite ones never will.

use cloakroom::secret::Random;
use cloakroom::server;
use serde_json::json;

use super::set_cookies;
use super::setup::{callback, error_of, hostile, hostile_op, log_in};
use crate::support::browser::Browser;
use crate::support::hostile_op::{Endpoint, HostileOp, set};
use crate::support::stack::{CLIENT_ID, FETCH, LINK, Setup, free_port, load_text};

// proves: CB-06, CB-07
#[tokio::test(flavor = "multi_thread")]
async fn twenty_callbacks_at_once_exchange_the_code_once() {
    let (op, stack) = hostile().await;
    let browser = Browser::new();
    let authorize = stack.begin_login(&browser, "?return_to=/deep").await;
    let url = callback(&op, &authorize, &stack.url("/callback"));
    let tabs: Vec<Browser> = (0..20).map(|_| browser.copy()).collect();
    let pages = futures_util::future::join_all(tabs.iter().map(|tab| tab.get(&url))).await;
    for page in pages {
        assert_eq!(page.headers["location"], format!("{}/deep", stack.app));
    }
    for tab in &tabs {
        assert_eq!(stack.session(tab).await["authenticated"], true);
    }
    assert_eq!(op.calls(Endpoint::Token), 1);
    // Long after, with the login cookie still alive: no second exchange either.
    stack.clock.advance(std::time::Duration::from_secs(120));
    let late = browser.get(&url).await;
    assert_eq!(error_of(&late).as_deref(), Some("login_used"));
    let logged_in = tabs[0].get(&url).await;
    assert_eq!(
        logged_in.headers["location"],
        format!("{}/", stack.app),
        "a user with a session just goes on"
    );
    assert_eq!(op.calls(Endpoint::Token), 1);
    stack.stop().await;
}

// proves: CB-09, ID-12
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_id_token_leaves_no_session_and_no_further_call() {
    let (op, stack) = hostile().await;
    for (claim, value, code) in [
        ("nonce", Some(json!("other")), "id_token_invalid"),
        ("aud", Some(json!("other")), "id_token_invalid"),
        ("iss", Some(json!("https://evil.test")), "issuer_mismatch"),
        ("exp", Some(json!(1)), "clock"),
        ("sub", None, "id_token_invalid"),
    ] {
        op.turn(|knobs| knobs.claims = set(claim, value));
        let browser = Browser::new();
        let page = log_in(&op, &stack, &browser).await;
        assert_eq!(error_of(&page).as_deref(), Some(code), "{claim}");
        assert!(set_cookies(&page).iter().all(|line| line.contains("Max-Age=0")), "{claim}");
        assert_eq!(stack.session(&browser).await["authenticated"], false, "{claim}");
    }
    assert_eq!(op.calls(Endpoint::Userinfo), 0);
    stack.stop().await;
}

// proves: CK-08
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_any_size_works_or_fails_clearly_and_no_cookie_is_too_large() {
    let (op, stack) = hostile().await;
    for (kilobytes, fits) in [(1, true), (3, true), (4, true), (8, false), (16, false), (64, false)]
    {
        let token = "t".repeat(kilobytes * 1_000);
        op.turn(|knobs| knobs.token_response = set("access_token", Some(json!(token))));
        op.turn(|knobs| knobs.claims = set("at_hash", None));
        let browser = Browser::new();
        let page = log_in(&op, &stack, &browser).await;
        for line in set_cookies(&page) {
            let pair = line.split(';').next().unwrap();
            assert!(pair.len() <= 4_096, "{} bytes", pair.len());
        }
        let session = stack.session(&browser).await;
        assert_eq!(session["authenticated"], fits, "{kilobytes} kB");
        let code = if fits { None } else { Some("session_too_large") };
        assert_eq!(error_of(&page).as_deref(), code, "{kilobytes} kB");
        let total: usize =
            browser.jar().iter().map(|(name, value)| name.len() + value.len() + 3).sum();
        assert!(total <= 7_000, "{total} bytes of cookies");
    }
    stack.stop().await;
}

/// Two apps on one server, each with an authorization server of its own.
fn two_apps(one: &HostileOp, two: &HostileOp) -> (server::Running, String, String) {
    let port = free_port();
    let app = |id: &str, host: &str, issuer: &str| {
        format!(
            r#"
[[apps]]
public_url = "http://{host}:{port}"
app.id = "{id}"
provider.issuer = "{issuer}"
provider.client_id = "{CLIENT_ID}"
provider.client_secret_env = "CLIENT_SECRET"
session.keys = [{{ id = "one", env = "KEY_ONE" }}]
"#
        )
    };
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n[admin]\nlisten = \"off\"\n{}{}",
        app("one", "localhost", &one.issuer),
        app("two", "127.0.0.1", &two.issuer)
    );
    let running = server::start(load_text(&text), one.clock.clone(), Random::system()).unwrap();
    (running, format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}"))
}

// proves: AR-09, AR-10, ID-18
#[tokio::test(flavor = "multi_thread")]
async fn two_apps_with_two_authorization_servers_never_take_each_others_answers() {
    let clock = Setup::default().clock;
    let (honest, attacker) = (hostile_op(clock.clone()).await, hostile_op(clock).await);
    let (running, one, two) = two_apps(&honest, &attacker);
    let begin = |browser: Browser, app: String| async move {
        let page = browser.send("GET", &format!("{app}/login"), &LINK, "").await;
        (browser, String::from(page.redirect().unwrap()))
    };
    // The attacker's server sends the browser on to the honest one with the same state (mix-up).
    let (browser, at_attacker) = begin(Browser::new(), two.clone()).await;
    let swapped = at_attacker.replacen(&attacker.issuer, &honest.issuer, 1);
    let url = callback(&honest, &swapped, &format!("{two}/callback"));
    let page = browser.get(&url).await;
    assert_eq!(error_of(&page).as_deref(), Some("issuer_mismatch"));
    assert_eq!(attacker.calls(Endpoint::Token), 0, "the code never reaches the attacker");

    // One app's answer at the other app's callback.
    let (browser, authorize) = begin(Browser::new(), one.clone()).await;
    let page = browser.get(&callback(&honest, &authorize, &format!("{two}/callback"))).await;
    assert_eq!(error_of(&page).as_deref(), Some("login_cookie_missing"));
    assert_eq!(honest.calls(Endpoint::Token), 0);

    // The same sub at both servers is two users with two sessions.
    let page = browser.get(&callback(&honest, &authorize, &format!("{one}/callback"))).await;
    assert_eq!(page.headers["location"], format!("{one}/"));
    let jar = browser.jar();
    let cookie: Vec<String> = jar
        .iter()
        .map(|(name, value)| format!("{}={value}", name.replace("Http-one-", "Http-two-")))
        .collect();
    let cookie = cookie.join("; ");
    let headers = [("x-csrf", "1"), ("sec-fetch-site", "same-origin"), ("cookie", cookie.as_str())];
    let page = Browser::new().send("GET", &format!("{two}/session"), &headers, "").await;
    assert!(page.body.contains("\"authenticated\":false"), "{}", page.body);
    running.stop().await;
}

// proves: LO-05
#[tokio::test(flavor = "multi_thread")]
async fn a_long_id_token_logs_out_by_a_form_that_no_script_of_the_spa_can_read() {
    let (op, stack) = hostile().await;
    op.turn(|knobs| knobs.claims = set("pad", Some(json!("p".repeat(1_500)))));
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    let page = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let action = format!("<form method=\"post\" action=\"{}/end_session\">", op.issuer);
    assert!(page.body.contains(&action), "{}", page.body);
    for name in ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"] {
        assert!(page.body.contains(&format!("name=\"{name}\"")), "{name}: {}", page.body);
    }
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert!(csp.contains("sandbox allow-forms") && !csp.contains("allow-same-origin"), "{csp}");
    assert_eq!(page.headers["cache-control"], "no-store");
    let fetched = stack.fetch(&browser, "GET", "/logout/continue").await;
    assert_eq!(fetched.status, 403, "a script is refused");
    stack.stop().await;
}

// proves: RF-09
#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_id_token_with_another_nonce_ends_the_session_and_the_same_one_does_not() {
    let (op, stack) = hostile().await;
    let browser = Browser::new();
    log_in(&op, &stack, &browser).await;
    for (value, status) in [(None, 200), (Some(json!("another")), 401)] {
        op.turn(|knobs| knobs.refreshed_claims = set("nonce", value));
        stack.clock.advance(std::time::Duration::from_secs(1_200));
        assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, status);
    }
    stack.stop().await;
}

// proves: CK-08
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_outgrow_the_cookies_at_a_refresh_end_the_session_with_the_cause() {
    let (op, stack) = hostile().await;
    let browser = Browser::new();
    op.turn(|knobs| knobs.token_response = set("expires_in", Some(json!(100))));
    log_in(&op, &stack, &browser).await;
    let large = json!("t".repeat(9_000));
    op.turn(|knobs| {
        knobs.refreshed_claims = set("at_hash", None);
        knobs.token_response = set("access_token", Some(large));
    });
    stack.clock.advance(std::time::Duration::from_secs(101));
    let page = stack.fetch(&browser, "POST", "/refresh").await;
    assert_eq!(page.status, 401);
    assert_eq!(super::problem_code(&page), "session_too_large");
    assert!(browser.jar().is_empty(), "{:?}", browser.jar());
    stack.stop().await;
}

// proves: ID-18
#[tokio::test(flavor = "multi_thread")]
async fn ending_a_session_at_one_issuer_leaves_the_same_subject_of_another_alone() {
    let clock = Setup::default().clock;
    let (one_op, two_op) = (hostile_op(clock.clone()).await, hostile_op(clock).await);
    let (running, one, two) = two_apps(&one_op, &two_op);
    let browser = Browser::new();
    let log_in = async |op: &HostileOp, app: &str| {
        let page = browser.send("GET", &format!("{app}/login"), &LINK, "").await;
        let back = callback(op, page.redirect().unwrap().as_str(), &format!("{app}/callback"));
        assert_eq!(browser.get_from_elsewhere(&back).await.headers["location"], format!("{app}/"));
    };
    let is_logged_in = async |browser: &Browser, app: &str| {
        let page = browser.send("GET", &format!("{app}/session"), &FETCH, "").await;
        let session: serde_json::Value = serde_json::from_str(&page.body).unwrap();
        assert!(session["claims"]["sub"] == "alice" || session["authenticated"] == false);
        session["authenticated"] == true
    };
    log_in(&one_op, &one).await;
    log_in(&two_op, &two).await;
    let before = browser.copy();
    let page = browser.send("POST", &format!("{one}/logout"), &FETCH, "").await;
    assert_eq!(page.status, 200);
    for browser in [&browser, &before] {
        assert!(!is_logged_in(browser, &one).await);
        assert!(is_logged_in(browser, &two).await);
    }
    // A new login replaces the session of its own app only.
    log_in(&one_op, &one).await;
    assert!(is_logged_in(&browser, &one).await && is_logged_in(&browser, &two).await);
    assert!(!is_logged_in(&before, &one).await && is_logged_in(&before, &two).await);
    running.stop().await;
}
