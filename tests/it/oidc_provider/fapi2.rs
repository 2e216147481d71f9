//! The FAPI 2.0 profile with everything by keys, at the certified authorization server in the same profile: assertions, pushed requests,
//! signed answers, and DPoP whose nonces it requires.

use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::config::ClientKey;
use cloakroom::secret::Random;
use cloakroom::server;
use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, login};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::oidc_provider::OidcProvider;
use crate::support::proofs::{Expected, Proofs};
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, FETCH, LINK, free_port, load_text};

// proves: FA-01, FA-02, FA-06, FA-08, FA-12, FA-16, CB-13
#[rstest]
#[case::in_the_address("query.jwt", "deployment")]
#[case::in_a_form("form_post.jwt", "deployment")]
#[case::with_a_key_for_each_session("query.jwt", "session")]
#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_calls_and_refreshes_by_fapi_2_with_keys(
    #[case] response_mode: &str,
    #[case] keys: &str,
) {
    let port = free_port();
    let app = format!("http://localhost:{port}");
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": format!("{app}/.well-known/jwks.json"),
        "redirect_uri": format!("{app}/callback"), "access_token_ttl": 3, "fapi2": true,
        "dpop_nonces": true, "resource": "https://orders.example.com",
        "features": { "jwtResponseModes": { "enabled": true } },
    }))
    .await;
    let key = |name: &str| {
        let file = std::env::temp_dir().join(format!("cloakroom-fapi2-{port}-{name}.pem"));
        std::fs::write(&file, ClientKey::generate().unwrap().expose()).unwrap();
        file.display().to_string()
    };
    let dpop = match keys {
        "session" => "dpop_keys = \"session\"".to_owned(),
        _ => format!("dpop_key_file = \"{}\"", key("dpop")),
    };
    let api = HostileUpstream::answering(ok("the API's own")).await;
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{app}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [provider]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nprofile = \"fapi2\"\n\
         auth_method = \"private_key_jwt\"\nclient_key_file = \"{}\"\nsender_constraint = \"dpop\"\n{dpop}\n\
         pushed_requests = \"always\"\nresponse_mode = \"{response_mode}\"\nalgorithms = [\"PS256\"]\n\
         scopes = [\"openid\", \"profile\", \"email\", \"sales\"]\n\
         [session]\nkeys = [{{ id = \"one\", env = \"KEY_ONE\" }}]\nclaims = [\"sub\", \"email\"]\nrefresh_before = \"1s\"\n\
         [[routes]]\npath = \"/api\"\nupstream = \"http://{}\"\n",
        provider.issuer,
        key("client"),
        api.address,
    );
    let running = server::start(load_text(&text), Clock::system(), Random::system()).unwrap();
    let browser = Browser::new();
    let begun = browser.send("GET", &format!("{app}/login?return_to=/"), &LINK, "").await;
    let authorize = begun.redirect().unwrap_or_else(|| panic!("{}", begun.body));
    let names: Vec<String> = authorize.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    let mut back = login(&browser, authorize.as_str(), "alice").await;
    if response_mode == "query.jwt" {
        assert!(back.starts_with(&format!("{app}/callback?response=")), "{back}");
        back = browser.get_from_elsewhere(&back).await.redirect().unwrap().into();
    }
    assert_eq!(back, format!("{app}/"));
    let session = browser.send("GET", &format!("{app}/session"), &FETCH, "").await;
    assert!(session.body.contains("alice@example.com"), "{}", session.body);
    for _ in 0..3 {
        let page = browser.send("GET", &format!("{app}/api/orders"), &FETCH, "").await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "the API's own"));
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let asked = provider.calls("token").await;
    let refreshed =
        |call: &&serde_json::Value| call["grant_type"] == "refresh_token" && call["status"] == 200;
    assert!(asked.iter().filter(refreshed).count() >= 1, "{asked:?}");
    let mut proofs = Proofs::default();
    for request in api.requests() {
        let get = |name: &str| {
            let line = request.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}: {request}")).to_owned()
        };
        let (token, url) =
            (get("authorization: DPoP "), format!("http://{}/api/orders", api.address));
        let now = Clock::system().now().0;
        let expected = Expected { method: "GET", url: &url, token: Some(&token), nonce: None, now };
        let thumbprint = proofs.check(&get("dpop: "), &expected).unwrap();
        let claims: serde_json::Value =
            jsonwebtoken::dangerous::insecure_decode_claims(&token).unwrap();
        assert_eq!(claims["cnf"]["jkt"], thumbprint, "the server has bound it to that key");
    }
    running.stop().await;
}
