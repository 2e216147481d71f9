//! The peer server itself: it answers, and a login can be driven over plain HTTP. What Cloakroom does with it is
//! in `whole_server`.

#[cfg(feature = "dev")]
mod api_tokens;
#[cfg(feature = "dev")]
mod dpop;
#[cfg(feature = "dev")]
mod fapi2;
#[cfg(feature = "dev")]
mod mtls;
#[cfg(feature = "dev")]
mod several;
#[cfg(feature = "dev")]
mod whole_server;

use serde_json::{Value, json};
use url::Url;

use crate::support::browser::{Browser, log_out, login};
use crate::support::oidc_provider::OidcProvider;

const SECRET: &str = "a-client-secret-of-the-test-suite-only";
const CALLBACK: &str = "http://localhost:65001/callback";
const SIGNED_OUT: &str = "http://localhost:65001/logged-out";
/// The verifier and challenge of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn provider(rotate: bool, resource: Option<&str>) -> (OidcProvider, Value) {
    let provider = OidcProvider::start(&json!({
        "client_id": "web", "client_secret": SECRET, "rotate": rotate, "resource": resource,
        "redirect_uri": CALLBACK, "post_logout_redirect_uri": SIGNED_OUT,
    }))
    .await;
    let url = format!("{}/.well-known/openid-configuration", provider.issuer);
    let page = Browser::new().get(&url).await;
    (provider, serde_json::from_str(&page.body).unwrap())
}

async fn tokens(metadata: &Value, fields: &[(&str, &str)]) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(metadata["token_endpoint"].as_str().unwrap());
    let answer = request.basic_auth("web", Some(SECRET)).form(fields).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn log_in(metadata: &Value, browser: &Browser) -> Value {
    let mut url = Url::parse(metadata["authorization_endpoint"].as_str().unwrap()).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", "web"),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email sales"),
        ("state", "xyz"),
        ("nonce", "n-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let callback = Url::parse(&login(browser, url.as_str(), "alice").await).unwrap();
    assert!(callback.as_str().starts_with(CALLBACK), "{callback}");
    let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let (status, told) = tokens(metadata, &fields).await;
    assert_eq!(status, 200, "{told}");
    told
}

#[tokio::test]
async fn the_peer_answers_discovery_and_a_login_over_plain_http_ends_with_tokens_and_a_logout() {
    let (provider, metadata) = provider(false, None).await;
    assert_eq!(metadata["issuer"], provider.issuer.as_str());
    let browser = Browser::new();
    let told = log_in(&metadata, &browser).await;
    let id_token = told["id_token"].as_str().unwrap();
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(id_token).unwrap();
    assert_eq!((&claims["sub"], &claims["email"]), (&json!("alice"), &json!("alice@example.com")));
    assert!(told["refresh_token"].is_string(), "{told}");
    assert!(!told["access_token"].as_str().unwrap().contains('.'), "opaque without a resource");

    let mut url = Url::parse(metadata["end_session_endpoint"].as_str().unwrap()).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("id_token_hint", id_token),
        ("post_logout_redirect_uri", SIGNED_OUT),
        ("state", "bye"),
    ]);
    assert_eq!(log_out(&browser, url.as_str()).await, format!("{SIGNED_OUT}?state=bye"));
}

#[tokio::test]
async fn the_peer_rotates_refresh_tokens_and_gives_jwts_for_a_resource_when_told_to() {
    let (_provider, metadata) = provider(true, Some("https://api.example.com")).await;
    let told = log_in(&metadata, &Browser::new()).await;
    let access: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(told["access_token"].as_str().unwrap())
            .unwrap();
    assert_eq!(
        (&access["aud"], &access["scope"]),
        (&json!("https://api.example.com"), &json!("sales"))
    );
    let first = told["refresh_token"].as_str().unwrap();
    let (status, again) =
        tokens(&metadata, &[("grant_type", "refresh_token"), ("refresh_token", first)]).await;
    assert_eq!(status, 200, "{again}");
    let second = again["refresh_token"].as_str().unwrap();
    assert_ne!(first, second);
    for token in [first, second] {
        let (status, told) =
            tokens(&metadata, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
        assert_eq!(
            (status, &told["error"]),
            (400, &json!("invalid_grant")),
            "reuse ends the grant"
        );
    }
}
