//! Logins that may ask the user nothing: an answer either way, at the place where they began.

use crate::support::browser::{Browser, Page};
use crate::support::stack::{Setup, Stack};

/// The answer to a silent login that the server cannot give without the user.
async fn unanswered(stack: &Stack, browser: &Browser, query: &str) -> Page {
    let authorize = stack.begin_login(browser, query).await;
    let authorize = url::Url::parse(&authorize).unwrap();
    let state = authorize.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    let (callback, issuer) = (stack.url("/callback"), &stack.issuer);
    browser.get(&format!("{callback}?state={state}&iss={issuer}&error=login_required")).await
}

// proves: CB-05
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_login_without_an_answer_lands_where_it_began_and_keeps_the_session() {
    let stack = Stack::start(Setup::default()).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    let query = "?prompt=none&return_to=/x%3Fa%3D1%23top";
    let page = unanswered(&stack, &browser, query).await;
    let target = page.redirect().unwrap();
    assert_eq!((target.path(), target.fragment()), ("/x", Some("top")));
    let query: Vec<(String, String)> = target.query_pairs().into_owned().collect();
    let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(query[..2], [("a", "1"), ("auth_error", "interaction_needed")]);
    assert_eq!((query.len(), query[2].0), (3, "request_id"));
    assert_eq!(stack.session(&browser).await["authenticated"], true);
    let jar = browser.jar();
    assert!(jar.iter().all(|(name, _)| !name.contains("login")), "{jar:?}");

    // A page that asks for it again and again is stopped.
    let stubborn = Browser::new();
    let mut last = 0;
    for _ in 0..20 {
        last = unanswered(&stack, &stubborn, "?prompt=none").await.status.as_u16();
        if last != 303 {
            break;
        }
    }
    assert_eq!(last, 429);
    stack.stop().await;
}
