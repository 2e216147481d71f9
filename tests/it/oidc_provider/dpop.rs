//! Access tokens bound to a key, by the certified authorization server, which wants its nonce in every proof.

use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::config::ClientKey;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::oidc_provider::OidcProvider;
use crate::support::proofs::{Expected, Proofs};
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, Setup, Stack, free_port};

// proves: SC-01, SC-02, SC-04
#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_calls_and_refreshes_with_a_nonce_in_every_proof() {
    let port = free_port();
    let app = format!("http://localhost:{port}");
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "redirect_uri": format!("{app}/callback"), "rotate": true, "access_token_ttl": 3,
        "dpop_nonces": true,
    }))
    .await;
    let key = std::env::temp_dir().join(format!("cloakroom-dpop-real-{port}.pem"));
    std::fs::write(&key, ClientKey::generate().unwrap().expose()).unwrap();
    let api = HostileUpstream::answering(ok("the API's own")).await;
    let setup = Setup {
        issuer: Some(provider.issuer.clone()),
        upstream: Some(api.address),
        provider: format!(
            "sender_constraint = \"dpop\"\ndpop_key_file = \"{}\"\nuserinfo = true\n\
             scopes = [\"openid\", \"profile\", \"email\"]\n",
            key.display()
        ),
        session: "refresh_before = \"1s\"".to_owned(),
        clock: Clock::system(),
        ..Setup::default()
    };
    let stack = Stack::start_at(port, setup).await;
    let browser = Browser::new();
    let landed = stack.log_in(&browser, "alice").await;
    assert_eq!(landed.redirect().unwrap().as_str(), stack.url("/"));
    assert_eq!(stack.session(&browser).await["claims"]["email"], "alice@example.com");
    for _ in 0..3 {
        assert_eq!(stack.fetch(&browser, "GET", "/api/orders").await.status, 200);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let refreshes = provider.calls("token").await;
    let refreshes = refreshes.iter().filter(|call| call["grant_type"] == "refresh_token");
    assert!(refreshes.filter(|call| call["status"] == 200).count() >= 1);
    let mut proofs = Proofs::default();
    for request in api.requests() {
        let get = |name: &str| {
            let line = request.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}: {request}")).to_owned()
        };
        let (token, url) =
            (get("authorization: DPoP "), format!("http://{}/api/orders", api.address));
        let now = Clock::system().now().0;
        let (method, token) = ("GET", Some(token.as_str()));
        let expected = Expected { method, url: &url, token, nonce: None, now };
        proofs.check(&get("dpop: "), &expected).unwrap();
    }
    stack.stop().await;
}
