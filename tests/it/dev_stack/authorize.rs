//! The authorization endpoint, the login page and the consent page.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::browser::{Browser, login};

use super::{CALLBACK, Fixture, options, param, text};

#[tokio::test]
async fn a_login_ends_with_a_code_an_id_token_that_verifies_and_an_access_token_for_the_api() {
    let fixture = Fixture::start().await;
    let browser = Browser::new();
    let page = browser.get(&fixture.at("/.well-known/openid-configuration")).await;
    let metadata: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(metadata["issuer"], fixture.stack.issuer.as_str());

    let callback = login(&browser, &fixture.authorization_url(&[]), "alice").await;
    assert!(callback.starts_with(&format!("{CALLBACK}?")), "{callback}");
    assert_eq!(param(&callback, "state").as_deref(), Some("a b&c"));
    assert_eq!(param(&callback, "iss").as_deref(), Some(fixture.stack.issuer.as_str()));
    let (status, tokens) = fixture.exchange(&param(&callback, "code").unwrap()).await;
    assert_eq!(
        (status, &tokens["token_type"], &tokens["expires_in"]),
        (200, &json!("Bearer"), &json!(300))
    );

    let jwks = browser.get(metadata["jwks_uri"].as_str().unwrap()).await;
    let jwks: JwkSet = serde_json::from_str(&jwks.body).unwrap();
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&["web"]);
    rules.set_issuer(&[&fixture.stack.issuer]);
    let key = DecodingKey::from_jwk(&jwks.keys[0]).unwrap();
    let id_token = decode::<Value>(text(&tokens, "id_token"), &key, &rules).unwrap();
    assert_eq!(id_token.header.kid, jwks.keys[0].common.key_id);
    let half = &Sha256::digest(text(&tokens, "access_token"))[..16];
    for (name, value) in [
        ("sub", json!("alice")),
        ("name", json!("Alice Adams")),
        ("email", json!("alice@example.com")),
        ("region", json!("eu")),
        ("nonce", json!("n-1")),
        ("auth_time", json!(1_800_000_000)),
        ("at_hash", json!(URL_SAFE_NO_PAD.encode(half))),
    ] {
        assert_eq!(id_token.claims[name], value, "{name}");
    }

    rules.set_audience(&["demo-api"]);
    let access = decode::<Value>(text(&tokens, "access_token"), &key, &rules).unwrap();
    assert_eq!(access.header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(access.claims["scope"], "openid profile email sales");
    assert_eq!(
        (&access.claims["client_id"], &access.claims["region"]),
        (&json!("web"), &json!("eu"))
    );

    let (status, user) = fixture.userinfo(text(&tokens, "access_token")).await;
    assert_eq!(
        (status, &user["sub"], &user["email"]),
        (200, &json!("alice"), &json!("alice@example.com"))
    );
}

#[rstest]
#[case::foreign_redirect_uri("redirect_uri", "https://evil.example/callback")]
#[case::longer_redirect_uri("redirect_uri", "http://localhost:65001/callback/")]
#[case::other_port("redirect_uri", "http://localhost:65002/callback")]
#[case::no_redirect_uri("redirect_uri", "")]
#[case::unknown_client("client_id", "<b>somebody</b>")]
#[case::parameter_twice("state&state", "x")]
#[tokio::test]
async fn a_request_that_could_lead_anywhere_gets_a_page_and_no_redirect(
    #[case] name: &str,
    #[case] value: &str,
) {
    let fixture = Fixture::start().await;
    let url = match name.split_once('&') {
        Some((name, _)) => format!("{}&{name}={value}", fixture.authorization_url(&[])),
        None => fixture.authorization_url(&[(name, value)]),
    };
    let page = Browser::new().get(&url).await;
    assert_eq!((page.status.as_u16(), page.redirect()), (400, None));
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(
        !page.body.contains("evil.example") && !page.body.contains("<b>somebody"),
        "input is not echoed"
    );
}

#[rstest]
#[case::implicit("response_type", "id_token", "unsupported_response_type")]
#[case::fragment("response_mode", "fragment", "invalid_request")]
#[case::no_pkce("code_challenge", "", "invalid_request")]
#[case::no_pkce_method("code_challenge_method", "", "invalid_request")]
#[case::plain_pkce("code_challenge_method", "plain", "invalid_request")]
#[case::short_challenge("code_challenge", "abc", "invalid_request")]
#[case::no_openid("scope", "profile", "invalid_scope")]
#[case::unknown_scope("scope", "openid root", "invalid_scope")]
#[case::unknown_prompt("prompt", "maybe", "invalid_request")]
#[case::prompt_none_and_more("prompt", "none login", "invalid_request")]
#[case::bad_max_age("max_age", "-1", "invalid_request")]
#[case::request_object("request", "e30.e30.", "request_not_supported")]
#[case::nobody_signed_on("prompt", "none", "login_required")]
#[tokio::test]
async fn any_other_wrong_request_is_told_to_the_client_with_state_and_issuer(
    #[case] name: &str,
    #[case] value: &str,
    #[case] error: &str,
) {
    let fixture = Fixture::start().await;
    let page = Browser::new().get(&fixture.authorization_url(&[(name, value)])).await;
    let target = page.redirect().unwrap();
    assert_eq!(page.status, 303);
    assert!(target.as_str().starts_with(CALLBACK), "{target}");
    assert_eq!(param(target.as_str(), "error").as_deref(), Some(error));
    assert_eq!(param(target.as_str(), "state").as_deref(), Some("a b&c"));
    assert_eq!(param(target.as_str(), "iss").as_deref(), Some(fixture.stack.issuer.as_str()));
    assert_eq!(param(target.as_str(), "code"), None);
}

