//! Introspection and client credentials with the certified authorization server.

use cloakroom::clock::Clock;
use rstest::rstest;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::oidc_provider::OidcProvider;
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, Setup, Stack, free_port};

// proves: PX-20, PX-21
#[rstest]
#[case::plain("json")]
#[case::signed("signed")]
#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_introspected_until_it_is_revoked(#[case] form: &str) {
    let (api, port) = (HostileUpstream::answering(ok("the API's own")).await, free_port());
    let app = format!("http://localhost:{port}");
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "redirect_uri": format!("{app}/callback"),
        "features": { "jwtIntrospection": { "enabled": true } },
    }))
    .await;
    let setup = Setup {
        issuer: Some(provider.issuer.clone()),
        provider: format!("introspection = \"{form}\""),
        more: format!(
            "[[routes]]\npath = \"/checked\"\nupstream = \"http://{}\"\ntoken = \"introspect\"\n\
             token_cache = \"1s\"\n",
            api.address
        ),
        clock: Clock::system(),
        ..Setup::default()
    };
    let stack = Stack::start_at(port, setup).await;
    let browser = Browser::new();
    stack.log_in(&browser, "alice").await;
    for _ in 0..3 {
        assert_eq!(stack.fetch(&browser, "GET", "/checked/x").await.body, "the API's own");
    }
    let asked = provider.calls("introspection").await;
    assert!(!asked.is_empty() && asked.iter().all(|call| call["status"] == 200), "{asked:?}");
    let request = api.requests().remove(0);
    let token = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let revoked = client
        .post(format!("{}/token/revocation", provider.issuer))
        .basic_auth(CLIENT_ID, Some(CLIENT_SECRET))
        .form(&[("token", token.unwrap())])
        .send()
        .await;
    assert_eq!(revoked.unwrap().status(), 200);
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    // Not active any more: a refresh brings one that is, or, as this server has ended the whole grant, the session's end.
    let page = stack.fetch(&browser, "GET", "/checked/x").await;
    assert_eq!(page.status, 401, "{}", page.body);
    stack.stop().await;
}

// proves: AR-20
#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_calls_with_a_token_of_the_clients_own_for_that_api() {
    let (api, port) = (HostileUpstream::answering(ok("the API's own")).await, free_port());
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "redirect_uri": format!("http://localhost:{port}/callback"),
        "more_grants": ["client_credentials"], "resource": "https://orders.example.com",
        "features": { "clientCredentials": { "enabled": true } },
    }))
    .await;
    let setup = Setup {
        issuer: Some(provider.issuer.clone()),
        more: format!(
            "[[routes]]\npath = \"/catalog\"\nupstream = \"http://{}\"\ntoken = \"client\"\n\
             token_resource = \"https://orders.example.com\"\ntoken_scopes = [\"sales\"]\n",
            api.address
        ),
        clock: Clock::system(),
        ..Setup::default()
    };
    let stack = Stack::start_at(port, setup).await;
    let page = stack.fetch(&Browser::new(), "GET", "/catalog/x").await;
    assert_eq!(page.body, "the API's own");
    let request = api.request();
    let token = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    let claims: serde_json::Value =
        jsonwebtoken::dangerous::insecure_decode_claims(token.unwrap()).unwrap();
    assert_eq!(claims["aud"], "https://orders.example.com");
    assert_eq!((&claims["scope"], &claims["sub"]), (&json!("sales"), &json!(CLIENT_ID)));
    stack.stop().await;
}

// proves: AR-16, AR-20, FA-11
#[rstest]
#[case::in_the_address("")]
#[case::pushed("pushed_requests = \"always\"\n")]
#[tokio::test(flavor = "multi_thread")]
async fn two_apis_get_tokens_cut_from_one_grant_whose_refresh_token_is_used_once_each(
    #[case] more: &str,
) {
    let port = free_port();
    let app = format!("http://localhost:{port}");
    let resources = ["https://orders.example.com", "https://billing.example.com"];
    let provider = OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "resources": resources,
        "redirect_uri": format!("{app}/callback"), "rotate": true, "access_token_ttl": 4,
    }))
    .await;
    let (orders, billing) = (
        HostileUpstream::answering(ok("orders")).await,
        HostileUpstream::answering(ok("billing")).await,
    );
    let route = |path: &str, api: &HostileUpstream, resource: &str| {
        format!(
            "[[routes]]\npath = \"{path}\"\nupstream = \"http://{}\"\ntoken = \"resource\"\n\
             token_resource = \"{resource}\"\ntoken_scopes = [\"sales\"]\n",
            api.address
        )
    };
    let setup = Setup {
        issuer: Some(provider.issuer.clone()),
        provider: format!("resources = {resources:?}\n{more}"),
        session: "refresh_before = \"1s\"".to_owned(),
        more: route("/orders", &orders, resources[0]) + &route("/billing", &billing, resources[1]),
        clock: Clock::system(),
        ..Setup::default()
    };
    let stack = Stack::start_at(port, setup).await;
    let browser = Browser::new();
    let landed = stack.log_in(&browser, "alice").await;
    assert_eq!(landed.redirect().unwrap().as_str(), stack.url("/"));
    for _ in 0..3 {
        let tabs = [browser.copy(), browser.copy()];
        let calls =
            [stack.fetch(&tabs[0], "GET", "/orders/x"), stack.fetch(&tabs[1], "GET", "/billing/x")];
        let pages = futures_util::future::join_all(calls).await;
        assert_eq!(
            pages.iter().map(|page| page.body.as_str()).collect::<Vec<_>>(),
            ["orders", "billing"]
        );
        assert_eq!(stack.fetch(&browser, "GET", "/orders/x").await.body, "orders");
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    }
    for (api, audience) in [(&orders, resources[0]), (&billing, resources[1])] {
        for request in api.requests() {
            let token =
                request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
            let claims: serde_json::Value =
                jsonwebtoken::dangerous::insecure_decode_claims(token.unwrap()).unwrap();
            assert_eq!((&claims["aud"], &claims["scope"]), (&json!(audience), &json!("sales")));
            assert_eq!(claims["sub"], "alice");
        }
    }
    // The server ends the whole grant at the reuse of a refresh token: there was none.
    let asked = provider.calls("token").await;
    assert!(asked.len() > 6 && asked.iter().all(|call| call["status"] == 200), "{asked:?}");
    stack.stop().await;
}
