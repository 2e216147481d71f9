//! The whole server with the certified authorization server: login, calls, one-time refresh tokens, logout; with opaque
//! access tokens, and with JWTs for a resource. The peer is a process of its own and lives by the real time.

use std::time::Duration;

use cloakroom::clock::Clock;
use serde_json::{Value, json};

use crate::support::browser::{Browser, log_out};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::oidc_provider::OidcProvider;
use crate::support::stack::{CLIENT_ID, CLIENT_SECRET, LINK, Setup, Stack, free_port};

const OPAQUE: Option<&str> = None;
const JWT: Option<&str> = Some("https://api.example.com");

/// The authorization server, Cloakroom, and an API that keeps what it was sent.
struct Place {
    provider: OidcProvider,
    stack: Stack,
    api: HostileUpstream,
    resource: Option<&'static str>,
}

impl Place {
    async fn start(resource: Option<&'static str>, access_token_ttl: u64, setup: Setup) -> Self {
        Self::start_with(resource, access_token_ttl, setup, json!({})).await
    }

    /// The same, with more of the authorization server's features.
    async fn start_with(
        resource: Option<&'static str>,
        access_token_ttl: u64,
        setup: Setup,
        features: Value,
    ) -> Self {
        let port = free_port();
        let app = format!("http://localhost:{port}");
        let provider = OidcProvider::start(&json!({
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "redirect_uri": format!("{app}/callback"),
            "post_logout_redirect_uri": format!("{app}/logged-out"),
            "backchannel_logout_uri": format!("{app}/backchannel-logout"),
            "rotate": true, "resource": resource, "access_token_ttl": access_token_ttl,
            "features": features,
        }))
        .await;
        let api = HostileUpstream::answering(ok("the API's own")).await;
        let issuer = Some(provider.issuer.clone());
        let setup = Setup { issuer, upstream: Some(api.address), ..setup };
        let stack = Stack::start_at(port, setup).await;
        Self { provider, stack, api, resource }
    }

    async fn call(&self, browser: &Browser) {
        let page = self.stack.fetch(browser, "GET", "/api/orders").await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "the API's own"));
    }

    /// The access tokens that the API was given, in the order of the calls.
    fn tokens(&self) -> Vec<String> {
        let token = |request: &String| {
            let values: Vec<&str> =
                request.lines().filter_map(|line| line.strip_prefix("authorization: ")).collect();
            let [value] = values[..] else { panic!("not one authorization: {request}") };
            value.strip_prefix("Bearer ").unwrap().to_owned()
        };
        self.api.requests().iter().map(token).collect()
    }

    /// Whether the authorization server made this access token for `user` and the API.
    async fn check(&self, token: &str, user: &str) {
        let Some(resource) = self.resource else {
            assert!(!token.contains('.'), "opaque: {token}");
            let told = introspect(&self.provider, token).await;
            assert_eq!((&told["active"], &told["sub"]), (&json!(true), &json!(user)), "{told}");
            return;
        };
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!(resource), &json!(user)), "{claims}");
        assert_eq!(claims["iss"], self.provider.issuer.as_str());
    }

    /// The answers to refreshes so far, as statuses.
    async fn refreshes(&self) -> Vec<u64> {
        let calls = self.provider.calls("token").await;
        let refreshes = calls.iter().filter(|call| call["grant_type"] == "refresh_token");
        refreshes.map(|call| call["status"].as_u64().unwrap()).collect()
    }
}

async fn introspect(provider: &OidcProvider, token: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}/token/introspection", provider.issuer));
    let request = request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).form(&[("token", token)]);
    request.send().await.unwrap().json().await.unwrap()
}

