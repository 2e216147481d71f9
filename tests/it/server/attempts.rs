//! Authorization responses that do not belong to the login that the browser began: refused before any code is spent.

use std::sync::Arc;
use std::time::Duration;

use super::set_cookies;
use super::setup::{callback, error_of, hostile, hostile_with};
use crate::support::browser::{Browser, Page};
use crate::support::hostile_op::{Endpoint, HostileOp};
use crate::support::stack::{Setup, Stack};

const IS_LOGIN: &str = "-login-";

/// Begins a login; gives the name of its cookie and the callback URL.
async fn begin(op: &HostileOp, stack: &Stack, browser: &Browser) -> (String, String) {
    let known: Vec<String> = browser.jar().into_iter().map(|(name, _)| name).collect();
    let authorize = stack.begin_login(browser, "").await;
    let mut names = browser.jar().into_iter().map(|(name, _)| name);
    let name = names.find(|name| name.contains(IS_LOGIN) && !known.contains(name)).unwrap();
    (name, callback(op, &authorize, &stack.url("/callback")))
}

/// Refused: back to the app with `code`, no cookie set, nothing said to the authorization server, nobody logged in.
async fn assert_refused(
    (op, stack, browser): (&HostileOp, &Stack, &Browser),
    page: &Page,
    code: &str,
) {
    assert_eq!((page.status.as_u16(), error_of(page).as_deref()), (303, Some(code)));
    assert!(set_cookies(page).iter().all(|line| line.contains("Max-Age=0")), "{page:?}");
    for endpoint in [Endpoint::Token, Endpoint::Userinfo, Endpoint::Other] {
        assert_eq!(op.calls(endpoint), 0, "{endpoint:?} after {code}");
    }
    assert_eq!(stack.session(browser).await["authenticated"], false, "{code}");
}

// proves: CB-01, AR-05
#[tokio::test(flavor = "multi_thread")]
async fn only_the_login_cookie_of_the_same_attempt_lets_a_response_in() {
    let (op, stack) = hostile().await;
    let browser = Browser::new();
    let (first, url) = begin(&op, &stack, &browser).await;
    let (second, _) = begin(&op, &stack, &browser).await;
    let value_of = |name: &str| browser.jar().into_iter().find(|(n, _)| n == name).unwrap().1;
    let (of_first, of_second) = (value_of(&first), value_of(&second));
    let other_user = Browser::new();
    let (foreign, _) = begin(&op, &stack, &other_user).await;
    let of_other_user = other_user.jar().into_iter().find(|(n, _)| *n == foreign).unwrap().1;
    let mut flipped = of_first.clone().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for (what, value, code) in [
        ("no cookie", None, "login_cookie_missing"),
        ("another tab's", Some(of_second.as_str()), "login_state_mismatch"),
        ("another user's", Some(&of_other_user), "login_state_mismatch"),
        ("tampered", Some(&flipped), "login_state_mismatch"),
        ("cut off", Some(&of_first[..of_first.len() - 4]), "login_state_mismatch"),
        ("empty", Some(""), "login_state_mismatch"),
        ("no base64", Some("!!"), "login_state_mismatch"),
    ] {
        let tab = browser.copy();
        tab.tamper(
            |name, old| if name == first { value.map(str::to_owned) } else { Some(old.to_owned()) },
        );
        let page = tab.get(&url).await;
        assert_refused((&op, &stack, &tab), &page, code).await;
        assert!(tab.jar().iter().any(|(name, _)| *name == second), "{what}: the other tab's stays");
    }
    // The attempt itself is untouched by all that.
    browser.get(&url).await;
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    assert_eq!(op.calls(Endpoint::Token), 1);
    stack.stop().await;
}

// proves: CB-01, CK-11
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_ends_by_what_is_sealed_in_it_although_the_browser_keeps_the_cookie() {
    let (op, stack) =
        hostile_with(Setup { login: "max_age = \"5m\"".to_owned(), ..Setup::default() }).await;
    for (seconds, code) in
        [(299, None), (300, Some("login_expired")), (86_400, Some("login_expired"))]
    {
        let (browser, before) = (Browser::new(), op.calls(Endpoint::Token));
        let (_, url) = begin(&op, &stack, &browser).await;
        stack.clock.advance(Duration::from_secs(seconds));
        let page = browser.get(&url).await;
        assert_eq!(error_of(&page).as_deref(), code, "{seconds}");
        assert_eq!(op.calls(Endpoint::Token) - before, usize::from(code.is_none()), "{seconds}");
        assert_eq!(stack.session(&browser).await["authenticated"], code.is_none(), "{seconds}");
    }
    stack.stop().await;
}

// proves: CB-03, AR-09
#[tokio::test(flavor = "multi_thread")]
async fn a_response_names_its_issuer_once_and_exactly() {
    let (op, stack) = hostile().await;
    let issuer = op.issuer.clone();
    let cases: [(&str, Vec<String>, &str); 8] = [
        ("missing", vec![], "issuer_mismatch"),
        ("empty", vec![String::new()], "issuer_mismatch"),
        ("another", vec!["https://evil.test".to_owned()], "issuer_mismatch"),
        ("with a slash", vec![format!("{issuer}/")], "issuer_mismatch"),
        ("in capitals", vec![issuer.to_uppercase()], "issuer_mismatch"),
        ("twice the same", vec![issuer.clone(), issuer.clone()], "login_failed"),
        ("right, then wrong", vec![issuer.clone(), "https://evil.test".to_owned()], "login_failed"),
        ("wrong, then right", vec!["https://evil.test".to_owned(), issuer.clone()], "login_failed"),
    ];
    for (what, named, code) in cases {
        for error in [None, Some("access_denied")] {
            let named = named.clone();
            op.turn(|knobs| {
                knobs.authorization_response = Some(Arc::new(move |params| {
                    params.retain(|(name, _)| name != "iss" && (name != "code" || error.is_none()));
                    params.extend(error.map(|error| ("error".to_owned(), error.to_owned())));
                    params.extend(named.iter().map(|iss| ("iss".to_owned(), iss.clone())));
                }));
            });
            let browser = Browser::new();
            let (_, url) = begin(&op, &stack, &browser).await;
            let page = browser.get(&url).await;
            assert_eq!(error_of(&page).as_deref(), Some(code), "{what} {error:?}");
            assert_refused((&op, &stack, &browser), &page, code).await;
        }
    }
    stack.stop().await;
}
