//! The session in the browser: lifetimes, tampering, key rotation, sizes. None of it is a 500, none loses a good session.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{problem_code, set_cookies};
use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::stack::{FETCH, LINK, Setup, Stack};

async fn logged_in(setup: Setup) -> (Stack, Browser) {
    let stack = Stack::start(setup).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    (stack, browser)
}

// proves: CK-11, CK-12, EL-09
#[tokio::test(flavor = "multi_thread")]
async fn idle_and_absolute_lifetime_end_a_session_and_looking_at_it_extends_nothing() {
    let session = "idle_timeout = \"10m\"\nmax_age = \"30m\"".to_owned();
    let ttl = Duration::from_secs(7_200);
    let (stack, browser) =
        logged_in(Setup { session, access_token_ttl: ttl, ..Setup::default() }).await;
    stack.clock.advance(Duration::from_secs(300));
    let seen = stack.session(&browser).await;
    assert_eq!(
        (&seen["idle_expires_in"], &seen["session_expires_in"]),
        (&300.into(), &1_500.into())
    );
    stack.clock.advance(Duration::from_secs(299));
    assert_eq!(stack.session(&browser).await["idle_expires_in"], 1);
    let thief = browser.copy();

    // A call to the API is a sign of life.
    assert_eq!(stack.fetch(&browser, "GET", "/api/echo").await.status, 200);
    assert_eq!(stack.session(&browser).await["idle_expires_in"], 600);
    stack.clock.advance(Duration::from_secs(2));
    assert_eq!(stack.session(&thief).await["authenticated"], false, "its own idle time is over");

    for _ in 0..2 {
        stack.clock.advance(Duration::from_secs(500));
        assert_eq!(stack.fetch(&browser, "POST", "/refresh").await.status, 200);
    }
    let late = stack.session(&browser).await;
    assert_eq!(late["idle_expires_in"], late["session_expires_in"], "never past the absolute end");
    stack.clock.advance(Duration::from_secs(200));
    let ended = stack.fetch(&browser, "GET", "/api/echo").await;
    assert_eq!((ended.status.as_u16(), problem_code(&ended).as_str()), (401, "session_expired"));
    stack.stop().await;
}

// proves: CK-14
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_is_cleared_with_the_attributes_it_was_set_with() {
    let (stack, browser) = logged_in(Setup::default()).await;
    stack.clock.advance(Duration::from_secs(3_600));
    let ended = stack.fetch(&browser, "GET", "/session").await;
    let lines = set_cookies(&ended);
    assert!(lines.len() >= 3, "{lines:?}");
    for line in &lines {
        assert!(line.contains("Max-Age=0") && line.contains("Path=/"), "{line}");
        assert!(line.contains("Secure") && line.contains("HttpOnly"), "{line}");
        assert!(line.contains("SameSite=Strict"), "{line}");
    }
    assert!(browser.jar().is_empty(), "{:?}", browser.jar());
    stack.stop().await;
}

// proves: CK-04
#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_token_is_in_any_cookie_in_whatever_encoding() {
    let upstream = HostileUpstream::answering(ok("{}")).await;
    let setup = Setup { upstream: Some(upstream.address), ..Setup::default() };
    let (stack, browser) = logged_in(setup).await;
    stack.fetch(&browser, "GET", "/api/x").await;
    let sent = upstream.request();
    let access_token = sent.split("Bearer ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let mut cookies = browser.jar();
    // The ID token shows in the address that ends the session at the authorization server.
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    cookies.extend(browser.jar());
    let next = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    let target = next.redirect().unwrap();
    let hint = target.query_pairs().find(|(name, _)| name == "id_token_hint").unwrap().1;
    let mut needles: Vec<Vec<u8>> = Vec::new();
    for part in access_token.split('.').chain(hint.split('.')) {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        needles.push(URL_SAFE_NO_PAD.encode(part).into_bytes());
        needles.extend([part.as_bytes().to_vec(), bytes]);
    }
    assert_eq!((needles.len(), cookies.len()), (18, 4), "record, activity, hint, ticket");
    for (name, value) in &cookies {
        let opened = URL_SAFE_NO_PAD.decode(value).unwrap();
        for seen in [value.as_bytes(), &opened] {
            let found = needles.iter().find(|part| seen.windows(16).any(|w| w == &part[..16]));
            assert!(found.is_none(), "{name} holds {found:?}");
        }
    }
    stack.stop().await;
}