// proves: AR-17
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_pushed_requests_only_gets_them_and_the_browser_carries_a_reference() {
    let setup = Setup { clock: Clock::system(), ..Setup::default() };
    let push = json!({ "pushedAuthorizationRequests": {
        "enabled": true, "requirePushedAuthorizationRequests": true } });
    let place = Place::start_with(OPAQUE, 300, setup, push).await;
    let browser = Browser::new();
    let url = place.stack.begin_login(&browser, "?return_to=/").await;
    let url = url::Url::parse(&url).unwrap();
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["client_id", "request_uri"], "{url}");
    let landed = place.stack.log_in(&browser, "alice").await;
    assert_eq!(landed.redirect().unwrap().as_str(), place.stack.url("/"));
    place.call(&browser).await;
    place.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_login_works_for_whoever_is_signed_in_there_and_says_so_to_others() {
    let setup = Setup { clock: Clock::system(), ..Setup::default() };
    let place = Place::start(OPAQUE, 300, setup).await;
    let (stack, query) = (&place.stack, "?prompt=none&return_to=/there");
    let silent = async |browser: &Browser| {
        let authorize = stack.begin_login(browser, query).await;
        let back = crate::support::browser::login(browser, &authorize, "nobody").await;
        let target = browser.get_from_elsewhere(&back).await.redirect().unwrap();
        let error = target.query_pairs().find(|(name, _)| name == "auth_error");
        (target.path().to_owned(), error.map(|(_, code)| code.into_owned()))
    };
    let browser = Browser::new();
    let needed = Some("interaction_needed".to_owned());
    assert_eq!(silent(&browser).await, ("/there".to_owned(), needed));
    stack.log_in(&browser, "alice").await;
    assert_eq!(silent(&browser).await, ("/there".to_owned(), None));
    assert_eq!(stack.session(&browser).await["claims"]["sub"], "alice");
    place.stack.stop().await;
}

// proves: CB-13
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_signs_its_answers_logs_in_by_a_signed_one() {
    let provider = "response_mode = \"query.jwt\"\n".to_owned();
    let setup = Setup { clock: Clock::system(), provider, ..Setup::default() };
    let place =
        Place::start_with(OPAQUE, 300, setup, json!({ "jwtResponseModes": { "enabled": true } }))
            .await;
    let browser = Browser::new();
    let landed = place.stack.log_in(&browser, "alice").await;
    assert_eq!(landed.redirect().unwrap().as_str(), place.stack.url("/"));
    place.call(&browser).await;
    place.stack.stop().await;
}

// proves: LO-01, LO-03, LO-04, LO-06, LO-07, PX-04
#[rstest::rstest]
#[case::opaque_access_tokens(OPAQUE)]
#[case::jwt_access_tokens(JWT)]
#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_calls_the_api_and_signs_out_here_and_there(
    #[case] resource: Option<&'static str>,
) {
    let setup = Setup { clock: Clock::system(), ..Setup::default() };
    let place = Place::start(resource, 300, setup).await;
    let stack = &place.stack;
    let browser = Browser::new();
    let landed = stack.log_in(&browser, "bob").await;
    assert_eq!(landed.redirect().unwrap().as_str(), stack.url("/"));
    let session = stack.session(&browser).await;
    assert_eq!(session["authenticated"], true);
    assert_eq!(
        session["claims"],
        json!({ "sub": "bob", "name": "Bob", "email": "bob@example.com" })
    );

    place.call(&browser).await;
    let tokens = place.tokens();
    place.check(&tokens[0], "bob").await;
    let raw = place.api.request().to_lowercase();
    assert!(raw.starts_with("get /api/orders http/1.1"), "{raw}");
    assert!(!raw.contains("cookie"), "{raw}");

    let thief = browser.copy();
    assert_eq!(stack.fetch(&browser, "POST", "/logout").await.status, 200);
    let away = browser.send("GET", &stack.url("/logout/continue"), &LINK, "").await;
    let away = away.redirect().unwrap();
    assert!(away.as_str().starts_with(&stack.issuer), "{away}");
    let back = log_out(&browser, away.as_str()).await;
    let state = away.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    assert_eq!(back, format!("{}?state={state}", stack.url("/logged-out")));
    let home = browser.get_from_elsewhere(&back).await;
    assert_eq!(home.redirect().unwrap().as_str(), stack.url("/"));

    assert!(browser.jar().is_empty(), "{:?}", browser.jar());
    for browser in [&browser, &thief] {
        assert_eq!(stack.session(browser).await["authenticated"], false);
        assert_eq!(stack.fetch(browser, "GET", "/api/orders").await.status, 401);
    }
    assert_eq!(place.api.requests().len(), 1);
    // Nobody waits for the revocation.
    let revoked = async || place.provider.calls("revocation").await;
    for _ in 0..1_000 {
        if !revoked().await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let first = &revoked().await[0];
    assert_eq!(
        (&first["token_type_hint"], &first["status"]),
        (&json!("refresh_token"), &json!(200))
    );
    place.stack.stop().await;
}

// proves: LO-10, LO-13, LO-14
#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_at_the_authorization_server_is_signed_out_here() {
    let setup = Setup { clock: Clock::system(), ..Setup::default() };
    let place = Place::start(OPAQUE, 300, setup).await;
    let (alice, bob) = (Browser::new(), Browser::new());
    place.stack.log_in(&alice, "alice").await;
    place.stack.log_in(&bob, "bob").await;
    place.call(&alice).await;
    let mut there = url::Url::parse(&format!("{}/session/end", place.provider.issuer)).unwrap();
    let back = place.stack.url("/logged-out");
    there
        .query_pairs_mut()
        .extend_pairs([("client_id", CLIENT_ID), ("post_logout_redirect_uri", &back)]);
    assert_eq!(log_out(&alice, there.as_str()).await, back);
    let mut status = 0;
    for _ in 0..1_000 {
        status = place.stack.fetch(&alice.copy(), "GET", "/api/orders").await.status.as_u16();
        if status == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status, 401);
    assert_eq!(place.stack.session(&alice).await["authenticated"], false);
    place.call(&bob).await;
    // The next login is a new session over there, and works.
    place.stack.log_in(&alice, "alice").await;
    place.call(&alice).await;
    place.stack.stop().await;
}

