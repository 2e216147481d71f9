//! One app before two certified authorization servers, each of which knows one redirect URI only: in two browsers at once, and
//! one after the other in one.

use std::time::Duration;

use cloakroom::clock::Clock;
use cloakroom::secret::Random;
use cloakroom::server::{self, Running};
use serde_json::{Value, json};

use crate::support::browser::{Browser, log_out, login};
use crate::support::hostile_upstream::{HostileUpstream, ok};
use crate::support::oidc_provider::OidcProvider;
use crate::support::stack::{
    CLIENT_ID, CLIENT_SECRET, FETCH, LINK, PARTNER_SECRET, free_port, load_text, two_providers,
};

struct Place {
    running: Running,
    app: String,
    home: OidcProvider,
    partner: OidcProvider,
    api: HostileUpstream,
}

async fn certified(app: &str, id: &str, secret: &str) -> OidcProvider {
    OidcProvider::start(&json!({
        "client_id": CLIENT_ID, "client_secret": secret,
        "redirect_uri": format!("{app}/callback/{id}"),
        "post_logout_redirect_uri": format!("{app}/logged-out"),
        "backchannel_logout_uri": format!("{app}/backchannel-logout/{id}"),
        "rotate": true, "access_token_ttl": 2,
    }))
    .await
}

impl Place {
    async fn start() -> Self {
        let port = free_port();
        let app = format!("http://localhost:{port}");
        let home = certified(&app, "home", CLIENT_SECRET).await;
        let partner = certified(&app, "partner", PARTNER_SECRET).await;
        let api = HostileUpstream::answering(ok("the API's own")).await;
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:{port}"
public_url = "{app}"
[admin]
listen = "off"
[session]
keys = [{{ id = "one", env = "KEY_ONE" }}]
refresh_before = "0s"
{}
[[routes]]
path = "/api"
upstream = "http://{}"
"#,
            two_providers(&home.issuer, &partner.issuer),
            api.address
        );
        let running = server::start(load_text(&text), Clock::system(), Random::system()).unwrap();
        Self { running, app, home, partner, api }
    }

    async fn log_in(&self, browser: &Browser, id: &str, user: &str) {
        let url = format!("{}/login?provider={id}", self.app);
        let page = browser.send("GET", &url, &LINK, "").await;
        let back = login(browser, page.redirect().unwrap().as_str(), user).await;
        let page = browser.get_from_elsewhere(&back).await;
        assert_eq!(page.headers["location"], format!("{}/", self.app));
        let session = self.session(browser).await;
        assert_eq!((&session["provider"], &session["claims"]["sub"]), (&json!(id), &json!(user)));
    }

    async fn session(&self, browser: &Browser) -> Value {
        let url = format!("{}/session", self.app);
        serde_json::from_str(&browser.send("GET", &url, &FETCH, "").await.body).unwrap()
    }

    async fn call(&self, browser: &Browser) -> u16 {
        let url = format!("{}/api/orders", self.app);
        browser.send("GET", &url, &FETCH, "").await.status.as_u16()
    }

    /// The statuses of the answers at `endpoint`, of both servers.
    async fn statuses(&self, endpoint: &str) -> [Vec<u64>; 2] {
        let of = async |server: &OidcProvider| {
            let calls = server.calls(endpoint).await;
            calls.iter().map(|call| call["status"].as_u64().unwrap()).collect()
        };
        [of(&self.home).await, of(&self.partner).await]
    }
}

// proves: AR-09, AR-10
#[tokio::test(flavor = "multi_thread")]
async fn users_of_two_certified_servers_sign_in_call_refresh_and_sign_out_at_their_own() {
    let place = Place::start().await;
    let (one, two) = (Browser::new(), Browser::new());
    place.log_in(&one, "home", "alice").await;
    place.log_in(&two, "partner", "alice").await;
    // Their tokens end, and are renewed where they came from, one-time refresh tokens and all.
    for round in 2..4_usize {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        for browser in [&one, &two] {
            assert_eq!(place.call(browser).await, 200);
        }
        let all = vec![200; round];
        assert_eq!(place.statuses("token").await, [all.clone(), all]);
    }
    assert_eq!(place.api.requests().len(), 4);
    // One signs out, here and there.
    let page = two.send("POST", &format!("{}/logout", place.app), &FETCH, "").await;
    assert_eq!(page.status, 200);
    let away = two.send("GET", &format!("{}/logout/continue", place.app), &LINK, "").await;
    let away = away.redirect().unwrap();
    assert!(away.as_str().starts_with(&place.partner.issuer), "{away}");
    let back = log_out(&two, away.as_str()).await;
    assert!(back.starts_with(&format!("{}/logged-out?", place.app)), "{back}");
    assert_eq!(place.session(&two).await["authenticated"], false);
    assert_eq!(place.session(&one).await["authenticated"], true);
    place.running.stop().await;
}

// proves: AR-10, LO-13
#[tokio::test(flavor = "multi_thread")]
async fn one_browser_uses_one_server_after_the_other_and_each_ends_its_own_by_back_channel() {
    let place = Place::start().await;
    let (browser, beside) = (Browser::new(), Browser::new());
    place.log_in(&browser, "home", "alice").await;
    place.log_in(&browser, "partner", "bob").await;
    place.log_in(&beside, "home", "alice").await;
    let mut there = url::Url::parse(&format!("{}/session/end", place.partner.issuer)).unwrap();
    let back = format!("{}/logged-out", place.app);
    let asked = [("client_id", CLIENT_ID), ("post_logout_redirect_uri", &back)];
    there.query_pairs_mut().extend_pairs(asked);
    assert_eq!(log_out(&browser, there.as_str()).await, back);
    let mut status = 200;
    for _ in 0..400 {
        status = place.call(&browser.copy()).await;
        if status == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(status, 401, "the logout token came to /backchannel-logout/partner");
    assert_eq!(place.call(&beside).await, 200);
    place.log_in(&browser, "home", "alice").await;
    place.running.stop().await;
}
