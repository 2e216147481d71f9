//! The end-session endpoint.

use std::time::Duration;

use rstest::rstest;
use url::Url;

use crate::support::browser::{Browser, Page, login};

use super::{Fixture, SIGNED_OUT, param, text};

/// Logs alice in; gives her browser and her ID token.
async fn signed_on(fixture: &Fixture) -> (Browser, String) {
    let browser = Browser::new();
    let callback = login(&browser, &fixture.authorization_url(&[]), "alice").await;
    let (_, tokens) = fixture.exchange(&param(&callback, "code").unwrap()).await;
    (browser, text(&tokens, "id_token").to_owned())
}

async fn end_session(fixture: &Fixture, browser: &Browser, params: &[(&str, &str)]) -> Page {
    browser.get(Url::parse_with_params(&fixture.at("/logout"), params).unwrap().as_str()).await
}

async fn is_signed_on(fixture: &Fixture, browser: &Browser) -> bool {
    let page = browser.get(&fixture.authorization_url(&[("prompt", "none")])).await;
    param(page.redirect().unwrap().as_str(), "code").is_some()
}

#[tokio::test]
async fn end_session_clears_the_sign_on_session_and_returns_with_the_state() {
    let fixture = Fixture::start().await;
    let (browser, id_token) = signed_on(&fixture).await;
    assert!(is_signed_on(&fixture, &browser).await);
    // An ID token that has long expired still says whose session is meant.
    fixture.clock.advance(Duration::from_secs(9 * 3600));
    let params = [
        ("id_token_hint", id_token.as_str()),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", "s&1"),
    ];
    let page = end_session(&fixture, &browser, &params).await;
    assert_eq!(page.redirect().unwrap().as_str(), format!("{SIGNED_OUT}?state=s%261"));
    assert!(!is_signed_on(&fixture, &browser).await);
}

#[rstest]
#[case::foreign_target("post_logout_redirect_uri", "https://evil.example/")]
#[case::longer_target("post_logout_redirect_uri", "http://localhost:65001/logged-out/x")]
#[case::garbage_hint("id_token_hint", "e30.e30.e30")]
#[case::other_client("client_id", "somebody")]
#[tokio::test]
async fn a_wrong_request_gets_a_page_and_leaves_the_session_alone(
    #[case] name: &str,
    #[case] value: &str,
) {
    let fixture = Fixture::start().await;
    let (browser, id_token) = signed_on(&fixture).await;
    let mut params =
        vec![("id_token_hint", id_token.as_str()), ("post_logout_redirect_uri", SIGNED_OUT)];
    params.retain(|(n, _)| *n != name);
    params.push((name, value));
    let page = end_session(&fixture, &browser, &params).await;
    assert_eq!((page.status.as_u16(), page.redirect()), (400, None));
    assert!(is_signed_on(&fixture, &browser).await);
}

#[tokio::test]
async fn the_id_token_of_another_server_is_no_hint_and_an_access_token_is_none_either() {
    let (fixture, foreign) = (Fixture::start().await, Fixture::start().await);
    let (browser, _) = signed_on(&fixture).await;
    let (_, foreign_token) = signed_on(&foreign).await;
    let tokens = fixture.tokens("alice").await;
    for hint in [foreign_token.as_str(), text(&tokens, "access_token")] {
        assert_eq!(end_session(&fixture, &browser, &[("id_token_hint", hint)]).await.status, 400);
    }
}

#[tokio::test]
async fn without_saying_which_client_a_logout_works_but_goes_nowhere() {
    let fixture = Fixture::start().await;
    let (browser, _) = signed_on(&fixture).await;
    let page = end_session(&fixture, &browser, &[("post_logout_redirect_uri", SIGNED_OUT)]).await;
    assert_eq!((page.status.as_u16(), page.redirect()), (200, None));
    assert!(!is_signed_on(&fixture, &browser).await);
}