// proves: RF-02, RF-03, RF-06, FA-06
#[rstest::rstest]
#[case::opaque_access_tokens(OPAQUE)]
#[case::jwt_access_tokens(JWT)]
#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_expiry_use_a_one_time_refresh_token_once_and_the_next_one_works(
    #[case] resource: Option<&'static str>,
) {
    // Cloakroom's clock is moved ahead of the peer's, so that a slow machine does not make tokens expire in between.
    let place = Place::start(resource, 120, Setup::default()).await;
    let browser = Browser::new();
    place.stack.log_in(&browser, "alice").await;
    place.call(&browser).await;
    for round in 1..=3 {
        place.stack.clock.advance(Duration::from_secs(121));
        let tabs: Vec<Browser> = (0..50).map(|_| browser.copy()).collect();
        futures_util::future::join_all(tabs.iter().map(|tab| place.call(tab))).await;
        assert_eq!(place.refreshes().await, vec![200; round], "round {round}");
        // Whichever answer came last, this browser has the tokens of this round.
        place.call(&browser).await;
        assert_eq!(place.refreshes().await.len(), round);
        let tokens = place.tokens();
        let now = &tokens[tokens.len() - 51..];
        assert!(now.iter().all(|token| *token == now[0]), "all calls went with the new token");
        assert_ne!(now[0], tokens[tokens.len() - 52], "round {round}");
        place.check(&now[0], "alice").await;
    }
    place.stack.stop().await;
}

// proves: RF-02
#[rstest::rstest]
#[case::opaque_access_tokens(OPAQUE)]
#[case::jwt_access_tokens(JWT)]
#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_access_tokens_of_two_seconds_come_and_go(
    #[case] resource: Option<&'static str>,
) {
    let session = "refresh_before = \"1s\"".to_owned();
    let setup = Setup { clock: Clock::system(), session, ..Setup::default() };
    let place = Place::start(resource, 2, setup).await;
    let browser = Browser::new();
    place.stack.log_in(&browser, "alice").await;
    for _ in 0..1_000 {
        if place.refreshes().await.len() >= 3 {
            break;
        }
        place.call(&browser).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut tokens = place.tokens();
    tokens.dedup();
    assert!(tokens.len() >= 3, "{}", tokens.len());
    let mut different = tokens.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), tokens.len(), "no old token ever came back");
    assert!(place.refreshes().await.iter().all(|status| *status == 200), "no token was used twice");
    assert_eq!(place.stack.session(&browser).await["authenticated"], true);
    place.stack.stop().await;
}