// proves: CK-05, EL-02
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_anywhere_is_no_session_and_never_an_error_of_ours() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let whole = browser.jar();
    let (name, value) = whole.iter().find(|(name, _)| name.ends_with("-t.0")).unwrap();
    let bodies = &mut std::collections::HashSet::new();
    for at in (0..value.len()).step_by(value.len() / 60 + 1) {
        let flipped = browser.copy();
        flipped.tamper(|cookie, value| {
            let mut bytes = value.to_owned().into_bytes();
            if cookie == name {
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            }
            Some(String::from_utf8(bytes).unwrap())
        });
        let page = stack.fetch(&flipped, "GET", "/session").await;
        assert_eq!(page.status, 200);
        bodies.insert(page.body);
        let call = stack.fetch(&flipped, "GET", "/api/echo").await;
        assert_eq!(call.status, 401, "byte {at}");
    }
    assert_eq!(bodies.len(), 1, "all alike: {bodies:?}");
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

// proves: CK-06, CK-07, CK-09
#[tokio::test(flavor = "multi_thread")]
async fn values_moved_between_cookies_users_and_deployments_do_not_open() {
    let (stack, alice) = logged_in(Setup::default()).await;
    let bob = Browser::new();
    stack.log_in(&bob, "bob").await;
    let value_of = |browser: &Browser, end: &str| {
        browser.jar().into_iter().find(|(name, _)| name.ends_with(end)).unwrap().1
    };
    let activity = value_of(&alice, "-a");
    let bobs_activity = value_of(&bob, "-a");
    let record = value_of(&alice, "-t.0");

    let swapped = alice.copy();
    swapped.tamper(|name, value| {
        Some(if name.ends_with("-t.0") { activity.clone() } else { value.to_owned() })
    });
    assert_eq!(stack.session(&swapped).await["authenticated"], false);

    // Another user's sign of life does not keep this session alive.
    let mixed = alice.copy();
    stack.clock.advance(Duration::from_secs(1_790));
    assert_eq!(stack.fetch(&bob, "POST", "/refresh").await.status, 200);
    let bobs_fresh = value_of(&bob, "-a");
    assert_ne!(bobs_fresh, bobs_activity);
    stack.clock.advance(Duration::from_secs(20));
    mixed.tamper(|name, value| {
        Some(if name.ends_with("-a") { bobs_fresh.clone() } else { value.to_owned() })
    });
    assert_eq!(stack.session(&mixed).await["authenticated"], false);

    let elsewhere = Stack::start(Setup { clock: stack.clock.clone(), ..Setup::default() }).await;
    let cookie = format!("__Host-Http-app-{}-t.0={record}", elsewhere.port);
    let headers = [&FETCH[..], &[("cookie", cookie.as_str())]].concat();
    let page = Browser::new().send("GET", &elsewhere.url("/session"), &headers, "").await;
    assert!(page.body.contains("\"authenticated\":false"), "{}", page.body);
    elsewhere.stop().await;
    stack.stop().await;
}

// proves: CK-07, CK-10
#[tokio::test(flavor = "multi_thread")]
async fn odd_cookie_headers_are_no_session_and_nothing_worse() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let name = format!("__Host-Http-app-{}-t.", stack.port);
    let good = browser.jar().into_iter().find(|(cookie, _)| cookie.ends_with("-t.0")).unwrap().1;
    let many = |value: &str| {
        let all: Vec<String> = (0..1_000).map(|n| format!("{name}{n}={value}")).collect();
        all.join("; ")
    };
    let lower = name.to_lowercase();
    for (cookie, alive) in [
        (format!("{name}0={good}"), true),
        (format!("a=b; =nameless; {name}0={good}; \"q\"=1"), true),
        (format!("{lower}0={good}"), false),
        (format!("={name}0={good}"), false),
        (format!("{name}0=\"{good}\""), false),
        (format!("{name}0={good}; {name}0={good}"), false),
        (format!("{name}1={good}"), false),
        (format!("{name}0={good}; {name}2={good}"), false),
        (format!("{name}00={good}"), false),
        (format!("{name}={good}"), false),
        (format!("$Version=1; {name}0=\"{good}; x=1\""), false),
        (many("A"), false),
        (format!("{name}0={good}; {}", many("A")), false),
        (String::new(), false),
    ] {
        let headers = [&FETCH[..], &[("cookie", cookie.as_str())]].concat();
        let page = Browser::new().send("GET", &stack.url("/session"), &headers, "").await;
        assert_eq!(page.status, 200, "{cookie:.80}");
        let session: Value = serde_json::from_str(&page.body).unwrap();
        assert_eq!(session["authenticated"], alive, "{cookie:.120}");
    }
    // A thousand chunks of full size are more than a request may have.
    let many = many(&good);
    let headers = [&FETCH[..], &[("cookie", many.as_str())]].concat();
    let page = Browser::new().send("GET", &stack.url("/session"), &headers, "").await;
    assert_eq!(page.status, 431, "{page:?}");
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    stack.stop().await;
}