#[tokio::test]
async fn a_signed_on_user_is_asked_again_only_when_the_request_says_so() {
    let fixture = Fixture::start().await;
    let browser = Browser::new();
    login(&browser, &fixture.authorization_url(&[]), "alice").await;
    fixture.clock.advance(Duration::from_secs(100));
    for (changed, silent) in [
        (("state", "x"), true),
        (("prompt", "none"), true),
        (("max_age", "100"), true),
        (("login_hint", "ALICE@example.com"), true),
        (("max_age", "99"), false),
        (("max_age", "0"), false),
        (("prompt", "login"), false),
        (("prompt", "select_account"), false),
        (("login_hint", "bob"), false),
    ] {
        let page = browser.get(&fixture.authorization_url(&[changed])).await;
        assert_eq!(page.redirect().is_some(), silent, "{changed:?}");
        assert_eq!(page.body.contains("value=\"alice\""), !silent, "{changed:?}");
    }
    let url = fixture.authorization_url(&[("prompt", "login"), ("state", "again")]);
    assert!(param(&login(&browser, &url, "alice").await, "code").is_some());
    assert!(browser.get(&url).await.redirect().is_none(), "one login answers one request");

    fixture.clock.advance(Duration::from_secs(10 * 3600));
    let page = browser.get(&fixture.authorization_url(&[("prompt", "none")])).await;
    assert_eq!(
        param(page.redirect().unwrap().as_str(), "error").as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn consent_is_asked_once_and_no_is_access_denied() {
    let fixture = Fixture::with(super::DevStackOptions { consent: true, ..options() }).await;
    let browser = Browser::new();
    let answer = async |request: &str, consent: &str| {
        let page = browser.get(request).await;
        let page = if page.body.contains("name=\"user\"") {
            browser.submit(&page, |_| String::new(), |_, value| value == "bob").await
        } else {
            page
        };
        assert!(page.body.contains("name=\"consent\""), "{}", page.body);
        let page = browser.submit(&page, |_| String::new(), |_, value| value == consent).await;
        page.redirect().unwrap().to_string()
    };
    let plain = fixture.authorization_url(&[("scope", "openid")]);
    let denied = answer(&plain, "no").await;
    assert_eq!(param(&denied, "error").as_deref(), Some("access_denied"));
    let silent = fixture.authorization_url(&[("scope", "openid"), ("prompt", "none")]);
    let page = browser.get(&silent).await.redirect().unwrap();
    assert_eq!(param(page.as_str(), "error").as_deref(), Some("consent_required"));

    assert!(param(&answer(&plain, "yes").await, "code").is_some());
    let page = browser.get(&silent).await.redirect().unwrap();
    assert!(param(page.as_str(), "code").is_some(), "not asked twice");
    let more = fixture.authorization_url(&[("scope", "openid sales")]);
    assert!(browser.get(&more).await.body.contains("sales"), "a new scope is asked for");
    let forced = fixture.authorization_url(&[("scope", "openid"), ("prompt", "consent")]);
    assert!(param(&answer(&forced, "yes").await, "code").is_some());
}

#[rstest]
#[case::origin("origin", "https://evil.example")]
#[case::opaque_origin("origin", "null")]
#[case::fetch_metadata("sec-fetch-site", "cross-site")]
#[tokio::test]
async fn another_site_cannot_press_the_buttons(#[case] name: &str, #[case] value: &str) {
    let fixture = Fixture::start().await;
    for path in ["/login", "/consent"] {
        let url = fixture.authorization_url(&[]).replace("/authorize", path);
        let fields = [("user", "alice"), ("consent", "yes")];
        let request = fixture.client.post(url).header(name, value).form(&fields);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert!(
            answer.headers().get("set-cookie").is_none()
                && answer.headers().get("location").is_none()
        );
    }
}

#[tokio::test]
async fn the_login_page_is_whole_in_itself_and_lets_nothing_else_in() {
    let fixture = Fixture::start().await;
    let url = fixture.authorization_url(&[("state", "\"><script>"), ("login_hint", "bob")]);
    let page = Browser::new().get(&url).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("form-action 'self' http://localhost:65001;"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let style = page.body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    assert!(policy.contains(&hash), "the style sheet is the one that the policy allows");
    assert!(page.body.contains("value=\"bob\" autofocus"), "{}", page.body);
    assert!(!page.body.contains("<script") && !page.body.contains("://"), "{}", page.body);
    assert_eq!(page.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn the_sign_on_cookie_is_sealed_and_out_of_reach_of_scripts() {
    let fixture = Fixture::start().await;
    let browser = Browser::new();
    let page = browser.get(&fixture.authorization_url(&[])).await;
    assert!(!page.headers.contains_key("set-cookie"), "nothing to remember yet");
    let page = browser.submit(&page, |_| String::new(), |_, value| value == "alice").await;
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("alice") && !cookie.contains("auth_time"), "{cookie}");
    let port = fixture.stack.issuer.rsplit(':').next().unwrap();
    assert!(
        cookie.split('=').next().unwrap().ends_with(port),
        "stacks beside each other: {cookie}"
    );
}

#[tokio::test]
async fn a_host_name_of_somebody_else_is_refused() {
    let fixture = Fixture::start().await;
    for url in [fixture.authorization_url(&[]), fixture.api("/public/hello")] {
        let answer =
            fixture.client.get(url).header("host", "rebound.example").send().await.unwrap();
        assert_eq!(answer.status(), 421);
    }
}