// proves: KM-02, KM-03
#[tokio::test(flavor = "multi_thread")]
async fn rotation_logs_nobody_out_and_dropping_a_key_ends_its_sessions_with_the_cookies_kept() {
    let keys = |ids: &[&str]| {
        let list: Vec<String> = ids
            .iter()
            .map(|id| format!("{{ id = \"{id}\", env = \"KEY_{}\" }}", id.to_uppercase()))
            .collect();
        format!("keys = [{}]", list.join(", "))
    };
    let clock = Setup::default().clock;
    let provider = Stack::start(Setup { clock: clock.clone(), ..Setup::default() }).await;
    let issuer = provider.issuer.clone();
    let setup = |ids: &[&str]| Setup {
        session: keys(ids),
        issuer: Some(issuer.clone()),
        clock: clock.clone(),
        ..Setup::default()
    };
    // The redirect URI is registered for the first stack's port; so its successors take that port over.
    let (port, browser) = (provider.port, Browser::new());
    provider.log_in(&browser, "alice").await;
    let stack = provider.restart_at_same_port(setup(&["one"])).await;
    assert_eq!(stack.port, port);
    assert_eq!(stack.issuer, issuer);
    assert_eq!(stack.session(&browser).await["authenticated"], true);

    let stack = stack.restart_at_same_port(setup(&["one", "two"])).await;
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    let stack = stack.restart_at_same_port(setup(&["two", "one"])).await;
    assert_eq!(stack.session(&browser).await["authenticated"], true);

    let stack = stack.restart_at_same_port(setup(&["two"])).await;
    let before = browser.jar().len();
    let page = stack.fetch(&browser, "GET", "/session").await;
    assert!(page.body.contains("\"authenticated\":false"));
    assert!(set_cookies(&page).is_empty(), "kept: the old instances of a rollout still open them");
    assert_eq!(browser.jar().len(), before);
    let stack = stack.restart_at_same_port(setup(&["two", "one"])).await;
    assert_eq!(stack.session(&browser).await["authenticated"], true, "the rollout came back");
    stack.stop().await;
}

// proves: ID-21, CB-15
#[tokio::test(flavor = "multi_thread")]
async fn the_spa_sees_listed_claims_only_and_no_token_anywhere() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let session = stack.session(&browser).await;
    let mut names: Vec<&String> = session["claims"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["email", "name", "sub"]);
    for (method, path) in [
        ("GET", "/session"),
        ("POST", "/refresh"),
        ("GET", "/api/echo"),
        ("GET", "/api/error"),
        ("GET", "/nowhere"),
        ("POST", "/logout"),
    ] {
        let page = stack.fetch(&browser, method, path).await;
        let readable = format!("{:?} {}", page.headers, page.body);
        let without_cookies: String = readable
            .split("set-cookie")
            .map(|part| part.split(',').skip(1).collect::<String>())
            .collect();
        assert!(!page.body.contains("eyJ"), "{method} {path}: {}", page.body);
        assert!(!without_cookies.contains("eyJ"), "{method} {path}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_of_another_site_that_is_no_text_does_not_hide_the_session() {
    let (stack, browser) = logged_in(Setup::default()).await;
    let mut request = format!(
        "GET /session HTTP/1.1\r\nHost: localhost:{}\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n\
         Connection: close\r\nCookie: old=caf",
        stack.port
    )
    .into_bytes();
    request.push(0xe9);
    for (name, value) in browser.jar() {
        request.extend_from_slice(format!("; {name}={value}").as_bytes());
    }
    request.extend_from_slice(b"\r\n\r\n");
    let answer = raw(stack.port, &request).await;
    assert!(answer.contains("\"authenticated\":true"), "{answer}");
    stack.stop().await;
}

async fn raw(port: u16, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_in_the_request_target_counts_more_than_the_field() {
    let stack = Stack::start(Setup::default()).await;
    let own = format!("localhost:{}", stack.port);
    for (target, status) in [
        (format!("http://{own}"), "200"),
        ("http://evil.test".to_owned(), "421"),
        (format!("http://user@{own}"), "421"),
    ] {
        let request = format!(
            "GET {target}/session HTTP/1.1\r\nHost: {own}\r\nX-CSRF: 1\r\n\
             Sec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(stack.port, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target}: {answer}");
    }
    stack.stop().await;
}
